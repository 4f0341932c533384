"""A point store as a file of ions: what was ranged once can be ranged otherwise without its original file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aptstream.cloud.manifest import KEPT, Manifest, read_manifest
from aptstream.cloud.store import array_shapes
from aptstream.io.arrays import CheckedArray
from aptstream.io.folder import folder_of
from aptstream.io.ions import IonBlock, IonFile, file_state

#: What such a file is called in messages.
KIND = "point store"


def stored_ions(store: Path) -> IonFile:
    """Look at a point store as at a file of ions.

    Parameters
    ----------
    store : Path
        Folder that `ingest` made.

    Returns
    -------
    IonFile
        Its ions in stored order, which another ingest keeps.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    group = group_of(store)
    state = file_state(group) if group.is_file() else None
    manifest, attributes = read_manifest(folder_of(store))
    kept = {name: attributes[name] for name in KEPT if name in attributes}
    read = _ReadStore(store, manifest)
    return IonFile(store, KIND, manifest.n_ions, read, manifest.columns, provenance=kept, state=state)


def group_of(store: Path) -> Path:
    """Name the file of a store that is written last: with it, the store is another."""
    return store / "zarr.json"


@dataclass(frozen=True)
class _ReadStore:
    store: Path
    manifest: Manifest

    def __call__(self, start: int, stop: int) -> IonBlock:
        shapes = array_shapes(self.manifest)
        names = ("positions", "mass_to_charge", *self.manifest.columns)
        rows = {}
        for name in names:
            shape, dtype = shapes[name]
            rows[name] = CheckedArray(self.store, name, shape=shape, dtype=dtype)[start:stop]
        return IonBlock(rows.pop("positions"), rows.pop("mass_to_charge"), rows)
