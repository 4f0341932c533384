"""Types of the compiled kernels in ``ext/_text.pyx``."""

import numpy as np
import numpy.typing as npt

def index_lines(
    text: npt.NDArray[np.uint8],
    base: int,
    stride: int,
    longest: int,
    count: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
) -> None: ...
def parse_lines(
    text: npt.NDArray[np.uint8],
    separator: int,
    mark: int,
    target: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
    position: npt.NDArray[np.float32],
    mass_to_charge: npt.NDArray[np.float32],
) -> None: ...
