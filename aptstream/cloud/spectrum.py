"""The mass spectrum of a point store: ions per bin of m/q, and the peaks that no range holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import STREAM_ROWS, PointStore
from aptstream.errors import PlanError
from aptstream.points import RangeTable
from aptstream.progress import Progress, silent

#: Ions beyond this are counted, not binned.
LARGEST_DA = 400.0

#: The spectrum is smoothed over so much before peaks are looked for: about the width of a sharp one.
_SMOOTHED_DA = 0.05
#: A peak stands out of what is beside it by so many standard deviations of its counts.
_SIGMA = 6.0

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MassSpectrum:
    """Ions per bin of m/q.

    Parameters
    ----------
    bin_da : float
        Width of a bin in Da; the first begins at 0.
    counts, unranged : ndarray of int64, (n_bins,)
        All ions, and those of them that lie in no range.
    n_outside : int
        Ions with m/q below 0 or beyond the last bin.
    ranges : RangeTable
        The ranges of the store.
    """

    bin_da: float
    counts: Counts
    unranged: Counts
    n_outside: int
    ranges: RangeTable

    @property
    def edges_da(self) -> npt.NDArray[np.float64]:
        """Edges of the bins in Da, (n_bins + 1,)."""
        return np.arange(len(self.counts) + 1, dtype=np.float64) * self.bin_da

    @property
    def n_ions(self) -> int:
        """All ions, those outside the bins too."""
        return int(self.counts.sum()) + self.n_outside


@dataclass(frozen=True)
class Peak:
    """A peak of the mass spectrum.

    Parameters
    ----------
    mass_da : float
        Its highest place in Da.
    n_ions : int
        Ions above what is beside it.
    share : float
        Share of these on all ions.
    """

    mass_da: float
    n_ions: int
    share: float

    def __str__(self) -> str:
        """Say where it is and how large: ``18.02 Da, 1.2 % of all ions``."""
        digits = 0 if self.share > 0.0995 else 1 if self.share > 0.00995 else 2
        return f"{self.mass_da:.2f} Da, {100 * self.share:.{digits}f} % of all ions"


def mass_spectrum(store: PointStore, bin_da: float = 0.01, *, progress: Progress = silent) -> MassSpectrum:
    """Count the ions of a store in bins of m/q up to 400 Da, in memory that does not depend on their number.

    Parameters
    ----------
    store : PointStore
        The ions.
    bin_da : float
        Width of a bin in Da, 0.001 to 10.
    progress : Progress
        Told of the stage ``spectrum``, in ions.

    Returns
    -------
    MassSpectrum

    Raises
    ------
    PlanError
        If the width of the bins is out of bounds.
    StoreError
        If a chunk is missing or damaged.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0, 0, 0]] * 4, [27, 27.2, 18, 999])
    ...     spectrum = mass_spectrum(ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr"), bin_da=1)
    >>> spectrum.counts[16:28], spectrum.unranged[16:28], spectrum.n_outside
    (array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2]), array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1)
    """
    if not 0.001 <= bin_da <= 10:
        raise PlanError(f"A mass spectrum needs bins of 0.001 to 10 Da, found {bin_da:g} Da. Choose another width.")
    n_bins = round(LARGEST_DA / bin_da)
    # Unranged ions are counted behind the ranged ones; what lies outside falls into a last bin of each.
    counts = np.zeros(2 * (n_bins + 1), np.int64)
    done = 0
    for start in range(0, store.n_ions, STREAM_ROWS):
        mass, species = (store.arrays[name][start : start + STREAM_ROWS] for name in ("mass_to_charge", "species"))
        place = np.floor(mass.astype(np.float64) / bin_da)
        place = np.where((place >= 0) & (place < n_bins), place, n_bins).astype(np.int64)
        place[species == 0] += n_bins + 1
        counts += np.bincount(place, minlength=len(counts))
        done += len(mass)
        progress("spectrum", done, store.n_ions, "ions")
    ranged, unranged = counts.reshape(2, n_bins + 1)
    both = ranged + unranged
    return MassSpectrum(bin_da, both[:-1], unranged[:-1], int(both[-1]), store.ranges)


def unranged_peaks(spectrum: MassSpectrum) -> tuple[Peak, ...]:
    """Find the peaks that no range holds, largest first.

    A peak is a place between two ranges where the spectrum rises and falls again by six standard deviations of its
    counts; the tail of a ranged peak only falls. Its ions are those above its foot, down to a tenth of its height.

    Parameters
    ----------
    spectrum : MassSpectrum
        From `mass_spectrum`.

    Returns
    -------
    tuple of Peak

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> counts = np.zeros(4000, np.int64)
    >>> counts[1800:1805] = 10, 50, 90, 40, 10
    >>> counts[2700] = 1800
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)),))
    >>> [str(peak) for peak in unranged_peaks(MassSpectrum(0.01, counts, np.where(counts < 99, counts, 0), 0, table))]
    ['18.03 Da, 10 % of all ions']
    """
    from scipy.ndimage import uniform_filter1d

    width = max(1, round(_SMOOTHED_DA / spectrum.bin_da))
    found: list[Peak] = []
    for start, stop in _gaps(spectrum):
        counts = spectrum.unranged[start:stop].astype(np.float64)
        if counts.sum() < _SIGMA**2:
            continue
        # Nearest: a tail that comes out of a range goes on falling there, and makes no peak of its own.
        smooth = uniform_filter1d(counts, width, mode="nearest")
        for at, left, right, foot in _rises(smooth, width):
            n = counts[left:right].sum() - foot * (right - left)
            n_ions = max(0, round(float(n)))
            mass_da = (start + at + 0.5) * spectrum.bin_da
            found.append(Peak(mass_da, n_ions, n_ions / spectrum.n_ions))
    return tuple(sorted(found, key=lambda peak: (-peak.n_ions, peak.mass_da)))


def _gaps(spectrum: MassSpectrum) -> list[tuple[int, int]]:
    """Find the runs of bins that lie wholly between two ranges."""
    edges = spectrum.edges_da
    free = np.ones(len(edges) + 1, np.int8)
    free[[0, -1]] = 0
    for low, high in spectrum.ranges.bounds_da:
        first = max(0, int(np.searchsorted(edges, low, "right")) - 1)
        free[1 + first : 1 + int(np.searchsorted(edges, high, "left"))] = 0
    starts, stops = (np.flatnonzero(np.diff(free) == sign) for sign in (1, -1))
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _rises(smooth: npt.NDArray[np.float64], width: int) -> list[tuple[int, int, int, float]]:
    """Find significant peaks: the highest bin, where it begins and ends, and the height of its foot."""
    from scipy.signal import find_peaks, peak_widths

    peaks, seen = find_peaks(smooth, prominence=0)
    prominence = seen["prominences"]
    # Counts of `width` bins make one smoothed value: their scatter is the root of their sum.
    large = prominence * width >= _SIGMA * np.sqrt(smooth[peaks] * width)
    peaks, prominence = peaks[large], prominence[large]
    data = (prominence, seen["left_bases"][large], seen["right_bases"][large])
    _, _, left, right = peak_widths(smooth, peaks, rel_height=0.9, prominence_data=data)
    left, right = np.floor(left).astype(int), np.ceil(right).astype(int) + 1
    foot = smooth[peaks] - prominence
    return list(zip(peaks.tolist(), left.tolist(), right.tolist(), foot.tolist(), strict=True))
