from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

def spread(position: Singles, numbers: Floats, low: float, step: float, out: Singles) -> float: ...
def add_log(spectrum: Singles, scale: float, out: Singles) -> None: ...
def stack(
    spectra: Sequence[Singles],
    share: Singles,
    shift: Ints,
    low: Ints,
    high: Ints,
    near: int,
    far: int,
    room: Singles,
    best: Floats,
) -> None: ...
def sum_waves(position: Singles, numbers: Floats, waves: Singles, ions: Singles) -> None: ...
def sum_splines(weights: Singles, at: Floats) -> float: ...
