"""What the 3D view is given: few enough triangles and ions, the largest first, and names that stay text."""

import base64
import json

import numpy as np
import pytest

from aptstream.grid import find_precipitates, particle_surface
from aptstream.report.html import Page, render
from aptstream.report.scene import FEWEST_TRIANGLES, MOST_IONS, Body, IonLayer, Scene, bodies, lighter, shuffled
from aptstream.report.scene_html import View, view_section
from aptstream.report.scene_pack import pack

EVIL = "</script><script>alert('1')</script>&\"\u2028"
LOW, HIGH = (-3.0, 0.0, 5.0), (37.0, 20.0, 15.0)


def balls(n, radius=2.6, pitch=8):
    """Spheres of slightly different size along x, found and wrapped."""
    x, y, z = np.ogrid[0.5 : n * pitch, 0.5:pitch, 0.5:pitch]
    number = np.floor(x / pitch)
    away = np.sqrt((x - pitch * (number + 0.5)) ** 2 + (y - pitch / 2) ** 2 + (z - pitch / 2) ** 2)
    order = np.clip(radius + 0.02 * number - away + 0.5, 0, 1).astype("f4")
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    return found, particle_surface(order, found.labels, found.volume_nm3, origin_nm=(0, 0, 0))


def test_where_there_is_room_every_triangle_is_kept():
    found, surface = balls(4)
    drawn = bodies(found, surface)
    assert [body.number for body in drawn] == [1, 2, 3, 4]
    assert sum(len(body.faces) for body in drawn) == len(surface.faces)
    for body in drawn:
        own = surface.vertices_nm[surface.faces[surface.particle == body.number]]
        np.testing.assert_array_equal(body.vertices_nm[body.faces], own)
        assert body.radius_nm == found.radius_nm[body.number - 1]


@pytest.mark.parametrize("most", [500, 900, 5000])
def test_a_budget_is_kept_and_the_smallest_are_left_out(most):
    found, surface = balls(12)
    drawn = bodies(found, surface, most)
    assert 0 < sum(len(body.faces) for body in drawn) <= most
    assert [body.number for body in drawn] == list(range(1, len(drawn) + 1))
    assert len(drawn) == min(12, most // FEWEST_TRIANGLES)
    for body in drawn:  # coarse, but still there and about as large
        corner = body.vertices_nm[body.faces].astype(float)
        area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
        assert area == pytest.approx(surface.area_nm2[body.number - 1], rel=0.35)


def test_a_giant_becomes_coarse_instead_of_being_left_out():
    order = np.zeros((40, 40, 40), "f4")
    order[2:-2, 2:-2, 2:-2] = 0.9
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    surface = particle_surface(order, found.labels, origin_nm=(0, 0, 0))
    (body,) = bodies(found, surface, 1000)
    assert 200 < len(body.faces) <= 1000 < len(surface.faces)
    assert body.vertices_nm.min() >= 1
    assert body.faces.max() == len(body.vertices_nm) - 1


def test_merging_keeps_the_sense_of_rotation():
    _, surface = balls(1)
    vertices, faces = lighter(surface.vertices_nm, surface.faces, 100)
    corner = vertices[faces].astype(float)
    enclosed = np.einsum("ij,ij->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6
    assert enclosed == pytest.approx(surface.volume_nm3[0], rel=0.35)


def test_any_first_part_of_shuffled_ions_is_evenly_spread():
    line = np.arange(1000, dtype="f4")[:, None]
    mixed = shuffled(line)
    assert sorted(mixed[:, 0]) == line[:, 0].tolist()
    for n in (10, 50, 333):
        counts = np.histogram(mixed[:n], 10, (0, 1000))[0]
        assert np.ptp(counts) <= 4


def scene(n_all=9, **ions):
    corners = np.array([LOW, HIGH, (17, 10, 10), (-9, 99, 10)], "f4")
    body = Body(12, 2.5, 0.8, (17, 10, 10), corners, np.array([[0, 1, 2], [1, 2, 3]], "i4"))
    layer = IonLayer(ions.get("name", "Al"), ions.get("colour", "#33ffff"), n_all, corners[:3])
    return Scene(LOW, HIGH, (body,), 1, (layer, IonLayer("Li", "#cc80ff", 0, corners[:0], shown=False)))


def test_what_is_packed_comes_back():
    told = json.loads(pack(scene()))
    data = np.frombuffer(base64.b64decode(told["data"]), "<u2")
    n, m = told["particles"][0]["vertices"], told["particles"][0]["triangles"]
    assert len(data) == 3 * (n + m + sum(layer["n"] for layer in told["ions"]))
    places = data[: 3 * n].reshape(-1, 3) / 65535 * np.subtract(HIGH, LOW) + LOW
    expected = np.clip(scene().bodies[0].vertices_nm, LOW, HIGH)
    np.testing.assert_allclose(places, expected, atol=40 / 65535)
    assert data[3 * n : 3 * (n + m)].tolist() == [0, 1, 2, 1, 2, 3]
    assert told["particles"][0] | {"number": 12, "radius": 2.5, "order": 0.8} == told["particles"][0]


def test_names_cannot_leave_the_data_nor_the_page():
    evil = scene(name=EVIL, colour=EVIL)
    packed = pack(evil)
    assert not set("<>&") & set(packed)
    assert json.loads(packed)["ions"][0]["name"] == EVIL
    page = "\n".join(view_section(View(evil, b"")))
    assert page.count("<script") == page.count("</script>") == 1
    assert "&lt;script&gt;alert" in page


def test_notes_say_what_is_left_out():
    assert scene(n_all=3).note == ""
    assert scene(n_all=90_000).note.startswith("At most 3 of 90,000 ranged ions are drawn")
    assert Scene(LOW, HIGH, scene().bodies, 2500).note.startswith("The 1 largest of 2,500 particles are drawn")


def test_the_largest_view_leaves_room_for_everything_else():
    """Triangles, ions and particles up to their limits, beside figures up to theirs: below 15 MB."""
    rng = np.random.default_rng(1)
    most = [Body(i, 1.0, 0.5, LOW, rng.random((40, 3), "f4"), np.zeros((80, 3), "i4")) for i in range(2000)]
    ions = IonLayer("Al", "#33ffff", 10**9, rng.random((MOST_IONS, 3), "f4"))
    full = Scene(LOW, HIGH, tuple(most), 100_000, (ions,))
    png = b"\x89PNG\r\n\x1a\n" + bytes(400_000)
    page = Page("R", "S.", figures=[("A", png + bytes(7_500_000))], view=View(full, png))
    assert 11e6 < len(render(page)) < 15e6


def test_a_page_without_a_view_says_nothing_of_it():
    assert list(view_section(None)) == []
    assert "Particles in 3D" not in render(Page("R", "S."))


def test_a_view_without_particles_has_no_colour_bar():
    page = "\n".join(view_section(View(Scene(LOW, HIGH, (), 0), b"")))
    assert "data-bar" not in page
    assert 'data-layer="box"' in page
