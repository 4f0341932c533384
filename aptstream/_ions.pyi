"""Types of the compiled kernels in ``ext/_ions.pyx``."""

import numpy as np
import numpy.typing as npt

def decode(
    record: npt.NDArray[np.uint8],
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
) -> None: ...
def check(
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
    limit_bits: int,
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
) -> int: ...
def find(
    mass_to_charge: npt.NDArray[np.float32],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    species_of_range: npt.NDArray[np.uint8],
    species: npt.NDArray[np.uint8],
) -> None: ...
def count(
    position: npt.NDArray[np.float32],
    origin: npt.NDArray[np.float64],
    bricks_y: int,
    bricks_z: int,
    key: npt.NDArray[np.uint32],
    count: npt.NDArray[np.uint32],
) -> None: ...
def scatter(
    key: npt.NDArray[np.uint32],
    shift: int,
    cursor: npt.NDArray[np.uint32],
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
    species: npt.NDArray[np.uint8],
    to_key: npt.NDArray[np.uint32],
    to_position: npt.NDArray[np.float32],
    to_mass_to_charge: npt.NDArray[np.float32],
    to_species: npt.NDArray[np.uint8],
) -> None: ...
def decode_wide(
    record: npt.NDArray[np.uint8],
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
    others: npt.NDArray[np.uint32],
) -> None: ...
