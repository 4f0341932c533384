"""The ions: ranging, the point store, ingest, copies and exports, and the tree for free regions."""

from aptstream.cloud.export import Labels, Selection, export_ions
from aptstream.cloud.ingest import ingest
from aptstream.cloud.publish import publish
from aptstream.cloud.ranging import apply_ranges
from aptstream.cloud.store import PointStore, open_store

__all__ = ["Labels", "PointStore", "Selection", "apply_ranges", "export_ions", "ingest", "open_store", "publish"]
