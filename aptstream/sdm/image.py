"""Counts → network input: one function, `network_input`, for the dictionary, for training and for scans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.points import Roles
from aptstream.sdm.count import Batch, SdmScan
from aptstream.sdm.kernel import Counts, contrast, standardise
from aptstream.sdm.window import Channels, SdmWindow, full_image

Form = Literal["contrast", "standardised", "channels", "grey"]
FORMS: tuple[Form, ...] = get_args(Form)
Images = npt.NDArray[Any]

#: Host–host, host–solute, solute–solute: the order of the channels in counts.
_N_CHANNELS = {"contrast": 3, "channels": 3, "standardised": 1, "grey": 1}


@dataclass(frozen=True)
class View:
    """How a cube is shown to a network: which SDM, and in which form.

    Parameters
    ----------
    window : SdmWindow
        Offsets and bins.
    form : {"contrast", "standardised", "channels", "grey"}
        `contrast_images` of the species; the host–host map in units of its noise (`standardised_images`); the maps
        host–host, host–solute and solute–solute, each in units of its noise; or the host–host map as the publication's
        grey picture (`grey_images`).

    Raises
    ------
    PlanError
        If the form is not known, or cannot be made of such a window.

    Examples
    --------
    >>> View(SdmWindow("zx", 0.7, 75, 0.7, 150, radius_nm=1.5), "grey").shape
    (150, 150)
    """

    window: SdmWindow
    form: Form = "contrast"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise PlanError(f"Image form {self.form!r} is not known: choose one of {', '.join(FORMS)}.")
        if self.form == "grey" and self.window.kind != "zx":
            raise PlanError(f"A grey picture shows both halves of a map of kind zx, found kind {self.window.kind}.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (rows, columns), or (rows, columns, 3) for form ``channels``."""
        rows, columns = self.window.shape
        if self.form == "grey":
            return 2 * rows, columns
        return (rows, columns, 3) if self.form == "channels" else (rows, columns)

    @property
    def dtype(self) -> str:
        """Type of the numbers in an image."""
        return "uint8" if self.form == "grey" else "float32"

    def channels(self, roles: Roles) -> Channels:
        """Return the pairs that must be counted; both roles are groups, so that their ions are counted too.

        Parameters
        ----------
        roles : Roles
            Host and solute species.

        Returns
        -------
        Channels
        """
        every = Channels.of_roles(roles)
        return every if _N_CHANNELS[self.form] == 3 else Channels(every.groups, every.pairs[:1])


def network_input(counts: Counts, form: Form, n_host: npt.ArrayLike, n_solute: npt.ArrayLike) -> Images:
    """Turn counts into what a network reads: the one way from a map to an image, in training and in scans.

    Parameters
    ----------
    counts : ndarray of uint32, (n, channels, bins_z, bins_lateral)
        Channels host–host, host–solute, solute–solute; the first suffices for ``standardised`` and ``grey``.
    form : {"contrast", "standardised", "channels", "grey"}
        See `View`.
    n_host, n_solute : array_like of int, (n,)
        Ions of each role in the cube.

    Returns
    -------
    ndarray of float32, or of uint8 for ``grey``
        (n, bins_z, bins_lateral); (n, bins_z, bins_lateral, 3) for ``channels``; (n, 2 * bins_z, bins_lateral) for
        ``grey``.

    Raises
    ------
    PlanError
        If the counts lack a channel that the form needs, or the form is not known.

    Examples
    --------
    >>> counts = np.array([[[[4], [2]], [[1], [1]], [[1], [5]]]], "u4")
    >>> network_input(counts, "channels", [9], [3])[0, :, 0].tolist()
    [[0.5, 0.0, -1.0], [-0.5, 0.0, 1.0]]
    """
    if form not in FORMS:
        raise PlanError(f"Image form {form!r} is not known: choose one of {', '.join(FORMS)}.")
    needed = _N_CHANNELS[form]
    if counts.ndim != 4 or counts.shape[1] not in {needed, 3}:
        raise PlanError(f"Form {form} needs counts (n, {needed}, rows, columns), found {counts.shape}.")
    if form == "contrast":
        return contrast_images(counts, n_host, n_solute)
    if form == "channels":
        return np.ascontiguousarray(np.moveaxis(standardised_images(counts), 1, -1))
    return grey_images(counts[:, 0]) if form == "grey" else standardised_images(counts[:, :1])[:, 0]


def contrast_images(counts: Counts, n_host: npt.ArrayLike, n_solute: npt.ArrayLike) -> npt.NDArray[np.float32]:
    r"""Contrast of the species in units of its counting noise.

    Give every ion the weight *w* = (is solute) − *c* with *c* the solute fraction of its cube, and histogram
    :math:`w_i w_j` over the pairs: in a random alloy whatever the lattice does cancels and only order remains. From the
    counts of a bin, with A host and X solute,

    .. math:: K = (1-c)^2\,XX - c(1-c)\,AX + c^2\,AA, \qquad
              V = (1-c)^4\,XX + c^2(1-c)^2\,AX + c^4\,AA,

    and the image is :math:`(K - \bar K) / \sqrt{\bar V + 1}` with means over the rows (offsets along z) of a column.

    Parameters
    ----------
    counts : ndarray of uint32, (n, 3, bins_z, bins_lateral)
        Channels host–host, host–solute, solute–solute.
    n_host, n_solute : array_like of int, (n,)
        Ions of each role in the cube.

    Returns
    -------
    ndarray of float32, (n, bins_z, bins_lateral)
        Zero for cubes without solute.

    References
    ----------
    .. [1] The weights are those of a Warren–Cowley parameter: Cowley, Phys. Rev. 77, 669 (1950).

    Examples
    --------
    >>> counts = np.array([[[[4], [4]], [[0], [0]], [[6], [0]]]], "u4")
    >>> contrast_images(counts, [10], [10]).ravel().round(3)
    array([ 0.626, -0.626], dtype=float32)
    """
    counts = np.asarray(counts)
    host, solute = np.asarray(n_host, dtype=np.float64), np.asarray(n_solute, dtype=np.float64)
    fraction = (solute / np.maximum(host + solute, 1)).astype(np.float32)
    return contrast(counts, fraction)


def standardised_images(counts: Counts) -> npt.NDArray[np.float32]:
    r"""Express counts in units of their counting noise: :math:`(c - \bar c) / \sqrt{\bar c + 1}`.

    The mean goes over the rows (offsets along z) of a column, each channel by itself. Unlike a picture scaled by its
    own maximum, the image keeps how much the counts say.

    Parameters
    ----------
    counts : ndarray of uint32, (n, channels, bins_z, bins_lateral)
        Pairs in each channel.

    Returns
    -------
    ndarray of float32, (n, channels, bins_z, bins_lateral)

    Examples
    --------
    >>> standardised_images(np.array([[[[4], [2]]]], "u4")).ravel()
    array([ 0.5, -0.5], dtype=float32)
    """
    if counts.ndim != 4:
        raise PlanError(f"Standardised images need counts (n, channels, rows, columns), found {counts.shape}.")
    flat = np.ascontiguousarray(counts).reshape(-1, *counts.shape[2:])
    return standardise(flat).reshape(counts.shape)


def grey_images(counts: Counts) -> npt.NDArray[np.uint8]:
    """Both halves of each map as a grey picture scaled by its own maximum, as in the publication.

    Parameters
    ----------
    counts : ndarray of uint32, (n, bins_z, bins_lateral)
        One channel of a window of kind ``zx``.

    Returns
    -------
    ndarray of uint8, (n, 2 * bins_z, bins_lateral)
        0–255; black where nothing was counted.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Methods.

    Examples
    --------
    >>> grey_images(np.array([[[0, 2], [1, 0]]], "u4"))[0]
    array([[  0, 128],
           [255,   0],
           [  0, 255],
           [128,   0]], dtype=uint8)
    """
    if counts.ndim != 3:
        raise PlanError(f"Grey pictures need counts (n, rows, columns) of one channel, found {counts.shape}.")
    half = counts.astype(np.float32)
    most = np.maximum(half.max(axis=(1, 2), keepdims=True), 1)
    half *= 255 / most
    return full_image(np.rint(half, out=half).astype(np.uint8))


def scan_images(scan: SdmScan, form: Form) -> Iterator[tuple[Batch, Images]]:
    """Turn a scan into network input, batch by batch: never more than one plane of images is in memory.

    Parameters
    ----------
    scan : SdmScan
        It must count what the form needs: see `View.channels`.
    form : {"contrast", "standardised", "channels", "grey"}
        See `View`.

    Yields
    ------
    batch : Batch
        Which cubes, with their counts.
    images : ndarray
        (ny, nz, …): what `network_input` makes of them.

    Raises
    ------
    PlanError
        If the scan does not count what the form needs, or the form is not known.

    Examples
    --------
    >>> from aptstream.points import PointCloud
    >>> from aptstream.sdm.kernel import CellBox
    >>> cloud = PointCloud(np.full((9, 3), 2, "f4"), np.ones(9, "f4"), np.ones(9, "u1"), ("unranged", "Al"))
    >>> window, channels = SdmWindow("zx", 0.7, 75, 0.7, 150), Channels((("Al",),), ((0, 0),))
    >>> scan = SdmScan(cloud, channels, window, box=CellBox((0, 0, 0), (0, 0, 0), (4, 5, 6)), edges=[4])
    >>> [images.shape for _, images in scan_images(scan, "grey")]
    [(2, 3, 150, 150)]
    """
    view = View(scan.window, form)
    if form in ("contrast", "channels") and not scan.has_contrast:
        raise PlanError(
            f"Form {form} needs the channels host-host, host-solute and solute-solute: see Channels.of_roles."
        )
    ions = {edge: scan.n_ions(edge) for edge in scan.edges}
    for batch in scan:
        cubes, flat = batch.counts.shape[:2], batch.counts.reshape(-1, *batch.counts.shape[2:])
        groups = [group[batch.place].ravel() for group in ions[batch.edge]]
        images = network_input(flat, form, groups[0], groups[-1])
        yield batch, images.reshape(*cubes, *view.shape)
