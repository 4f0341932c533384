"""Types of the compiled kernels in ``ext/_sdm.pyx``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

PAD: int
RHOZ: int
ZX: int
TABLE: int
MAX_EDGES: int
BEST_INSTRUCTIONS: int

def place(
    position: npt.NDArray[np.float32],
    group: npt.NDArray[np.int8],
    frame: npt.NDArray[np.float64],
    low: npt.NDArray[np.int64],
    shape: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    fine: npt.NDArray[np.int32],
) -> bool: ...
def sort_slices(
    key: npt.NDArray[np.int64],
    fine: npt.NDArray[np.int32],
    start: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> None: ...
def gather(
    order: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    fine: npt.NDArray[np.int32],
    label: npt.NDArray[np.int32],
    added: npt.NDArray[np.int32],
    numbers: tuple[int, int, int],
    xy: npt.NDArray[np.float32],
    z_tags: npt.NDArray[np.int32],
) -> None: ...
def take(counters: npt.NDArray[np.uint8], out: npt.NDArray[np.uint32], wide: bool) -> bool: ...
def contrast(
    counts: npt.NDArray[np.uint32], fraction: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None: ...
def standardise(counts: npt.NDArray[np.uint32], out: npt.NDArray[np.float32]) -> None: ...

class Volume:
    def __init__(
        self,
        xy: npt.NDArray[np.float32],
        z_tags: npt.NDArray[np.int32],
        start: npt.NDArray[np.int64],
        table: npt.NDArray[np.int32],
        numbers: Sequence[int],
        limits: tuple[float, float],
    ) -> None: ...
    def step(
        self,
        tiles: Sequence[tuple[int, int, int, int, int]],
        buffers: Sequence[Sequence[npt.NDArray[Any]]],
        hook: npt.NDArray[np.uint8],
        x_cell: int,
        wide: bool,
    ) -> None: ...
    def count(self, n: int, image: npt.NDArray[np.uint32]) -> None: ...
