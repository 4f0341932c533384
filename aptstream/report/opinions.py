"""Second opinions in words: what the terminal and the page say of them."""

from __future__ import annotations

from math import isfinite

from aptstream.peers.arrangement import Arrangement
from aptstream.peers.opinions import Row, SecondOpinions
from aptstream.report.html import Section
from aptstream.report.tables import ParticleTable

#: Headings of `told_row`, and caption of the figure by its name in the folder.
TOLD = (
    *("method", "particles", "mean r (nm)", "volume (%)", "solute (at.%)"),
    *("Dice", "order seen (%)", "ordered (%)"),
)
CAPTIONS = {
    "figures/compare.png": "The specimen seen by the established methods beside the ordered particles. a: the same "
    "slice; b: sizes; c: agreement with order; d: composition across surfaces.",
}


def opinions_section(found: SecondOpinions) -> Section:
    """Write what the page says of second opinions.

    Parameters
    ----------
    found : SecondOpinions
        From `aptstream.peers.second_opinions`.

    Returns
    -------
    Section
        Without figures.
    """
    n, unseen = len(found.order_verdicts), found.order_verdicts.count("order without contrast")
    warnings = [f"{row.method}: {row.note}" for row in found.rows if row.note]
    if unseen:
        warnings.insert(
            0,
            f"{unseen} of {n} ordered particles are order without contrast: no method that looks at composition sees "
            f"a quarter of them.",
        )
    table = ParticleTable(TOLD, tuple(tuple(told_row(row, found.composition.elements)) for row in found.rows))
    facts = arrangement_words(found.arrangement)
    return Section("Second opinions", found.sentence, facts, warnings=warnings, table=table)


def arrangement_words(found: Arrangement) -> dict[str, str]:
    """Say how the solute ions are arranged as a whole.

    Parameters
    ----------
    found : Arrangement
        From `aptstream.peers.arrangement`.

    Returns
    -------
    dict of str to str
    """
    near, table, pairs = found.nearest, found.shells, found.correlation
    words = {
        "solute neighbours": f"the {near.k}th at {near.mean_nm:.3f} nm, {near.random_mean_nm:.3f} nm where labels are "
        f"permuted; Pearson {near.pearson:.2f} (0 is random)",
    }
    if len(pairs.g):
        words["solute pairs"] = f"{pairs.g[-1]:.2f} × random at {pairs.distance_nm[-1]:.2f} nm"
    unit = " nm" if found.by_distance else ""
    for a, name in enumerate(table.groups):
        shell = f"to {table.edges[1]:.2f}{unit}" if found.by_distance else f"up to neighbour {table.edges[1] - 1:.0f}"
        shares = zip(table.groups, table.warren_cowley[a, :, 0], table.ratio_error[a, :, 0], strict=True)
        told = [f"{other} {alpha:+.3f} ± {error:.3f}" for other, alpha, error in shares if isfinite(alpha)]
        words[f"Warren–Cowley α of {name}"] = f"{', '.join(told)} ({shell})"
    return words


def told_row(row: Row, elements: tuple[str, ...]) -> list[str]:
    """Write a line of the table in the columns of `TOLD`; empty where nothing is defined."""
    content = [row.at_percent[element] for element in elements if row.at_percent and element in row.at_percent]
    return [
        row.method,
        "" if row.n_particles is None else str(row.n_particles),
        _fixed(row.mean_radius_nm, 2),
        _fixed(row.volume_fraction, 2, 100),
        _fixed(sum(content) if content else None, 1),
        _fixed(row.dice, 3),
        _fixed(row.order_seen, 0, 100),
        _fixed(row.volume_ordered, 0, 100),
    ]


def _fixed(value: float | None, digits: int, times: float = 1.0) -> str:
    return "" if value is None else f"{value * times:.{digits}f}"
