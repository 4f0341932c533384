"""The dataflow: which boxes of cubes are judged where, and how the judgements come together."""

from aptstream.scan.lazy import scan
from aptstream.scan.results import ScanStore, open_scan
from aptstream.scan.run import run_scan

__all__ = ["ScanStore", "open_scan", "run_scan", "scan"]
