"""Which planes are brought normal to z, and when it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from domed import make_pole

from aptstream.cloud.planes import plane_signal
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.orientation import Wish, choose, orient
from aptstream.pole import PoleSearch, alignment_of, identify

L12 = Crystal("L12", 0.405)
SPACING = {"001": 0.2025, "011": 0.1432, "111": 0.2338}


def search_of(*poles):
    return PoleSearch(poles, (), max((pole.strength for pole in poles), default=0.0))


def chosen(search, wish):
    identity = identify(search.poles, wish.crystal) if wish.crystal is not None and search.poles else None
    return choose(None, replace(search, identity=identity), wish)


def pole(name, tilt_deg=0.0, **other):
    return make_pole(tilt_deg, spacing_nm=SPACING[name], **other)


def test_nothing_found_is_refused_with_a_way_out():
    with pytest.raises(PlanError, match=r"No planes were found.*--no-align"):
        chosen(search_of(), Wish(L12))


def test_a_candidate_has_to_be_accepted():
    weak = search_of(pole("011", status="candidate", strength=6.0))
    with pytest.raises(PlanError, match=r"candidate, not confirmed.*--accept-candidate"):
        chosen(weak, Wish(L12))
    assert chosen(weak, Wish(L12, accept_candidate=True))[1].pole == (0, 1, 1)


def test_planes_on_which_order_shows_are_preferred_to_stronger_ones():
    both = search_of(pole("111", strength=90.0), pole("001", 54.74, strength=40.0))
    assert sorted(chosen(both, Wish(L12))[1].pole) == [0, 0, 1]
    assert chosen(both, Wish(Crystal("FCC", 0.405)))[1].pole == (1, 1, 1)


def test_planes_on_which_no_order_shows_are_refused():
    with pytest.raises(PlanError, match=r"\(1 1 1\) planes of FCC. The order of L12 shows on none"):
        chosen(search_of(pole("111")), Wish(L12))


def test_named_planes_are_taken_or_missed():
    both = search_of(pole("001", strength=90.0), pole("011", 45.0, strength=40.0))
    assert sorted(chosen(both, Wish(L12, named=True))[1].pole) == [0, 1, 1]
    with pytest.raises(PlanError, match=r"None are the \(0 1 1\) planes that were asked for"):
        chosen(search_of(pole("001")), Wish(L12, named=True))


def test_planes_of_another_crystal_are_refused():
    with pytest.raises(PlanError, match=r"0.1700 nm apart, which are none of FCC with a = 0.405 nm"):
        chosen(search_of(make_pole(spacing_nm=0.17)), Wish(L12))


def test_without_a_crystal_the_strongest_planes_will_do():
    strongest = pole("111", strength=90.0)
    assert chosen(search_of(strongest, pole("001", 54.74)), Wish()) == (strongest, None)


def test_planes_near_a_normal_are_taken_even_if_they_are_weak():
    tilted = pole("011", 30.0, status="candidate", strength=6.0)
    normal = (np.sin(np.radians(32)), 0.0, np.cos(np.radians(32)))
    both = search_of(pole("001", strength=90.0), tilted)
    assert chosen(both, Wish(L12, normal=normal))[0] == tilted
    with pytest.raises(PlanError, match="No planes can be followed within 5°"):
        chosen(both, Wish(L12, normal=(1.0, 0.0, 1.0)))


@pytest.mark.slow
def test_a_needle_is_turned_and_cut_and_its_planes_are_seen(searched, tmp_path):
    oriented = orient(searched.store, Wish(L12), tmp_path / "flat.zarr")
    assert sorted(oriented.crystal.pole) == [0, 0, 1]
    assert 0 < oriented.store.n_ions < searched.store.n_ions
    assert plane_signal(oriented.store, 0.2025).visible
    assert not plane_signal(searched.store, 0.2025).visible
    assert alignment_of(oriented.store).pole == searched.search.poles[0]
    assert "(0 0 1) planes, found" in str(oriented) or "planes, found" in str(oriented)
    again = orient(searched.store, Wish(L12), tmp_path / "flat.zarr")
    assert again.store.digest() == oriented.store.digest()


def test_planes_that_stand_normal_to_z_already_stay(specimen_store, tmp_path):
    oriented = orient(specimen_store, Wish(L12), tmp_path / "flat.zarr")
    assert oriented.store is specimen_store
    assert oriented.story is None
    assert not (tmp_path / "flat.zarr").exists()
    assert "scanned as it is" in str(oriented)
