"""Presets: what a model is made of before it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model.networks import CubeNet
from aptstream.sdm.window import SdmWindow


@dataclass(frozen=True)
class Preset:
    """Recipe of a model.

    Parameters
    ----------
    name : str
        Name of the model.
    crystal : Crystal
        Ordered structure that is looked for; the matrix is its parent.
    windows : dict of int to SdmWindow
        SDM window for each cube edge in nm, in descending edge.
    net : CubeNet
        Architecture of the networks.
    epochs : dict of int to int
        Passes over the dictionary for each edge.
    min_ions_per_nm3 : float
        Cubes with a lower density of host and solute ions are invalid.
    cut : float
        Voxels whose mean probability in the map of the smallest cubes reaches this belong to particles.
    min_voxels : int
        Smaller particles are dropped.
    """

    name: str
    crystal: Crystal
    windows: dict[int, SdmWindow]
    net: CubeNet
    epochs: dict[int, int]
    min_ions_per_nm3: float
    cut: float
    min_voxels: int


PRESETS = {
    "cubes": Preset(
        name="cubes",
        crystal=Crystal("L12", 0.405),
        windows={
            4: SdmWindow("rhoz", half_z_nm=1.5, bins_z=75, half_lateral_nm=2.0, bins_lateral=10),
            2: SdmWindow("z", half_z_nm=1.5, bins_z=75, half_lateral_nm=3.0, bins_lateral=1),
        },
        net=CubeNet(),
        epochs={4: 6, 2: 4},
        min_ions_per_nm3=6.25,
        cut=0.4,
        min_voxels=4,
    )
}


def get_preset(name: str) -> Preset:
    """Return a preset by name.

    Parameters
    ----------
    name : str
        Key of `PRESETS`.

    Returns
    -------
    Preset

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise ModelError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
