"""Build the compiled kernels in ``ext/``; everything else stands in pyproject.toml."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# Setting APTSTREAM_CHECK=1 builds the kernels with bounds checks on: slower, for the tests only.
CHECK = os.environ.get("APTSTREAM_CHECK", "0") == "1"

# Exactness first: no reassociation and no fused multiply-add, so that the cell of an ion is the same
# number on every machine. No errno and no traps, so that loops with square roots vectorise.
FLAGS = [] if sys.platform == "win32" else ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
# A network is the exception: fused multiply-add is twice as fast, and logits need the same bits on one machine only.
FUSED = [flag.replace("off", "fast") for flag in FLAGS]


def kernel(name: str, *c_sources: str, flags: list[str] = FLAGS) -> Extension:
    """One extension module: its thin Cython face and the C it calls."""
    return Extension(
        f"aptstream.{name}",
        sources=[f"ext/{name}.pyx", *(f"ext/{source}" for source in c_sources)],
        include_dirs=["ext"],
        depends=sorted(map(str, Path("ext").glob("*.h"))),
        extra_compile_args=flags,
    )


setup(
    ext_modules=cythonize(
        [
            kernel("_sdm", "sdm_kernel.c"),
            kernel("_field"),
            kernel("_kdtree", "kdtree.c"),
            kernel("_ions"),
            kernel("_text"),
            kernel("_waves"),
            kernel("_gridnet", "gridnet.c", flags=FUSED),
        ],
        include_path=["ext"],
        build_dir="build",
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECK,
            "wraparound": False,
            "initializedcheck": CHECK,
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": True,
        },
    )
)
