"""How networks were trained: loss by epoch, with the folds of a cross-validation, and loss by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from aptstream.errors import ModelError
from aptstream.report.style import BLUE, COLUMN_MM, GREY, PAGE_MM, STYLE, VERMILLION, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.model.modelfile import Model

Floats = npt.NDArray[np.float64]

#: Losses of zero have no place on a logarithmic axis: they are drawn here.
SMALLEST = 1e-7
#: An axis is logarithmic where the largest loss is so many times the smallest.
MANY_TIMES = 5.0
#: How losses are drawn.
Style = dict[str, Any]
TRAINING: Style = {"color": BLUE}
VALIDATION: Style = {"color": VERMILLION, "ls": (0, (4, 1.2))}
CURVES: tuple[tuple[str, str, Style], ...] = (
    ("loss", "training", TRAINING),
    ("validation_loss", "validation", VALIDATION),
)


@rc_context(STYLE)
def training_history(model: Model) -> Figure:
    """Draw the losses of the networks of a model by epoch, those of their folds thin where there were any.

    Parameters
    ----------
    model : Model
        Its provenance holds the curves.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModelError
        If the model does not say how it was trained.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. S2.
    """
    curves, losses = model.provenance.get("curves"), model.provenance.get("losses")
    try:
        if curves:
            panels = [(f"{name.removeprefix('cubes_').removesuffix('nm')} nm cubes", of) for name, of in curves.items()]
            return _draw_cubes(panels)
        if losses:
            return _draw_grid_nets([np.asarray(row, dtype=np.float64) for row in losses])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The training history of model {model.name!r} cannot be read: {error!r}.") from error
    raise ModelError(
        f"Model {model.name!r} does not say how its losses fell. Train it anew with: aptstream train DICTIONARY."
    )


@rc_context(STYLE)
def loss_by_depth(losses: Mapping[int, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw the final losses of networks by the number of their convolutions.

    Parameters
    ----------
    losses : mapping of int to (sequence of float, sequence of float)
        By depth the losses of training and of validation, one a network, such as those of the folds.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModelError
        If there are none.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 3c.

    Examples
    --------
    >>> figure = loss_by_depth({3: ([2e-4, 1e-4], [3e-4, 2e-4]), 4: ([1e-4], [1e-4])})
    >>> figure.axes[0].get_xlabel()
    'Convolution and pooling layers'
    """
    if not losses or not all(len(part) for both in losses.values() for part in both):
        raise ModelError("Losses of at least one depth are needed, of training and of validation.")
    axes = (figure := blank(COLUMN_MM, 58)).add_subplot()
    depths = sorted(losses)
    for k, (_, name, style) in enumerate(CURVES):
        shift = (-0.08, 0.08)[k]
        values = [np.maximum(np.asarray(losses[depth][k], dtype=np.float64), SMALLEST) for depth in depths]
        means = [float(v.mean()) for v in values]
        axes.plot(np.array(depths) + shift, means, label=f"{name}, mean", lw=1, marker="os"[k], ms=4, **style)
        for depth, some in zip(depths, values, strict=True):
            if len(some) > 1:
                axes.plot(np.full(len(some), depth + shift), some, color=style["color"], ls="none", marker="_", ms=5)
    axes.set_yscale("log")
    axes.set_xticks(depths)
    axes.set_xlim(depths[0] - 0.5, depths[-1] + 0.5)
    axes.set_xlabel("Convolution and pooling layers")
    axes.set_ylabel("Final loss (binary cross-entropy)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=2)
    return figure


def final_losses(model: Model) -> tuple[list[float], list[float]]:
    """Losses after the last epoch of the folds of a model's first network, or of the network itself without folds.

    Parameters
    ----------
    model : Model
        Its provenance holds the curves.

    Returns
    -------
    training, validation : list of float

    Raises
    ------
    ModelError
        If it has none.
    """
    try:
        record = model.provenance["curves"][f"cubes_{model.judges[0].edge_nm}nm"]
        last = [rows[-1] for rows in record.get("folds") or [record["epochs"]]]
        return [float(row["loss"]) for row in last], [float(row["validation_loss"]) for row in last]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"Model {model.name!r} does not say how the loss of its network ended ({error!r}).") from error


def _draw_cubes(panels: list[tuple[str, Mapping[str, Any]]]) -> Figure:
    figure = blank(PAGE_MM if len(panels) > 1 else COLUMN_MM, 62)
    for axes, letter, (name, record) in zip(_row(figure, len(panels)), "abcdefgh", panels, strict=False):
        folds = record.get("folds") or []
        if folds:
            _draw_folds(axes, folds)
        else:
            watched = str(record.get("validation", "validation"))
            for (key, label, style), marker in zip(CURVES, "os", strict=True):
                what = label if key == "loss" else watched
                axes.plot(*_curve(record["epochs"], key), label=what, lw=1.2, marker=marker, ms=2.5, **style)
        _finish(axes, f"{letter}   {name}" if len(panels) > 1 else name)
    _legend(figure)
    return figure


def _draw_folds(axes: Axes, folds: list[Sequence[Mapping[str, float]]]) -> None:
    """Draw every fold thin, and their mean over the epochs that all have."""
    common = min(len(rows) for rows in folds)
    for key, label, style in CURVES:
        for k, rows in enumerate(folds):
            axes.plot(*_curve(rows, key), alpha=0.6, label=None if k else f"{label}, each fold", lw=0.5, **style)
        mean = np.mean([_curve(rows, key)[1][:common] for rows in folds], axis=0)
        axes.plot(np.arange(1.0, common + 1), mean, label=f"{label}, mean of {len(folds)}", lw=1.4, **style)


def _draw_grid_nets(losses: list[Floats]) -> Figure:
    """Draw the training losses of the nets on the 1 nm grid, one line a net."""
    axes = (figure := blank(COLUMN_MM, 62)).add_subplot()
    shades = np.linspace(0, 1, len(losses)) if len(losses) > 1 else [0.0]
    for number, (loss, shade) in enumerate(zip(losses, shades, strict=True), 1):
        colour = tuple((1 - shade) * np.array([0, 0.447, 0.698]) + shade * np.array([0.835, 0.369, 0.0]))
        epoch = np.arange(1, len(loss) + 1)
        axes.plot(
            epoch,
            np.maximum(loss, SMALLEST),
            color=colour,
            label=f"net {number}",
            lw=1,
            marker="osD^v"[number % 5],
            ms=2.5,
        )
    _finish(axes, "Nets on the 1 nm grid: training")
    _legend(figure)
    return figure


def _row(figure: Figure, n: int) -> list[Axes]:
    return list(np.atleast_1d(figure.subplots(1, n)))


def _curve(rows: Sequence[Mapping[str, float]], key: str) -> tuple[Floats, Floats]:
    """Epochs from 1 on, and what was reached in each."""
    values = np.maximum(np.array([float(row[key]) for row in rows]), SMALLEST)
    return np.arange(1.0, len(values) + 1), values


def _finish(axes: Axes, title: str) -> None:
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    if values.max() > MANY_TIMES * values.min():
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.4)
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Loss (binary cross-entropy)")


def _legend(figure: Figure) -> None:
    """Explain the lines once, above the panels."""
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper left", ncols=3 if len(labels) > 4 else 2, handlelength=2)
