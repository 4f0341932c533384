"""Pairs by distance and by rank against brute force, ordered crystals against their closed form, random alloys."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import PlanError, RangingError
from aptstream.peers import nearest_neighbours, neighbour_table, pair_table, pairs, rdf, shells_of
from aptstream.points import Roles

GROUPS = {"host": ("Al",), "solute": ("Li", "Mg")}


@pytest.fixture(scope="module")
def small(store_of):
    """A few thousand ions in four bricks, some in the same place, some unranged, some of no group."""
    rng = np.random.default_rng(2)
    position = rng.uniform((10, 0, -4), (22, 5, 20), (3000, 3)).astype("f4")
    position[:40:2] = position[1:40:2]
    return store_of(position, rng.choice(["Al", "Li", "Mg", "CrO2", "unranged"], 3000, p=[0.5, 0.2, 0.1, 0.1, 0.1]))


def ranged(store):
    cloud = store.read((0, 0, 0), store.shape_cells)
    cloud = cloud[cloud.species > 0]
    names = np.array(store.species_names)[cloud.species]
    group = np.where(names == "Al", 0, np.where(np.isin(names, ["Li", "Mg"]), 1, 2))
    position = cloud.position.astype("f8")
    apart = np.sqrt(((position[:, None] - position[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    return group, apart


def test_pairs_by_distance_are_those_of_brute_force(small):
    edges = [0.0, 0.4, 0.9, 1.5]
    found = pair_table(small, GROUPS, edges)
    group, apart = ranged(small)
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        near = (apart >= low) & (apart < high)
        for a in (0, 1):
            assert found.every[a, k] == near[group == a].sum()
            for b in (0, 1):
                assert found.counts[a, b, k] == near[np.ix_(group == a, group == b)].sum()
    assert found.n_ranged == len(group)
    assert found.n_ions.tolist() == [(group == 0).sum(), (group == 1).sum()]


def test_a_pair_correlation_is_that_of_brute_force(small):
    found = rdf(small, ("Li", "Mg"), ("Al",), r_max_nm=1.5, bin_nm=0.25)
    group, apart = ranged(small)
    for at, g, n in zip(found.distance_nm, found.g, found.n_pairs, strict=True):
        near = (apart >= at - 0.125) & (apart < at + 0.125)
        pairs_ab, every = near[np.ix_(group == 1, group == 0)].sum(), near[group == 1].sum()
        assert n == pairs_ab
        assert g == pytest.approx(pairs_ab / every / ((group == 0).sum() / (len(group) - 1)))
    like = rdf(small, ("Li", "Mg"), ("Mg", "Li"), r_max_nm=1.5, bin_nm=0.25)
    near = (apart >= 1.25) & (apart < 1.5)
    expected = near[np.ix_(group == 1, group == 1)].sum() / near[group == 1].sum()
    assert like.g[-1] == pytest.approx(expected / (((group == 1).sum() - 1) / (len(group) - 1)))


def test_pairs_by_rank_are_those_of_brute_force(small):
    found = neighbour_table(small, GROUPS, (1, 2, 5))
    group, apart = ranged(small)
    order = np.argsort(apart, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(apart, order[:, 3:], axis=1)[:, 0] <= pairs.FARTHEST_NM
    assert kept.all()
    for k, ranks in enumerate((slice(0, 1), slice(1, 4))):
        for a in (0, 1):
            for b in (0, 1):
                assert found.counts[a, b, k] == (group[order[group == a, ranks]] == b).sum()


@given(seed=st.integers(0, 2**32))
@examples(4)
def test_a_random_alloy_is_random_within_its_errors(store_of, seed):
    rng = np.random.default_rng(seed)
    position = rng.uniform(-4, 4, (40_000, 3))
    position = position[np.linalg.norm(position, axis=1) < 4]  # a ball: no box
    table = pair_table(store_of(position, species(rng, len(position))), BINARY, np.linspace(0, 0.6, 4))
    pull = (table.ratio - 1) / table.ratio_error
    assert 0.1 < np.abs(pull[np.isfinite(pull)]).max() < 6


@given(seed=st.integers(0, 2**32))
@examples(4)
def test_an_uneven_density_biases_nothing(store_of, seed):
    rng = np.random.default_rng(seed)
    position = rng.normal(0, 2.2, (20_000, 3))
    table = pair_table(store_of(position, species(rng, 20_000)), BINARY, np.linspace(0, 1, 6))
    pull = (table.ratio - 1) / table.ratio_error
    assert 0.1 < np.abs(pull).max() < 6


@pytest.mark.slow
@pytest.mark.parametrize("count", [pair_table, neighbour_table], ids=["distance", "rank"])
def test_errors_are_as_large_as_ratios_scatter(store_of, count):
    """Species drawn anew for the same ions, dense in the middle: the only thing that scatters is who is what."""
    rng = np.random.default_rng(4)
    position = rng.normal(0, 1.2, (3000, 3))
    edges = (1, 4, 10) if count is neighbour_table else (0.2, 0.5, 0.9)
    three = {name: [name] for name in ("Al", "Li", "Mg")}
    drawn = [rng.choice(list(three), 3000, p=[0.85, 0.1, 0.05]) for _ in range(60)]
    tables = [count(store_of(position, names), three, edges) for names in drawn]
    scatter = np.std([table.ratio for table in tables], axis=0)
    stated = np.mean([table.ratio_error for table in tables], axis=0)
    assert (scatter / stated > 0.65).all()  # 60 draws know their own scatter to 9 %
    assert (scatter / stated < 1.35).all()


BINARY = {"Al": ["Al"], "Li": ["Li"]}


def species(rng, n):
    """Draw the species of a random alloy."""
    return rng.choice(["Al", "Li"], n, p=[0.8, 0.2])


@pytest.fixture(scope="module")
def l12(store_of):
    """A perfect crystal of Al3Li, a = 0.405 nm."""
    corner = np.stack(np.meshgrid(*3 * [np.arange(14)], indexing="ij"), -1).reshape(-1, 1, 3)
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    position = (corner + sites).reshape(-1, 3) * 0.405
    return store_of(position, np.tile(["Li", "Al", "Al", "Al"], len(corner)))


def test_an_ordered_crystal_has_the_parameters_of_its_sites(l12):
    edges = shells_of(Crystal("L12", 0.405), 3)
    table = pair_table(l12, {"Al": ["Al"], "Li": ["Li"]}, edges)
    # Around Li: 12 Al; 6 Li; 24 Al.
    np.testing.assert_allclose(table.warren_cowley[1, 1], [1, -3, 1], atol=0.01)
    np.testing.assert_allclose(table.warren_cowley[1, 0], [-1 / 3, 1, -1 / 3], atol=0.01)
    np.testing.assert_allclose(table.gm_sro[1, 1], [-1 / 3, 1, -1 / 3], atol=0.01)
    np.testing.assert_allclose(table.gm_sro[1, 0], table.warren_cowley[1, 0])


@pytest.mark.parametrize(
    ("label", "distances"),
    [
        ("FCC", np.sqrt([0.5, 1, 1.5, 2, 2.5])),
        ("B2", [np.sqrt(0.75), 1, np.sqrt(2), np.sqrt(2.75), np.sqrt(3)]),
    ],
)
def test_shells_lie_between_the_distances_of_neighbours(label, distances):
    edges = shells_of(Crystal(label, 0.4), 4)
    own = 0.4 * np.array(distances)
    np.testing.assert_allclose(edges, [0, *((own[:-1] + own[1:]) / 2)], rtol=1e-5)


def test_large_groups_are_sampled(small):
    whole = pair_table(small, GROUPS, [0, 1.5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "MOST_CENTRES", 400)
        some = pair_table(small, GROUPS, [0, 1.5])
    assert (some.every < 0.6 * whole.every).all()
    np.testing.assert_allclose(some.ratio, whole.ratio, atol=0.12)


def test_what_has_no_pairs_is_said(small, store_of):
    with pytest.raises(PlanError, match="ascending bounds"):
        pair_table(small, GROUPS, [0, 1, 0.5])
    with pytest.raises(PlanError, match="ascending ranks"):
        neighbour_table(small, GROUPS, (0, 5))
    with pytest.raises(RangingError, match="each named once"):
        pair_table(small, {"a": ["Al"], "b": ["Al"]}, [0, 1])
    with pytest.raises(PlanError, match="bins and a reach"):
        rdf(small, ("Al",), ("Li",), r_max_nm=0.1, bin_nm=0.2)
    with pytest.raises(RangingError, match="Cu not among"):
        rdf(small, ("Al",), ("Cu",))
    with pytest.raises(PlanError, match="no ion of solute"):
        pair_table(store_of(np.ones((200, 3)), ["Al"] * 200), GROUPS, [0, 1])


def test_neighbours_of_a_random_alloy_are_random_and_of_clusters_not(store_of):
    rng = np.random.default_rng(9)
    position, roles = rng.uniform(0, 12, (40_000, 3)), Roles(("Al",), ("Li",))
    random = nearest_neighbours(store_of(position, rng.choice(["Al", "Li"], 40_000, p=[0.9, 0.1])), roles, 3)
    assert random.chi_square < 2.5 * random.degrees
    assert random.pearson < 0.15
    assert random.mean_nm == pytest.approx(random.random_mean_nm, rel=0.02)
    # The k-th of n neighbours in a unit of volume is Γ(k + ⅓) / Γ(k) · (3/(4πn))^⅓ away.
    assert random.random_mean_nm == pytest.approx(1.387 * (3 / (4 * np.pi * 4000 / 12**3)) ** (1 / 3), rel=0.06)
    rich = np.linalg.norm(position - 6, axis=1) < 3
    content = np.where(rich, 0.4, 0.07)
    clustered = nearest_neighbours(store_of(position, np.where(rng.random(40_000) < content, "Li", "Al")), roles, 3)
    assert clustered.p_value < 1e-6
    assert clustered.p_permuted == 0.2
    assert clustered.pearson > 0.2
    assert clustered.observed.sum() == pytest.approx(clustered.random.sum())


@pytest.mark.parametrize(("k", "n"), [(0, 4), (101, 4), (1, 0)])
def test_neighbours_that_cannot_be_asked_for_are_refused(small, k, n):
    with pytest.raises(PlanError, match="rank of 1 to 100"):
        nearest_neighbours(small, Roles(("Al",), ("Li",)), k, n_permutations=n)
