"""Types of the compiled kernels in ``ext/_field.pyx``."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

def smooth(grid: Floats, scratch: Floats, row: Floats, half: Floats) -> None: ...
def locate(
    position: npt.NDArray[np.float32],
    role: npt.NDArray[np.int8],
    corner: npt.NDArray[np.float64],
    shape: npt.NDArray[np.int64],
    per_nm: float,
    period: float,
    slope: npt.NDArray[np.float64],
    cell: npt.NDArray[np.int32],
    phase: npt.NDArray[np.float32],
) -> None: ...
def count(cell: npt.NDArray[np.int32], role: npt.NDArray[np.int8], every: Floats, solutes: Floats) -> None: ...
def deposit(
    cell: npt.NDArray[np.int32],
    role: npt.NDArray[np.int8],
    cosine: Floats,
    sine: Floats,
    fraction: Floats,
    out: Floats,
) -> None: ...
def wave(
    cell: npt.NDArray[np.int32],
    cosine: npt.NDArray[np.float32],
    sine: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None: ...
def voxels(fine: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None: ...
