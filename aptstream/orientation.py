"""Bring the planes of a reconstruction normal to z before it is scanned: search, name, choose, align."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.cloud.planes import plane_signal
from aptstream.cloud.store import PointStore, open_store
from aptstream.crystal import Crystal
from aptstream.crystal.variants import equivalent_poles
from aptstream.errors import PlanError
from aptstream.pole import Pole, PoleSearch, align, alignment_of, find_poles, flatten, identify
from aptstream.pole.find import follow
from aptstream.progress import Progress, silent
from aptstream.regions import Triple
from aptstream.report.story import PoleStory

if TYPE_CHECKING:
    from distributed import Client

#: A pole that was asked for by its normal lies no farther from it.
NEAR_DEG = 5.0
#: What to do where no planes can be relied on.
_OTHERWISE = "Scan the reconstruction as it is with --no-align: where no planes are seen, no order will be."


@dataclass(frozen=True)
class Wish:
    """Which planes are to be brought normal to z.

    Parameters
    ----------
    crystal : Crystal or None
        What the specimen consists of, and what order is looked for; any planes will do where it is not known.
    named : bool
        Whether the planes have to be those of the crystal's pole, not any in which its order shows.
    normal : tuple of float, optional
        Only planes whose normal lies within 5° of this direction, even if they are a candidate only.
    accept_candidate : bool
        Whether planes that are a candidate only will do.
    """

    crystal: Crystal | None = None
    named: bool = False
    normal: Triple | None = None
    accept_candidate: bool = False


@dataclass(frozen=True)
class Oriented:
    """What became of a reconstruction.

    Parameters
    ----------
    store : PointStore
        Ions whose planes stand normal to z.
    crystal : Crystal or None
        The wished one with the pole that stands along z now.
    story : PoleStory, optional
        What was found and done; not there where the planes stood normal to z already.
    """

    store: PointStore
    crystal: Crystal | None
    story: PoleStory | None = None

    def __str__(self) -> str:
        """Say what was decided, in a line."""
        if self.story is None or self.story.alignment is None:
            return "planes of the crystal stand normal to z: the reconstruction is scanned as it is"
        pole = self.story.alignment.pole
        name = self.crystal.planes_name if self.crystal is not None else "planes"
        return (
            f"{name}, {pole.status} with strength {pole.strength:.0f}, tilted by {pole.tilt_deg:.1f}°: turned, "
            f"flattened, and scanned within {pole.radius_nm:.0f} nm of their axis, {self.store.n_ions:,} ions"
        )


def orient(
    store: PointStore, wish: Wish, out: Path, *, client: Client | None = None, progress: Progress = silent
) -> Oriented:
    """Find the planes of a crystal, and write the ions of the region where they are seen with the planes normal to z.

    Parameters
    ----------
    store : PointStore
        A reconstruction.
    wish : Wish
        Which planes.
    out : Path
        Store to make; one that was made in the same way is taken as it is. Nothing is made where planes of the crystal
        stand normal to z already.
    client : distributed.Client, optional
        Where to work; in this process where it is not given.
    progress : Progress
        Told of the stages of `find_poles`, `flatten` and `align`.

    Returns
    -------
    Oriented

    Raises
    ------
    PlanError
        If no planes can be relied on, they are not the crystal's, or its order does not show on them.
    StoreError
        If the store is damaged, or the new one cannot be written.
    """
    crystal = wish.crystal
    if crystal is not None and wish.normal is None and plane_signal(store, crystal.plane_spacing_nm).visible:
        return Oriented(store, crystal)
    search = find_poles(store, crystal, client=client, progress=progress)
    pole, crystal = choose(store, search, wish)
    alignment = flatten(store, pole, crystal, progress=progress)
    if not out.exists() or alignment_of(open_store(out)) != alignment:
        align(store, alignment, out=out, region="pole", client=client, progress=progress)
    hkl, region = (None if crystal is None else crystal.pole), alignment.pole.region
    return Oriented(open_store(out), crystal, PoleStory(store, search, crystal, alignment, hkl, region))


def choose(store: PointStore, search: PoleSearch, wish: Wish) -> tuple[Pole, Crystal | None]:
    """Choose the strongest planes of a search that serve a wish.

    Parameters
    ----------
    store : PointStore
        Where they were found.
    search : PoleSearch
        What was found, and named if the crystal is known.
    wish : Wish
        What is wanted.

    Returns
    -------
    pole : Pole
    crystal : Crystal or None
        The wished one, with the planes of this pole.

    Raises
    ------
    PlanError
        If there are none.
    """
    poles, wished = _allowed(store, search, wish), wish.crystal
    if wished is None:
        return poles[0], None
    named = [(pole, crystal) for pole in poles if (crystal := _named(pole, search, wished)) is not None]
    if not named:
        spacings = ", ".join(f"{pole.spacing_nm:.4f} nm" for pole in poles)
        raise PlanError(
            f"Planes were found {spacings} apart, which are none of {wished.parent.label} with a = "
            f"{wished.a_nm:g} nm, even if the scale is off by 12 %. Expected planes of the crystal: check "
            f"--structure and --a. {_OTHERWISE}"
        )
    asked = equivalent_poles(wished.label, wished.indices) if wish.named else None
    orders = any(wished.structure.roles)
    serving = [(p, c) for p, c in named if (c.doubling > 1 or not orders) and (asked is None or c.indices in asked)]
    if not serving:
        names = ", ".join(crystal.planes_name for _, crystal in named)
        lack = (
            f"None are the {wished.planes_name} that were asked for: leave --pole out, or give one of these."
            if asked
            else f"The order of {wished.label} shows on none of them."
        )
        raise PlanError(f"What was found are the {names} of {wished.parent.label}. {lack} {_OTHERWISE}")
    return serving[0]


def _named(pole: Pole, search: PoleSearch, crystal: Crystal) -> Crystal | None:
    """Name the planes of a pole: together with the others where they have names, or alone."""
    if search.identity is not None and pole in search.poles:
        return replace(crystal, pole=search.identity.families[search.poles.index(pole)])
    alone = identify([pole], crystal)
    return None if alone is None else replace(crystal, pole=alone.families[0])


def _allowed(store: PointStore, search: PoleSearch, wish: Wish) -> list[Pole]:
    """Planes that can be relied on as far as is wished, strongest first."""
    if wish.normal is not None:
        return [_near(store, search, np.array(wish.normal) / np.linalg.norm(wish.normal))]
    found = [pole for pole in search.poles if pole.status == "found"]
    if not found and search.poles and not wish.accept_candidate:
        raise PlanError(f"{search.verdict} To go on with them all the same give --accept-candidate. {_OTHERWISE}")
    if not found and not search.poles:
        raise PlanError(f"{search.verdict} {_OTHERWISE}")
    return found or list(search.poles)


def _near(store: PointStore, search: PoleSearch, normal: npt.NDArray[np.float64]) -> Pole:
    """Find the planes near a normal: those that were found, or the strongest candidate that can be followed at all."""
    least = np.cos(np.deg2rad(NEAR_DEG))
    for pole in search.poles:
        if abs(float(normal @ pole.direction)) >= least:
            return pole
    for candidate in search.candidates:
        wave = candidate.wave_per_nm
        if abs(float(normal @ wave)) >= least * float(np.linalg.norm(wave)):
            followed = follow(store, candidate)
            if followed is not None:
                return followed
    raise PlanError(
        f"No planes can be followed within {NEAR_DEG:g}° of the normal {tuple(normal.round(3).tolist())}. "
        f"{search.verdict} {_OTHERWISE}"
    )
