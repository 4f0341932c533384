"""Parts of small model files."""

from io import BytesIO

import numpy as np

from aptstream.model.modelfile import CubeJudge
from aptstream.model.networks import CubeNet

WHAT_TO_DO = "fetch it again or train it anew"
NET = CubeNet(filters=2, first_kernel=3, first_stride=2, second_kernel=3, pool=2, dropout=0.25, dense=2)


def judge(edge, window):
    rng = np.random.default_rng(edge)
    weights = tuple(rng.standard_normal(shape).astype("f4") for shape in NET.weight_shapes(window.shape))
    return CubeJudge(edge, window, NET, 40, b"\x1c\0\0\0TFL3" + rng.bytes(50), weights)


def npy(array):
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()
