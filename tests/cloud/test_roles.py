"""Host and solute that nobody chose: what is guessed, what is left out, and when a guess is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.cloud.ranging import count_atoms, explain_roles, guess_roles
from aptstream.errors import RangingError
from aptstream.io.elements import SYMBOLS, read_formula
from aptstream.points import Range, RangeTable


def table(*ions):
    """A range of 1 Da for each ion; what is no formula is a name."""
    found = []
    for i, ion in enumerate(ions):
        atoms = read_formula(ion)
        found.append(Range(i, i + 1, atoms or (), name="" if atoms else ion))
    return RangeTable(tuple(found))


def guess(**counts):
    return explain_roles({"unranged": 10**9, **counts}, table(*counts)).roles


@pytest.mark.parametrize(
    ("counts", "host", "solute"),
    [
        ({"Al": 880, "Li": 68, "Mg": 52}, "Al", "Li Mg"),
        ({"Li": 68, "Al": 880, "AlH": 30, "AlH2": 1, "Mg": 52, "H": 5000, "Ga": 90}, "Al AlH AlH2", "Li Mg"),
        ({"Al": 9970, "Sc": 10, "Zr": 3, "H": 500}, "Al", "Sc"),
        ({"Si": 747, "Cr": 166, "CrO": 20, "CrO2": 40, "O": 5, "Cu": 1, "C": 2}, "Si", "Cr"),
        ({"Ni": 60, "NiH": 2, "Al": 13, "Cr": 8, "Co": 8, "C": 3, "B": 4, "NiAl": 4}, "Ni NiH", "Al Co Cr B"),
        ({"Fe": 970, "C": 20, "N": 9, "H": 50, "Ar": 60}, "Fe", "C N"),
        ({"Ga": 500, "N": 500, "N2": 3}, "Ga", "N N2"),
        ({"Al": 900, "CrO2": 400, "Cr2O": 300, "Mg": 60, "Cr": 6}, "Al", "Mg"),
        ({"O": 600, "O2": 50, "C": 9, "H": 900}, "O O2", "C"),
        ({"Ga": 500, "As": 499, "H": 600, "unknown": 10**6}, "Ga", "As"),
    ],
)
def test_what_is_guessed(counts, host, solute):
    roles = guess(**counts)
    assert set(roles.host) == set(host.split())
    assert set(roles.solute) == set(solute.split())
    roles.of(table(*counts).species)


@pytest.mark.parametrize("counts", [{"Al": 9}, {"Al": 9, "H": 9, "AlH": 3}, {"All": 7}, {"Al": 9, "Li": 0}, {"AlO": 5}])
def test_what_cannot_be_guessed_is_refused(counts):
    with pytest.raises(RangingError, match=r"cannot be guessed: found ions of .*Choose --host and --solute"):
        guess(**counts)


def test_the_reason_tells_shares_and_what_was_left_out():
    found = explain_roles({"Al": 80, "Li": 15, "CrO2": 1, "Hyd": 9, "H": 2}, table("Al", "Li", "CrO2", "Hyd", "H"))
    assert found.reason == "of all atoms, in ions of their own, Al has 80 %, Li 15 %; left out: Cr, H, O"
    assert str(found).startswith("host Al; solute Li (as one) — guessed: of all atoms")
    assert str(found).endswith("give --host and --solute to choose")


def test_the_simulated_specimen_is_guessed_as_it_was_made(specimen_store, roles):
    assert guess_roles(specimen_store) == roles


ION = st.dictionaries(st.sampled_from(sorted(SYMBOLS)), st.integers(1, 5), min_size=1, max_size=3)


@given(st.lists(st.tuples(ION, st.integers(0, 10**6)), min_size=1, max_size=12))
def test_a_guess_holds_what_it_promises(rows):
    ions = {"".join(f"{symbol}{n}" for symbol, n in sorted(atoms.items())): count for atoms, count in rows}
    ranges = table(*ions)
    counts = {r.ion: count for r, count in zip(ranges.ranges, ions.values(), strict=True)}
    atoms = count_atoms(counts, ranges)
    assert sum(atoms.values()) == sum(n * counts[r.ion] for r in ranges.ranges for _, n in r.atoms)
    try:
        found = explain_roles(counts, ranges).roles
    except RangingError:
        return
    elements = []
    for names in (found.host, found.solute):
        assert all(counts[name] > 0 for name in names)
        elements.append({symbol for name in names for symbol, _ in ranges.atoms[name]})
    assert len(elements[0] - {"H"} or elements[0]) == 1
    assert not (elements[0] & elements[1]) - {"H"}
