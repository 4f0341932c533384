"""What any file or folder of ours holds, in words: for ``aptstream info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptstream.cloud import PointStore, open_store
from aptstream.cloud.ranging import balance
from aptstream.errors import FileFormatError, StoreError
from aptstream.grid.files import FORMAT as GRID
from aptstream.grid.files import open_grid
from aptstream.grid.refine import refiner_of
from aptstream.io import read_ions
from aptstream.io.arrays import load_metadata
from aptstream.io.digest import file_sha256
from aptstream.io.folder import is_url
from aptstream.io.ranges import READERS, read_ranges
from aptstream.model.evaluate import evaluate
from aptstream.model.modelfile import SUFFIX, Model, load_model
from aptstream.model.refiner_training import score_refiner
from aptstream.pole import alignment_of
from aptstream.scan.results import FORMAT as SCAN
from aptstream.scan.results import open_scan
from aptstream.sdm.dictionary import FORMAT as DICTIONARY
from aptstream.sdm.dictionary import dictionary_digest, open_dictionary
from aptstream.sdm.orderlibrary import FORMAT as ORDER_LIBRARY
from aptstream.sdm.orderlibrary import open_order_library, order_library_digest

if TYPE_CHECKING:
    from aptstream.grid.evaluate import Evaluation

POINTS = "aptstream-points"


def kind_of(path: str | Path) -> str:
    """Tell what a path or URL holds.

    Parameters
    ----------
    path : path or str
        A file or folder, or the URL of a Zarr group in an object store.

    Returns
    -------
    str
        The format of a Zarr group of ours, ``"run"`` for an output folder, or the suffix of a file in lower case.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    StoreError
        If it is a folder that is none of ours.
    """
    if is_url(path):
        return _group_kind(path)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "There is no such file or folder", str(path))
    if path.is_file():
        return path.suffix.lower()
    if (path / "grid.zarr").is_dir():
        return "run"
    if (path / "zarr.json").is_file():
        return _group_kind(path)
    raise StoreError(
        f"{path} is a folder without a zarr.json: no point store, scan, grid, dictionary or output folder of aptstream."
    )


def _group_kind(path: str | Path) -> str:
    attributes = load_metadata(path).get("attributes")
    return str(attributes.get("format")) if isinstance(attributes, dict) else "None"


def describe(path: str | Path) -> dict[str, Any]:
    """Say what a file or folder holds.

    Parameters
    ----------
    path : path or str
        POS or range file, model file, point store, scan, grid, dictionary, or output folder; of any other file its size
        and digest are told. Of a URL: a point store in an object store.

    Returns
    -------
    dict
        Names and values for people and machines.

    Raises
    ------
    AptstreamError
        If it is damaged, or a folder of another program.
    """
    readers = {
        ".pos": _pos,
        **dict.fromkeys(READERS, _ranges),
        SUFFIX: lambda p: describe_model(load_model(p)),
        POINTS: _points,
        SCAN: _scan,
        GRID: _grid,
        DICTIONARY: _dictionary,
        ORDER_LIBRARY: _order_library,
        "run": _run,
    }
    kind = kind_of(path)
    if is_url(path):
        return _points(path)
    path = Path(path)
    if kind not in readers and path.is_dir():
        raise StoreError(f"{path} is a Zarr group of another program ({kind!r}): aptstream made no such folder.")
    return readers.get(kind, _other)(path)


def is_library(path: Path) -> bool:
    """Tell whether a path is a training library.

    Parameters
    ----------
    path : Path
        An existing file or folder.

    Returns
    -------
    bool

    Raises
    ------
    FileNotFoundError, StoreError
        As `kind_of`.
    """
    return kind_of(path) in (DICTIONARY, ORDER_LIBRARY)


def library_scores(path: Path, model: Model) -> dict[str, Any]:
    """Score the networks of a model on all examples of a training library.

    Parameters
    ----------
    path : Path
        A library of cubes, or of order fields, best made with another seed than the model was trained with.
    model : Model
        Its networks.

    Returns
    -------
    dict
        Scores of the cubes of each edge, or of the voxels.

    Raises
    ------
    ModelError
        If the model has no networks for such a library.
    StoreError
        If it cannot be read.
    """
    if kind_of(path) == DICTIONARY:
        return {f"{edge} nm cubes": row for edge, row in evaluate(model, path).items()}
    return {"1 nm voxels": score_refiner(refiner_of(model), open_order_library(path)[0])}


def evaluation_of(path: Path, truth: Path | None, seed: int) -> Evaluation:
    """Hold a result against the truth of a simulated specimen.

    Parameters
    ----------
    path : Path
        Output folder of a run, or its grid.
    truth : Path, optional
        File of the true particles; the only one in the output folder where it is not given.
    seed : int
        Seed of the intervals.

    Returns
    -------
    Evaluation

    Raises
    ------
    FileFormatError
        If there is no truth, or the file holds none.
    StoreError
        If there is no grid.
    """
    import numpy as np

    from aptstream.grid.evaluate import evaluate_run
    from aptstream.simulate import read_truth

    beside = sorted(path.glob("*.truth.json"))
    if truth is None and len(beside) != 1:
        raise FileFormatError(
            f"A result can only be scored where the truth is known: found {len(beside)} files *.truth.json in {path}, "
            f"expected one. Give the one that aptstream simulate wrote with --truth."
        )
    return evaluate_run(path, read_truth(truth or beside[0]), rng=np.random.default_rng(seed))


def content_sha256(path: str | Path) -> str:
    """Hash the content of a point store, scan, grid or output folder; of a file, its bytes.

    Parameters
    ----------
    path : Path
        What to hash.

    Returns
    -------
    str
        Arrays and the attributes that define them, not file layout or time stamps.

    Raises
    ------
    AptstreamError
        If it is damaged.
    """
    kind = kind_of(path)
    if kind == POINTS or is_url(path):
        return open_store(path).digest()
    path = Path(path)
    if kind == SCAN:
        return open_scan(path).digest()
    if kind in (GRID, "run"):
        return open_grid(path).digest
    if kind == ORDER_LIBRARY:
        return order_library_digest(path)
    if kind == DICTIONARY:
        return dictionary_digest(*open_dictionary(path))
    if path.is_file():
        return file_sha256(path)
    raise StoreError(f"{path} has no digest: expected a point store, a scan, a grid, an output folder or a file.")


def describe_model(model: Model) -> dict[str, Any]:
    """Say what a model looks for, how it was made and what it scored.

    Parameters
    ----------
    model : Model
        From `aptstream.load_model`.

    Returns
    -------
    dict
    """
    crystal = model.crystal
    facts: dict[str, Any] = {
        "kind": "model",
        "name": model.name,
        "looks for": f"{crystal.label} in {crystal.structure.parent}, a = {crystal.a_nm:g} nm, "
        f"{crystal.planes_name} normal to z",
        "particles": f"order ≥ {model.cut:g}, at least {model.min_voxels} voxels",
    }
    if model.refiner is not None:
        nets = (model.refiner.first, model.refiner.second)
        weights = sum(weight.size for some in nets for net in some for weight in net.weights)
        reads = "order and composition" if model.refiner.reads_composition else "order"
        facts["particles"] = "sum of the probabilities on the 1 nm grid, from a floor that the shuffled control sets"
        facts["1 nm grid"] = f"{len(nets[0])} + {len(nets[1])} nets in two passes read {reads}; {weights:,} weights"
    for judge in model.judges:
        weights = sum(weight.size for weight in judge.weights)
        window = judge.window
        facts[f"{judge.edge_nm} nm cubes"] = (
            f"{judge.form} image of a {window.kind} SDM of {window.bins_z} × {window.bins_lateral} bins over "
            f"{window.half_z_nm:g} nm in z and {window.half_lateral_nm:g} nm across; {weights:,} weights; "
            f"at least {judge.min_ions} ions"
        )
    return {**facts, "scores": model.scores, "provenance": model.provenance, "sha256": model.digest}


def _other(path: Path) -> dict[str, Any]:
    names = {".csv": "table", ".vti": "grid for ParaView", ".npz": "NumPy arrays", ".html": "page"}
    kind = names.get(path.suffix.lower(), "file that aptstream does not read")
    return {"kind": kind, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _pos(path: Path) -> dict[str, Any]:
    position, mass = read_ions(path)
    low, high = position.min(axis=0), position.max(axis=0)
    spans = {f"{axis}": f"{a:.3f} … {b:.3f} nm" for axis, a, b in zip("xyz", low, high, strict=True)}
    return {"kind": "ions (POS)", "ions": len(mass), **spans, "m/q": f"{mass.min():.3f} … {mass.max():.3f} Da"}


def _ranges(path: Path) -> dict[str, Any]:
    table = read_ranges(path)
    rows = {f"{r.low_da:g}–{r.high_da:g} Da": r.ion for r in table.ranges}
    return {"kind": "ranges", "ranges": len(table.ranges), "species": ", ".join(table.species[1:]), **rows}


def _points(path: str | Path) -> dict[str, Any]:
    store = open_store(path)
    counts = store.species_counts()
    percent = {name: f"{count:,} ({count / store.n_ions:.2%})" for name, count in counts.items()}
    box = [f"{a:g} … {b:g} nm" for a, b in zip(store.box.low, store.box.high, strict=True)]
    attrs, ranges = store.attrs, store.attrs.get("range_file")
    files = [size for array in store.arrays.values() for size in array.files.values()]
    return {
        "kind": "point store",
        "source": attrs["source"]["name"],
        "ranges": f"{len(store.ranges.ranges)} ranges" + (f" of {ranges['name']}" if ranges else ""),
        "ions": store.n_ions,
        "ions read": str(balance(store)),
        **dict(zip("xyz", box, strict=True)),
        **percent,
        "columns": ", ".join(("mass_to_charge", *store.columns)),
        "pole": ", ".join(f"{x:g}" for x in store.manifest.pole),
        **_aligned(store),
        "on disk": f"{sum(files):,} bytes in {len(files) + 1} files, {sum(files) / store.n_ions:.2f} an ion",
        "made by": attrs["software"],
        "sha256": attrs["content_digest"],
    }


def _aligned(store: PointStore) -> dict[str, str]:
    """Say how the planes of an aligned store were brought normal to z."""
    alignment = alignment_of(store)
    if alignment is None:
        return {}
    pole, region = alignment.pole, alignment.region
    ends = " to ".join("(" + ", ".join(f"{x:.1f}" for x in end) + ")" for end in (region.start, region.end))
    field = ", and what they were still off" if alignment.field is not None else ""
    return {
        "aligned": f"planes turned by {pole.tilt_deg:.2f}°, {pole.spacing_nm:.4f} nm apart brought to "
        f"{alignment.spacing_nm:.4f} nm, dome of {pole.dome_radius_nm:.0f} nm flattened{field}",
        "planes seen": f"in a cylinder from {ends} nm, radius {region.radius_nm:.1f} nm",
    }


def _scan(path: Path) -> dict[str, Any]:
    import numpy as np

    scan = open_scan(path)
    facts: dict[str, Any] = {
        "kind": "scan",
        "host": ", ".join(scan.roles.host),
        "solute": ", ".join(scan.roles.solute),
        "cells": " × ".join(map(str, scan.shape)),
    }
    for edge in scan.edges:
        p = scan.p(edge)
        valid = int(np.isfinite(p).sum())
        facts[f"{edge} nm cubes"] = (
            f"{valid:,} judged, {int(scan.is_cube(edge).sum()) - valid:,} invalid, "
            f"{int((p >= 0.5).sum()):,} at least half ordered"
        )
    return {**facts, "points": scan.attrs["store_digest"], "model": scan.attrs["model_digest"], "sha256": scan.digest()}


def _grid(path: Path) -> dict[str, Any]:
    grid = open_grid(path)
    votes = grid.votes
    return {
        "kind": "1 nm grid",
        "voxels": " × ".join(map(str, votes.total.shape)),
        "origin": f"{votes.origin_nm} nm",
        "particles": int(grid.labels.max(initial=0)),
        "sha256": grid.digest,
    }


def _dictionary(path: Path) -> dict[str, Any]:
    samples, attributes = open_dictionary(path)
    cubes = {f"{edge} nm cubes": f"{len(part):,}" for edge, part in samples.items()}
    return {"kind": "dictionary", **{key: attributes[key] for key in ("recipe", "seed", "n_specimens")}, **cubes}


def _order_library(path: Path) -> dict[str, Any]:
    examples, attributes = open_order_library(path)
    return {
        "kind": "order library",
        **{key: attributes[key] for key in ("seed", "n_specimens")},
        "voxels of a specimen": " × ".join(map(str, examples[0].truth.shape)),
        "sha256": attributes["content_digest"],
    }


def _run(path: Path) -> dict[str, Any]:
    return {**_grid(path), "kind": "output folder of a run", "report": str(path / "report.html")}
