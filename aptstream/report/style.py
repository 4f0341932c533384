"""What all figures share: sizes, colours, type, and how they become bytes and files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from math import log10
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from aptstream.errors import PlanError
from aptstream.io.replace import replacing

COLUMN_MM, PAGE_MM = 89.0, 183.0
MM_PER_INCH = 25.4

# Okabe and Ito's colours: told apart by every kind of colour vision, and in grey.
BLUE, VERMILLION, GREY, BLACK = "#0072b2", "#d55e00", "#6b6b6b", "#000000"
#: Fill of voxels without a value: not on the colour scale, which runs from white to blue.
NOT_JUDGED = "#d9d4c7"

# Any: matplotlib types the keys as a literal of every setting it knows, which differs between versions.
STYLE: Any = {
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.titlesize": 7,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "aptstream",
    "xtick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 6.5,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
}


def blank(width_mm: float, height_mm: float) -> Figure:
    """Make an empty figure of this size in mm, which arranges its axes itself."""
    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained")


def grouped(number: int) -> str:
    """Write a whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u2009")


#: Digits of an exponent.
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

#: Endings of the files that a figure is written to.
FORMS = ("png", "pdf", "svg")


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> dict[str, bytes]:
    """Write a figure as PNG (200 dpi), PDF and SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    stem : path
        Path without the ending; its folder is made.

    Returns
    -------
    dict of str to bytes
        Contents of the files by their endings.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drawn = save_figure(Figure(), folder + "/sizes")
    ...     sorted(path.name for path in Path(folder).iterdir()), list(drawn)
    (['sizes.pdf', 'sizes.png', 'sizes.svg'], ['png', 'pdf', 'svg'])
    """
    target = Path(stem)
    paths = [target.with_name(f"{target.name}.{form}") for form in FORMS]
    return dict(zip(FORMS, _write(figure, paths), strict=True))


def _write(figure: Figure, paths: Sequence[Path]) -> Iterator[bytes]:
    """Write a figure to files, each in the form that its name ends in."""
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    rendered = figure_forms(figure, [path.suffix[1:].lower() for path in paths])
    for path, data in zip(paths, rendered, strict=True):
        with replacing(path) as file:
            file.write(data)
        yield data


def write_figure(figure: Figure, target: str | os.PathLike[str], name: str) -> list[Path]:
    """Write a figure in the form that a name ends in, or in all forms into a folder.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    target : path
        A file that ends in ``.png`` (200 dpi), ``.pdf`` or ``.svg``, or a folder, which is made.
    name : str
        Of the files in a folder, without ending.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    PlanError
        If the name of a file ends otherwise.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_figure(Figure(), folder, "sizes")]
    ['sizes.png', 'sizes.pdf', 'sizes.svg']
    """
    paths = figure_paths(target, name)
    _ = [*_write(figure, paths)]
    return paths


def figure_paths(target: str | os.PathLike[str], name: str) -> list[Path]:
    """Say which files `write_figure` writes; parameters, result and errors are the same."""
    path = Path(target)
    if path.suffix and not path.is_dir():
        if path.suffix[1:].lower() not in FORMS:
            raise PlanError(f"A figure is written as .png, .pdf or .svg, found {path.name}: give one of these endings.")
        return [path]
    return [path / f"{name}.{form}" for form in FORMS]


def figure_bytes(figure: Figure, form: str) -> bytes:
    r"""Render a figure without dates or other traces of the moment.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    form : str
        ``"png"`` (200 dpi), ``"pdf"`` or ``"svg"``.

    Returns
    -------
    bytes

    Examples
    --------
    >>> figure_bytes(Figure(), "png")[:4]
    b'\x89PNG'
    """
    return figure_forms(figure, [form])[0]


@rc_context(STYLE)
def figure_forms(figure: Figure, forms: Sequence[str]) -> list[bytes]:
    """Render a figure in several forms; its axes are arranged once, for the first, so that all look alike.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    forms : sequence of str
        ``"png"`` (200 dpi), ``"pdf"`` or ``"svg"``.

    Returns
    -------
    list of bytes

    Examples
    --------
    >>> [data[1:4] for data in figure_forms(Figure(), ["png", "pdf"])]
    [b'PNG', b'PDF']
    """
    silent: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    layout, rendered = figure.get_layout_engine(), []
    try:
        for form in forms:
            target = io.BytesIO()
            figure.savefig(target, format=form, dpi=200, metadata=silent[form])
            rendered.append(target.getvalue())
            figure.set_layout_engine(None)
    finally:
        figure.set_layout_engine(layout)
    return rendered


def label_decades(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as plain text, which takes a fraction of the time of formulas.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        An axis that spans more than a decade.

    Examples
    --------
    >>> axes = Figure().add_subplot()
    >>> label_decades(axes.yaxis)
    >>> axes.yaxis.get_major_formatter()(1e-12)
    '10⁻¹²'
    """
    axis.set_major_formatter(FuncFormatter(lambda value, _: "10" + str(round(log10(value))).translate(_RAISED)))
    axis.set_minor_formatter(NullFormatter())
