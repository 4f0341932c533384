"""From the order field of a scan to the probability that each voxel is ordered."""

from __future__ import annotations

from aptstream.errors import ModelError
from aptstream.model.modelfile import Model
from aptstream.model.refiner import FieldSource, Refined, Refiner, refine_field
from aptstream.scan.results import ScanStore


def refine(scan: ScanStore, model: Model) -> Refined:
    """Judge the voxels of a scan by the model's nets on the 1 nm grid.

    Parameters
    ----------
    scan : ScanStore
        It holds the order field.
    model : Model
        It holds the nets, such as the shipped model ``order``.

    Returns
    -------
    Refined
        Probability of order in every voxel, and the scale of this specimen.

    Raises
    ------
    ModelError
        If the model has no such nets.
    StoreError
        If the scan was made by a model that has none, or it is damaged.
    """
    return refine_field(FieldSource(scan.shape, scan.field), refiner_of(model), scan.crystal)


def refiner_of(model: Model) -> Refiner:
    """Return the refiner of a model, or say that it has none.

    Raises
    ------
    ModelError
        If it has none.
    """
    if model.refiner is None:
        raise ModelError(
            f"Model {model.name!r} judges cubes only: it has no nets for the 1 nm grid. Take one that has, "
            f"such as order."
        )
    return model.refiner
