"""Inside a network: what its convolutions make of images, and on which parts its answer rests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context

from aptstream.errors import ModelError
from aptstream.model.explain import Towards, feature_maps, grad_cam
from aptstream.report.style import PAGE_MM, STYLE, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.model.modelfile import CubeJudge

Image = npt.NDArray[Any]

#: Maps of a convolution that are shown, of those that differ most from place to place.
N_MAPS = 3


@rc_context(STYLE)
def inside_network(judge: CubeJudge, images: Mapping[str, tuple[Image, Towards]]) -> Figure:
    """Draw the images, some maps of every convolution, and Grad-CAM after each.

    Of a network for pictures three maps of each convolution are shown, the same for all images; of one that convolves
    along z only, all filters side by side. Every map is scaled by itself, from dark to light. Grad-CAM lies over the
    image, bright where it speaks for what is named.

    Parameters
    ----------
    judge : CubeJudge
        The network.
    images : mapping of str to (ndarray, {"order", "matrix"})
        One or two images by name, and towards which answer Grad-CAM looks.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModelError
        If there are no images, more than two, or of another shape than the network reads.
    MissingPackageError
        If TensorFlow is not installed.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 7.
    """
    if not 1 <= len(images) <= 2:
        raise ModelError(f"Maps of one or two images are drawn side by side, found {len(images)}.")
    maps = [feature_maps(judge, image) for image, _ in images.values()]
    flat = maps[0][0].ndim == 2
    n, depth = 1 if flat else N_MAPS, len(maps[0])
    each = (PAGE_MM - 12) / (len(images) * (n + 1))
    figure = blank(PAGE_MM, 14 + min(each, 40) * (depth + 1))
    sides = np.atleast_1d(np.asarray(figure.subfigures(1, len(images), wspace=0.02)))
    chosen = [_most_varied([of[layer] for of in maps], n) for layer in range(depth)]
    for side, of, (name, (image, towards)) in zip(sides, maps, images.items(), strict=True):
        side.suptitle(f"{name}; Grad-CAM towards {towards}", fontsize=7)
        grid = side.subplots(depth + 1, n + 1, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        _show(grid[0, 0], image, "gray")
        grid[0, 0].set_title("image", fontsize=6)
        for layer in range(depth):
            row = grid[layer + 1]
            parts = [of[layer]] if flat else [of[layer][..., k] for k in chosen[layer]]
            names = ["all filters"] if flat else [f"filter {k + 1}" for k in chosen[layer]]
            for axes, part, label in zip(row, parts, names, strict=False):
                _show(axes, part, "viridis")
                axes.set_title(f"{layer + 1}: {label}", fontsize=6)
            heat = grad_cam(judge, image, layer=layer, towards=towards)
            _show(row[-1], image, "gray")
            wide = heat if heat.ndim == 2 else np.repeat(heat[:, None], image.shape[1], axis=1)
            _show(row[-1], wide, "inferno", alpha=0.6)
            row[-1].set_title(f"{layer + 1}: Grad-CAM", fontsize=6)
    return figure


def _show(axes: Axes, picture: Image, colours: str, alpha: float = 1.0) -> None:
    """Show a picture, z upwards; of one with channels their mean."""
    flat = picture.mean(axis=2) if picture.ndim == 3 else picture
    shape: Literal["equal", "auto"] = "equal" if picture.shape[0] == picture.shape[1] else "auto"
    axes.imshow(flat, alpha=alpha, aspect=shape, cmap=colours, interpolation="none", origin="lower")


def _most_varied(maps: list[npt.NDArray[np.float32]], n: int) -> list[int]:
    """Choose filters whose maps vary most over all images, in their order."""
    spread = sum((of.reshape(-1, of.shape[-1]).std(axis=0) for of in maps), np.zeros(maps[0].shape[-1]))
    return sorted(np.argsort(-spread, kind="stable")[:n].tolist())
