"""How fast files of ions are read, beside numpy and h5py reading the same bytes.

``OMP_NUM_THREADS=1 python bench/bench_read.py [--ions N]`` prints one JSON line per format: M ions a second of CPU
time, blocks of the usual size, every ion checked. Opening counts too, since text is counted then.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from lines import median_cpu, read, show

from aptstream.io import open_ions, write_nxapm, write_pos
from aptstream.io.epos import EPOS, write_epos
from aptstream.io.ions import BLOCK_IONS
from aptstream.points import Range, RangeTable

NUMBERS = "f4"


def write_all(folder: Path, n_ions: int) -> dict[str, Callable[[], object]]:
    """Write the same ions in every format; return how a rival reads each."""
    rng = np.random.default_rng(7)
    ions = np.column_stack([rng.normal(0, 20, (n_ions, 3)), rng.uniform(1, 120, n_ions)]).round(3).astype(NUMBERS)
    write_pos(folder / "a.pos", ions[:, :3], ions[:, 3])
    records = np.zeros(n_ions, EPOS)
    for name, column in zip(("x", "y", "z", "mass_to_charge"), ions.T, strict=True):
        records[name] = column
    write_epos(folder / "a.epos", [records])
    np.savetxt(folder / "a.csv", ions, fmt="%.3f", delimiter=",")
    table = RangeTable((Range(26, 28, (("Al", 1),)),))
    kinds = np.zeros(n_ions, "u1")
    write_nxapm(folder / "a.nxs", [(ions[:, :3], ions[:, 3], kinds)], ranges=table, source="", source_sha256="0" * 64)
    with h5py.File(folder / "a.h5", "w") as root:
        form = {"chunks": True, "compression": "gzip", "shuffle": True}
        root.create_dataset("reconstructed_positions", data=ions[:, :3], **form)
        root.create_dataset("mass_to_charge", data=ions[:, 3], **form)
    return {
        ".pos": lambda: np.fromfile(folder / "a.pos", ">f4").astype(NUMBERS),
        ".epos": lambda: [np.fromfile(folder / "a.epos", EPOS)[name].astype(NUMBERS) for name in EPOS.names or ()],
        ".csv": lambda: np.loadtxt(folder / "a.csv", NUMBERS, delimiter=","),
        ".nxs": lambda: by_library(folder / "a.nxs", "entry1/atom_probe/reconstruction/"),
        ".h5": lambda: by_library(folder / "a.h5", ""),
    }


def by_library(path: Path, group: str) -> None:
    """Read both datasets with h5py."""
    with h5py.File(path) as root:
        _ = root[f"{group}reconstructed_positions"][:]
        _ = root[group.replace("reconstruction", "mass_to_charge_conversion") + "mass_to_charge"][:]


def read_blocks(path: Path) -> None:
    """Read a file in blocks."""
    for _ in open_ions(path).blocks(rows=BLOCK_IONS):
        pass


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ions", type=int, default=2_000_000)
    n_ions = read(parser, {"ions": 300_000}).ions
    with tempfile.TemporaryDirectory() as name:
        for suffix, rival in write_all(Path(name), n_ions).items():
            path = Path(name, f"a{suffix}")
            ours, theirs = (n_ions / s / 1e6 for s in median_cpu([lambda p=path: read_blocks(p), rival], 3))
            called = "h5py" if suffix in (".nxs", ".h5") else "np.loadtxt" if suffix == ".csv" else "np.fromfile"
            show(f"read{suffix}", ours, "M ions/s (CPU)", rival=(called, theirs))


if __name__ == "__main__":
    main()
