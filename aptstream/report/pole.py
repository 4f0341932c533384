"""The pictures of a search for poles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aptstream.report.plane_views import HALF_THICK_NM, SMOOTH_NM, plane_views
from aptstream.report.pole_map import pole_map
from aptstream.report.story import PoleStory
from aptstream.report.style import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pole_figures(story: PoleStory, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the pictures of a search for poles, each as PNG, PDF and SVG.

    ``pole_map``: where ions hit the detector, and the directions in which planes were seen. Where planes were aligned
    also ``pole_planes``: those planes before and after.

    Parameters
    ----------
    story : PoleStory
        What was looked for, what was found, and what was made of it.
    folder : path
        Where to; it is made.

    Returns
    -------
    list of Path
        The PNG files.

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    drawn = draw_pole(story)
    for name, (_, figure) in drawn.items():
        save_figure(figure, Path(folder, name))
    return [Path(folder, f"{name}.png") for name in drawn]


def draw_pole(story: PoleStory) -> dict[str, tuple[str, Figure]]:
    """Draw the pictures of a search for poles.

    Parameters
    ----------
    story : PoleStory
        The search.

    Returns
    -------
    dict of str to (str, matplotlib.figure.Figure)
        Caption and figure by file name.

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    drawn = {"pole_map": (_about_map(story), pole_map(story))}
    if story.alignment is not None and story.power is not None:
        figure = plane_views(story.reconstruction, story.alignment, story.power, scaled=story.hkl is not None)
        drawn["pole_planes"] = (
            f"The planes before and after they were aligned. a, b: a slab {2 * HALF_THICK_NM:g} nm thick through the "
            f"axis of the pole, seen from the side and stretched along the normal, smoothed over {SMOOTH_NM[0]:g} nm "
            f"across and {SMOOTH_NM[1]:g} nm along it; dashed: one plane as the pole describes it. c: how clearly the "
            f"planes can be seen along the axis. d: distances along z of ions that stand above each other.",
            figure,
        )
    return drawn


def _about_map(story: PoleStory) -> str:
    crystal = (
        " Grey: zone lines and low-index poles of the crystal as it lies." if story.orientation is not None else ""
    )
    return (
        f"Where planes were looked for. a: desorption map; poles and zone lines show as places with few ions. b: "
        f"directions in stereographic projection, z of the reconstruction in the middle: of the strongest wave round "
        f"every column of the specimen, and of the poles.{crystal}"
    )
