"""Pictures of poles and what the page says of them: they show what is there, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest
from domed import inside, make_pole, on_planes
from matplotlib.figure import Figure
from smallstore import rewrite

from aptstream.cloud import ingest
from aptstream.crystal import Crystal
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable
from aptstream.pole import Alignment, PoleSearch, identify, plane_power, power_along_depth
from aptstream.pole.search import Candidate
from aptstream.regions import Box, Cylinder, OrientedBox, Sphere
from aptstream.report import PoleStory, pole_figures, report
from aptstream.report.hits import DETECTOR, hit_map
from aptstream.report.html import Page, Section, render
from aptstream.report.plane_views import (
    LATERAL_NM,
    RADIUS_NM,
    NearAxis,
    plane_views,
    side_view,
    strongest_nm,
    z_distances,
)
from aptstream.report.pole import draw_pole
from aptstream.report.pole_map import pole_map
from aptstream.report.style import figure_bytes
from aptstream.report.summary import Summary
from aptstream.simulate.cone import Cone
from aptstream.simulate.needle import NeedleSettings, simulate_needle

CRYSTAL = Crystal("L12", 0.405, (0, 0, 1))
SETTINGS = NeedleSettings(
    Crystal("FCC", 0.405, (0, 0, 1)),
    tilt_deg=14,
    azimuth_deg=200,
    spin_deg=-70,
    others=((0, 1, 1),),
    cone=Cone(10, 4, 24),
    z_scale=1.02,
    efficiency=0.4,
    field_deg=45,
)
N_IONS = 100_000
TABLE = RangeTable((Range(26, 28, (("Al", 1),)),))


@pytest.fixture(scope="module")
def needle_store(tmp_path_factory):
    """A needle with the poles [001] and [011], as the detector would see it too: 30 mm at its rim."""
    folder = tmp_path_factory.mktemp("needle")
    cloud = simulate_needle(np.random.default_rng(4), SETTINGS).cloud
    write_pos(folder / "needle.pos", cloud.position, cloud.mass_to_charge)
    plain = ingest(folder / "needle.pos", ranges=SETTINGS.alloy.ranges, out=folder / "plain.zarr")

    def add_hits(values):
        x, y, z = values["positions"].T
        scale = 30 / (SETTINGS.cone.tip_radius_nm + SETTINGS.cone.widening * z / SETTINGS.z_scale)
        values["det_x_mm"], values["det_y_mm"] = (x * scale).astype("f4"), (-y * scale).astype("f4")
        values["det_x_mm"][:7] = 9e5  # of a damaged file

    hits = rewrite(plain, folder / "hits.zarr", chunk_rows=20_000, columns=DETECTOR, change=add_hits)
    return SimpleNamespace(plain=plain, hits=hits)


@pytest.fixture(scope="module")
def poles():
    """The truth, as if it had been found."""
    return tuple(
        replace(true.pole, strength=70.0 - 20 * number, n_regions=60 - number, radius_nm=5.0)
        for number, true in enumerate(SETTINGS.poles)
    )


def searched(*poles, n=12):
    """A search that found these poles, and columns in which nothing but noise stands out."""
    rng = np.random.default_rng(1)
    waves = np.column_stack([rng.uniform(-3, 3, (n, 2)), rng.uniform(4, 6, n)])
    chance = [Candidate(3.0 + k / n, wave, 0.0, 4.0 * k, 0.0, 9) for k, wave in enumerate(waves)]
    seen = [Candidate(pole.strength / 2, np.array(pole.wave_per_nm), 0.01, 0.0, 0.0, 9) for pole in poles]
    return PoleSearch(tuple(poles), tuple(sorted([*chance, *seen], key=lambda c: -c.strength)), 70.0 if poles else 3.2)


def story_of(store, *poles, **other):
    """The story of an alignment to the first pole."""
    told = {"alignment": Alignment.of(poles[0], CRYSTAL), "crystal": CRYSTAL, "hkl": (0, 0, 1)}
    return PoleStory(store, replace(searched(*poles), identity=identify(poles, CRYSTAL)), **(told | other))


@pytest.fixture(scope="module")
def aligned_story(needle_store, poles):
    return story_of(needle_store.hits, *poles, region=poles[0].region)


def texts(figure):
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    words += [axes.get_title(loc="left") for axes in figure.axes]
    words += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return [*words, figure.get_suptitle()]


# Hits


def test_few_ions_hit_where_the_pole_is(needle_store, poles):
    for store, unit, scale in ((needle_store.plain, "", (1, 1)), (needle_store.hits, "mm", (30, -30))):
        hits = hit_map(store, poles)
        assert hits.unit == unit
        for place, true in zip(hits.poles, SETTINGS.domes.directions, strict=True):
            expected = np.array(true[:2]) * SETTINGS.domes.per_radius * scale
            np.testing.assert_allclose(place, expected, atol=0.08 * abs(scale[0]))
            column = np.floor((np.array(place) + hits.half) / (2 * hits.half) * len(hits.density)).astype(int)
            assert hits.density[tuple(column)] < 0.85
        assert np.nanmedian(hits.density) == pytest.approx(1)
        low, high = hits.limits
        assert low < 0.85
        assert high >= 1.1


def test_all_hits_are_counted_but_wild_ones(needle_store):
    assert hit_map(needle_store.plain).counts.sum() >= 0.999 * needle_store.plain.n_ions
    hits = hit_map(needle_store.hits)
    assert 29 < hits.half < 36
    assert hits.counts.sum() >= 0.997 * needle_store.hits.n_ions


def test_a_sliver_and_a_few_ions_have_a_map(tmp_path, poles):
    write_pos(tmp_path / "few.pos", [[0, 0, 0], [0, 0, 1], [50, 0, 0]], [27, 27, 27])
    store = ingest(tmp_path / "few.pos", ranges=TABLE, out=tmp_path / "few.zarr")
    (path,) = pole_figures(PoleStory(store, searched(poles[0])), tmp_path)
    assert path.stat().st_size > 10_000
    assert hit_map(store, [replace(poles[0], centre_nm=(900.0, 0.0, 0.0))]).poles == (None,)


# Planes


@pytest.fixture(scope="module")
def on_domes(tmp_path_factory):
    """Ions that lie on the planes of a strongly bent pole, and the pole."""
    pole = make_pole(12, 40, 45.0, drift=(0.05, -0.02), depth_nm=(10.0, 50.0))
    rng, folder = np.random.default_rng(8), tmp_path_factory.mktemp("domes")
    write_pos(folder / "a.pos", on_planes(pole, inside(pole, rng, N_IONS)), np.full(N_IONS, 27.0))
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr"), pole


def test_power_along_depth_of_ions_on_planes_is_their_number(on_domes):
    store, pole = on_domes
    alignment = Alignment.of(pole)
    power = power_along_depth(store, alignment)
    per_cube = N_IONS / (np.pi * pole.radius_nm**2 * 40) * 64
    whole = (power.z_nm > 14) & (power.z_nm < 46)
    assert whole.sum() >= 7
    # Some cubes stick out of the cylinder: those have fewer ions.
    assert (power.aligned[whole] > 0.65 * per_cube).all()
    assert (power.aligned[whole] < 1.0 * per_cube).all()
    np.testing.assert_array_equal(power.aligned, power.flattened)
    assert (power.turned[whole] < 0.35 * power.aligned[whole]).all()
    np.testing.assert_allclose(np.diff(power.z_nm), 4, rtol=0.06)
    mean = plane_power(store, alignment)
    assert np.nanmean(power.aligned[whole]) == pytest.approx(mean.aligned, rel=0.05)
    assert np.nanmean(power.turned[whole]) == pytest.approx(mean.turned, rel=0.1)


def test_the_side_view_shows_domes_before_and_layers_after(on_domes):
    store, pole = on_domes
    alignment = Alignment.of(pole)
    ions = NearAxis.of(store, alignment, 31.0)
    assert len(ions.cloud) == len(store.query(Sphere(pole.on_axis_nm(31.0), RADIUS_NM)))
    np.testing.assert_allclose(ions.turned[:, :2], ions.aligned[:, :2])
    turned, aligned = side_view(ions.turned), side_view(ions.aligned)
    assert turned.mean() == pytest.approx(1)
    assert aligned.mean(axis=0).std() > 0.4
    assert turned.mean(axis=0).std() < 0.5 * aligned.mean(axis=0).std()
    power = power_along_depth(store, alignment)
    power = replace(power, z_nm=power.z_nm + 0.25)  # between two planes
    figure = plane_views(store, alignment, power, scaled=False)
    left, right = figure.axes[:2]
    (across, dome), (_, flat) = left.lines[-1].get_data(), right.lines[-1].get_data()
    assert np.ptp(flat) < 1e-9
    # The dome falls by e² / (2 · 45 nm), e normal to the normal; the lines run where the ions are.
    assert dome.max() - dome[[0, -1]].mean() == pytest.approx(across[0] ** 2 / 90, rel=0.15)
    planes = flat[0] / pole.spacing_nm + pole.planes([pole.on_axis_nm(strongest_nm(power, alignment))])[0]
    assert planes == pytest.approx(round(planes), abs=0.03)
    assert abs(flat[0]) > 0.02
    assert dome[len(dome) // 2] == pytest.approx(flat[0], abs=0.003)
    assert "planes" in figure.axes[-1].get_xlabel()


def test_pairs_along_z_are_counted_as_one_by_one():
    position = np.random.default_rng(3).uniform(0, 3, (400, 3)).astype("f4")
    offset, pairs = z_distances(position)
    apart = position[:, None].astype(float) - position[None]
    near = (np.hypot(apart[..., 0], apart[..., 1]) < LATERAL_NM) & ~np.eye(400, dtype=bool)
    expected = np.histogram(np.abs(apart[..., 2][near]) / 2, bins=80, range=(0, 0.5))[0] / 2 / 400
    np.testing.assert_allclose(offset, (np.arange(80) + 0.5) / 80)
    # The counter rounds places: some pairs fall into the bin beside.
    assert abs(pairs.sum() - expected.sum()) < 0.02 * expected.sum()
    assert np.abs(np.cumsum(pairs - expected)).max() < 0.02 * expected.sum()


# Files and figures


@pytest.mark.slow
def test_a_found_pole_has_both_pictures(needle_store, poles, tmp_path):
    story = story_of(needle_store.plain, poles[0])
    assert [path.name for path in pole_figures(story, tmp_path / "new")] == ["pole_map.png", "pole_planes.png"]
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".png", ".pdf", ".svg"}
    words = texts(pole_map(story))
    assert words.count("(0 0 1)") == 2
    assert "pole found" in words
    assert not any("zone" in word for word in words)
    assert story.search.verdict in words


def test_nothing_found_is_drawn_as_nothing(needle_store, tmp_path):
    story = PoleStory(needle_store.hits, searched(), CRYSTAL)
    assert [path.name for path in pole_figures(story, tmp_path)] == ["pole_map.png"]
    words = texts(pole_map(story))
    assert any(word.replace("\n", " ") == story.search.verdict for word in words)
    assert story.search.verdict.startswith("No planes were found")
    assert not any("pole" in word.lower() for word in words)


@pytest.mark.slow
def test_two_poles_show_how_the_crystal_lies(aligned_story, poles):
    figure = pole_map(aligned_story)
    words = texts(figure)
    assert words.count("(0 0 1)") == words.count("(0 1 1)") == 2
    assert "zone lines and low-index poles of FCC" in words
    assert "012" in words
    assert figure.axes[0].get_xlabel() == "Detector x (mm)"
    assert figure_bytes(figure, "png") == figure_bytes(pole_map(aligned_story), "png")


def test_a_candidate_is_marked_as_one(needle_store, poles):
    weak = replace(poles[0], status="candidate", strength=6.0)
    words = texts(pole_map(PoleStory(needle_store.plain, searched(weak))))
    assert words.count("A") == 2
    assert "candidate, not confirmed (dashed)" in words
    assert "pole found" not in words


def test_without_ions_on_the_axis_the_pictures_are_empty(needle_store, poles):
    elsewhere = replace(poles[0], centre_nm=(400.0, 0.0, 10.0))
    story = story_of(needle_store.plain, elsewhere)
    assert np.isnan(story.power.aligned).all()
    for _, figure in draw_pole(story).values():
        figure_bytes(figure, "svg")
    assert "power in 4 nm cubes" not in story.facts()


# Words


def test_the_facts_are_those_of_the_pole(aligned_story, poles):
    pole, facts = poles[0], aligned_story.facts(40_000)
    share = 40_000 / aligned_story.reconstruction.n_ions
    off = pole.spacing_nm / 0.2025 - 1
    assert facts["planes"] == "(0 0 1) of FCC, more than 99.9% sure if the crystal is the right one"
    assert facts["direction of their normal"] == f"{pole.tilt_deg:.2f}° from z, towards 200° from x"
    assert facts["spacing as reconstructed"] == f"{pole.spacing_nm:.4f} nm"
    assert facts["spacing of the crystal"] == f"0.2025 nm: reconstructed {off:.1%} too large"
    assert facts["radius of the dome"] == f"{pole.dome_radius_nm:.0f} nm"
    assert facts["strength"] == "70.0 in 60 regions: found"
    assert facts["region scanned"] == "cylinder of 5.0 nm radius and 24 nm length, z = 0 to 24 nm"
    assert facts["ions scanned"] == f"40,000 of {aligned_story.reconstruction.n_ions:,} ({share:.1%})"
    power = aligned_story.power
    stated = f"{np.nanmean(power.turned):.1f} when turned, {np.nanmean(power.aligned):.1f} when aligned (chance: 1)"
    assert facts["power in 4 nm cubes"] == stated
    assert facts["further poles"].startswith(f"(0 1 1), {poles[1].tilt_deg:.1f}° from z")
    assert aligned_story.sentence.endswith("brought to the spacing of the crystal; a part of the specimen was scanned.")
    assert aligned_story.warnings == []
    values = aligned_story.as_json()
    assert (values["n_poles"], values["aligned"], values["pole"]) == (2, True, "found")
    assert values["pole_tilt_deg"] == pole.tilt_deg
    assert values["pole_planes"] == "(0 0 1)"


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (None, "all of the reconstruction"),
        (Cylinder((0, 0, 9), (0, 4, 6), 2.5), "cylinder of 2.5 nm radius and 5 nm length, z = 6 to 9 nm"),
        (Sphere((0, 0, -9), 3), "sphere of 3.0 nm radius, z = −12 to −6 nm"),
        (Box((0, 0, -5), (4, 5, 6)), "box of 4 × 5 × 11 nm, z = −5 to 6 nm"),
        (
            OrientedBox((0, 0, 0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (4, 6, 8)),
            "turned box, which lies in one of 4 × 6 × 8 nm, z = −4 to 4 nm",
        ),
    ],
)
def test_regions_in_words(region, said, aligned_story):
    assert replace(aligned_story, region=region).facts(1)["region scanned"] == said


def test_what_was_not_aligned_is_said_to_mean_something(needle_store, poles):
    for search in (searched(), searched(poles[0])):
        story = PoleStory(needle_store.plain, search)
        (warning,) = story.warnings
        assert "without alignment" in warning
        assert "does not mean that there are none" in warning
        assert story.sentence == f"{search.verdict} {warning}"
        assert story.as_json()["aligned"] is False
    assert PoleStory(needle_store.plain, searched()).facts(7)["planes"] == "none found"
    assert PoleStory(needle_store.plain, searched(poles[0])).facts()["planes"] == "pole A, which planes is not known"


def test_an_accepted_candidate_is_a_warning(needle_store, poles):
    weak = replace(poles[0], status="candidate", strength=6.0)
    (warning,) = story_of(needle_store.plain, weak).warnings
    assert "candidate, not confirmed" in warning


def test_a_pole_that_was_given_is_told_from_one_that_was_found(needle_store, poles):
    alone = PoleStory(needle_store.plain, searched(poles[1]), alignment=Alignment.of(poles[0]))
    assert alone.names == ("A", "B")
    assert "The planes of pole B, 14.3° from z, which the search did not find, were turned" in alone.sentence
    assert "left at their spacing; all of the specimen was scanned" in alone.sentence
    assert "spacing of the crystal" not in alone.facts()


def test_flat_and_hollow_domes_have_words(needle_store, poles):
    flat = replace(poles[0], bend_per_nm2=((0.0,) * 3,) * 3)
    hollow = replace(poles[0], bend_per_nm2=((-0.05, 0.0, 0.0), (0.0, -0.05, 0.0), (0.0, 0.0, 0.0)))
    for pole, said in ((flat, "flat"), (hollow, "nm, hollow towards the tip")):
        assert PoleStory(needle_store.plain, searched(pole)).facts()["radius of the dome"].endswith(said)
    assert PoleStory(needle_store.plain, searched(flat)).as_json()["pole_dome_radius_nm"] is None


# The page


@pytest.fixture(scope="module")
def summary(refined_scan, specimen_store, refined_model):
    from aptstream.grid import find

    return Summary(find(refined_scan, specimen_store, refined_model), refined_scan, specimen_store, refined_model)


@pytest.mark.slow
def test_the_page_tells_of_the_planes(summary, aligned_story, tmp_path, monkeypatch):
    empty = {f"{n}": ("looked at elsewhere", Figure()) for n in range(5)}
    monkeypatch.setattr("aptstream.report.write.figures", lambda _: empty)
    page = unescape(report(replace(summary, pole=aligned_story), tmp_path).read_text(encoding="utf-8"))
    assert page.index("<h2>Figures</h2>") < page.index("<h2>Lattice planes</h2>") < page.index("<h2>Settings</h2>")
    assert aligned_story.sentence in page
    for label, value in aligned_story.facts(summary.store.n_ions).items():
        assert f"<dt>{label}</dt><dd>{value}</dd>" in page
    assert "<b>Figure 6.</b> Where planes were looked for" in page
    assert "<b>Figure 7.</b> The planes before and after" in page
    assert {"pole_map.png", "pole_planes.pdf"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    assert replace(summary, pole=aligned_story).as_json()["pole_strength"] == 70.0


def test_where_planes_were_not_looked_for_nothing_is_said_of_them(summary):
    assert "n_poles" not in summary.as_json()
    assert not any("alignment" in warning for warning in summary.warnings)


def test_a_scan_without_alignment_is_a_note_on_the_page(summary, needle_store):
    story = PoleStory(needle_store.plain, searched())
    notes = replace(summary, pole=story).warnings
    assert story.warnings[0] in notes


def test_hostile_strings_are_text():
    evil = "<script>alert('1')</script>\"&"
    png = b"\x89PNG\r\n\x1a\n" + bytes(16)
    section = Section(evil, evil, {evil: evil}, [(evil, png)])
    page = render(Page("a", "b", figures=[("First.", png)], sections=[section, Section("Empty", "Nothing.")]))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") == 6
    assert "Figure 2" in page
    assert "Figure 3" not in page
