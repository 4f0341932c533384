"""A network as a row of blocks: its layers with their shapes and numbers of parameters, from its description alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.patches import FancyArrowPatch, Polygon

from aptstream.model.networks import CubeNet, ImageNet, Net
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.model.gridnet import GridNet

Shape = tuple[int, ...]
#: Colours of input, convolutions, pooling and dense layers: light enough for black edges, told apart in grey.
COLOURS = {"input": "#f0f0f0", "convolution": "#7fb8dc", "pooling": "#f2c29b", "dense": "#9bc7a8"}
#: Height of the largest block, and depth of its oblique side, in units of a place in the row.
TALL, WIDE, OBLIQUE = 1.9, 0.5, 0.3


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Parameters
    ----------
    kind : str
        One of `COLOURS`.
    name : str
        What it does, such as ``"3 × 3 convolution, ReLU"``.
    shape : tuple of int
        Of its result: (rows, columns, channels), (rows, channels), or (values,).
    n_parameters : int
        Its weights.
    """

    kind: str
    name: str
    shape: Shape
    n_parameters: int = 0


def layers_of(net: Net, shape: Shape) -> list[Layer]:
    """List the layers of a network that judges cubes.

    Parameters
    ----------
    net : CubeNet or ImageNet
        Its description.
    shape : tuple of int
        Of the images that it reads.

    Returns
    -------
    list of Layer
        The input first, the logit last.

    Raises
    ------
    ModelError
        If the images are too small for it.

    Examples
    --------
    >>> layers = layers_of(ImageNet(), (150, 150))
    >>> [layer.shape for layer in layers][:3], sum(layer.n_parameters for layer in layers)
    ([(150, 150, 1), (148, 148, 16), (74, 74, 16)], 1666881)
    """
    return _of_image_net(net, shape) if isinstance(net, ImageNet) else _of_cube_net(net, shape)


def layers_of_grid(net: GridNet) -> list[Layer]:
    """List the layers of a net on the 1 nm grid; shapes are channels of a voxel.

    Parameters
    ----------
    net : GridNet
        Its description.

    Returns
    -------
    list of Layer
        The input first, the logit last.
    """
    weights = net.weight_shapes()
    found = [Layer("input", "voxel", (net.channels,))]
    for k, (edge, dilation, width) in enumerate(net.layers):
        spread = ", dilated" if dilation > 1 else ""
        ends = "sigmoid" if k + 1 == len(net.layers) else "ReLU"
        name = f"{edge}³ convolution{spread}, {ends}" if edge > 1 else f"dense, {ends}"
        n = prod(weights[2 * k]) + prod(weights[2 * k + 1])
        found.append(Layer("convolution" if edge > 1 else "dense", name, (width,), n))
    return found


@rc_context(STYLE)
def network_figure(layers: list[Layer], title: str) -> Figure:
    """Draw a network, layer by layer, with the shape of each result and the number of parameters.

    Parameters
    ----------
    layers : list of Layer
        From `layers_of` or `layers_of_grid`.
    title : str
        What the network is.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 3a, b.

    Examples
    --------
    >>> figure = network_figure(layers_of(ImageNet(), (150, 150)), "li2021")
    >>> figure.axes[0].get_title(loc="left").startswith("li2021: 1")
    True
    """
    figure = blank(PAGE_MM, 64)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(layers) - 0.2)
    axes.set_ylim(-1.6, TALL + OBLIQUE + 0.1)
    largest = max(max(layer.shape[:-1], default=1) for layer in layers)
    most = max(layer.shape[-1] for layer in layers)
    for place, layer in enumerate(layers):
        right = _draw_block(axes, place, layer, largest, most)
        if place + 1 < len(layers):
            arrow = FancyArrowPatch(
                (right + 0.02, TALL / 2), (place + 0.98 - WIDE / 2, TALL / 2), arrowstyle="-|>", color=GREY, lw=0.6
            )
            arrow.set_mutation_scale(5)
            axes.add_patch(arrow)
        name = layer.name.replace(" ", "\n")
        shape = " × ".join(map(str, layer.shape[:2])) + "".join(f"\n× {n}" for n in layer.shape[2:])
        axes.text(place, -0.1, shape, fontsize=6, ha="center", va="top")
        axes.text(place, -0.5, name, color="#303030", fontsize=5.5, ha="center", va="top")
        if layer.n_parameters:
            axes.text(place, -1.4, grouped(layer.n_parameters), color=BLUE, fontsize=6, ha="center", va="top")
    axes.text(-0.5, -1.4, "parameters:", color=BLUE, fontsize=6, ha="left", va="top")
    axes.set_title(f"{title}: {grouped(sum(layer.n_parameters for layer in layers))} parameters")
    return figure


def _draw_block(axes: Axes, place: int, layer: Layer, largest: int, most: int) -> float:
    """Draw a block as tall as its map, as wide as it has channels, and return where its right side is."""
    *extent, channels = layer.shape
    scale = TALL * (max(extent) / largest if extent else 0.15 + 0.85 * channels / most)
    width = 0.06 + (WIDE - 0.06) * (np.log1p(channels) / np.log1p(most) if extent else 0.0)
    depth = OBLIQUE * scale / TALL if len(extent) == 2 else 0.0
    left, right = place - width / 2, place + width / 2
    low, high = (TALL - scale) / 2, (TALL + scale) / 2
    style: dict[str, Any] = {"edgecolor": "#303030", "lw": 0.5, "closed": True}
    colour = COLOURS[layer.kind]
    axes.add_patch(Polygon([(left, low), (right, low), (right, high), (left, high)], facecolor=colour, **style))
    if depth:
        top = [(left, high), (right, high), (right + depth, high + depth), (left + depth, high + depth)]
        side = [(right, low), (right + depth, low + depth), (right + depth, high + depth), (right, high)]
        for part in (top, side):
            axes.add_patch(Polygon(part, facecolor=colour, alpha=0.6, **style))
    if not extent and channels == 1:
        axes.plot(place, TALL / 2, marker="o", ms=3, color=VERMILLION)
    return right + depth


def _of_image_net(net: ImageNet, shape: Shape) -> list[Layer]:
    weights = net.weight_shapes(shape)
    rows, columns, before = shape[0], shape[1], prod(shape[2:])
    found = [Layer("input", "image", (rows, columns, before))]
    for k, n in enumerate(net.filters):
        rows, columns = rows - net.kernel + 1, columns - net.kernel + 1
        name = f"{net.kernel}×{net.kernel} convolution, ReLU"
        found.append(Layer("convolution", name, (rows, columns, n), prod(weights[2 * k]) + n))
        rows, columns = rows // net.pool, columns // net.pool
        found.append(Layer("pooling", f"{net.pool}×{net.pool} maximum", (rows, columns, n)))
    hidden, last = prod(weights[-4]) + net.dense, prod(weights[-2]) + 1
    return [*found, Layer("dense", "dense, ReLU", (net.dense,), hidden), Layer("dense", "dense, sigmoid", (1,), last)]


def _of_cube_net(net: CubeNet, shape: Shape) -> list[Layer]:
    weights = [prod(weight) for weight in net.weight_shapes(shape)]
    rows, n = -(-shape[0] // net.first_stride), net.filters
    return [
        Layer("input", "image", (shape[0], prod(shape[1:]))),
        Layer("convolution", f"{net.first_kernel}-row convolution, normalised, ReLU", (rows, n), sum(weights[:5])),
        Layer("convolution", f"{net.second_kernel}-row convolution, normalised, ReLU", (rows, n), sum(weights[5:10])),
        Layer("pooling", f"{net.pool}-row mean", (rows // net.pool, n)),
        Layer("dense", "dense, ReLU", (net.dense,), sum(weights[10:12])),
        Layer("dense", "dense, sigmoid", (1,), sum(weights[12:])),
    ]
