"""How a training image is made, from a crystal to a grey picture: the publication's two classes side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import FixedLocator

from aptstream.report.style import BLUE, PAGE_MM, STYLE, VERMILLION, blank, grouped
from aptstream.sdm.li2021 import CRYSTAL, VIEW, blurred, crystal_sites, picture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = npt.NDArray[np.float32]

#: Half the edge of the window on the atoms, and half the thickness of the slab that is shown, in nm.
HALF_NM, HALF_THICK_NM = 1.2, 0.45
#: Half thickness of the middle layer of sites across y, in which L1₂ has both kinds, in nm.
HALF_LAYER_NM = 0.05


@rc_context(STYLE)
def dictionary_making(
    *, sigma_xy_nm: float = 0.2, sigma_z_nm: float = 0.03, efficiency: float = 0.57, seed: int = 1
) -> Figure:
    """Draw how the publication makes its training images, FCC above and L1₂ below.

    The crystal with the pole along z, its atoms shifted at random, the detected share of them, and the map of the
    Al–Al pairs as a grey picture of 150 × 150 pixels. Of L1₂ only the Al atoms are there.

    Parameters
    ----------
    sigma_xy_nm, sigma_z_nm : float
        Standard deviation of the shifts across and along z in nm.
    efficiency : float
        Detected share of the atoms.
    seed : int
        Seed of the shifts and of what is detected.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 2.
    """
    figure = blank(PAGE_MM, 92)
    for row, (phase, name) in zip(figure.subplots(2, 4), enumerate(("FCC", "L1₂")), strict=True):
        sites = crystal_sites(phase)
        shifted = blurred(sites, (sigma_xy_nm, sigma_z_nm), np.random.default_rng((seed, phase)))
        seen = shifted[: round(efficiency * len(shifted))]
        letter = "abcdefgh"[4 * phase :]
        _draw_layer(row[0], sites, f"{letter[0]}   {name}: {grouped(len(sites))} Al sites")
        _draw_atoms(row[1], shifted, f"{letter[1]}   Shifted at random")
        _draw_atoms(row[2], seen, f"{letter[2]}   {efficiency:.0%} detected")
        _draw_picture(row[3], picture_of(seen, shifted.min(axis=0))[0], f"{letter[3]}   Grey picture")
        for axes in row[1:3]:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
    for axes in figure.axes[:4]:
        axes.set_xlabel("")
        axes.tick_params(labelbottom=False)
    pole = "".join(map(str, CRYSTAL.pole))
    shifts = f"σx = σy = {sigma_xy_nm:g} nm, σz = {sigma_z_nm:g} nm"
    figure.suptitle(
        f"a = {CRYSTAL.a_nm:g} nm, [{pole}] along z; shifts: {shifts}; a, e: one layer, rings: sites of Li or Mg",
        fontsize=7,
        ha="left",
        x=0.01,
    )
    return figure


def _draw_layer(axes: Axes, sites: Points, title: str) -> None:
    """Draw one layer of sites across y: filled where there is Al, rings where Al of the parent lattice is not."""
    every = crystal_sites(0)
    layer = every[(np.abs(every) < (HALF_NM, HALF_LAYER_NM, HALF_NM)).all(axis=1)]
    axes.plot(layer[:, 0], layer[:, 2], color=VERMILLION, ls="none", marker="o", mew=0.7, mfc="none", ms=3)
    _draw_atoms(axes, sites[np.abs(sites[:, 1]) < HALF_LAYER_NM], title)


def _draw_atoms(axes: Axes, position: Points, title: str) -> None:
    """Draw a slab of atoms in the middle of the crystal, seen along y."""
    inside = (np.abs(position) < (HALF_NM, HALF_THICK_NM, HALF_NM)).all(axis=1)
    x, _, z = position[inside].T
    axes.plot(x, z, color=BLUE, ls="none", marker="o", mew=0.7, ms=2.2)
    _frame(axes, HALF_NM, (-1, 0, 1), title)
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("z (nm)")


def _draw_picture(axes: Axes, picture: npt.NDArray[Any], title: str) -> None:
    half = VIEW.window.half_z_nm
    extent = (-half, half, -half, half)
    axes.imshow(picture, cmap="gray", extent=extent, interpolation="none", origin="lower", vmax=255, vmin=0)
    _frame(axes, half, (-0.5, 0, 0.5), title)
    axes.set_xlabel("Δx (nm)")
    axes.set_ylabel("Δz (nm)")


def _frame(axes: Axes, half: float, ticks: tuple[float, ...], title: str) -> None:
    axes.set_aspect("equal")
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)
    axes.spines[:].set_visible(True)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_title(title)
