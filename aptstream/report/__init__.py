"""For people: figures, tables, and one self-contained page."""

from aptstream.report.summary import Summary
from aptstream.report.write import report

__all__ = ["Summary", "report"]
