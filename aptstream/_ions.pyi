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
def bricks(
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
    limit_bits: int,
    origin: npt.NDArray[np.float64],
    bricks: npt.NDArray[np.int64],
    nowhere: int,
    key: npt.NDArray[np.uint32],
    count: npt.NDArray[np.uint32],
) -> int: ...
def scatter(
    key: npt.NDArray[np.uint32],
    nowhere: int,
    cursor: npt.NDArray[np.uint32],
    position: npt.NDArray[np.uint32],
    mass_to_charge: npt.NDArray[np.uint32],
    further: npt.NDArray[np.uint32],
    row: npt.NDArray[np.uint32],
) -> None: ...
def cells(
    row: npt.NDArray[np.uint32],
    origin: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    key: npt.NDArray[np.uint16],
    count: npt.NDArray[np.uint32],
) -> int: ...
def arrange(
    row: npt.NDArray[np.uint32],
    key: npt.NDArray[np.uint16],
    cursor: npt.NDArray[np.uint32],
    position: npt.NDArray[np.uint32],
    mass_to_charge: npt.NDArray[np.uint32],
    further: npt.NDArray[np.uint32],
) -> None: ...
def decode_wide(
    record: npt.NDArray[np.uint8],
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
    others: npt.NDArray[np.uint32],
) -> None: ...
