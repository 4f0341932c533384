"""Everything about a simulated specimen but its particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.simulate.alloy import Alloy

Kind = Literal["ordered", "clusters", "no-contrast", "weak"]
Floats = npt.NDArray[np.float64]

#: Blur and efficiency of METHOD §6: sharp, and near what can still be seen.
LEVELS: dict[str, dict[str, float]] = {
    "good": {"sigma_xy_nm": 0.3, "sigma_z_nm": 0.03, "efficiency": 0.55},
    "hard": {"sigma_xy_nm": 0.5, "sigma_z_nm": 0.05, "efficiency": 0.45},
}


class SiteSolute(NamedTuple):
    """Probability of a solute atom on the solute sites and on the host sites of particles, (n,) each."""

    solute_sites: Floats
    host_sites: Floats


@dataclass(frozen=True)
class Settings:
    """Everything about a simulated specimen but its particles.

    Three numbers say what the particles are: their solute content, the long-range order parameter with which it lies
    on the solute sites, and the content of the matrix. `kind` chooses them by name.

    Parameters
    ----------
    size_nm : tuple of float
        The specimen fills 0 … size in nm.
    kind : {"ordered", "clusters", "no-contrast", "weak"}
        Ordered and rich in solute; rich in solute without any order; ordered in a matrix of the same content; the same
        with no more solute than the alloy has on average.
    alloy : Alloy
        Species and amounts.
    crystal : Crystal
        The ordered structure of the particles; the matrix is its parent, with the same lattice and pole.
    occupancy, antisite : float
        Probability of a solute atom on a solute site and on a host site of a fully ordered particle.
    solute : float, optional
        Solute content of the particles; both probabilities are scaled to it. What they give where it is not given.
    order : float
        Long-range order parameter of all particles, 0 … 1: how far the content of solute and host sites goes from none
        to the full difference. Multiplied with that of each particle.
    sigma_xy_nm, sigma_z_nm : float
        Standard deviation of the positions in nm.
    precipitate_blur : float
        Blur of the particles / blur of the matrix.
    blur_wave : float
        Relative amplitude of slow variations of the blur in space.
    efficiency : float
        Share of the atoms that are detected.
    background : float
        Mean ions without a lattice site / ions with one. Half of them fall into a range, as the tails of the alloy's
        own peaks do, half anywhere between 1 and 60 Da.
    tilt_deg, bow_deg, stretch : float
        Largest tilt of the planes, slope of their curvature at the rim, and relative error of the depth scale; drawn
        evenly between plus and minus the given value.
    density_wave : float
        Relative amplitude of slow variations of the detection efficiency.
    pole_depletion : float
        Share of the ions that are missing on the axis of the pole, in a column with a standard deviation of 2 nm.
    shuffle : bool
        Whether species are drawn anew for all ions from the mean composition: no order and no particle is left,
        positions stay.

    Raises
    ------
    PlanError
        If a number is out of bounds.
    """

    size_nm: Triple = (30.0, 30.0, 40.0)
    kind: Kind = "ordered"
    alloy: Alloy = field(default_factory=Alloy)
    crystal: Crystal = field(default_factory=lambda: Crystal("L12", 0.405))
    occupancy: float = 0.9
    antisite: float = 0.03
    solute: float | None = None
    order: float = 1.0
    sigma_xy_nm: float = 0.3
    sigma_z_nm: float = 0.03
    precipitate_blur: float = 1.0
    blur_wave: float = 0.0
    efficiency: float = 0.55
    background: float = 0.02
    tilt_deg: float = 0.5
    bow_deg: float = 1.0
    stretch: float = 0.005
    density_wave: float = 0.12
    pole_depletion: float = 0.0
    shuffle: bool = False

    def __post_init__(self) -> None:
        if not all(1 <= edge <= 1000 for edge in self.size_nm):
            raise PlanError(
                f"The size of a simulated specimen is 1 to 1000 nm on every axis; found {tuple(self.size_nm)} nm. "
                f"Choose another size."
            )
        if self.kind not in get_args(Kind):
            raise PlanError(f"There is no kind of specimen {self.kind!r}: choose one of {', '.join(get_args(Kind))}.")
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= highest:
                raise PlanError(f"{name} of a simulated specimen lies between 0 and {highest:g}; found {value}.")

    @property
    def is_ordered(self) -> bool:
        """Whether there is order to be found in the particles."""
        has_roles = any(self.crystal.structure.roles)
        return has_roles and self.kind != "clusters" and not self.shuffle and self.order > 0

    @property
    def has_contrast(self) -> bool:
        """Whether the matrix has another composition than the particles."""
        return self.kind in ("ordered", "clusters")

    @property
    def particle_solute(self) -> float:
        """Solute fraction of the particles."""
        if self.solute is not None:
            return self.solute
        return sum(self.alloy.fraction) if self.kind == "weak" else self._full_solute

    @property
    def _full_solute(self) -> float:
        """Solute fraction that occupancy and antisite give."""
        sites = float(np.mean(self.crystal.structure.roles))
        return sites * self.occupancy + (1 - sites) * self.antisite

    def site_solute(self, order: npt.ArrayLike = 1.0) -> SiteSolute:
        """Tell how the solute of particles is shared between their sites.

        Parameters
        ----------
        order : array_like of float, (n,)
            Order parameter of each particle, 0 … 1.

        Returns
        -------
        SiteSolute
            Their mean over the sites is `particle_solute`, whatever the order.

        Examples
        --------
        >>> [round(float(p), 3) for p in Settings(order=0.5).site_solute()]
        [0.574, 0.139]
        """
        content, sites = self.particle_solute, float(np.mean(self.crystal.structure.roles))
        high = low = content
        if self._full_solute > 0:
            high, low = (p * content / self._full_solute for p in (self.occupancy, self.antisite))
        if high > 1:  # more than the solute sites can take: the rest goes to the host sites
            high, low = 1.0, (content - sites) / (1 - sites)
        elif low > 1:
            high, low = (content - (1 - sites)) / sites, 1.0
        strength = np.asarray(order, dtype=np.float64) * (0.0 if self.kind == "clusters" else self.order)
        return SiteSolute(content + strength * (high - content), content + strength * (low - content))


_HIGHEST = {
    **dict.fromkeys(("occupancy", "antisite", "solute", "order", "efficiency", "density_wave", "blur_wave"), 1),
    **dict.fromkeys(("sigma_xy_nm", "sigma_z_nm"), 5),
    **dict.fromkeys(("background", "precipitate_blur"), 10),
    **dict.fromkeys(("tilt_deg", "bow_deg"), 45),
    "pole_depletion": 1,
    "stretch": 0.5,
}
