"""The page in a real browser: it complains of nothing, sorts, and shows particles that answer to hands and keys."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
from chromium import BINARY, Chromium

from aptstream.grid import find_precipitates, particle_surface
from aptstream.report import html
from aptstream.report.html import Page, Section, write_page
from aptstream.report.scene import IonLayer, Scene, bodies, shuffled
from aptstream.report.scene_html import View
from aptstream.report.style import blank, figure_bytes
from aptstream.report.tables import ParticleTable
from aptstream.report.view3d import particles_figure

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BINARY is None, reason="no Chromium on the PATH"),
]
EVIL = "<script>alert('1')</script>\"&"
#: Centres and radii of three spheres in a box of 30 nm, from which 40 more rows follow that are not drawn.
SPHERES = (((15, 15, 15), 5.0), ((5, 25, 26), 3.0), ((25, 5, 4), 2.0))
N_ROWS = 43
CANVAS = "document.querySelector('canvas.solid')"


def three_particles():
    """A scene with three spheres, and ions of an evil species."""
    x, y, z = np.ogrid[0.5:30, 0.5:30, 0.5:30]
    away = [np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - r for (a, b, c), r in SPHERES]
    order = np.clip(0.5 - np.minimum.reduce(away), 0, 1).astype("f4")
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    surface = particle_surface(order, found.labels, origin_nm=(0, 0, 0))
    ions = np.random.default_rng(1).random((4000, 3), "f4") * 30
    layers = (IonLayer("Al", "#33ffff", 9000, shuffled(ions[:2000]), False), IonLayer(EVIL, "#cc00cc", 9, ions[2000:]))
    return Scene((0, 0, 0), (30, 30, 30), bodies(found, surface), 3, layers)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    scene = three_particles()
    rows = [(str(i), f"{(i * 7) % 11 - 5}.000", str(1000 - i), EVIL if i > 1 else "") for i in range(1, N_ROWS + 1)]
    table = ParticleTable(("id", "x_nm", "n_voxels", EVIL + "_at_pct"), tuple(rows))
    view = View(scene, figure_bytes(particles_figure(scene), "png"))
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, Page(EVIL, f"Three particles {EVIL}.", [EVIL], particles=table, view=view))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def opened(browser, page):
    """The page, just opened; in the end it must not have complained."""
    browser.complaints.clear()
    browser.open(page)
    browser.run(f"{CANVAS}.scrollIntoView({{block: 'center'}})")
    browser.settle()
    yield browser
    assert browser.complaints == []


def picture(browser, which="solid"):
    """Read the pixels of a canvas, (height, width, 4), 0 … 1."""
    url = browser.run(f"document.querySelector('canvas.{which}').toDataURL()")
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(url.split(",")[1])))


def drawn(image):
    """Share of the pixels that are not white on white paper."""
    on_paper = 1 - image[..., 3:] * (1 - image[..., :3])
    return float((on_paper < 0.98).any(axis=-1).mean())


def place(browser, x=0.5, y=0.5):
    """A place of the canvas in the window, as shares of its width and height."""
    left, top, wide, high = browser.run(f"(r => [r.x, r.y, r.width, r.height])({CANVAS}.getBoundingClientRect())")
    return left + x * wide, top + y * high


def chosen(browser):
    return browser.run("[...document.querySelectorAll('tr.chosen')].map((row) => row.dataset.particle)")


def orange(image):
    """Share of the pixels in the colour of the chosen particle."""
    red, green, blue = np.moveaxis(image[..., :3], -1, 0)
    return float(((red > 0.45) & (green < 0.6 * red) & (blue < 0.3 * red)).mean())


def test_the_page_shows_names_as_text(opened):
    assert opened.run("document.title") == EVIL
    assert opened.run("document.querySelectorAll('script').length") == 2
    assert EVIL in opened.run("document.querySelectorAll('.layers fieldset')[1].textContent")
    assert EVIL in opened.run("document.querySelector('tbody').textContent")
    assert opened.run("getComputedStyle(document.querySelector('.stage')).display") == "grid"
    assert opened.run("document.querySelector('.still').hidden") is True


@pytest.mark.parametrize(("clicks", "first"), [(1, "5.000"), (2, "-5.000")])
def test_the_table_sorts_by_number(opened, clicks, first):
    for _ in range(clicks):
        opened.click_on("th:nth-child(2) button")
    cells = opened.run("[...document.querySelectorAll('tbody td:nth-child(2)')].map((cell) => cell.textContent)")
    assert cells[0] == first
    assert [float(cell) for cell in cells] == sorted(map(float, cells), reverse=clicks == 1)
    for _ in range(2):  # empty cells are last, either way
        opened.click_on("th:nth-child(4) button")
        assert opened.run("[...document.querySelectorAll('tbody tr')].at(-1).dataset.particle") == "1"


def test_particles_ions_and_axes_are_drawn(opened):
    image = picture(opened)
    assert 0.05 < drawn(image) < 0.6
    assert len(np.unique((image * 32).astype(int).reshape(-1, 4), axis=0)) > 50  # shades, not flat colours
    assert (picture(opened, "words")[..., 3] > 0.5).mean() > 0.001


def test_dragging_turns_moves_and_the_wheel_zooms(opened):
    first, middle = picture(opened), place(opened)
    opened.drag(middle, (middle[0] + 150, middle[1] + 30))
    turned = picture(opened)
    assert np.abs(turned - first).mean() > 0.01
    opened.drag(middle, (middle[0] + 100, middle[1]), button="right")
    moved = picture(opened)
    ratio = moved.shape[1] / opened.run(f"{CANVAS}.clientWidth")
    shifted = np.roll(turned, round(100 * ratio), axis=1)
    assert np.abs(moved - shifted).mean() < 0.3 * np.abs(moved - turned).mean()
    opened.mouse("mouseWheel", *middle, deltaX=0, deltaY=-400)
    opened.settle()
    assert drawn(picture(opened)) > 1.2 * drawn(moved)
    assert chosen(opened) == []  # none of this is a click
    opened.click_on("[data-look='⟲']")
    np.testing.assert_array_equal(picture(opened), first)


def test_the_wheel_scrolls_the_page_until_the_view_is_in_use(opened):
    first = picture(opened)
    opened.run("document.activeElement.blur()")
    opened.mouse("mouseWheel", *place(opened), deltaX=0, deltaY=200)
    opened.settle()
    np.testing.assert_array_equal(picture(opened), first)


def test_two_fingers_zoom(opened):
    x, y = place(opened)
    first = drawn(picture(opened))
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 90), ("touchEnd", 0)):
        fingers = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}] if apart else []
        opened.do("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
    opened.settle()
    assert drawn(picture(opened)) > 1.2 * first
    assert chosen(opened) == []


@pytest.mark.parametrize("layer", ["particles", "ions-0", "ions-1", "box"])
def test_layers_go_on_and_off(opened, layer):
    first = picture(opened)
    opened.click_on(f"[data-layer='{layer}']")
    changed = picture(opened)
    more = layer == "ions-0"  # the host is hidden at first
    assert (drawn(changed) > drawn(first)) is more
    assert drawn(changed) != drawn(first)
    opened.click_on(f"[data-layer='{layer}']")
    np.testing.assert_array_equal(picture(opened), first)


def test_the_slider_thins_the_ions(opened):
    first = drawn(picture(opened))
    shown = "document.querySelector('[data-count=\"1\"]').textContent"
    assert opened.run(shown) == "500"
    opened.run("document.querySelector('[data-share]').focus()")
    opened.key("End")
    opened.do("Input.dispatchKeyEvent", type="keyDown", key="End", windowsVirtualKeyCode=35)
    opened.settle()
    assert opened.run(shown) == "2,000"
    assert drawn(picture(opened)) > first


def test_colours_follow_the_quantity(opened):
    first = picture(opened)
    opened.click_on("input[value='order']")
    assert np.abs(picture(opened) - first).mean() > 1e-3
    hidden = "[...document.querySelectorAll('[data-bar]')].map((bar) => [bar.dataset.bar, bar.hidden])"
    assert dict(opened.run(hidden)) == {"radius": True, "order": False}


def test_a_click_on_a_particle_shows_its_row(opened):
    before = orange(picture(opened))
    opened.run("document.querySelector('.scroll').scrollTop = 1e6")
    assert opened.run("document.querySelector('.scroll').scrollTop") > 100
    opened.click_on("canvas.solid")  # the largest sphere fills the middle
    assert chosen(opened) == ["1"]
    assert opened.run("document.querySelector('tr.chosen').getAttribute('aria-current')") == "true"
    assert orange(picture(opened)) > before + 0.01
    assert opened.run("document.querySelector('.picked').textContent").startswith("Particle 1: radius 5.0")
    inside = """(() => {
      const row = document.querySelector('tr.chosen').getBoundingClientRect();
      const list = document.querySelector('.scroll').getBoundingClientRect();
      const head = document.querySelector('th').getBoundingClientRect();
      return row.top >= head.bottom - 1 && row.bottom <= list.bottom + 1;
    })()"""
    assert opened.run(inside)
    opened.click(*place(opened, 0.02, 0.98))  # beside everything
    assert chosen(opened) == []
    assert orange(picture(opened)) == before


def test_a_click_on_a_row_shows_its_particle(opened):
    before = orange(picture(opened))
    opened.click_on("tr[data-particle='2'] td")
    assert chosen(opened) == ["2"]
    assert orange(picture(opened)) > before
    opened.click_on("tr[data-particle='40'] td")
    assert chosen(opened) == ["40"]
    assert opened.run("document.querySelector('.picked').textContent").startswith("Particle 40 is too small")
    assert orange(picture(opened)) == before


def test_keys_do_what_hands_do(opened):
    opened.run(f"{CANVAS}.focus()")
    for key, shift in (("ArrowLeft", False), ("ArrowUp", False), ("ArrowRight", True), ("+", False)):
        before = picture(opened)
        opened.key(key, shift=shift)
        assert np.abs(picture(opened) - before).mean() > 1e-3, key
    for key, number in (("n", ["1"]), ("n", ["2"]), ("p", ["1"]), ("p", ["3"]), ("Escape", [])):
        opened.key(key)
        assert chosen(opened) == number
    opened.run("document.querySelector('tr[tabindex=\"0\"]').focus()")
    opened.key("ArrowDown")
    assert chosen(opened) == ["2"]


def test_the_page_fits_a_telephone(opened):
    opened.do("Emulation.setDeviceMetricsOverride", width=420, height=900, deviceScaleFactor=2, mobile=True)
    try:
        opened.settle()
        assert opened.run("document.documentElement.scrollWidth") == 420
        wide, high = opened.run(f"[{CANVAS}.clientWidth, {CANVAS}.clientHeight]")
        assert picture(opened).shape[:2] == (2 * high, 2 * wide)
        assert drawn(picture(opened)) > 0.05
    finally:
        opened.do("Emulation.clearDeviceMetricsOverride")


def test_sections_of_other_verbs_fit_a_telephone(browser, tmp_path):
    """Wide tables and figures scroll by themselves."""
    columns = tuple(f"a rather long heading {k}" for k in range(8))
    table = ParticleTable(columns, tuple((EVIL, *(f"{k}.{n}(2)" for n in range(7))) for k in range(30)))
    figure = ("A figure.", figure_bytes(blank(183, 150), "png"))
    section = Section("Both phases", "They differ.", {EVIL: EVIL * 9}, [figure], warnings=[EVIL], table=table)
    write_page(tmp_path / "report.html", Page("R", "S.", sections=[section]))
    browser.complaints.clear()
    browser.do("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    try:
        browser.open(tmp_path / "report.html")
        assert browser.complaints == []
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.run("document.querySelector('.words').scrollWidth") > 390
        assert browser.run("getComputedStyle(document.querySelector('td')).textAlign") == "left"
        assert browser.run("document.querySelector('td').textContent") == EVIL
    finally:
        browser.do("Emulation.clearDeviceMetricsOverride")


def test_paper_carries_the_picture(opened):
    """Where a page is printed, the flat canvas holds surfaces and words."""
    before = picture(opened, "words")
    assert drawn(before) < 0.05
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert drawn(picture(opened, "words")) > 0.05
    opened.run("dispatchEvent(new Event('afterprint'))")
    np.testing.assert_array_equal(picture(opened, "words"), before)


def test_without_webgl_there_is_a_picture_and_the_table_sorts(page, tmp_path):
    with Chromium(tmp_path / "profile", options=("--disable-3d-apis",)) as browser:
        browser.open(page)
        assert browser.complaints == []
        assert browser.run("document.querySelector('.stage').hidden") is True
        assert browser.run("document.querySelector('.still img').naturalWidth") > 500
        browser.click_on("th:nth-child(2) button")
        assert browser.run("document.querySelector('tbody td:nth-child(2)').textContent") == "5.000"


def test_any_other_script_is_refused(browser, page, tmp_path, monkeypatch):
    """The policy is alive: a page whose script was changed after hashing shows its text but runs nothing."""
    monkeypatch.setattr(html, "_digest", lambda text: "sha256-" + "A" * 43 + "=")
    write_page(tmp_path / "report.html", Page("R", "Three particles."))
    browser.complaints.clear()
    browser.open(tmp_path / "report.html")
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)
    assert "Three particles" in browser.run("document.body.textContent")
