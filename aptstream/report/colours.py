"""Colours of ions: those of the range file first, then a table by element in the manner of the field's programs."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

from aptstream.io.elements import SYMBOLS

if TYPE_CHECKING:
    from aptstream.points import RangeTable

#: Elements that specimens are mostly made of.
ELEMENT_COLOURS = {
    "H": "CCCC00",
    "He": "D9FFFF",
    "Li": "CC80FF",
    "Be": "9ACD32",
    "B": "0033FF",
    "C": "660033",
    "N": "99CC00",
    "O": "00CCFF",
    "F": "90E050",
    "Ne": "B3E3F5",
    "Na": "AB5CF2",
    "Mg": "CC00CC",
    "Al": "33FFFF",
    "Si": "CCCCCC",
    "P": "FF8000",
    "S": "E6C200",
    "Cl": "1FF01F",
    "Ar": "80D1E3",
    "K": "8F40D4",
    "Ca": "3D9900",
    "Sc": "FF0033",
    "Ti": "003333",
    "V": "A020C0",
    "Cr": "FF33CC",
    "Mn": "B8B800",
    "Fe": "FF00FF",
    "Co": "0000FF",
    "Ni": "00CC00",
    "Cu": "FF6600",
    "Zn": "7D80B0",
    "Ga": "FFD700",
    "Ge": "668F8F",
    "As": "BD80E3",
    "Y": "CC00FF",
    "Zr": "009999",
    "Nb": "3366CC",
    "Mo": "CC0033",
    "Ru": "248F8F",
    "Ag": "A0A0B0",
    "In": "A67573",
    "Sn": "668080",
    "Hf": "4DC2FF",
    "Ta": "990099",
    "W": "330033",
    "Re": "267DAB",
    "Os": "266696",
    "Ir": "175487",
    "Pt": "8888A0",
    "Au": "E0B000",
}

_NAMED = "8C6D5A"


def ion_colours(table: RangeTable) -> dict[str, str]:
    """Choose a colour for every species of a range table.

    Parameters
    ----------
    table : RangeTable
        Its own colours are honoured; a molecular ion without one gets the mean of its atoms.

    Returns
    -------
    dict of str to str
        Such as ``"#33ffff"`` by species, without the unranged ions.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> atoms = ((("Al", 1),), (("Cr", 1), ("O", 2)))
    >>> ion_colours(RangeTable((Range(13, 14, atoms[0], colour="00FF00"), Range(41, 43, atoms[1]))))
    {'Al': '#00ff00', 'CrO2': '#5599ee'}
    """
    colours = {}
    for ion, atoms in table.atoms.items():
        of_file = table.colours.get(ion)
        colours[ion] = "#" + (of_file or _mean([(_element(symbol), n) for symbol, n in atoms]) or _NAMED).lower()
    return colours


def _element(symbol: str) -> str:
    """Return the colour of an element; those without a place in the table are spread over the circle of hues."""
    if symbol in ELEMENT_COLOURS:
        return ELEMENT_COLOURS[symbol]
    hue = sorted(SYMBOLS).index(symbol) * 0.618034 % 1 if symbol in SYMBOLS else 0.0
    return "".join(f"{round(255 * part):02X}" for part in colorsys.hls_to_rgb(hue, 0.45, 0.7))


def _mean(colours: list[tuple[str, int]]) -> str:
    total = sum(n for _, n in colours)
    parts = [sum(int(colour[i : i + 2], 16) * n for colour, n in colours) for i in (0, 2, 4)]
    return "".join(f"{round(part / total):02X}" for part in parts) if total else ""
