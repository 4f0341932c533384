"""NXapm files: what h5py writes in any form is read, what is elsewhere, packed oddly or damaged is refused."""

from __future__ import annotations

import io
import itertools
import zlib

import h5py
import ionfiles
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.errors import FileFormatError
from aptstream.io import hdf5_array, open_ions, read_ions, write_nxapm
from aptstream.io.hdf5 import DamagedError, Hdf5
from aptstream.io.hdf5_array import fletcher32
from aptstream.points import Range, RangeTable

IONS = ionfiles.numbers(200)
P, M = (
    "entry1/atom_probe/reconstruction/reconstructed_positions",
    "entry1/atom_probe/mass_to_charge_conversion/mass_to_charge",
)
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(13, 14, (("Al", 1),)), Range(6.5, 7.5, (("Li", 1),))))
DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def h5(tmp_path):
    """A function that makes a file: by a function of the open file, and the library's form."""

    def make(fill, **form):
        with h5py.File(tmp_path / "a.nxs", "w", **form) as root:
            fill(root)
        return tmp_path / "a.nxs"

    return make


def plain(root, position=IONS[:, :3], mass=IONS[:, 3], **form):
    root.create_dataset(P, data=position, **form).attrs["units"] = "nm"
    root.create_dataset(M, data=mass).attrs["units"] = "Da"


def refused(path, said):
    with pytest.raises(FileFormatError, match=said):
        list(open_ions(path).blocks())


FORMS = [
    {},
    *(
        {"chunks": chunks, "compression": packed, "shuffle": shuffled, "fletcher32": summed}
        for chunks in ((64, 3), (33, 2), (200, 1), (1, 3))
        for packed, shuffled, summed in itertools.product((None, "gzip"), (False, True), (False, True))
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("libver", ["earliest", ("v108", "v108"), ("v110", "v110")])
def test_every_form_that_the_library_writes(h5, form, libver):
    for dtype, wide in itertools.product(("<f4", ">f8"), (False, True)):
        position, mass = IONS[:, :3].astype(dtype), IONS[:, 3].astype(dtype)
        path = h5(lambda root, p=position, m=mass[:, None] if wide else mass: plain(root, p, m, **form), libver=libver)
        file = open_ions(path)
        assert (file.kind, file.n_ions, file.notes) == ("NXapm", 200, ())
        for start, stop in ((0, 200), (5, 6), (63, 65), (31, 199)):
            block = file.read(start, stop)
            np.testing.assert_array_equal(block.position, IONS[start:stop, :3])
            np.testing.assert_array_equal(block.mass_to_charge, IONS[start:stop, 3])


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_many_chunks_and_many_groups(h5, libver):
    """Trees of several levels, lists of several pages."""
    position = np.arange(15000, dtype="f4").reshape(5000, 3)

    def fill(root):
        for name in range(300 if libver == "earliest" else 3):
            root.create_group(f"entry1/other{name}")
        plain(root, position, position[:, 0], chunks=(2, 3))

    np.testing.assert_array_equal(open_ions(h5(fill, libver=libver)).read(1, 4999).position, position[1:4999])


@pytest.mark.parametrize("slice_bytes", [512, 1 << 20])
@given(data=hnp.arrays(np.uint8, st.integers(0, 2000), elements=st.sampled_from([0, 1, 7, 254, 255])))
def test_the_checksum_is_that_of_the_definition(slice_bytes, data):
    low = high = 0
    raw = data.tobytes() + b"\0" * (len(data) % 2)
    for k in range(0, len(raw), 2):
        low += int.from_bytes(raw[k : k + 2], "big")
        high += low
        low, high = (low & 0xFFFF) + (low >> 16), (high & 0xFFFF) + (high >> 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5_array, "_SLICE_BYTES", slice_bytes)
        assert fletcher32(data.tobytes()) == high << 16 | low


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (("nm", "Da"), None), (("nanometer", "dalton"), None), ((b"nm", np.bytes_(b"u")), None),
        (("m", "Da"), "gives /entry1.*positions in 'm'"), (("nm", "kg"), "mass_to_charge in 'kg'"),
        ((3.5, "Da"), "unit that is no text"),
    ],
)  # fmt: skip
def test_units(h5, units, said):
    def fill(root):
        plain(root)
        root[P].attrs["units"], root[M].attrs["units"] = units

    if said is None:
        assert not open_ions(h5(fill)).notes
    else:
        refused(h5(fill), said)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_missing_units_are_noted_and_the_singular_is_taken(h5, libver):
    def fill(root):
        root[P], root[M] = IONS[:, :3], IONS[:, 3]
        root[M].attrs["unit"] = "Da"
        root[M].attrs["more"] = np.arange(3)

    assert open_ions(h5(fill, libver=libver)).notes == (f"/{P} has no units that can be read: nm is taken.",)


def soft(root):
    root["there"] = IONS[:, :3]
    root["x/reconstructed_positions"] = h5py.SoftLink("/there")
    root["mass_to_charge"] = IONS[:, 3]


def external(root):
    root["reconstructed_positions"] = h5py.ExternalLink("/etc/passwd", "/x")
    root["mass_to_charge"] = IONS[:, 3]


def virtual(root):
    layout = h5py.VirtualLayout((200, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (200, 3))
    root.create_virtual_dataset("reconstructed_positions", layout)
    root["mass_to_charge"] = IONS[:, 3]


def twice(root):
    plain(root)
    root["entry2/mass_to_charge"] = IONS[:, 3]


def never_written(root, **form):
    root.create_dataset(P, (200, 3), "f4", **form)
    root[M] = IONS[:, 3]


def one_chunk_written(root):
    root.create_dataset(P, (200, 3), "f4", chunks=(50, 3))[:50] = 1
    root[M] = IONS[:, 3]


def compact(root):
    form = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    form.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(root.id, b"reconstructed_positions", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2, 3)), form)
    root["mass_to_charge"] = IONS[:2, 3]


REFUSED = {
    "holds no dataset 'reconstructed_positions'": lambda root: root.create_group("a"),
    "links .*x/reconstructed_positions.*not followed": soft,
    "links .*/reconstructed_positions.*not followed": external,
    r"data elsewhere \(virtual or external\)": virtual,
    "several datasets 'mass_to_charge': /entry1/.*, /entry2/mass_to_charge": twice,
    "promises 2400 bytes that are not there": never_written,
    "lacks 3 of its 4 chunks": one_chunk_written,
    "lacks 4 of its 4 chunks": lambda root: never_written(root, chunks=(50, 3)),
    "stored in the form 3.0": compact,
    "200 × 2 positions and 200 × 1 m/q": lambda root: plain(root, IONS[:, :2]),
    "200 × 3 positions and 199 × 1": lambda root: plain(root, mass=IONS[:199, 3]),
    "no type that is read": lambda root: plain(root, IONS[:, :3].astype("i4")),
    r"shape \(200, 3, 1\)": lambda root: plain(root, IONS[:, :3, None]),
    "no type that is read ": lambda root: plain(root, IONS[:, :3].astype("f2")),
    r"shape \(0, 3\)": lambda root: plain(root, IONS[:0, :3]),
    r"HDF5 filters \(32000,\)": lambda root: plain(root, compression="lzf", chunks=(50, 3)),
    r"HDF5 filters \(6,\)": lambda root: plain(root, scaleoffset=2, chunks=(50, 3)),
    "chunks of 402653184 bytes": lambda root: root.create_dataset(P, (2**25, 3), "f4", chunks=(2**25, 3)),
    r"says that it has 4611686018427387904 chunks": lambda root: root.create_dataset(
        P, (2**62, 3), "f4", chunks=(1, 3)
    ),
    "x of ion 7 .* is nan": lambda root: plain(root, np.where(np.arange(600).reshape(200, 3) == 21, np.nan, 1)),
    "x of ion 7 .* is inf": lambda root: plain(root, np.where(np.arange(600).reshape(200, 3) == 21, 1e300, 1)),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_refused(h5, said):
    def fill(root):
        REFUSED[said](root)
        if "mass_to_charge" not in root and M not in root and "no dataset" not in said:
            root[M] = IONS[:, 3]

    refused(h5(fill), said.strip())


def test_a_user_block_and_other_files(h5, tmp_path):
    refused(h5(plain, userblock_size=512), "does not begin with the signature")
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    refused(tmp_path / "b.h5", "does not begin with the signature")


def test_dense_groups_are_refused_and_say_so(h5):
    def fill(root):
        for name in range(20):
            root.create_group(str(name))

    refused(h5(fill, libver="latest"), "dense links, which are not read")


def test_hard_links_to_one_dataset_are_one_and_circles_end(h5):
    def fill(root):
        plain(root)
        root["plot/mass_to_charge"] = root[M]
        root["plot/back"] = root["/"]
        root["plot/again"] = root["plot"]

    assert open_ions(h5(fill)).n_ions == 200


@pytest.mark.parametrize(
    "form", [{"fletcher32": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}]
)
def test_damaged_data_is_noticed(h5, form):
    path = h5(lambda root: plain(root, chunks=(100, 3), **form))
    with h5py.File(path) as root:
        info = root[P].id.get_chunk_info(1)
    raw = bytearray(path.read_bytes())
    raw[info.byte_offset + info.size // 2] ^= 4
    path.write_bytes(raw)
    refused(path, "is damaged: a chunk of")


def test_a_chunk_that_unpacks_to_more_than_its_shape_takes_no_memory(h5):
    bomb = zlib.compress(bytes(48 << 20), 9)

    def fill(root):
        plain(root, chunks=(200, 3), compression="gzip")
        root[P].id.write_direct_chunk((0, 0), bomb)

    import tracemalloc

    file = open_ions(h5(fill))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="unpacks to more"):
        file.read(0, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(bomb) + (1 << 20)


def test_large_chunks_that_shrink_too_much_are_refused(h5, monkeypatch):
    path = h5(lambda root: plain(root, np.zeros((200, 3), "f4"), chunks=(200, 3), compression="gzip"))
    assert open_ions(path).n_ions == 200
    monkeypatch.setattr(hdf5_array, "TRUSTED_CHUNK_BYTES", 200 * 12 - 1)
    refused(path, r"packs 2400 bytes into \d\d\.")


def test_a_file_that_is_cut_behind_what_is_read(h5):
    def fill(root):
        plain(root)
        root["other"] = np.zeros(1000)

    path = h5(fill)
    assert open_ions(path).n_ions == 200
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "it is not whole")


def test_structures_are_read_once_and_not_for_ever():
    file = Hdf5(io.BytesIO(bytes(1000)), 1000)
    assert file.once(8) == 8
    with pytest.raises(DamagedError, match="a circle through byte 8"):
        file.once(8)
    for address, length in ((-1, 4), (998, 4), (2**64 - 1, 8), (0, 2**62), (0, -1)):
        with pytest.raises(DamagedError, match=r"refers to .* bytes at byte"):
            file.take(address, length)
    with pytest.raises(DamagedError, match="the same bytes again and again"):
        for _ in range(1000):
            file.take(0, 1000)


def test_masked_filters_are_left_out(h5):
    def fill(root):
        plain(root, chunks=(200, 3), compression="gzip", shuffle=True)
        root[P].id.write_direct_chunk((0, 0), IONS[:, :3].tobytes(), filter_mask=3)

    np.testing.assert_array_equal(open_ions(h5(fill)).read(0, 200).position, IONS[:, :3])


@examples(30)
@given(
    ions=hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(4)), elements=st.floats(-1e6, 1e6, width=32)),
    cut=st.integers(0, 40),
)
def test_what_is_written_comes_back(tmp_path_factory, ions, cut):
    path = tmp_path_factory.mktemp("nxapm") / "a.h5"
    kinds = (np.arange(len(ions)) % 3).astype("u1")
    blocks = [(ions[:cut, :3], ions[:cut, 3], kinds[:cut]), (ions[cut:, :3], ions[cut:, 3], kinds[cut:])]
    write_nxapm(path, blocks, ranges=TABLE, source="a.pos", source_sha256=DIGEST)
    position, mass = read_ions(path)
    np.testing.assert_array_equal(position, ions[:, :3])
    np.testing.assert_array_equal(mass, ions[:, 3])


def test_what_the_library_sees_in_a_written_file(tmp_path, monkeypatch):
    from aptstream import __version__

    path = tmp_path / "a.nxs"
    kinds = (np.arange(200) % 3).astype("u1")
    write_nxapm(path, [(IONS[:, :3], IONS[:, 3], kinds)], ranges=TABLE, source="a.pos", source_sha256=DIGEST)
    with h5py.File(path) as root:
        np.testing.assert_array_equal(root[P], IONS[:, :3])
        np.testing.assert_array_equal(root[M], IONS[:, 3])
        np.testing.assert_array_equal(root["entry1/iontypes/iontypes"], kinds)
        assert (root[P].attrs["units"], root[M].attrs["units"]) == ("nm", "Da")
        entry = root["entry1"]
        assert (entry["definition"].asstr()[()], entry.attrs["NX_class"]) == ("NXapm", "NXentry")
        assert entry["source/checksum"].asstr()[()] == DIGEST
        assert entry["source/file_name"].asstr()[()] == "a.pos"
        assert entry["program1/program"].attrs["version"] == __version__
        peaks = entry["atom_probe/ranging/peak_identification"]
        assert peaks["number_of_ion_types"][()] == 3
        assert [peaks[f"ion{k}/name"].asstr()[()] for k in range(3)] == ["unknown_type", "Al", "Li"]
        np.testing.assert_array_equal(peaks["ion1/mass_to_charge_range"], [[13, 14], [26, 28]])


def test_writing_refuses_and_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "a.nxs"
    path.write_bytes(b"precious")
    one = np.zeros((1, 3), "f4"), np.ones(1, "f4"), np.ones(1, "u1")
    cases = {
        "at least one ion": [],
        "finite numbers": [(one[0] * np.nan, *one[1:])],
        "at most 1e6": [(one[0], one[1] * 2e6, one[2])],
        "found type 3": [(*one[:2], one[2] * 3)],
        r"found \(1, 3\), \(1,\), \(0,\)": [(*one[:2], one[2][:0])],
    }
    for said, blocks in cases.items():
        with pytest.raises(ValueError, match=said):
            write_nxapm(path, blocks, ranges=TABLE, source="a.pos", source_sha256=DIGEST)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        write_nxapm(path, [one], ranges=TABLE, source="a.pos", source_sha256="abc")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nxs"]
    assert path.read_bytes() == b"precious"


def test_chunks_larger_than_the_limit_are_refused(h5, monkeypatch):
    monkeypatch.setattr(hdf5_array, "LARGEST_CHUNK_BYTES", 100 * 12 - 1)
    refused(h5(lambda root: plain(root, chunks=(100, 3))), "chunks of 1200 bytes")
