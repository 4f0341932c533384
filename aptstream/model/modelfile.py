"""The model file: everything learned that turns a point store into an order map, and where it came from.

A file is an ``.npz`` archive without pickles: ``description`` (JSON) and, for each cube edge, ``cubes_<edge>nm.tflite``
and the weights it was made from. Sizes are checked before anything is read; nothing in it is code that would run.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import AptstreamError, ModelError
from aptstream.io.replace import replacing
from aptstream.model.networks import Net, Runtime, net_fields, net_of
from aptstream.model.refiner import Refiner
from aptstream.model.refinerfile import parse_refiner, refiner_arrays, refiner_fields
from aptstream.sdm.image import Form, View
from aptstream.sdm.planes import Planes
from aptstream.sdm.window import SdmWindow
from aptstream.showing import show_model

FORMAT, FORMAT_VERSION, SUFFIX = "aptstream-model", 1, ".aptmodel"
MAX_FILE_BYTES, MAX_MEMBERS = 64 << 20, 512
FLATBUFFER_MAGIC = b"TFL3"
#: What the readers of zip and JSON raise at damage, beside `ValueError` and `OSError`.
_DAMAGED = (EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)
_SHIPPED = resources.files("aptstream") / "data"


@dataclass(frozen=True)
class CubeJudge:
    """One trained network and the cubes that it judges.

    Parameters
    ----------
    edge_nm : int
        Cube edge in nm.
    window : SdmWindow
        SDM of a cube.
    net : CubeNet or ImageNet
        Architecture.
    min_ions : int
        Cubes with fewer ions of the two roles are invalid: they get no probability.
    flatbuffer : bytes
        The network for LiteRT.
    weights : tuple of ndarray
        The same weights for Keras, in the order of ``keras.Model.get_weights``.
    form : {"contrast", "standardised", "channels", "grey"}
        What the network reads of the SDM: see `aptstream.sdm.image.View`.
    """

    edge_nm: int
    window: SdmWindow
    net: Net
    min_ions: int
    flatbuffer: bytes
    weights: tuple[npt.NDArray[np.float32], ...]
    form: Form = "contrast"

    @property
    def view(self) -> View:
        """How a cube is shown to the network."""
        return View(self.window, self.form)


@dataclass(frozen=True)
class Model:
    """A preset: judges of cubes, the rule that makes particles of their votes, and its history.

    Parameters
    ----------
    name : str
        Name of the preset.
    crystal : Crystal
        What it looks for; the lengths in its windows belong to this crystal and pole.
    judges : tuple of CubeJudge
        In descending cube edge. The first gives the publication's map, the last the map particles are made from.
    cut : float
        Voxels whose mean probability in the last map reaches this belong to particles.
    min_voxels : int
        Smaller particles are dropped.
    provenance : dict
        Command, seed, versions, thread count, and digest of the dictionary.
    scores : dict
        Scores on specimens that training has not seen.
    refiner : Refiner, optional
        Nets that judge voxels of 1 nm. Particles come from their map; without them, from votes of the smallest cubes.
    path : str
        File it was read from; empty before it is written.
    digest : str
        sha256 of the file's content; empty before it is written.
    runtime : {"litert", "tensorflow"}, optional
        What its networks run on in a scan; chosen by `aptstream.model.predict.choose_runtime` where it is not given.
    """

    name: str
    crystal: Crystal
    judges: tuple[CubeJudge, ...]
    cut: float
    min_voxels: int
    provenance: dict[str, Any]
    scores: dict[str, Any]
    refiner: Refiner | None = None
    path: str = ""
    digest: str = ""
    runtime: Runtime | None = None
    _repr_html_ = show_model

    def looking_for(self, crystal: Crystal) -> Model:
        """Return the model for another crystal: along z its windows follow the period of whatever is looked for.

        Parameters
        ----------
        crystal : Crystal
            Ordered structure, lattice parameter and pole.

        Returns
        -------
        Model

        Examples
        --------
        >>> load_model("cubes").looking_for(Crystal("L12", 0.357, (0, 0, 1))).crystal.pole
        (0, 0, 1)
        """
        period = Planes(crystal.period_nm)
        judges = tuple(stretched(judge, period, self.crystal) for judge in self.judges)
        return replace(self, crystal=crystal, judges=judges)

    def judge(self, edge_nm: int) -> CubeJudge:
        """Return the judge of one cube edge.

        Raises
        ------
        ModelError
            If there is none.
        """
        for judge in self.judges:
            if judge.edge_nm == edge_nm:
                return judge
        edges = ", ".join(str(judge.edge_nm) for judge in self.judges)
        raise ModelError(f"Model {self.name!r} judges cubes of {edges} nm, not of {edge_nm} nm.")


def stretched(judge: CubeJudge, planes: Planes, crystal: Crystal) -> CubeJudge:
    """Scale a judge's window along z, so that it sees the period of a specimen where it learned that of a crystal.

    Parameters
    ----------
    judge : CubeJudge
        From a model file.
    planes : Planes
        The specimen's own.
    crystal : Crystal
        The one that the judge's window belongs to.

    Returns
    -------
    CubeJudge
        With a window of the same bins. One with a limit on the 3D distance stays as it is: its bins are squares.
    """
    if judge.window.radius_nm is not None:
        return judge
    half_z_nm = judge.window.half_z_nm * planes.period_nm / crystal.period_nm
    return replace(judge, window=replace(judge.window, half_z_nm=half_z_nm))


def save_model(path: Path, model: Model) -> Path:
    """Write a model file.

    Parameters
    ----------
    path : Path
        Where to; the suffix should be ``.aptmodel``.
    model : Model
        What to write; its path and digest are not.

    Returns
    -------
    Path
        The path.
    """
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "crystal": asdict(model.crystal),
        "cut": model.cut,
        "min_voxels": model.min_voxels,
        "judges": [
            {
                "edge_nm": judge.edge_nm,
                "window": judge.window.as_dict(),
                "form": judge.form,
                "net": net_fields(judge.net),
                "min_ions": judge.min_ions,
            }
            for judge in model.judges
        ],
        "refiner": refiner_fields(model.refiner) if model.refiner is not None else None,
        "provenance": model.provenance,
        "scores": model.scores,
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "description": np.frombuffer(json.dumps(description, indent=1).encode(), dtype=np.uint8)
    }
    for judge in model.judges:
        arrays[f"cubes_{judge.edge_nm}nm.tflite"] = np.frombuffer(judge.flatbuffer, dtype=np.uint8)
        for k, weight in enumerate(judge.weights):
            arrays[f"cubes_{judge.edge_nm}nm.weight_{k}"] = weight
    if model.refiner is not None:
        arrays |= refiner_arrays(model.refiner)
    with replacing(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return path


def shipped_models() -> list[str]:
    """Name the models that come with aptstream."""
    return sorted(f.name.removesuffix(SUFFIX) for f in _SHIPPED.iterdir() if f.name.endswith(SUFFIX))


def load_model(name_or_path: str | Path = "order") -> Model:
    """Load a shipped model by name or any model by path.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped preset, or path of an ``.aptmodel`` file.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model, or the file is damaged or not of our making.

    Examples
    --------
    >>> [judge.edge_nm for judge in load_model("cubes").judges]
    [4, 2]
    """
    path = Path(name_or_path)
    if path.suffix != SUFFIX:
        if str(name_or_path) not in shipped_models():
            raise ModelError(
                f"There is no shipped model {str(name_or_path)!r}; shipped: {', '.join(shipped_models())}. "
                f"Give one of these, or the path of a file that ends in {SUFFIX}."
            )
        path = Path(str(_SHIPPED / f"{name_or_path}{SUFFIX}"))
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"Model file {path} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}. Check the path.") from error
    return _parse(content, str(path.resolve()))


@lru_cache(maxsize=8)
def _parse(content: bytes, where: str) -> Model:
    try:
        arrays = _members(content)
        description = json.loads(arrays["description"].tobytes())
        if (description["format"], description["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {description['format']!r}, version {description['format_version']!r}")
        judges = tuple(_judge(judge, arrays) for judge in description["judges"])
        edges = [judge.edge_nm for judge in judges]
        if not edges or edges != sorted(set(edges), reverse=True):
            raise ValueError(f"its networks judge cubes of {edges} nm, expected descending edges")
        return Model(
            name=str(description["name"]),
            crystal=parse_crystal(description["crystal"]),
            judges=judges,
            cut=_number(description["cut"], 0, 1),
            min_voxels=_whole(description["min_voxels"], 1, 10**6),
            provenance=dict(description["provenance"]),
            scores=dict(description["scores"]),
            refiner=parse_refiner(refiner, arrays) if (refiner := description.get("refiner")) is not None else None,
            path=where,
            digest=hashlib.sha256(content).hexdigest(),
        )
    except (AptstreamError, LookupError, OSError, TypeError, ValueError, *_DAMAGED) as error:
        raise ModelError(
            f"Model file {where} is damaged or not a model file of this version: {error}. "
            f"Expected an {SUFFIX} file of {FORMAT} version {FORMAT_VERSION}; fetch it again or train it anew."
        ) from error


def _members(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Arrays of the archive; sizes are checked before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_FILE_BYTES:
            raise ValueError("it unpacks to more than a model can need")
        if not all(re.fullmatch(r"[A-Za-z0-9_.]+\.npy", info.filename) for info in infos):
            raise ValueError("it holds members that no model has")
        if not {info.compress_type for info in infos} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ValueError("it is compressed in a way that no model is")
        return {info.filename.removesuffix(".npy"): _array(archive.read(info)) for info in infos}


def _array(member: bytes) -> npt.NDArray[Any]:
    """Array of a member: numbers or bytes of exactly the promised size, never an object."""
    stream = io.BytesIO(member)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it holds an array of another format")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    content = member[stream.tell() :]
    if dtype not in (np.dtype("<f4"), np.dtype("u1")) or min(shape, default=0) < 0:
        raise ValueError(f"it holds an array of {dtype} of shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"it holds {len(content)} bytes for an array of {dtype} of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _judge(fields: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> CubeJudge:
    edge = _whole(fields["edge_nm"], 1, 8)
    flatbuffer = arrays[f"cubes_{edge}nm.tflite"].tobytes()
    if flatbuffer[4:8] != FLATBUFFER_MAGIC:
        raise ValueError("its network is no LiteRT flatbuffer")
    net, form = net_of(fields["net"]), fields.get("form", "contrast")  # files of older versions name no form
    window = _window(fields["window"])
    shapes = net.weight_shapes(View(window, form).shape)
    weights = tuple(arrays[f"cubes_{edge}nm.weight_{k}"] for k in range(len(shapes)))
    found = [weight.shape for weight in weights]
    if found != shapes or any(weight.dtype != np.float32 for weight in weights):
        raise ValueError(f"its weights for {edge} nm cubes have shapes {found}, expected {shapes}")
    return CubeJudge(edge, window, net, _whole(fields["min_ions"], 2, 10**6), flatbuffer, weights, form)


def _window(fields: Mapping[str, Any]) -> SdmWindow:
    """Return the window of a judge, its numbers checked; `SdmWindow` checks their bounds."""
    window = SdmWindow(**fields)
    for value in (window.half_z_nm, window.half_lateral_nm):
        _number(value, 0, 8)
    for bins in (window.bins_z, window.bins_lateral):
        _whole(bins, 1, 1024)
    return window


def parse_crystal(fields: Mapping[str, Any]) -> Crystal:
    """Make a crystal of what a file holds.

    Parameters
    ----------
    fields : mapping
        Fields of a `Crystal`; files of before there were axial ratios state none.

    Returns
    -------
    Crystal

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing, of the wrong kind, or out of bounds.
    """
    label, a_nm, pole = str(fields["label"]), _number(fields["a_nm"], 0.1, 2), _pole(fields["pole"])
    ratio = fields.get("c_over_a")
    return Crystal(label, a_nm, pole, None if ratio is None else _number(ratio, 0.2, 5))


def _pole(indices: Any) -> tuple[int, int, int]:
    """Return the indices of a pole, checked."""
    h, k, l = (_whole(index, -100, 100) for index in indices)  # noqa: E741
    return h, k, l


def _whole(value: Any, low: int, high: int) -> int:
    """Return a whole number from a file, checked."""
    if not isinstance(value, int):
        raise ValueError(f"found {value!r} where a whole number is expected")
    return int(_number(value, low, high))


def _number(value: Any, low: float, high: float) -> float:
    """Return a number from a file, checked."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"found {value!r} where a number from {low} to {high} is expected")
    return value
