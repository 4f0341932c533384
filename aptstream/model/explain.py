"""Looking inside a network: what its convolutions see, and which part of an image its answer rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import Cell
from aptstream.cloud.store import PointStore
from aptstream.errors import ModelError, PlanError
from aptstream.model.fitting import rebuild
from aptstream.model.modelfile import CubeJudge, Model, stretched
from aptstream.model.networks import CubeNet, require_tensorflow
from aptstream.model.predict import Predictor
from aptstream.points import Roles
from aptstream.regions import Box, Triple
from aptstream.sdm.count import SdmScan
from aptstream.sdm.image import Images, scan_images
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes

Floats = npt.NDArray[np.float32]
Towards = Literal["order", "matrix"]


@dataclass(frozen=True)
class Explanation:
    """What a network saw of one cube of a specimen, and what it made of it.

    Parameters
    ----------
    box : Box
        The cube, in nm.
    n_host, n_solute : int
        Its ions.
    image : ndarray
        Network input, of the shape of the judge's view.
    heat : ndarray of float32, (rows,) or (rows, columns)
        `grad_cam` of the last convolution.
    p : float
        Expected ordered fraction: what a scan finds for this cube.
    """

    box: Box
    n_host: int
    n_solute: int
    image: Images
    heat: Floats
    p: float


def feature_maps(judge: CubeJudge, image: Images) -> list[Floats]:
    """Show what every convolution of a network makes of an image.

    Parameters
    ----------
    judge : CubeJudge
        The network.
    image : ndarray, (rows, columns) or (rows, columns, channels)
        One network input, as `aptstream.sdm.image.network_input` makes it.

    Returns
    -------
    list of ndarray of float32
        After each convolution and its rectifier, first to last: (rows, columns, filters), or (rows, filters) where a
        network convolves along z only.

    Raises
    ------
    ModelError
        If the image has another shape than the network reads.
    MissingPackageError
        If TensorFlow is not installed.
    """
    keras, network = require_tensorflow().keras, rebuild(judge)
    inside = keras.Model(network.inputs[0], _convolutions(network))
    return [np.asarray(found)[0] for found in inside(_batch(judge, image), training=False)]


def grad_cam(judge: CubeJudge, image: Images, *, layer: int = -1, towards: Towards = "order") -> Floats:
    r"""Show which part of an image speaks for order, by gradient-weighted class activation mapping.

    With the maps :math:`A_k` of a convolution and the logit y,

    .. math:: \alpha_k = \overline{\partial y / \partial A_k}, \qquad L = \max(0, \sum_k \alpha_k A_k),

    the mean taken over the places of a map. y is the argument of the last sigmoid.

    Parameters
    ----------
    judge : CubeJudge
        The network.
    image : ndarray, (rows, columns) or (rows, columns, channels)
        One network input.
    layer : int
        Which convolution, as an index: 0 the first, −1 the last.
    towards : {"order", "matrix"}
        Whether to show what speaks for order or against it.

    Returns
    -------
    ndarray of float32, (rows, columns), or (rows,) where a network convolves along z only
        Not negative, in units of the logit; interpolated linearly from the places of the map to the pixels.

    Raises
    ------
    ModelError
        If the image has another shape than the network reads, or there is no such convolution.
    MissingPackageError
        If TensorFlow is not installed.

    References
    ----------
    .. [1] Selvaraju et al., Grad-CAM, Int. J. Comput. Vis. 128, 336 (2020).
    """
    tensorflow = require_tensorflow()
    if towards not in get_args(Towards):
        raise ModelError(f"Grad-CAM looks towards {' or '.join(get_args(Towards))}, found {towards!r}.")
    places = _places(judge)
    if not -len(places) <= layer < len(places):
        raise ModelError(f"The network has {len(places)} convolutions, found index {layer}.")
    network = rebuild(judge)
    inside = tensorflow.keras.Model(network.inputs[0], [_convolutions(network)[layer], network.outputs[0]])
    with tensorflow.GradientTape() as tape:
        maps, logit = inside(_batch(judge, image), training=False)
        target = logit if towards == "order" else -logit
    slope = np.asarray(tape.gradient(target, maps))[0]
    heat = np.asarray(maps)[0] @ slope.mean(axis=tuple(range(slope.ndim - 1)))
    return _onto_image(np.maximum(heat, 0), places[layer], judge.view.shape)


def explain_voxel(
    store: PointStore,
    model: Model,
    roles: Roles,
    position: Triple,
    *,
    edge_nm: int | None = None,
    planes: Planes | None = None,
) -> Explanation:
    """Look at the cube around a position of a specimen as a scan does, and at what the network's answer rests on.

    Parameters
    ----------
    store : PointStore
        The ions.
    model : Model
        Its judges.
    roles : Roles
        Host and solute species.
    position : tuple of float
        x, y, z in nm. The cube whose middle is nearest to the middle of the 1 nm voxel there is taken, shifted inwards
        at the faces of the specimen.
    edge_nm : int, optional
        Cube edge in nm; the model's largest where it is not given.
    planes : Planes, optional
        The specimen's own, such as ``scan.planes``: its period scales the window as in a scan. That of the model's
        crystal where it is not given.

    Returns
    -------
    Explanation

    Raises
    ------
    PlanError
        If the position lies outside of the specimen, or the cube holds too few ions to be judged.
    ModelError
        If the model has no judge of this edge.
    RangingError
        If a role names a species that the store has not.
    MissingPackageError
        If TensorFlow is not installed.
    """
    judge = model.judge(edge_nm) if edge_nm is not None else model.judges[0]
    if planes is not None:
        judge = stretched(judge, planes, model.crystal)
    edge = judge.edge_nm
    x, y, z = low = cube_round(store, position, edge)
    cloud = store.read((x, y, z), (x + edge, y + edge, z + edge), columns=())
    box = CellBox(store.origin_nm, (x, y, z), (edge, edge, edge))
    scan = SdmScan(cloud, judge.view.channels(roles), judge.window, box=box, edges=[edge])
    n_host, n_solute = (int(n) for n in scan.n_ions(edge).ravel())
    corner = tuple(float(a + b) for a, b in zip(store.origin_nm, low, strict=True))
    if n_host + n_solute < judge.min_ions:
        raise PlanError(
            f"The cube at {corner} nm holds {n_host + n_solute} host and solute ions: too few to be judged, "
            f"at least {judge.min_ions} are needed."
        )
    ((_, images),) = scan_images(scan, judge.form)
    image = images[0, 0]
    cube = Box(corner, tuple(c + edge for c in corner))  # type: ignore[arg-type]
    p = float(Predictor(judge)(image[None])[0])
    return Explanation(cube, n_host, n_solute, image, grad_cam(judge, image), p)


def cube_round(store: PointStore, position: Triple, edge_nm: int) -> Cell:
    """Find the cube whose middle is nearest to the middle of a voxel, shifted inwards at the faces of the specimen.

    Parameters
    ----------
    store : PointStore
        The ions.
    position : tuple of float
        x, y, z in nm.
    edge_nm : int
        Cube edge in nm.

    Returns
    -------
    tuple of int
        Low corner in cells of the store.

    Raises
    ------
    PlanError
        If the position lies outside of the specimen, or the specimen is too small for such a cube.
    """
    shape = store.shape_cells
    cell = np.floor(np.asarray(position, dtype=np.float64) - store.origin_nm)
    if not ((cell >= 0) & (cell < shape)).all():
        raise PlanError(
            f"The position {tuple(position)} nm lies outside of the specimen, which fills {store.box.low} to "
            f"{store.box.high} nm."
        )
    if min(shape) < edge_nm:
        raise PlanError(f"The ions fill {' x '.join(map(str, shape))} nm: too small for a cube of {edge_nm} nm.")
    x, y, z = (int(v) for v in np.clip(cell.astype(int) - edge_nm // 2, 0, np.array(shape) - edge_nm))
    return x, y, z


def _batch(judge: CubeJudge, image: Images) -> Floats:
    """One image as a batch."""
    if image.shape != judge.view.shape:
        raise ModelError(f"The network reads images of {judge.view.shape} bins, found {image.shape}.")
    return image[None].astype(np.float32)


def _convolutions(network: Any) -> list[Any]:
    """Return the outputs of the convolutions, each after its rectifier, whether that is a layer of its own or not."""
    layers = require_tensorflow().keras.layers
    found, open_one = [], False
    for layer in network.layers:
        if isinstance(layer, (layers.Conv1D, layers.Conv2D)):
            open_one = layer.activation.__name__ != "relu"
            if not open_one:
                found.append(layer.output)
        elif open_one and isinstance(layer, layers.ReLU):
            open_one = False
            found.append(layer.output)
    return found


def _places(judge: CubeJudge) -> list[list[tuple[float, float]]]:
    """Where the places of each convolution's map lie in the image: (distance, first) in pixels, for every axis."""
    net, shape = judge.net, judge.view.shape
    if isinstance(net, CubeNet):  # "same" padding: as much as the stride needs, the smaller half before
        n = -(-shape[0] // net.first_stride)
        before = max((n - 1) * net.first_stride + net.first_kernel - shape[0], 0) // 2
        first = (net.first_kernel - 1) / 2 - before
        second = first + net.first_stride * ((net.second_kernel - 1) / 2 - (net.second_kernel - 1) // 2)
        return [[(float(net.first_stride), first)], [(float(net.first_stride), second)]]
    found, distance, first = [], 1.0, 0.0
    for _ in net.filters:
        first += distance * (net.kernel - 1) / 2
        found.append([(distance, first)] * 2)
        first += distance * (net.pool - 1) / 2
        distance *= net.pool
    return found


def _onto_image(heat: Floats, places: list[tuple[float, float]], shape: tuple[int, ...]) -> Floats:
    """Interpolate a map linearly at the pixels of the image, axis by axis; beyond its last place it stays level."""
    for axis, ((distance, first), n) in enumerate(zip(places, shape, strict=False)):
        at = first + distance * np.arange(heat.shape[axis])
        lines = np.moveaxis(heat, axis, -1)
        finer = np.array([np.interp(np.arange(n), at, line) for line in lines.reshape(-1, len(at))])
        heat = np.moveaxis(finer.reshape(*lines.shape[:-1], n), -1, axis)
    return heat.astype(np.float32)
