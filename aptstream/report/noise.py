"""How the noise of training images compares with that of measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context

from aptstream.errors import PlanError
from aptstream.report.style import BLACK, BLUE, COLUMN_MM, STYLE, VERMILLION, blank, grouped
from aptstream.sdm.noise import Pictures, noise_variance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

#: Points of a density, and how far it is drawn beyond the values, in widths of its Gaussians.
N_POINTS, BEYOND = 300, 3.0
#: Single pictures that are marked below a density, at most.
MOST_TICKS = 200
_STYLES = ((BLUE, "-"), (VERMILLION, (0, (4, 1.2))), (BLACK, (0, (1, 1))))


@rc_context(STYLE)
def noise_density(pictures: Mapping[str, Pictures]) -> Figure:
    """Draw how the noise variance of pictures is distributed, one curve for each set of them.

    Densities are Gaussian kernel estimates over the logarithm of the variance.

    Parameters
    ----------
    pictures : mapping of str to ndarray, (n, rows, columns)
        One to three sets by name, such as simulated and measured ones, in grey levels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If there are no sets, more than three, or no noise in all pictures of one.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. S1.
    """
    if not 1 <= len(pictures) <= len(_STYLES):
        raise PlanError(f"The noise of one to three sets of pictures is compared, found {len(pictures)}.")
    axes = (figure := blank(COLUMN_MM, 62)).add_subplot()
    for (name, some), (colour, line) in zip(pictures.items(), _STYLES, strict=False):
        variance = noise_variance(some)
        variance = variance[variance > 0]
        if not len(variance):
            raise PlanError(f"No picture of {name} holds any noise: expected maps of counted pairs.")
        at, density = _density(np.log10(variance))
        label = f"{name}: {grouped(len(some))}, median {np.median(variance):.3g}"
        axes.plot(10**at, density, color=colour, label=label, linestyle=line, lw=1.2)
        some_of = variance[:: len(variance) // MOST_TICKS + 1]
        axes.plot(some_of, np.full(len(some_of), -0.03), color=colour, alpha=0.4, marker="|", ls="none", ms=4)
        axes.fill_between(10**at, density, color=colour, alpha=0.12, lw=0)
    axes.set_xscale("log")
    axes.set_xlabel("Noise variance σ² (squared grey levels, 0–255)")
    axes.set_ylabel("Density per decade")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return figure


def _density(values: Floats) -> tuple[Floats, Floats]:
    """Sum of Gaussians of Silverman's width; of one value, or equal ones, they are a hundredth of a decade wide."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    width = max(spread * (4 / (3 * len(values))) ** 0.2, 0.01)
    at = np.linspace(values.min() - BEYOND * width, values.max() + BEYOND * width, N_POINTS)
    at = np.union1d(at, values)
    density = np.zeros(len(at))
    for value in values:
        density += np.exp(-0.5 * ((at - value) / width) ** 2)
    return at, density / (len(values) * width * np.sqrt(2 * np.pi))
