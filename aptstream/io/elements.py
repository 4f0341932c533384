"""The periodic table: which symbols may stand in a range file."""

_TABLE = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm
Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No
Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""

#: Symbols of the elements 1 to 118.
SYMBOLS = frozenset(_TABLE.split())

#: What is neither a metal nor a semimetal.
NON_METALS = frozenset(
    ["H", "He", "C", "N", "O", "F", "Ne", "P", "S", "Cl", "Ar", "Se", "Br", "Kr", "I", "Xe", "Rn", "Ts", "Og"]
)

#: What comes from the chamber rather than from a specimen, whatever it is made of.
RESIDUAL_GASES = frozenset(["H", "He", "Ne", "Ar", "Kr", "Xe", "Rn"])


def read_formula(text: str) -> tuple[tuple[str, int], ...] | None:
    """Read a sum formula such as ``CrO2``.

    Parameters
    ----------
    text : str
        Symbols, each followed by an optional count.

    Returns
    -------
    tuple of (str, int) or None
        Symbols and counts in the order of the text; None if it is not a formula of known elements.

    Examples
    --------
    >>> read_formula("CrO2"), read_formula("Co"), read_formula("Xx2")
    ((('Cr', 1), ('O', 2)), (('Co', 1),), None)
    """
    atoms: dict[str, int] = {}
    at = 0
    while at < len(text):
        symbol = text[at : at + 2] if text[at : at + 2] in SYMBOLS else text[at]
        if symbol not in SYMBOLS:
            return None
        at += len(symbol)
        start = at
        while at < len(text) and text[at] in "0123456789":
            at += 1
        if at - start > 3 or text[start:at].startswith("0"):
            return None
        atoms[symbol] = atoms.get(symbol, 0) + int(text[start:at] or 1)
    return tuple(atoms.items()) or None
