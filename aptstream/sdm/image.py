"""Counts → network input: the same functions make the dictionary, train and scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.sdm.count import Batch, SdmScan
from aptstream.sdm.kernel import Counts, contrast, standardise
from aptstream.sdm.window import full_image

Form = Literal["contrast", "standardised", "grey"]


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
    image = full_image(counts).astype(np.float32)
    most = np.maximum(image.max(axis=(1, 2), keepdims=True), 1)
    grey: npt.NDArray[np.uint8] = np.rint(image * (255 / most)).astype(np.uint8)
    return grey


def scan_images(scan: SdmScan, form: Form) -> Iterator[tuple[Batch, npt.NDArray[np.generic]]]:
    """Turn a scan into network input, batch by batch: never more than one plane of images is in memory.

    Parameters
    ----------
    scan : SdmScan
        Its channels must be what the form needs: host–host, host–solute, solute–solute for ``"contrast"``, a window of
        kind ``zx`` for ``"grey"``.
    form : {"contrast", "standardised", "grey"}
        See `contrast_images`, `standardised_images` and `grey_images`.

    Yields
    ------
    batch : Batch
        Which cubes, with their counts.
    images : ndarray
        (ny, nz, bins_z, bins_lateral) for ``"contrast"``, else (ny, nz, channels, rows, columns).

    Raises
    ------
    PlanError
        If the scan does not count what the form needs, or the form is not known.

    Examples
    --------
    >>> from aptstream.points import PointCloud
    >>> from aptstream.sdm.kernel import CellBox
    >>> from aptstream.sdm.window import Channels, SdmWindow
    >>> cloud = PointCloud(np.full((9, 3), 2, "f4"), np.ones(9, "f4"), np.ones(9, "u1"), ("unranged", "Al"))
    >>> window, channels = SdmWindow("zx", 0.7, 75, 0.7, 150), Channels((("Al",),), ((0, 0),))
    >>> scan = SdmScan(cloud, channels, window, box=CellBox((0, 0, 0), (0, 0, 0), (4, 5, 6)), edges=[4])
    >>> [images.shape for _, images in scan_images(scan, "grey")]
    [(2, 3, 1, 150, 150)]
    """
    if form not in get_args(Form):
        raise PlanError(f"Image form {form!r} is not known: choose one of {', '.join(get_args(Form))}.")
    if form == "grey" and scan.window.kind != "zx":
        raise PlanError(f"A grey picture shows both halves of a map of kind zx, found kind {scan.window.kind}.")
    if form == "contrast" and not scan.has_contrast:
        raise PlanError("Contrast needs the channels host-host, host-solute and solute-solute: see Channels.of_roles.")
    ions = {edge: scan.n_ions(edge) for edge in scan.edges}
    for batch in scan:
        cubes, flat = batch.counts.shape[:2], batch.counts.reshape(-1, *batch.counts.shape[2:])
        if form == "contrast":
            n_host, n_solute = (group[batch.place].ravel() for group in ions[batch.edge])
            images: npt.NDArray[np.generic] = contrast_images(flat, n_host, n_solute)
        elif form == "standardised":
            images = standardised_images(flat)
        else:
            each = grey_images(flat.reshape(-1, *scan.window.shape))
            images = each.reshape(*flat.shape[:2], *each.shape[1:])
        yield batch, images.reshape(*cubes, *images.shape[1:])
