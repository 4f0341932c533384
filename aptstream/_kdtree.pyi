import numpy as np
import numpy.typing as npt

def n_nodes(n_ions: int, leaf_size: int) -> int: ...
def build(
    position: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    node_bounds: npt.NDArray[np.float32],
    node_rows: npt.NDArray[np.int64],
    leaf_size: int,
) -> None: ...
def reach(
    node_bounds: npt.NDArray[np.float32],
    node_rows: npt.NDArray[np.int64],
    region: npt.NDArray[np.float64],
) -> int: ...
def gather(
    position: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    node_bounds: npt.NDArray[np.float32],
    node_rows: npt.NDArray[np.int64],
    region: npt.NDArray[np.float64],
    out: npt.NDArray[np.int64],
) -> int: ...
def tally(
    position: npt.NDArray[np.float32],
    node_bounds: npt.NDArray[np.float32],
    node_rows: npt.NDArray[np.int64],
    region: npt.NDArray[np.float64],
) -> int: ...
