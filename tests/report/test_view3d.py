"""The particles as a figure: all of them, in the box, with units, and the same bytes every time."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aptstream.report.scene import Body, IonLayer, Scene
from aptstream.report.style import figure_bytes
from aptstream.report.view3d import MOST_IONS, particles_figure

CORNERS = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]], "f4")
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], "i4")


def scene(n_bodies, n_ions=0):
    bodies = [Body(i + 1, 1.0 + i, 0.5, (1, 1, 1), CORNERS + i, FACES) for i in range(n_bodies)]
    rng = np.random.default_rng(1)
    ions = [IonLayer(name, "#cc80ff", 99, rng.random((n_ions, 3), "f4") * 20, name == "Li") for name in ("Al", "Li")]
    return Scene((0, 0, -5), (20, 20, 60), tuple(bodies), n_bodies, tuple(ions) if n_ions else ())


@pytest.mark.parametrize("n", [1, 3])
def test_every_triangle_is_drawn_with_units(n):
    figure = particles_figure(scene(n))
    axes, bar = figure.axes
    drawn = axes.collections[-1]
    assert len(drawn.get_facecolor()) in (1, len(FACES) * n)
    assert [axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()] == ["x (nm)", "y (nm)", "z (nm)"]
    assert bar.get_ylabel() == "Radius (nm)"
    np.testing.assert_allclose([axes.get_xlim(), axes.get_zlim()], [(0, 20), (-5, 60)])
    assert figure_bytes(figure, "png") == figure_bytes(particles_figure(scene(n)), "png")


def test_ions_that_are_hidden_are_not_drawn_and_others_are_few():
    axes = particles_figure(scene(1, 3 * MOST_IONS)).axes[0]
    (points,) = [c for c in axes.collections if c.get_label() == "Li"]
    assert len(points.get_offsets()) == MOST_IONS
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Li"]


def test_nothing_found_is_said():
    axes = particles_figure(scene(0)).axes[0]
    assert "No ordered particle was found" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("size", [(38, 54, 58), (30, 30, 40), (60, 60, 200), (100, 60, 40), (5, 5, 300)])
def test_the_names_of_the_axes_lie_inside_the_figure(size):
    figure = particles_figure(Scene((0, 0, 0), size, (), 0))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis, figure.axes[0].zaxis):
        name = axis.label.get_window_extent(canvas.get_renderer())
        assert min(*name.min, *(figure.bbox.max - name.max)) > 0, (axis.axis_name, name)
