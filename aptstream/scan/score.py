"""The heart of a scan: the ions of one box in, the judgements of its cubes out. Pure: no state, no writing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import open_store
from aptstream.errors import ModelError, StoreError
from aptstream.model.modelfile import CubeJudge, load_model, stretched
from aptstream.model.predict import Predictor
from aptstream.points import PointCloud
from aptstream.regions import Triple
from aptstream.scan.plan import ScanPlan, Task
from aptstream.sdm.count import SdmScan
from aptstream.sdm.darkfield import order_field
from aptstream.sdm.image import network_input
from aptstream.sdm.kernel import CellBox


@dataclass(frozen=True)
class CubeScores:
    """Judgements of the cubes of one edge; a cube is named by the cell at its low corner.

    Parameters
    ----------
    p : ndarray of float32, (nx, ny, nz)
        Expected ordered fraction, 0 … 1; NaN for cubes with too few ions or beyond the volume.
    n_ions : ndarray of uint32, (nx, ny, nz)
        Host and solute ions in the cube; 0 for cubes beyond the volume.
    """

    p: npt.NDArray[np.float32]
    n_ions: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class BrickScores:
    """What a task finds.

    Parameters
    ----------
    cubes : dict of int to CubeScores
        Judgements of the cubes of each edge in nm, arrays of the task's shape.
    field : ndarray of float32, (26, nx, ny, nz), optional
        Order field of the task's voxels, `aptstream.sdm.darkfield.OrderField.stacked`; where the model reads it.
    """

    cubes: dict[int, CubeScores]
    field: npt.NDArray[np.float32] | None = None


def score_brick(plan: ScanPlan, task: Task) -> BrickScores:
    """Judge all cubes of one task, and compute its order field.

    Parameters
    ----------
    plan : ScanPlan
        What is judged, and by which model.
    task : Task
        The box.

    Returns
    -------
    BrickScores

    Raises
    ------
    ModelError
        If the model file has changed since the plan was made.
    StoreError
        If the point store has, or it is damaged.
    """
    model = load_model(plan.model_path)
    if model.digest != plan.model_digest:
        raise ModelError(
            f"The model file {plan.model_path} has changed since the scan was planned: found {model.digest[:12]}, "
            f"expected {plan.model_digest[:12]}. Start the scan again."
        )
    store = open_store(plan.store_path)
    if store.attrs["content_digest"] != plan.store_digest:
        raise StoreError(
            f"The point store {plan.store_path} has changed since the scan was planned: found "
            f"{store.attrs['content_digest'][:12]}, expected {plan.store_digest[:12]}. Start the scan again."
        )
    cloud = store.read(task.read_low, task.read_high, columns=())
    model = model.looking_for(plan.crystal)
    judges = {edge: stretched(model.judge(edge), plan.planes, plan.crystal) for edge in plan.edges}
    cubes = {edge: _judge_cubes(cloud, plan, task, judge, store.origin_nm) for edge, judge in judges.items()}
    return BrickScores(cubes, _field(cloud, plan, task, store.origin_nm) if plan.field_halo else None)


def _field(cloud: PointCloud, plan: ScanPlan, task: Task, origin: Triple) -> npt.NDArray[np.float32]:
    """Order field of the task's voxels, computed with its halo."""
    low, high = task.read_low, task.read_high
    x, y, z = (min(b + plan.field_halo, end) - a for a, b, end in zip(low, task.high, high, strict=True))
    role = plan.roles.of(cloud.species_names)[cloud.species]
    field = order_field(cloud, role, plan.planes, plan.crystal, box=CellBox(origin, low, (x, y, z)))
    inner = tuple(slice(a - start, b - start) for a, b, start in zip(task.low, task.high, low, strict=True))
    return field.stacked[:, *inner]


def _judge_cubes(cloud: PointCloud, plan: ScanPlan, task: Task, judge: CubeJudge, origin: Triple) -> CubeScores:
    """Count, predict and fill in the cubes of one edge."""
    p = np.full(task.shape, np.nan, dtype=np.float32)
    n_ions = np.zeros(task.shape, dtype=np.uint32)
    edge = judge.edge_nm
    read = tuple(min(b + edge - 1, end) - a for a, b, end in zip(task.low, task.high, plan.shape, strict=True))
    box = CellBox(origin, task.low, read)  # type: ignore[arg-type]
    n_cubes = box.n_cubes(edge)
    if min(n_cubes) < 1:  # the last cells of the volume: no cube begins here
        return CubeScores(p, n_ions)
    counted = SdmScan(cloud, judge.view.channels(plan.roles), judge.window, box=box, edges=[edge])
    n_host, n_solute = counted.n_ions(edge)
    predict = Predictor(judge, plan.runtime)
    inside = tuple(slice(n) for n in n_cubes)
    n_ions[inside] = n_host + n_solute
    for batch in counted:
        enough = n_ions[inside][batch.place] >= judge.min_ions
        hosts, solutes = n_host[batch.place][enough], n_solute[batch.place][enough]
        images = network_input(batch.counts[enough], judge.form, hosts, solutes)
        p[inside][batch.place][enough] = predict(images)
    return CubeScores(p, n_ions)
