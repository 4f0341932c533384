"""A scan of a store in an object store is the scan of the same store on this disk."""

from __future__ import annotations

import pytest

from aptstream.cloud import publish
from aptstream.cluster import local_client
from aptstream.grid import find
from aptstream.scan import run_scan
from aptstream.workflow import Conclusion, conclude


class Silent:
    """Stages that say nothing."""

    def begin(self, stage):
        """Start."""

    def __call__(self, stage, done, total, unit):
        """Go on."""


def test_a_scan_through_fsspec_is_the_same(specimen_store, specimen_scan, model, roles, tmp_path):
    store = publish(specimen_store, "memory://scan/points.zarr")
    scan = run_scan(store, model, roles, out=tmp_path / "scan.zarr")
    assert scan.digest() == specimen_scan.digest()
    assert len(find(scan, store, model).found) == len(find(specimen_scan, specimen_store, model).found)


@pytest.mark.cluster
def test_workers_scan_a_store_in_s3(specimen_store, specimen_scan, model, roles, tmp_path, s3_bucket):
    store = publish(specimen_store, f"{s3_bucket}/workers/points.zarr")
    with local_client(2) as client:
        scan = run_scan(store, model, roles, out=tmp_path / "scan.zarr", client=client)
    assert scan.digest() == specimen_scan.digest()
    (tmp_path / "report").mkdir()
    summary = conclude(Conclusion(scan, store, model), out=tmp_path / "report", stages=Silent())
    assert (tmp_path / "report" / "report.html").is_file()
    assert summary.sentence
