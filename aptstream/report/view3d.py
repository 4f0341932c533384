"""Particles in 3D as a figure: what the page shows where nothing can be turned, and what a paper shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator

from aptstream.report.scene_pack import ramp
from aptstream.report.style import GREY, PAGE_MM, STYLE, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aptstream.report.scene import Scene

#: Seen from the front left, a little from above.
AZIMUTH_DEG, ELEVATION_DEG = -52.0, 16.0
#: Ions in the picture, of all species; more hide each other.
MOST_IONS = 9_000
#: Light comes from the upper left, behind the reader's shoulder.
LIGHT = (-0.35, -0.55, 0.76)


@rc_context(STYLE)
def particles_figure(scene: Scene) -> Figure:
    """Draw the particles as surfaces, coloured by radius, in the box of the specimen, with a few ions.

    Parameters
    ----------
    scene : Scene
        What is shown.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from aptstream.report.scene import Scene
    >>> figure = particles_figure(Scene((0, 0, 0), (9, 9, 20), (), 0))
    >>> figure.axes[0].get_zlabel()
    'z (nm)'
    """
    size = np.array(scene.high_nm) - np.array(scene.low_nm)
    across = float(np.hypot(*size[:2]) / max(size[2], np.hypot(*size[:2])))
    figure = blank(min(PAGE_MM, 55 + 110 * across), 120)
    axes: Any = figure.add_subplot(projection="3d", computed_zorder=False)
    axes.set_proj_type("persp", focal_length=2.0)
    axes.view_init(elev=ELEVATION_DEG, azim=AZIMUTH_DEG)
    for name, low, high, n in zip("xyz", scene.low_nm, scene.high_nm, size, strict=True):
        getattr(axes, f"set_{name}lim")(low, high)
        getattr(axes, f"set_{name}label")(f"{name} (nm)")
        axis = getattr(axes, f"{name}axis")
        axis.set_pane_color((1, 1, 1, 0))
        axis.labelpad = 7 if name == "z" else 4
        axis.line.set_color(GREY)
        axis.set_major_locator(_locator(low, high, n / size.max(), both=name != "y"))
    axes.set_box_aspect(size, zoom=0.83 + 0.11 * across)  # names of the axes stay inside, those of a long needle too
    axes.grid(False)
    _draw_ions(axes, scene)
    _draw_particles(figure, axes, scene)
    _draw_frame(axes, scene)
    return figure


def _locator(low: float, high: float, share: float, *, both: bool) -> Locator:
    """Place about six ticks along the longest edge of the box, and only the ends along one much shorter."""
    if share < 0.3:
        return FixedLocator([low, high] if both else [high])  # x ends where y begins: one number is enough there
    return MaxNLocator(max(2, round(6 * share)), steps=[1, 2, 5, 10])


def _draw_frame(axes: Any, scene: Scene) -> None:
    """Draw the edges of the box that the axes do not."""
    low, high = scene.low_nm, scene.high_nm
    for axis in range(3):
        for a in (0, 1):
            for b in (0, 1):
                ends = [
                    [low[i], high[i]] if i == axis else [(low, high)[(a, b)[i - (i > axis)]][i]] * 2 for i in range(3)
                ]
                axes.plot(*ends, color="#c8ced6", linewidth=0.5, zorder=0)


def _draw_ions(axes: Any, scene: Scene) -> None:
    layers = [layer for layer in scene.ions if layer.shown]
    total = max(MOST_IONS, sum(len(layer.position_nm) for layer in layers))
    for layer in layers:
        x, y, z = layer.position_nm[: -(-len(layer.position_nm) * MOST_IONS // total)].T
        axes.scatter(
            x,
            y,
            z,
            s=1.2,
            color=layer.colour,
            linewidth=0,
            label=layer.name,
            depthshade=False,
            rasterized=True,
            clip_on=False,
            zorder=1,
        )
    if layers:
        axes.legend(loc="upper left", markerscale=3, title="Ions", title_fontsize=7, alignment="left")


def _draw_particles(figure: Figure, axes: Any, scene: Scene) -> None:
    if not scene.bodies:
        axes.text2D(0.5, 0.5, "No ordered particle was found", transform=axes.transAxes, ha="center", color=GREY)
        return
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    radius = np.array([body.radius_nm for body in scene.bodies])
    norm = Normalize(float(radius.min()), float(max(radius.max(), radius.min() + 1e-3)))
    colours = ScalarMappable(norm, ListedColormap(ramp()))
    corner = np.concatenate([body.vertices_nm[body.faces] for body in scene.bodies]).astype(np.float64)
    normal = np.concatenate([_facing(body.vertices_nm, body.faces) for body in scene.bodies])
    rgba = np.repeat(colours.to_rgba(radius), [len(body.faces) for body in scene.bodies], axis=0)
    axes.add_collection3d(
        Poly3DCollection(
            corner,
            facecolors=_lit(normal, rgba),
            linewidth=0,
            antialiased=False,
            rasterized=True,
            clip_on=False,
            zorder=2,
        )
    )
    figure.colorbar(colours, ax=axes, shrink=0.5, pad=0.06, aspect=22).set_label("Radius (nm)")


def _facing(vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return where triangles face, (m, 3): the mean of their corners' normals, so that a sphere looks round."""
    corner = vertices.astype(np.float64)[faces]
    own = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    of_vertex = np.stack([np.bincount(faces.ravel(), np.repeat(part, 3), len(vertices)) for part in own.T], axis=1)
    mean: npt.NDArray[np.float64] = of_vertex[faces].sum(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return mean


def _lit(normal: npt.NDArray[np.float64], rgba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Shade triangles by how they face the light."""
    bright = (0.55 + 0.5 * np.clip(normal @ np.array(LIGHT), 0, 1))[:, None]
    return np.concatenate([np.clip(rgba[:, :3] * bright, 0, 1), rgba[:, 3:]], axis=1)
