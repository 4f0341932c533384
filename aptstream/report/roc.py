"""Test images: what networks say of each, and how well that tells order from none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context

from aptstream.errors import ModelError
from aptstream.model.curves import ORDERED_SHARE, JudgedVoxels, Ranking
from aptstream.report.style import BLACK, BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.floating[Any]]
#: Probability and true ordered share of each image.
Judged = tuple[Floats, Floats]

_STYLES = ((BLUE, "-"), (VERMILLION, (0, (4, 1.2))), (BLACK, (0, (1, 1))))


@rc_context(STYLE)
def image_probabilities(cases: Mapping[str, Judged]) -> Figure:
    """Draw the probability of every test image, and the ROC curve, of one to three networks.

    Images of which at least half is ordered count as ordered, those without any order as matrix; what lies between is
    drawn but not counted.

    Parameters
    ----------
    cases : mapping of str to (ndarray of float, ndarray of float)
        By name the probabilities and the true ordered shares of the images, (n,).

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModelError
        If there are no cases, more than three, or no images of one of the two kinds.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 4.

    Examples
    --------
    >>> p, fraction = np.array([0.9, 0.4, 0.2, 0.1]), np.array([1.0, 0.0, 1.0, 0.0])
    >>> figure = image_probabilities({"case 1": (p, fraction)})
    >>> figure.axes[-1].get_legend_handles_labels()[1]
    ['case 1: AUC 0.7500']
    """
    if not 1 <= len(cases) <= len(_STYLES):
        raise ModelError(f"One to three networks are compared, found {len(cases)}.")
    figure = blank(PAGE_MM, 66)
    panels = figure.subplots(1, len(cases) + 1)
    for axes, letter, (name, (p, fraction)) in zip(panels, "abc", cases.items(), strict=False):
        _draw_images(axes, p, fraction)
        axes.set_title(f"{letter}   {name}: {grouped(len(p))} images")
    last = panels[-1]
    for (name, (p, fraction)), (colour, line) in zip(cases.items(), _STYLES, strict=False):
        voxels = JudgedVoxels(p.astype(np.float64), fraction.astype(np.float64), p >= 0.5, np.zeros(len(p), np.int64))
        curve = Ranking(voxels).curve()
        if not np.isfinite(curve.auc):
            raise ModelError(f"{name}: a ROC curve needs images with at least half order, and some without any.")
        at = np.concatenate([[0.0], curve.false_positive_rate]), np.concatenate([[0.0], curve.recall])
        last.plot(*at, clip_on=False, color=colour, label=f"{name}: AUC {curve.auc:.4f}", linestyle=line, lw=1.3)
    last.plot([0, 1], [0, 1], color=GREY, lw=0.5, ls=":")
    last.set_aspect("equal")
    last.set_xlim(0, 1)
    last.set_ylim(0, 1)
    last.set_title(f"{'abcd'[len(cases)]}   ROC")
    last.set_xlabel("False-positive rate")
    last.set_ylabel("True-positive rate")
    last.legend(loc="lower right", handlelength=1.6)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, handletextpad=0.2)
    return figure


def _draw_images(axes: Axes, p: Floats, fraction: Floats) -> None:
    number = np.arange(1, len(p) + 1)
    kinds: tuple[tuple[str, npt.NDArray[np.bool_], dict[str, Any]], ...] = (
        ("matrix", fraction == 0, {"color": BLUE, "marker": "o"}),
        ("partly ordered", (fraction > 0) & (fraction < ORDERED_SHARE), {"color": GREY, "marker": "_"}),
        ("ordered", fraction >= ORDERED_SHARE, {"color": VERMILLION, "marker": "^"}),
    )
    size = float(np.clip(60 / np.sqrt(max(len(p), 1)), 1.2, 4))
    for label, some, style in kinds:
        if some.any():
            axes.plot(
                *(number[some], p[some]),
                clip_on=False,
                label=label,
                ls="none",
                mew=0.4,
                ms=size,
                rasterized=True,
                **style,
            )
    axes.axhline(0.5, color=GREY, lw=0.5, ls=":")
    axes.set_xlim(0, len(p) + 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("Number of the image")
    axes.set_ylabel("Probability of order")
