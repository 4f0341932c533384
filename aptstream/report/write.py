"""The output folder: page, figures, tables and grids of one answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream import __version__
from aptstream.cloud.ranging import balance
from aptstream.grid.files import save_grid
from aptstream.io.vtk import write_vti
from aptstream.pole import alignment_of
from aptstream.report.figures import (
    cube_probability_histogram,
    figure_bytes,
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
    """Write ``report.html``, ``figures/``, ``particles.csv``, ``grid.zarr`` and ``grid.vti``.

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
    answer = summary.answer
    save_grid(out / "grid.zarr", answer)
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
    (out / "figures").mkdir(exist_ok=True)
    scene = make_scene(answer.found, answer.order, summary.store, host=summary.scan.roles.host)
    drawn = figures(summary)
    in_3d = particles_figure(scene)
    save_figure(in_3d, out / "figures" / "particles_3d")
    of_pole = draw_pole(summary.pole) if summary.pole is not None else {}
    for name, (_, figure) in (drawn | of_pole).items():
        save_figure(figure, out / "figures" / name)
    page = Page(
        title=str(summary.store.attrs["source"]["name"]),
        sentence=summary.sentence,
        warnings=summary.warnings,
        numbers=summary.numbers,
        figures=_as_svg(drawn),
        sections=_planes(summary, of_pole),
        view=View(scene, figure_bytes(in_3d, "png")),
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
        "sizes": (
            "Sizes of the particles: radius of the sphere of equal volume. Bars: particles in a m³ in classes of "
            "0.25 nm, from those that lie wholly inside, each weighted by the room that its size leaves; lines: 95 % "
            "intervals from particles drawn again.",
            size_distribution(answer.statistics, truth),
        ),
        "mass_spectrum": (
            "Mass spectrum, with the ranges in their colours (pale bands) and the ions they stand for. Grey lies in no "
            "range; the largest peaks there are marked by their mass-to-charge-state ratio in Da.",
            spectrum_figure(summary.spectrum),
        ),
    }


def _as_svg(drawn: dict[str, tuple[str, Figure]]) -> list[tuple[str, bytes]]:
    return [(caption, figure_bytes(figure, "svg")) for caption, figure in drawn.values()]


def _planes(summary: Summary, drawn: dict[str, tuple[str, Figure]]) -> list[Section]:
    """Tell of the search for planes, where there was one."""
    story = summary.pole
    if story is None:
        return []
    return [Section("Lattice planes", story.sentence, story.facts(summary.store.n_ions), _as_svg(drawn))]


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
