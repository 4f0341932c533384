"""The output folder: page, figures, tables and grids of one answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream import __version__
from aptstream.cloud.ranging import balance
from aptstream.grid.files import Decisions, save_grid
from aptstream.io.vtk import write_vti
from aptstream.pole import alignment_of
from aptstream.report.beside import NOTHING, Beside
from aptstream.report.figures import (
    cube_probability_histogram,
    grid_slices,
    save_figure,
    size_distribution,
    vote_histogram,
)
from aptstream.report.html import Page, Section, write_page
from aptstream.report.pole import draw_pole
from aptstream.report.scene import make_scene
from aptstream.report.scene_html import View
from aptstream.report.spectrum import spectrum_figure
from aptstream.report.summary import Summary
from aptstream.report.tables import particle_table, particles_csv
from aptstream.report.view3d import particles_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report(summary: Summary, out: Path) -> Path:
    """Write ``grid.zarr``, and what `write_report` writes.

    Parameters
    ----------
    summary : Summary
        The answer and where it came from.
    out : Path
        An existing folder without a grid.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StoreError
        If the folder holds a grid already.
    """
    search = summary.pole.search if summary.pole is not None else None
    save_grid(out / "grid.zarr", summary.answer, Decisions(summary.guess is not None, search))
    return write_report(summary, out)


def write_report(summary: Summary, out: Path, beside: Beside = NOTHING) -> Path:
    """Write ``report.html``, ``figures/``, ``particles.csv`` and ``grid.vti``; those of before are replaced.

    Parameters
    ----------
    summary : Summary
        The answer and where it came from.
    out : Path
        An existing folder.
    beside : Beside
        What other verbs found out: further sections of the page.

    Returns
    -------
    Path
        The page.
    """
    answer = summary.answer
    votes = answer.votes
    grids: dict[str, npt.NDArray[Any]] = {
        "order": answer.order,
        "total": votes.total,
        "count": votes.count,
        "labels": answer.found.labels,
    }
    write_vti(out / "grid.vti", grids, origin_nm=votes.origin_nm, voxel_nm=votes.voxel_nm)
    table = particle_table(answer.found, answer.measures, before_nm=_before(summary))
    particles_csv(out / "particles.csv", table)
    scene = make_scene(answer.found, answer.order, summary.store, host=summary.scan.roles.host)
    in_3d = save_figure(particles_figure(scene), out / "figures" / "particles_3d")
    page = Page(
        title=str(summary.store.attrs["source"]["name"]),
        sentence=summary.sentence,
        warnings=[*summary.warnings, *beside.not_shown],
        numbers=summary.numbers,
        figures=_saved(figures(summary), out),
        sections=[*_planes(summary, out), *beside.sections],
        view=View(scene, in_3d["png"]),
        particles=table,
        settings=_settings(summary),
        provenance=_provenance(summary),
    )
    write_page(out / "report.html", page)
    return out / "report.html"


def _before(summary: Summary) -> npt.NDArray[np.float64] | None:
    """Where the particles lie in the reconstruction, if the ions were aligned."""
    alignment = alignment_of(summary.store)
    return None if alignment is None else alignment.inverse(np.reshape(summary.answer.found.centroid_nm, (-1, 3)))


def figures(summary: Summary) -> dict[str, tuple[str, Figure]]:
    """Draw the figures of a report.

    Parameters
    ----------
    summary : Summary
        The answer.

    Returns
    -------
    dict of str to (str, matplotlib.figure.Figure)
        Caption and figure by file name.
    """
    answer, edge, small = summary.answer, summary.edge_nm, min(summary.scan.edges)
    truth = summary.truth.radius_nm[summary.truth.considered] if summary.truth is not None else None
    p = summary.scan.p(edge)
    made = f"mean of the {small} nm cubes that cover a voxel"
    if answer.refined is not None:
        made = "probability that a voxel is ordered, by the nets on the 1 nm grid"
    return {
        "cube_probabilities": (
            f"Judgements of the {edge} nm cubes at 1 nm stride: the expected ordered fraction of each.",
            cube_probability_histogram(p[np.isfinite(p)], summary.n_cubes - summary.n_valid, edge_nm=edge),
        ),
        "sizes": (
            "Sizes of the particles: radius of the sphere of equal volume. Bars: particles in a m³ in classes of "
            "0.25 nm, from those that lie wholly inside, each weighted by the room that its size leaves; lines: 95 % "
            "intervals from particles drawn again.",
            size_distribution(answer.statistics, truth),
        ),
        "voxel_votes": (
            f"Votes: every 1 nm voxel sums the {edge} nm cubes that cover it. The dashed line is the publication's "
            f"cut at 62 of 64; as each cube's number is its expected ordered fraction, only voxels deep inside large "
            f"particles can reach it.",
            vote_histogram(answer.votes),
        ),
        "order_slices": (
            f"Three slices through the order map that the particles are made from ({made}); outlined: the particles.",
            grid_slices(
                answer.order,
                answer.found.labels,
                origin_nm=answer.votes.origin_nm,
                voxel_nm=answer.votes.voxel_nm,
                title_unit="expected ordered fraction",
            ),
        ),
        "mass_spectrum": (
            "Mass spectrum, with the ranges in their colours (pale bands) and the ions they stand for. Grey lies in no "
            "range; the largest peaks there are marked by their mass-to-charge-state ratio in Da.",
            spectrum_figure(summary.spectrum),
        ),
    }


def _saved(drawn: dict[str, tuple[str, Figure]], out: Path) -> list[tuple[str, bytes]]:
    """Write figures to files, and return what the page shows of them."""
    return [(caption, save_figure(figure, out / "figures" / name)["svg"]) for name, (caption, figure) in drawn.items()]


def _planes(summary: Summary, out: Path) -> list[Section]:
    """Tell of the search for planes, where there was one."""
    story = summary.pole
    if story is None:
        return []
    drawn = _saved(draw_pole(story), out)
    return [Section("Lattice planes", story.sentence, story.facts(summary.store.n_ions), drawn)]


def _settings(summary: Summary) -> dict[str, object]:
    model, scan = summary.model, summary.scan
    crystal = scan.crystal
    edges = ", ".join(f"{edge} nm (at least {model.judge(edge).min_ions} ions)" for edge in scan.edges)
    parent = crystal.structure.parent
    return {
        "structure looked for": f"{crystal.label} in {parent}, a = {crystal.a_nm:g} nm",
        "normal to z": crystal.planes_name,
        "host": ", ".join(scan.roles.host),
        "solute": ", ".join(scan.roles.solute),
        "host and solute": f"guessed: {summary.guess.reason}" if summary.guess is not None else "as given",
        "cubes": f"{edges}, stride 1 nm",
        "particles": summary.answer.rule,
        "radii": summary.radii,
        "control": summary.control,
        "planes": f"period {scan.planes.period_nm:.4f} nm, tilted by {scan.planes.tilt_deg:.2f}° from z of the file",
    }


def _provenance(summary: Summary) -> dict[str, object]:
    source, table = summary.store.attrs["source"], summary.store.attrs["range_file"]
    return {
        "ions": f"{source['name']}, {source['size']:,} bytes, sha256 {source['sha256']}",
        "ions read": balance(summary.store),
        "ranges": f"{table['name']}, sha256 {table['sha256']}" if table else "given as a table",
        "point store": summary.scan.attrs["store_digest"],
        "scan": summary.scan.digest(),
        "model": f"{summary.model.name}, {summary.scan.attrs['model_digest']}",
        "model made by": summary.model.provenance.get("command", "not recorded"),
        "aptstream": __version__,
    }
