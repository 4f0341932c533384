"""The mass spectrum as a figure: the ranges in their colours, every ion named, unranged peaks marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogLocator, MaxNLocator

from aptstream.cloud.spectrum import MassSpectrum, Peak, unranged_peaks
from aptstream.report.colours import ion_colours
from aptstream.report.style import PAGE_MM, STYLE, VERMILLION, blank, grouped, label_decades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More bins than this cannot be told apart on a page.
_MOST_BINS = 2400
#: Names above the axes, at their distance of 2.6 mm.
_MOST_LABELS, _LABEL_MM, _AXES_MM = 60, 2.6, 165.0
#: Unranged peaks that are marked.
_MOST_UNRANGED = 5

_UNRANGED, _INK, _LEADER = "#8f8f8f", "#262626", "#8c8c8c"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

Floats = npt.NDArray[np.float64]


@rc_context(STYLE)
def spectrum_figure(spectrum: MassSpectrum) -> Figure:
    """Draw a mass spectrum: counts on a logarithmic axis, each bin in the colour of the ion that has most of it.

    Parameters
    ----------
    spectrum : MassSpectrum
        From `aptstream.mass_spectrum`.

    Returns
    -------
    matplotlib.figure.Figure
        Of the width of a page. Pale bands are the ranges; what is grey lies in none.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> counts = np.zeros(4000, np.int64)
    >>> counts[2690:2710] = 50
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)),))
    >>> figure = spectrum_figure(MassSpectrum(0.01, counts, 0 * counts, 0, table))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['Al']
    """
    figure = blank(PAGE_MM, 78)
    axes = figure.add_subplot()
    peaks = unranged_peaks(spectrum)
    drawn = _rebin(spectrum, _limit(spectrum, peaks))
    colours = ion_colours(spectrum.ranges)
    for r in spectrum.ranges.ranges:
        if r.low_da < drawn.edges_da[-1]:
            axes.axvspan(r.low_da, min(r.high_da, drawn.edges_da[-1]), color=colours[r.ion], alpha=0.18, linewidth=0)
    seen = drawn.counts[drawn.counts > 0]
    low = max(0.5, 0.5 * float(np.quantile(seen, 0.05))) if len(seen) else 0.5
    for index, name in enumerate(spectrum.ranges.species):
        counts = np.where((drawn.species == index) & (drawn.counts > low), drawn.counts, np.nan)
        if np.isfinite(counts).any():
            colour = colours.get(name, _UNRANGED)
            # An edge of its own colour keeps a peak of a bin or two visible: fills alone would be a hair.
            axes.stairs(counts, drawn.edges_da, baseline=low, fill=True, fc=colour, ec=colour, linewidth=0.5)
    axes.stairs(np.maximum(drawn.counts, low), drawn.edges_da, baseline=None, color=_INK, linewidth=0.2, alpha=0.4)
    axes.set_yscale("log")
    axes.set_ylim(low, 1.6 * max(20 * low, float(drawn.counts.max())))
    axes.set_xlim(0, drawn.edges_da[-1])
    axes.yaxis.set_major_locator(LogLocator(10, numticks=8))
    label_decades(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
    axes.set_xlabel("Mass-to-charge-state ratio (Da)")
    axes.set_ylabel(f"Ions per {drawn.edges_da[1]:.3g} Da")
    _label(axes, _labels(spectrum, drawn, peaks), drawn)
    figure.suptitle(_title(spectrum, int(drawn.counts.sum()), peaks), x=0.012, ha="left", fontsize=7)
    return figure


@dataclass(frozen=True)
class _Drawn:
    """Bins as they are drawn: wider ones, each with the species that most of its ions have."""

    edges_da: Floats
    counts: npt.NDArray[np.int64]
    species: npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Label:
    """A name, the m/q that it stands for, and its colour."""

    text: str
    mass_da: float
    count: int
    colour: str
    ink: str = _INK


def _title(spectrum: MassSpectrum, n_drawn: int, peaks: tuple[Peak, ...]) -> str:
    """Say how many ions there are, and how many of them nobody has ranged."""
    within = max(1, int(spectrum.counts.sum()))
    parts = [f"{grouped(spectrum.n_ions)} ions, {100 * spectrum.unranged.sum() / within:.2f} % unranged (grey)"]
    if peaks:
        parts.append(f"largest unranged peak at {peaks[0]}")
    if spectrum.n_ions > n_drawn:
        parts.append(f"{grouped(spectrum.n_ions - n_drawn)} ions beyond this axis")
    return "; ".join(parts)


def _rebin(spectrum: MassSpectrum, limit: int) -> _Drawn:
    """Join bins, as many as are worth drawing."""
    step = -(-limit // _MOST_BINS)
    n = -(-limit // step)
    counts, unranged = (_padded(column, n * step) for column in (spectrum.counts, spectrum.unranged))
    table = spectrum.ranges
    # A bin that a bound cuts belongs to the range that begins below its end.
    upper = spectrum.bin_da * np.arange(1, n * step + 1)
    place = np.searchsorted(table.bounds_da[:, 0], upper) - 1
    species = np.where(place >= 0, table.indices[np.maximum(place, 0)], 0).astype(np.intp)
    wide = np.arange(n * step) // step
    of_species = np.zeros((len(table.species), n), np.int64)
    np.add.at(of_species, (species, wide), counts - unranged)
    of_species[0] += unranged.reshape(n, step).sum(axis=1)
    edges = np.arange(n + 1, dtype=np.float64) * (spectrum.bin_da * step)
    return _Drawn(edges, of_species.sum(axis=0), of_species.argmax(axis=0))


def _padded(column: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    return np.pad(column[:length], (0, max(0, length - len(column))))


def _limit(spectrum: MassSpectrum, peaks: tuple[Peak, ...]) -> int:
    """Count the bins worth drawing: every range that holds twenty ions, and every peak that lies in none."""
    below = np.concatenate(([0], np.cumsum(spectrum.counts)))
    bounds = spectrum.ranges.bounds_da
    low, high = (np.minimum(bounds[:, side] / spectrum.bin_da, len(below) - 1).astype(int) for side in (0, 1))
    # A range that holds everything, such as 0 to 400 Da, does not stretch the axis: its ions do.
    most = int(np.searchsorted(below, 0.999 * below[-1]))
    high = np.where(bounds[:, 1] - bounds[:, 0] > 20, np.minimum(high, most), high)
    ends = [*high[below[high] - below[low] >= 20].tolist(), *(int(peak.mass_da / spectrum.bin_da) for peak in peaks)]
    return min(len(spectrum.counts), max(10, round(1.03 * max(ends, default=most)) + 1))


def _labels(spectrum: MassSpectrum, drawn: _Drawn, peaks: tuple[Peak, ...]) -> list[_Label]:
    """Name the highest peak of every run of ranges of one ion, and the largest unranged peaks."""
    colours = ion_colours(spectrum.ranges)
    found: list[_Label] = []
    last = ""
    for r in spectrum.ranges.ranges:
        first, stop = np.searchsorted(drawn.edges_da, (r.low_da, r.high_da), "right") - 1
        counts = drawn.counts[first : max(stop, first + 1)]
        if not len(counts) or not counts.max():
            continue
        peak = int(counts.argmax())
        mass = float(drawn.edges_da[first + peak : first + peak + 2].mean())
        label = _Label(r.ion.translate(_SUBSCRIPTS) if r.atoms else r.ion, mass, int(counts[peak]), colours[r.ion])
        if r.ion == last:
            found[-1] = max(found[-1], label, key=lambda one: one.count)
        else:
            found.append(label)
        last = r.ion
    found = sorted(found, key=lambda label: -label.count)[: _MOST_LABELS - _MOST_UNRANGED]
    for one in peaks[:_MOST_UNRANGED]:
        at = int(np.searchsorted(drawn.edges_da, one.mass_da, "right")) - 1
        found.append(_Label(f"{one.mass_da:.2f}", one.mass_da, int(drawn.counts[at]), _UNRANGED, VERMILLION))
    return sorted(found, key=lambda label: label.mass_da)


def _label(axes: Axes, labels: list[_Label], drawn: _Drawn) -> None:
    """Write the names side by side above the axes, each joined to its peak."""
    from scipy.optimize import isotonic_regression

    if not labels:
        return
    limit, apart = float(drawn.edges_da[-1]), _LABEL_MM / _AXES_MM * float(drawn.edges_da[-1])
    # As near to their peaks as names at this distance can be: least squares under an order.
    steps = apart * np.arange(len(labels))
    wanted = np.array([label.mass_da for label in labels]) - steps
    place = np.clip(isotonic_regression(wanted).x, 0, limit - steps[-1]) + steps
    low, high = np.log(axes.get_ylim())
    above = axes.get_xaxis_transform()
    leaders = []
    for label, x in zip(labels, place.tolist(), strict=True):
        peak = (np.log(max(label.count, 0.5)) - low) / (high - low)
        leaders.append([(label.mass_da, peak + 0.01), (label.mass_da, max(0.95, peak + 0.01)), (x, 1.005)])
        axes.plot([x], [1.02], "s", transform=above, clip_on=False, ms=3, mfc=label.colour, mec=_INK, mew=0.25)
        axes.annotate(
            label.text,
            (x, 1.045),
            xycoords=above,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=6,
            color=label.ink,
            annotation_clip=False,
        )
    lines = LineCollection(leaders, transform=above, colors=_LEADER, linewidths=0.3, clip_on=False)
    axes.add_collection(lines, autolim=False)
