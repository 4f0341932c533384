"""What particles and matrix are made of, in at.%, with errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.grid.contents import BLURS_NM, Contents
from aptstream.points import RangeTable

Floats = npt.NDArray[np.float64]

#: A composition that rests on fewer ions than this is left out.
FEWEST_IONS = 10


@dataclass(frozen=True)
class Composition:
    """Contents of the elements; NaN where too few ions tell.

    Parameters
    ----------
    percent : dict of str to ndarray of float64, (n,)
        at.% of each element.
    sd : dict of str to ndarray of float64, (n,)
        Its standard deviation from counting, in at.%.
    """

    percent: dict[str, Floats]
    sd: dict[str, Floats]

    def text(self, k: int = 0) -> str:
        """Write one composition in words, such as ``Li 19.8 ± 0.4, Al 80.2 ± 0.4 at.%``."""
        sd = [column[k] for column in self.sd.values() if np.isfinite(column[k])]
        digits = 2 if sd and max(sd) < 0.1 else 1
        known = [
            f"{element} {column[k]:.{digits}f} ± {self.sd[element][k]:.{digits}f}"
            for element, column in self.percent.items()
            if np.isfinite(column[k])
        ]
        return f"{', '.join(known)} at.%" if known else "no ion of known atoms"


def composition(fractions: Floats, n_ions: Floats, names: Sequence[str], table: RangeTable) -> Composition:
    """Turn shares of ions into contents of elements; molecular ions count as their atoms.

    Parameters
    ----------
    fractions : ndarray of float64, (n, n_species)
        Share of each species among the ions of known atoms.
    n_ions : ndarray of float64, (n,)
        How many ions each row rests on.
    names : sequence of str
        Species, ``"unranged"`` first.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    Composition
        The errors are those of a multinomial draw of so many ions (delta method where ions have several atoms).

    Examples
    --------
    >>> from aptstream.points import Range
    >>> table = RangeTable((Range(1, 2, (("Cr", 1), ("O", 2))), Range(3, 4, (("Si", 1),))))
    >>> made = composition(np.array([[0, 0.5, 0.5]]), np.array([100.0]), ("unranged", "CrO2", "Si"), table)
    >>> made.text()
    'Cr 25.0 ± 1.2, O 50.0 ± 2.5, Si 25.0 ± 3.8 at.%'
    """
    per_ion = atoms_per_ion(names, table)
    each = {element: fractions @ column for element, column in per_ion.items()}
    every = np.sum(list(per_ion.values()), axis=0) if per_ion else np.zeros(len(names))
    n_atoms = fractions @ every
    enough = (n_ions >= FEWEST_IONS) & (n_atoms > 0)
    of_all = np.where(enough, n_atoms, np.nan)
    percent, sd = {}, {}
    for element, column in per_ion.items():
        content = each[element] / of_all
        pull = column[None] - content[:, None] * every[None]
        variance = (np.maximum(fractions, 0) * pull**2).sum(axis=1) / of_all**2 / np.maximum(n_ions, 1)
        percent[element], sd[element] = 100 * content, 100 * np.sqrt(variance)
    return Composition(percent, sd)


def of_counts(ions: npt.NDArray[np.int64], names: Sequence[str], table: RangeTable) -> Composition:
    """Tell the composition of counted ions; those that are unranged or of unknown atoms do not count.

    Parameters
    ----------
    ions : ndarray of int64, (n, n_species)
        Ions of each species.
    names : sequence of str
        Species, ``"unranged"`` first.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    Composition
        Errors as in `composition`: binomial where every ion is one atom.

    Examples
    --------
    >>> from aptstream.points import Range
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> of_counts(np.array([[7, 80, 20]]), ("unranged", "Al", "Li"), table).text()
    'Li 20.0 ± 4.0, Al 80.0 ± 4.0 at.%'
    """
    counted = np.where(known_species(names, table), ions, 0).astype(np.float64)
    total = counted.sum(axis=1)
    return composition(counted / np.maximum(total, 1)[:, None], total, names, table)


def at_full_order(
    contents: Contents, names: Sequence[str], table: RangeTable
) -> tuple[Composition, Composition, float]:
    """Tell what particles are made of where they are wholly ordered, free of the matrix at their faces.

    The voxels at the face of a particle hold ions of both phases. In the voxels near a particle, the share of a
    species is c_m + s (c_p − c_m), with s the ordered share of a voxel: a straight line through all of them, weighted
    by ions, gives c_p at s = 1. As s is the *expected* share, its error does not tilt the line (Berkson's case [1]_).
    What tilts it is that ions are displaced by more than a fraction of a voxel, so s is blurred laterally by the one
    of `BLURS_NM` whose lines fit best over all particles.

    Parameters
    ----------
    contents : Contents
        From `aptstream.grid.contents.walk`.
    names : sequence of str
        Species, ``"unranged"`` first.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    each : Composition
        Of every particle.
    together : Composition
        Of all particles, each weighted by how much it tells; one entry.
    blur_nm : float
        The blur that fits best, in nm.

    References
    ----------
    .. [1] Berkson, J. Am. Stat. Assoc. 45, 164 (1950).
    """
    known = known_species(names, table)
    near = np.where(known, contents.near, 0).astype(np.float64)
    best = (-np.inf, 0.0, np.zeros_like(near), np.zeros(len(near)))
    for number, blur_nm in enumerate(BLURS_NM):
        ordered = np.where(known, contents.ordered[number], 0.0)
        explained, at_one, n_ions = _lines(near, ordered, contents.ordered_squared[number])
        if explained > best[0]:
            best = (explained, blur_nm, at_one, n_ions)
    _, blur_nm, at_one, n_ions = best
    weight = n_ions / max(float(n_ions.sum()), 1e-300)
    mean = (at_one * weight[:, None]).sum(axis=0, keepdims=True)
    together = composition(mean, n_ions.sum(keepdims=True), names, table)
    return composition(at_one, n_ions, names, table), together, blur_nm


def _lines(near: Floats, ordered: Floats, squared: Floats) -> tuple[float, Floats, Floats]:
    """Fit a line to every species of every particle.

    Returns how much of the scatter they explain together, the shares at full order (n, n_species), and the ions that
    would tell as much if they were drawn there (n,).
    """
    n, s = near.sum(axis=1), ordered.sum(axis=1)
    spread = n * squared - s**2
    told = spread > 1e-9 * np.maximum(n, 1) ** 2
    safe = np.where(told, spread, 1.0)[:, None]
    slope = np.where(told[:, None], (n[:, None] * ordered - s[:, None] * near) / safe, 0.0)
    start = (near - slope * s[:, None]) / np.maximum(n, 1)[:, None]
    overall = near.sum(axis=0) / max(float(near.sum()), 1.0)
    variance = np.where((overall > 0) & (overall < 1), overall * (1 - overall), np.inf)
    explained = ((start * near + slope * ordered) / variance)[told].sum()
    short = squared - 2 * s + n  # how far the voxels are from being wholly ordered
    some = short > 1e-9 * np.maximum(n, 1)
    tells = np.divide(spread, short, out=np.where(some, 0.0, n), where=told & some)
    return float(explained), start + slope, np.minimum(tells, n)


def atoms_per_ion(names: Sequence[str], table: RangeTable) -> dict[str, Floats]:
    """Count the atoms of each element in one ion of every species.

    Parameters
    ----------
    names : sequence of str
        Species, ``"unranged"`` first.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    dict of str to ndarray of float64, (n_species,)
    """
    found: dict[str, Floats] = {}
    for ion, parts in table.atoms.items():
        for element, number in parts:
            column = found.setdefault(element, np.zeros(len(names)))
            column[list(names).index(ion)] += number
    return found


def known_species(names: Sequence[str], table: RangeTable) -> npt.NDArray[np.bool_]:
    """Tell which species have known atoms, (n_species,).

    Parameters
    ----------
    names : sequence of str
        Species, ``"unranged"`` first.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    ndarray of bool, (n_species,)
    """
    known = {ion for ion, parts in table.atoms.items() if parts}
    return np.array([name in known for name in names])


def overall_percent(ions: Mapping[str, int], table: RangeTable) -> dict[str, float]:
    """Composition of a set of ions in at.%; see `of_counts`.

    Parameters
    ----------
    ions : mapping of str to int
        Ions of each species.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    dict of str to float
    """
    names = tuple(ions)
    made = of_counts(np.array([[ions[name] for name in names]]), names, table)
    return {element: float(column[0]) for element, column in made.percent.items()}
