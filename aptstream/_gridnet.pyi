"""Types of the compiled kernel in ``ext/_gridnet.pyx``."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAX_LAYERS: int
MAX_CHANNELS: int
BEST_INSTRUCTIONS: int

def run(
    features: Floats, layers: npt.NDArray[np.int32], weights: Floats, standard: Floats, out: Floats, instructions: int
) -> bool: ...
