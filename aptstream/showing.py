"""Short tables for notebooks: what an object says of itself as HTML, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aptstream.cloud.store import PointStore
    from aptstream.grid.files import GridFile
    from aptstream.grid.precipitates import Precipitates
    from aptstream.grid.vote import VoxelGrid
    from aptstream.model.modelfile import Model
    from aptstream.scan.results import ScanStore

#: Particles shown before the rest is only counted.
N_SHOWN = 10


def fact_table(title: str, facts: Mapping[str, object]) -> str:
    """Write names and values as a small HTML table.

    Parameters
    ----------
    title : str
        What the object is.
    facts : mapping of str to object
        Names with their units, and values; both are escaped.

    Returns
    -------
    str
        One ``<div>``, without scripts or styles from elsewhere.

    Examples
    --------
    >>> fact_table("Scan", {"host": "<Al>"})
    '<div><b>Scan</b><table><tr><th style="text-align:left">host</th><td>&lt;Al&gt;</td></tr></table></div>'
    """
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f"<div><b>{escape(title)}</b><table>{rows}</table></div>"


def row_table(title: str, heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Write rows under their heads as a small HTML table.

    Parameters
    ----------
    title : str
        What the object is.
    heads : iterable of str
        Names of the columns with their units.
    rows : iterable of iterable
        Values; all are escaped.

    Returns
    -------
    str
        One ``<div>``, without scripts or styles from elsewhere.

    Examples
    --------
    >>> row_table("1 particle", ["radius (nm)"], [["2.1"]])
    '<div><b>1 particle</b><table><tr><th>radius (nm)</th></tr><tr><td>2.1</td></tr></table></div>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<div><b>{escape(title)}</b><table><tr>{head}</tr>{body}</table></div>"


def sizes(numbers: Iterable[float], unit: str = "") -> str:
    """Write the numbers of three axes, such as ``30 × 30 × 40 nm``.

    Parameters
    ----------
    numbers : iterable of float
        One an axis.
    unit : str
        What they are in.

    Returns
    -------
    str

    Examples
    --------
    >>> sizes((30.0, 30.0, 40.5), "nm")
    '30 × 30 × 40.5 nm'
    """
    return f"{' × '.join(f'{number:g}' for number in numbers)} {unit}".rstrip()


def show_store(store: PointStore) -> str:
    """Show a point store: what is told without reading its ions."""
    low, high = store.box.low, store.box.high
    spans = {f"{axis} (nm)": f"{a:g} … {b:g}" for axis, a, b in zip("xyz", low, high, strict=True)}
    facts = {
        "where": store.address,
        "ions": f"{store.n_ions:,}",
        **spans,
        "ranges": len(store.ranges.ranges),
        "species": ", ".join(store.species_names[1:]),
        "columns": ", ".join(("mass_to_charge", *store.columns)),
    }
    return fact_table("Point store", facts)


def show_scan(scan: ScanStore) -> str:
    """Show a scan: what was asked, and of which planes."""
    crystal, planes = scan.crystal, scan.planes
    facts = {
        "where": scan.path,
        "cells of 1 nm": sizes(scan.shape),
        "cube edges (nm)": ", ".join(map(str, scan.edges)),
        "host": ", ".join(scan.roles.host),
        "solute": ", ".join(scan.roles.solute),
        "looked for": f"{crystal.label}, a = {crystal.a_nm:g} nm, {crystal.planes_name} normal to z",
        "period (nm)": f"{planes.period_nm:.4f}",
        "planes visible": "yes" if planes.visible else "no",
    }
    return fact_table("Scan", facts)


def show_votes(grid: VoxelGrid) -> str:
    """Show a map of votes: its extent; a lazy one is not computed."""
    facts = {
        "voxels": sizes(grid.total.shape),
        "voxel edge (nm)": f"{grid.voxel_nm:g}",
        "low corner (nm)": ", ".join(f"{x:g}" for x in grid.origin_nm),
        "votes of a voxel": f"0 … {grid.cube_voxels**3}",
    }
    return fact_table("Votes of cubes", facts)


def show_grid(grid: GridFile) -> str:
    """Show a grid from disk: its extent and how much of it are particles."""
    judged, inside = int((grid.order == grid.order).sum()), int((grid.labels > 0).sum())
    facts = {
        "voxels": sizes(grid.labels.shape),
        "voxel edge (nm)": f"{grid.votes.voxel_nm:g}",
        "low corner (nm)": ", ".join(f"{x:g}" for x in grid.votes.origin_nm),
        "voxels judged": f"{judged:,}",
        "particles": f"{int(grid.labels.max(initial=0)):,}",
        "voxels of particles": f"{inside:,}",
        "sha256": grid.digest,
    }
    return fact_table("1 nm grid", facts)


def show_particles(found: Precipitates) -> str:
    """Show particles: the ten largest, and how many there are."""
    heads = ("particle", "x (nm)", "y (nm)", "z (nm)", "radius (nm)", "volume (nm³)", "mean order", "at the edge")
    largest = found.volume_nm3.argsort()[::-1][:N_SHOWN].tolist()
    rows = [
        (
            number + 1,
            *(f"{x:.1f}" for x in found.centroid_nm[number]),
            f"{found.radius_nm[number]:.2f}",
            f"{found.volume_nm3[number]:.1f}",
            f"{found.mean_order[number]:.2f}",
            "yes" if found.touches_edge[number] else "no",
        )
        for number in largest
    ]
    told = f", the {N_SHOWN} largest" if len(found) > N_SHOWN else ""
    return row_table(f"{len(found):,} particles{told}", heads, rows)


def show_model(model: Model) -> str:
    """Show a model: what it looks for and judges with."""
    crystal = model.crystal
    facts = {
        "name": model.name,
        "looks for": f"{crystal.label}, a = {crystal.a_nm:g} nm, {crystal.planes_name} normal to z",
        "cube edges (nm)": ", ".join(str(judge.edge_nm) for judge in model.judges),
        "nets on the 1 nm grid": "yes" if model.refiner is not None else "no",
        "sha256": model.digest,
    }
    return fact_table("Model", facts)
