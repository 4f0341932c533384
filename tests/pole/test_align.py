"""Aligned stores: no ion and no column is lost, what was interrupted goes on, and the way back is in the store."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from domed import inside, make_pole, on_planes
from smallstore import rewrite

import aptstream
from aptstream.cloud import ingest, open_store
from aptstream.cloud.building import Layout
from aptstream.cluster import local_client
from aptstream.errors import PlanError, StoreError
from aptstream.inspection import describe
from aptstream.io import digest, write_pos
from aptstream.io.seal import sealed
from aptstream.points import Range, RangeTable
from aptstream.pole import Alignment, align, alignment_of
from aptstream.regions import Box, Sphere
from aptstream.verification import verify

rooms = {name: sys.modules[f"aptstream.{name}"] for name in ("cloud.ingest", "pole.align")}
TABLE = RangeTable((Range(26, 28, (("Al", 1),), 0.0166, "33FFFF"), Range(6, 8, (("Li", 1),))))
POLE = make_pole(25, 40, 60, drift=(0.05, -0.02))
MAP = Alignment.of(POLE)
N = 2400


@pytest.fixture(autouse=True, scope="module")
def _small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms["cloud.ingest"], "LAYOUT", Layout(400, 200, 2, 2))
        patch.setattr(digest, "RUN_ROWS", 800)
        patch.setattr("os.fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory, _small_parts):
    """Ions on the planes of a pole and ions anywhere, with two columns; not to be changed."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("reconstruction")
    anywhere = rng.uniform((-28, -33, 2), (33, 26, 58), (N // 2, 3))
    position = np.concatenate([on_planes(POLE, inside(POLE, rng, N // 2)), anywhere])
    (folder / "a.rrng").write_text("[Ions]\nNumber=1\nIon1=Al\n[Ranges]\nNumber=1\nRange1=26 28 Vol:0 Al:1\n")
    write_pos(folder / "a.pos", position.astype("f4"), rng.choice([7, 27, 99], N).astype("f4"))
    store = ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")

    def number(values):
        values["tof_ns"] = np.arange(N, dtype="f4")

    return rewrite(store, folder / "b.zarr", columns=("tof_ns", "delta_pulse"), change=number)


@pytest.fixture(scope="module")
def aligned(source, tmp_path_factory):
    return align(source, MAP, out=tmp_path_factory.mktemp("aligned") / "a.zarr")


def assert_same_ions(store, source, chosen=slice(None)):
    """Every ion is there once, with its numbers, and can be brought back."""
    back = alignment_of(store).inverse(store.arrays["positions"][:])
    order, expected = np.argsort(store.arrays["tof_ns"][:]), np.arange(N)[chosen]
    np.testing.assert_array_equal(store.arrays["tof_ns"][:][order], expected)
    for name in ("mass_to_charge", "species", "delta_pulse"):
        np.testing.assert_array_equal(store.arrays[name][:][order], source.arrays[name][:][expected])
    assert np.abs(back[order] - source.arrays["positions"][:][expected]).max() < 1e-5


def test_no_ion_and_no_column_is_lost(source, aligned):
    aligned.verify()
    assert aligned.columns == source.columns
    assert aligned.species_counts() == source.species_counts()
    assert aligned.ranges == source.ranges
    assert aligned.attrs["source"] == source.attrs["source"]
    assert_same_ions(aligned, source)
    assert verify(aligned.path) == "point store"


def test_the_store_says_where_it_comes_from(source, aligned):
    assert alignment_of(source) is None
    assert alignment_of(aligned) == MAP
    found = aligned.attrs["alignment"]
    assert found["source_digest"] == source.attrs["content_digest"]
    assert found["cut"] is None
    region = alignment_of(aligned).region
    assert found["recommended"] == {
        "start": list(region.start),
        "end": list(region.end),
        "radius_nm": region.radius_nm,
    }
    facts = describe(aligned.path)
    assert "planes turned by 25.00°, 0.2000 nm apart brought to 0.2000 nm, dome of 55 nm" in facts["aligned"]
    assert "radius 9.0 nm" in facts["planes seen"]
    assert "aligned" not in describe(source.path)


def test_planes_stand_normal_to_z_afterwards(source, aligned, tmp_path):
    position = aligned.arrays["positions"][:].astype("f8")
    near = alignment_of(aligned).region.contains(position)
    assert abs(np.exp(2j * np.pi * position[near, 2] / POLE.spacing_nm).mean()) > 0.5
    before = source.arrays["positions"][:].astype("f8")
    near = POLE.region.contains(before)
    assert abs(np.exp(2j * np.pi * (before[near] - POLE.centre_nm) @ POLE.wave_per_nm).mean()) < 0.2
    crystal = aptstream.Crystal("FCC", 0.41, (0, 0, 1))
    scaled = align(source, Alignment.of(POLE, crystal), out=tmp_path / "a.zarr")
    z = scaled.query(alignment_of(scaled).region).position[:, 2].astype("f8")
    assert abs(np.exp(2j * np.pi * z / crystal.plane_spacing_nm).mean()) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout(1 << 20, 400, 2, 2), Layout(133, 160, 5, 1)])
@pytest.mark.parametrize("region", [None, "pole"])
def test_the_content_does_not_depend_on_blocks(source, tmp_path, monkeypatch, layout, region):
    first = align(source, MAP, out=tmp_path / "a.zarr", region=region)
    monkeypatch.setattr(rooms["cloud.ingest"], "LAYOUT", layout)
    monkeypatch.setattr(rooms["pole.align"], "PIECE_ROWS", 200 + layout.block_ions // 9)
    second = align(source, MAP, out=tmp_path / "b.zarr", region=region)
    assert first.digest() == second.digest() == second.attrs["content_digest"]


@pytest.mark.parametrize(
    ("region", "piece"),
    [
        *(("pole", 300), ("pole", 1 << 18), (Sphere((0, 0, 30), 14), 1 << 18)),
        *((Box((-5, -40, 0), (40, 0, 60)), 300), (Box((-99, -99, -99), (99, 99, 99)), 300)),
    ],
)
def test_a_region_cuts(source, tmp_path, monkeypatch, region, piece):
    monkeypatch.setattr(rooms["pole.align"], "PIECE_ROWS", piece)
    told = []
    store = align(source, MAP, out=tmp_path / "a.zarr", region=region, progress=lambda *state: told.append(state))
    cut = POLE.region if region == "pole" else region
    inside = cut.contains(source.arrays["positions"][:])
    assert store.n_ions == inside.sum() > 200
    assert store.attrs["alignment"]["cut"]["kind"] == type(cut).__name__
    assert_same_ions(store, source, inside)
    store.verify()
    assert told[0][0] == "cut"
    assert ("cut", N, N, "ions") in told


def test_a_region_without_ions_is_refused(source, tmp_path):
    with pytest.raises(PlanError, match=r"No ion of .* lies in Sphere"):
        align(source, MAP, out=tmp_path / "a.zarr", region=Sphere((500, 0, 0), 3))
    assert list(tmp_path.iterdir()) == []


def stopped(source, out, alignment, at):
    told = []

    def progress(*state):
        told.append(state)
        if len(told) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(source, alignment, out=out, progress=progress)
    assert not out.exists()


#: After how many of six blocks looked at, six gathered and three runs, and how many are read again.
@pytest.mark.parametrize(("at", "again"), [(1, 12), (6, 12), (7, 5), (12, 0), (15, 0)])
def test_what_was_interrupted_goes_on(source, aligned, tmp_path, monkeypatch, at, again):
    out = tmp_path / "a.zarr"
    stopped(source, out, MAP, at)
    reads, read = [], rooms["pole.align"]._ReadMoved.__call__
    monkeypatch.setattr(
        rooms["pole.align"]._ReadMoved, "__call__", lambda self, *span: (reads.append(span), read(self, *span))[1]
    )
    store = align(source, MAP, out=out)
    assert store.digest() == aligned.attrs["content_digest"]
    assert len(reads) == again
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_another_alignment_starts_over(source, aligned, tmp_path, caplog):
    out = tmp_path / "a.zarr"
    stopped(source, out, Alignment.of(replace(POLE, centre_nm=(3.0, -4.0, 30.01))), 14)
    assert align(source, MAP, out=out).digest() == aligned.attrs["content_digest"]
    assert "starting over" in caplog.text


def test_a_copy_and_new_ranges_keep_the_way_back(source, aligned, tmp_path):
    copied = aptstream.publish(aligned, "memory://aligned/a.zarr")
    assert alignment_of(copied) == alignment_of(aligned)
    wider = RangeTable((*TABLE.ranges, Range(98, 100, (("X", 1),))))
    ranged = ingest(aligned.path, ranges=wider, out=tmp_path / "a.zarr")
    assert alignment_of(ranged) == alignment_of(aligned)
    assert ranged.attrs["alignment"] == aligned.attrs["alignment"]
    assert_same_positions(ranged, aligned)


def assert_same_positions(one, other):
    np.testing.assert_array_equal(one.arrays["positions"][:], other.arrays["positions"][:])


def test_the_name_of_the_range_file_stays(source, tmp_path):
    pos, rrng = (source.path.parent / name for name in ("a.pos", "a.rrng"))
    store = ingest(pos, ranges=rrng, out=tmp_path / "a.zarr")
    assert align(store, MAP, out=tmp_path / "b.zarr").attrs["range_file"] == store.attrs["range_file"]
    assert store.attrs["range_file"]["name"] == "a.rrng"


def test_what_is_aligned_is_not_aligned_again(aligned, tmp_path):
    with pytest.raises(PlanError, match="is aligned already"):
        align(aligned, MAP, out=tmp_path / "a.zarr")


def test_a_taken_name_is_refused_before_any_work(source, tmp_path):
    (tmp_path / "a.zarr").mkdir()
    told = []
    with pytest.raises(StoreError, match="Something stands at"):
        align(source, MAP, out=tmp_path / "a.zarr", region="pole", progress=lambda *state: told.append(state))
    assert told == []


def test_a_store_elsewhere_is_to_be_copied_first(source, tmp_path):
    copied = aptstream.publish(source, "memory://elsewhere/a.zarr")
    with pytest.raises(StoreError, match="copy it here first"):
        align(copied, MAP, out=tmp_path / "a.zarr")


@pytest.mark.parametrize("hostile", [1, [], {}, {"map": {}}, {"map": {"format": "aptstream-alignment"}}, "x"])
def test_an_alignment_that_cannot_be_right_is_named(aligned, tmp_path, hostile):
    shutil.copytree(aligned.path, tmp_path / "a.zarr")
    file = tmp_path / "a.zarr" / "zarr.json"
    group = json.loads(file.read_bytes())
    attributes = {name: value for name, value in group["attributes"].items() if name != "manifest_sha256"}
    group["attributes"] = sealed({**attributes, "alignment": hostile})
    file.write_text(json.dumps(group))
    store = open_store(tmp_path / "a.zarr")  # its ions are whole
    with pytest.raises(StoreError, match="its alignment cannot be read"):
        alignment_of(store)
    with pytest.raises(StoreError, match="its alignment cannot be read"):
        verify(store.path)


@pytest.mark.cluster
@pytest.mark.parametrize("region", [None, "pole"])
def test_workers_make_the_same_store(source, tmp_path, region):
    here = align(source, MAP, out=tmp_path / "a.zarr", region=region)
    with local_client(2) as client:
        there = align(source, MAP, out=tmp_path / "b.zarr", region=region, client=client)
    assert there.digest() == here.digest()
