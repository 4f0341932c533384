"""A scan as a Dask array: lazy, one Dask task for each box of bricks, addresses in the graph and no data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.model.modelfile import Model
from aptstream.points import Roles
from aptstream.scan.plan import ScanPlan, plan_scan
from aptstream.scan.score import score_brick

if TYPE_CHECKING:
    import dask.array as da


def scan(store: PointStore, model: Model, roles: Roles, *, edge_nm: int | None = None) -> da.Array:
    """Judge all overlapping cubes of a specimen, lazily.

    Parameters
    ----------
    store : PointStore
        The ions.
    model : Model
        What judges them.
    roles : Roles
        Host and solute species.
    edge_nm : int, optional
        Cube edge in nm; the model's largest (the publication's 4 nm) where it is not given.

    Returns
    -------
    dask.array.Array of float32, (nx, ny, nz)
        Expected ordered fraction of the cube whose low corner is cell [ix, iy, iz]; NaN = invalid. Compute it with any
        Dask scheduler; `aptstream.vote` takes the computed array.

    Raises
    ------
    PlanError, RangingError, ModelError
        As `aptstream.scan.plan.plan_scan` and `Model.judge`.
    """
    import dask.array as da

    judge = model.judge(edge_nm) if edge_nm is not None else model.judges[0]
    plan = plan_scan(store, model, roles)
    chunks = tuple(
        tuple(min(step, n - start) for start in range(0, n, step))
        for n, step in zip(plan.shape, plan.task_cells, strict=True)
    )
    judged: da.Array = da.map_blocks(
        _score_block, plan, judge.edge_nm, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    return judged


def _score_block(
    plan: ScanPlan, edge_nm: int, block_id: tuple[int, ...] = (0, 0, 0), **_: Any
) -> npt.NDArray[np.float32]:
    """Judge the cubes of one block."""
    only = replace(plan, edges=(edge_nm,), field_halo=0)
    return score_brick(only, only.task(block_id)).cubes[edge_nm].p
