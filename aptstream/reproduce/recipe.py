"""What is reproduced: the settings of Li et al. (2021), and what the work will cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.sdm.li2021 import N_IMAGES, REAL_COPIES

#: Epochs, folds and depths of the publication; real pictures that its case 2 learns and that both cases are tested on.
EPOCHS, FOLDS, DEPTHS, N_LEARNED, N_TESTED = 7, 5, (1, 2, 3, 4, 5), 12, 48
#: Size of the specimen in nm in which there are 98 175 cubes of 4 nm at 1 nm stride.
SIZE_NM = (38.0, 54.0, 58.0)
#: Networks of other depths are compared on this part of the library: the shallow ones have up to 27 times the weights.
PART_FOR_DEPTHS = 8
#: Images a second of CPU that networks of 1–5 convolutions learn, and a scan judges, on one core of a server of 2023.
_LEARNED, _JUDGED = {1: 81.0, 2: 124.0, 3: 158.0, 4: 208.0, 5: 220.0}, 350.0


@dataclass(frozen=True)
class Recipe:
    """What is reproduced, and how large.

    Parameters
    ----------
    n_images : int
        Pictures of the training library; 18 416 in the publication. The honest library has as many.
    epochs : int
        Passes over it; 7 in the publication.
    folds : int
        Cross-validation; 5 in the publication, 0 = none.
    seed : int
        Seed of all randomness.
    size_nm : tuple of float
        Size of the simulated specimen that is scanned, in nm.

    Raises
    ------
    PlanError
        If a number is out of bounds.

    Examples
    --------
    >>> Recipe().n_cubes
    98175
    """

    n_images: int = N_IMAGES
    epochs: int = EPOCHS
    folds: int = FOLDS
    seed: int = 1
    size_nm: Triple = SIZE_NM

    def __post_init__(self) -> None:
        if not (200 <= self.n_images <= 10**6 and 1 <= self.epochs <= 1000 and self.folds in (0, *range(2, 21))):
            raise PlanError(
                f"The recipe takes 200 to 1 000 000 images, at least one epoch and 0 or 2–20 folds; found "
                f"{self.n_images} images, {self.epochs} epochs, {self.folds} folds."
            )
        if self.seed < 0 or not all(12 <= edge <= 200 for edge in self.size_nm):
            raise PlanError(
                f"The specimen measures 12 to 200 nm on every axis and the seed is not negative; found "
                f"{tuple(self.size_nm)} nm and seed {self.seed}."
            )

    @property
    def n_for_depths(self) -> int:
        """Pictures of the library on which networks of other depths are compared."""
        return max(self.n_images // PART_FOR_DEPTHS, 200)

    @property
    def n_cubes(self) -> int:
        """Cubes of 4 nm of the specimen at 1 nm stride."""
        x, y, z = (int(edge) - 3 for edge in self.size_nm)
        return x * y * z

    @property
    def cpu_minutes(self) -> float:
        """About how long it takes on one core: training and judging, which is nearly all."""
        learned = 0.9 * self.n_images * self.epochs / _LEARNED[4]
        folds = self.folds * learned * (1 - 1 / self.folds) if self.folds else 0.0
        real = N_LEARNED * REAL_COPIES * self.epochs / _LEARNED[4]
        depths = sum(0.9 * self.n_for_depths * self.epochs / _LEARNED[depth] for depth in DEPTHS)
        return (3 * learned + real + folds + depths + 2 * self.n_cubes / _JUDGED) / 60

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**asdict(self), "size_nm": list(self.size_nm)}
