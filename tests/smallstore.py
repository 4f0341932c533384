"""Point stores in many small files, with further columns, made from one that ingest wrote."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from aptstream.cloud.store import array_shapes, open_store
from aptstream.io.arrays import create_array
from aptstream.io.digest import digest_by_runs
from aptstream.io.ions import COLUMNS


def rewrite(store, folder, *, chunk_rows=64, shard_chunks=3, columns=(), change=None):
    """Write the ions of a store again in other chunks, with columns of random numbers, perhaps changed."""
    rng = np.random.default_rng(2)
    manifest = replace(store.manifest, columns=tuple(columns))
    values = {name: array[:] for name, array in store.arrays.items()}
    for name in columns:
        values[name] = rng.integers(0, 1000, store.n_ions).astype(COLUMNS[name])
    if change is not None:
        change(values)
    folder.mkdir()
    for name, (shape, dtype) in array_shapes(manifest).items():
        rows = 2 if name == "cell_offset" else chunk_rows
        create_array(folder, name, shape=shape, dtype=dtype, chunk=(rows, *shape[1:]), shard_chunks=shard_chunks)[:] = (
            values[name]
        )
    digest = digest_by_runs(values, manifest.defining())
    attributes = manifest.attributes({"content_digest": digest, "source": dict(store.attrs["source"])})
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(group))
    return open_store(folder)
