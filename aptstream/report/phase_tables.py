"""Both phases and the sites of the species as tables: text for CSV, numbers for JSON."""

from __future__ import annotations

import os
from math import floor, log10
from pathlib import Path
from typing import Any

from aptstream.phases.amplitudes import Estimate
from aptstream.phases.sites import Sites
from aptstream.phases.species import Phase, Phases, PhaseSdm
from aptstream.report.html import Section
from aptstream.report.tables import ParticleTable, particles_csv


def phase_table(phases: Phases) -> ParticleTable:
    """Write the waves of every pair of species in both phases as text.

    Parameters
    ----------
    phases : Phases
        From `aptstream.phases.species.phase_sdms`.

    Returns
    -------
    ParticleTable
        One row a phase and pair; an empty text where the signal does not allow a number.
    """
    rows = []
    for phase in phases.both:
        for sdm in phase.sdms:
            waves = sdm.waves
            ratio = "" if waves.ratio is None else f"{waves.ratio:.4g}"
            significance = "" if waves.doubled is None else f"{waves.doubled.significance:.1f}"
            errors = "" if waves.doubled is None else "parts" if waves.by_parts else "shot noise"
            numbers = [*_both(waves.spacing_nm, 6), *_both(waves.single, 5), *_both(waves.doubled, 5)]
            named = (phase.name, sdm.name, str(int(sdm.counts.sum())))
            rows.append((*named, *numbers, significance, ratio, *_both(waves.contrast, 5), errors))
    return ParticleTable(_PHASE_COLUMNS, tuple(rows))


_PHASE_COLUMNS = (
    *("phase", "pair", "n_pairs", "spacing_nm", "spacing_sigma_nm", "single_amplitude", "single_sigma"),
    *("doubled_amplitude", "doubled_sigma", "doubled_significance", "doubled_over_single"),
    *("contrast", "contrast_sigma", "errors_from"),
)


def site_table(sites: Sites) -> ParticleTable:
    """Write where the ions of each species sit as text.

    Parameters
    ----------
    sites : Sites
        From `aptstream.phases.sites.site_occupancy`.

    Returns
    -------
    ParticleTable
        One row a species; none where the signal does not allow it.
    """
    columns = ("species", "n_ions", "mean_cosine", "mean_cosine_sigma", "on_solute_planes", "on_solute_planes_sigma")
    rows = [
        (share.species, str(share.n_ions), *_both(share.mean_cosine, 4), *_both(share.on_solute_planes, 4))
        for share in sites.shares
    ]
    return ParticleTable(columns, tuple(rows))


def order_table(sites: Sites) -> ParticleTable:
    """Write the order of every particle as text.

    Parameters
    ----------
    sites : Sites
        From `aptstream.phases.sites.site_occupancy`.

    Returns
    -------
    ParticleTable
        One row a particle; empty texts where its order is not seen.
    """
    rows = [
        (str(one.particle), str(one.n_ions), "core" if one.in_core else "all", *_both(one.order, 4))
        for one in sites.particles
    ]
    return ParticleTable(("id", "n_ions", "judged_by", "order", "order_sigma"), tuple(rows))


def phases_as_json(phases: Phases, sites: Sites) -> dict[str, Any]:
    """Return all numbers for machines; null where the signal does not allow one.

    Parameters
    ----------
    phases : Phases
        Both phases.
    sites : Sites
        Sites and order of the particles.

    Returns
    -------
    dict
    """
    frame = phases.frame
    return {
        "structure": frame.crystal.label,
        "pole": list(frame.crystal.pole),
        "period_nm": frame.planes.period_nm,
        "tilt_deg": round(frame.planes.tilt_deg, 4),
        "shell_nm": phases.shell_nm,
        "host": list(frame.roles.host),
        "solute": list(frame.roles.solute),
        "phases": {
            phase.name: {
                "n_voxels": phase.n_voxels,
                "n_ions_counted": phase.n_ions,
                "share_counted": round(phase.share, 6),
                "spacing_nm": _estimate(phase.spacing_nm),
                "pairs": {sdm.name: _waves(sdm) for sdm in phase.sdms},
            }
            for phase in phases.both
        },
        "order": _estimate(sites.order),
        "order_from_particles": sites.n_pooled,
        "order_errors_from": "particles" if sites.by_particles else "ions",
        "sites": {
            share.species: {
                "n_ions": share.n_ions,
                "mean_cosine": _estimate(share.mean_cosine),
                "on_solute_planes": _estimate(share.on_solute_planes),
            }
            for share in sites.shares
        },
        "particles": [
            {"id": one.particle, "n_ions": one.n_ions, "in_core": one.in_core, "order": _estimate(one.order)}
            for one in sites.particles
        ],
    }


def write_phase_tables(phases: Phases, sites: Sites, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``phases.csv``, ``sites.csv`` and ``particle_order.csv``.

    Parameters
    ----------
    phases : Phases
        Both phases.
    sites : Sites
        Sites and order of the particles.
    folder : path
        An existing folder.

    Returns
    -------
    list of Path

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    tables = {"phases": phase_table(phases), "sites": site_table(sites), "particle_order": order_table(sites)}
    paths = [Path(folder, f"{name}.csv") for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        particles_csv(path, table)
    return paths


#: Pairs that the page shows of each phase; all are in the table.
MOST_PAIRS = 40
#: Headings of `told_waves`, and captions of the figures by their names in the folder.
TOLD = ("planes (nm)", "single", "doubled", "σ", "contrast")
CAPTIONS = {
    "phase_zsdm.png": "z-SDMs of the ions in particles (a) and matrix (b) by pairs of species, over their envelope; "
    "solid and dotted: planes of the period of order and those between.",
    "phase_zxsdm.png": "zx-SDMs of the ions in particles and matrix by pairs of species, each to its own scale.",
    "sites.png": "Where the species sit in the particles. a: share of the ions of each species on the planes of the "
    "solute; b: order of the particles one by one.",
}


def told_waves(sdm: PhaseSdm) -> tuple[str, ...]:
    """Write what was measured of a pair of species in one phase, in the columns of `TOLD`."""
    waves = sdm.waves
    single, doubled = concise(waves.single), concise(waves.doubled)
    return concise(waves.spacing_nm), single, doubled, sigmas(waves.doubled), concise(waves.contrast)


def phases_section(phases: Phases, sites: Sites) -> Section:
    """Write what the page says of both phases.

    Parameters
    ----------
    phases : Phases
        Both phases.
    sites : Sites
        Sites and order of the particles.

    Returns
    -------
    Section
        Without figures.
    """
    told = f"The wave of order stands out in the particles by {_largest(phases.particles)}, "
    told += f"in the matrix by {_largest(phases.matrix)}."
    if sites.order is not None:
        told += f" Order parameter S = {concise(sites.order)} from {sites.n_pooled} particles."
    else:
        told += " Sites and order: the signal does not allow to tell."
    facts = {"left out between the phases": f"{phases.shell_nm:g} nm"}
    for phase in phases.both:
        share = f", {phase.share:.0%} of the volume" if phase.share < 1 else ""
        facts[f"ions counted in the {phase.name}"] = f"{sum(phase.n_ions.values()):,}{share}"
    for share_of in sites.shares:
        if share_of.on_solute_planes is not None:
            facts[f"{share_of.species} on planes of the solute"] = concise(share_of.on_solute_planes)
    shown = ((phase, sdm) for phase in phases.both for sdm in phase.sdms[:MOST_PAIRS])
    rows = tuple((phase.name, sdm.name, *told_waves(sdm)) for phase, sdm in shown)
    table = ParticleTable(("phase", "pair", *TOLD), rows)
    return Section("Particles and matrix, species by species", told, facts, table=table)


def _largest(phase: Phase) -> str:
    """Say which pair of species shows the wave of order most clearly."""
    seen = {sdm.name: abs(sdm.waves.doubled.significance) for sdm in phase.sdms if sdm.waves.doubled is not None}
    if not seen:
        return "nothing that could be measured"
    most = max(seen, key=lambda name: seen[name])
    return f"{seen[most]:.1f} σ ({most})"


def _both(estimate: Estimate | None, digits: int) -> tuple[str, str]:
    """Value and error as text."""
    if estimate is None:
        return "", ""
    return f"{estimate.value:.{digits}f}", f"{estimate.sigma:.{digits}f}"


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else {"value": estimate.value, "sigma": estimate.sigma}


def _waves(sdm: PhaseSdm) -> dict[str, Any]:
    waves = sdm.waves
    return {
        "n_pairs": int(sdm.counts.sum()),
        "spacing_nm": _estimate(waves.spacing_nm),
        "single": _estimate(waves.single),
        "doubled": _estimate(waves.doubled),
        "doubled_significance": None if waves.doubled is None else waves.doubled.significance,
        "doubled_over_single": waves.ratio,
        "contrast": _estimate(waves.contrast),
        "errors_from": None if waves.doubled is None else "parts" if waves.by_parts else "shot noise",
    }


def concise(estimate: Estimate | None) -> str:
    """Write a number with its error in the last digits; a dash where there is none.

    Parameters
    ----------
    estimate : Estimate or None
        The number.

    Returns
    -------
    str

    Examples
    --------
    >>> concise(Estimate(0.142573, 0.00002)), concise(Estimate(0.8412, 0.0131)), concise(None)
    ('0.14257(2)', '0.841(13)', '–')
    """
    if estimate is None:
        return "–"
    sigma = max(estimate.sigma, 1e-6)
    digits = max(0, -floor(log10(sigma)) + (f"{sigma:.0e}"[0] == "1"))
    return f"{estimate.value:.{digits}f}({round(sigma * 10**digits)})".replace("-", "\N{MINUS SIGN}")


def sigmas(estimate: Estimate | None) -> str:
    """Write how many errors a number is away from 0; a dash where there is none."""
    return "–" if estimate is None else f"{estimate.significance:.1f}".replace("-", "\N{MINUS SIGN}")
