"""The ions: ranging, the point store, ingest, and the tree for free regions."""

from aptstream.cloud.ingest import ingest
from aptstream.cloud.ranging import apply_ranges
from aptstream.cloud.store import PointStore, open_store

__all__ = ["PointStore", "apply_ranges", "ingest", "open_store"]
