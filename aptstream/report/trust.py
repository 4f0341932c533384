"""A check in words: what the terminal and the page say of it."""

from __future__ import annotations

from math import isfinite

from aptstream.grid.verdict import ResultCheck, class_name
from aptstream.model.bootstrap import Score
from aptstream.report.html import Section
from aptstream.report.tables import ParticleTable

#: Headings of `told_recall`, and captions of the figures by their names in the folder.
TOLD = ("radius", "there", "found (%)", "found − true (nm)")
CAPTIONS = {
    "reliability.png": "What shuffled species and simulated twins of the specimen say. a: share of their true "
    "particles that is found; b: how far found radii are off; c: false particles to expect.",
    "sensitivity.png": "The result with one thing changed at a time: cut, cube edge, added blur.",
}
#: Errors beyond these are worth a warning: of radii in nm, of the volume fraction, and the share of false particles.
FAR_NM, FAR_SHARE, MANY_FALSE = 0.1, 0.1, 0.1


def check_section(check: ResultCheck) -> Section:
    """Write what the page says of a check.

    Parameters
    ----------
    check : ResultCheck
        From `aptstream.check_result`.

    Returns
    -------
    Section
        Without figures.
    """
    c = check.conditions
    facts = {f"false by {row.control}": f"{told_score(row.number, 1, 1)} particles" for row in check.false}
    if "volume_fraction_error" in check.scores:
        error = check.scores["volume_fraction_error"]
        facts["volume fraction in twins, found / true − 1"] = f"{told_score(error, 100, 1)} %"
    facts["twins"] = (
        f"{' × '.join(f'{edge:g}' for edge in check.size_nm)} nm, {c.density_per_nm3:.1f} ions/nm³ of host and "
        f"solute, planes blurred by {c.sigma_z_nm:.3f} nm along z and {c.sigma_xy_nm:.2f} nm laterally"
    )
    table = ParticleTable(TOLD, tuple(told_recall(check)))
    warnings = [*_foretold(check), *check.notes]
    return Section("How far the result can be trusted", check.sentence, facts, warnings=warnings, table=table)


def _foretold(check: ResultCheck) -> list[str]:
    """Say which errors are to be expected, where they are large and beyond chance."""
    said = []
    number = check.false[0].number if check.false else None
    if number is not None and check.n_found and number.value > MANY_FALSE * check.n_found:
        said.append(f"The check expects {number.value:.1f} of {check.n_found} particles to be false.")
    bias, volume = check.scores.get("radius_bias_nm"), check.scores.get("volume_fraction_error")
    if bias is not None and _beyond(bias, FAR_NM):
        said.append(f"In simulated twins of the specimen radii come out off by {told_score(bias, 1, 2)} nm.")
    if volume is not None and _beyond(volume, FAR_SHARE):
        said.append(
            f"In simulated twins of the specimen volume fractions come out off by {told_score(volume, 100, 0)} %."
        )
    return said


def _beyond(score: Score, far: float) -> bool:
    """Tell whether an error is large, and its interval leaves out 0."""
    return abs(score.value) > far and score.low * score.high > 0


def told_recall(check: ResultCheck) -> list[tuple[str, ...]]:
    """Write a row for every class of true radii, in the columns of `TOLD`."""
    return [
        (
            class_name(row.low_nm, row.high_nm),
            str(row.recall.n),
            told_score(row.recall, 100, 0),
            f"{told_number(row.bias_nm, '+.2f')} ± {told_number(row.sd_nm, '.2f')}" if row.n_paired else "",
        )
        for row in check.recall
    ]


def told_number(value: float, form: str) -> str:
    """Write a number; nothing where there is none."""
    return format(value, form) if isfinite(value) else ""


def told_score(score: Score, factor: float, digits: int) -> str:
    """Write a score with its interval."""
    if not isfinite(score.value):
        return ""
    ends = (factor * score.low, factor * score.high)
    interval = f" ({ends[0]:.{digits}f} … {ends[1]:.{digits}f})" if isfinite(ends[0]) else ""
    return f"{factor * score.value:.{digits}f}{interval}"
