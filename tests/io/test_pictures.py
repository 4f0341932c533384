"""Pictures from elsewhere: every way of writing a grey picture reads alike, and nothing of a file is trusted."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aptstream.errors import FileFormatError
from aptstream.io import pictures
from aptstream.io.pictures import read_labels, read_pictures

SHAPE = (6, 5)
GREY = (np.arange(30).reshape(SHAPE) * 255 // 29).astype(np.uint8)


def png_bytes(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def opaque(grey):
    return np.dstack([grey, grey, grey, np.full_like(grey, 255)])


WAYS = {
    "grey": Image.fromarray(GREY),
    "half as bright": Image.fromarray((GREY.astype(float) / 2.55).round().astype("u1")),
    "16 bits": Image.fromarray(GREY.astype("u2") * 257),
    "colours": Image.fromarray(opaque(GREY)[..., :3]),
    "opaque": Image.fromarray(opaque(GREY)),
    "grey, opaque": Image.fromarray(GREY).convert("LA"),
    "palette": Image.fromarray(GREY).convert("P"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_a_grey_picture_reads_alike(way, tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(WAYS[way]))
    found = read_pictures(tmp_path, SHAPE)
    assert found.names == ("a.png",)
    assert np.abs(found.grey[0].astype(int) - GREY).max() <= (1 if way == "half as bright" else 0)


def test_a_folder_is_read_in_the_order_of_names_and_other_files_are_left_alone(tmp_path):
    for name, factor in (("b.PNG", 1), ("a.png", 0)):
        (tmp_path / name).write_bytes(png_bytes(Image.fromarray(np.maximum(GREY * factor, 3))))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "c.png").mkdir()
    found = read_pictures(tmp_path, SHAPE)
    assert found.names == ("a.png", "b.PNG")
    assert (found.grey[0] == 255).all()
    assert (found.grey.max(axis=(1, 2)) == 255).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u4", "i8", "f4", "f8"])
def test_arrays_of_numbers_read_as_pictures_scaled_by_their_own_maximum(dtype, tmp_path):
    counts = np.stack([GREY, np.fliplr(GREY) // 5]).astype(dtype)
    np.save(tmp_path / "a.npy", counts)
    found = read_pictures(tmp_path / "a.npy", SHAPE)
    assert found.names == ("0", "1")
    assert (found.grey[0] == GREY).all()
    assert found.grey[1].max() == 255
    np.save(tmp_path / "one.npy", np.asfortranarray(counts[1]))
    assert (read_pictures(tmp_path / "one.npy", SHAPE).grey[0] == found.grey[1]).all()


def refused(path, words):
    with pytest.raises(FileFormatError, match=words) as error:
        read_pictures(path, SHAPE)
    assert path.stem in str(error.value)


SEE_THROUGH = opaque(GREY)
SEE_THROUGH[2, 2, 3] = 254
COLOURED = opaque(GREY)[..., :3].copy()
COLOURED[3, 3, 2] ^= 1
WRONG = {
    "another size": (png_bytes(Image.fromarray(GREY.T)), "6 × 5 pixels, expected 5 × 6"),
    "in colour": (png_bytes(Image.fromarray(COLOURED)), "in colour"),
    "transparent": (png_bytes(Image.fromarray(SEE_THROUGH)), "transparent"),
    "transparent grey": (png_bytes(Image.fromarray(GREY), transparency=0), "transparent"),
    "black": (png_bytes(Image.fromarray(GREY * 0)), "black"),
    "cut": (png_bytes(Image.fromarray(GREY))[:-30], "damaged"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + bytes(100), "no PNG"),
    "empty": (b"", "no PNG"),
    "no chunk": (pictures._PNG + bytes(30), "no PNG"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_picture_that_is_none_is_refused_with_what_to_do(what, tmp_path):
    content, words = WRONG[what]
    (tmp_path / "odd.png").write_bytes(content)
    refused(tmp_path / "odd.png", words)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    bomb = pictures._PNG + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    refused(tmp_path / "bomb.png", "60000 × 60000 pixels")
    (tmp_path / "long.png").write_bytes(bytes(pictures.MOST_PNG_BYTES + 1))
    refused(tmp_path / "long.png", "bytes: a picture")


@given(cut=st.integers(0, 400), flipped=st.integers(0, 400), bit=st.integers(0, 7))
def test_damage_gives_an_error_of_ours_or_a_picture(cut, flipped, bit, tmp_path_factory):
    content = bytearray(png_bytes(WAYS["16 bits"]))
    content[flipped % len(content)] ^= 1 << bit
    path = tmp_path_factory.mktemp("png") / "odd.png"
    path.write_bytes(content[: len(content) - cut] if cut else content)
    with contextlib.suppress(FileFormatError):
        assert read_pictures(path, SHAPE).grey.shape == (1, *SHAPE)


def test_arrays_that_are_none_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "shape.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "words.npy", np.full((1, *SHAPE), "a"))
    np.save(tmp_path / "complex.npy", np.ones((1, *SHAPE), "c8"))
    np.save(tmp_path / "nan.npy", np.full((1, *SHAPE), np.nan))
    np.save(tmp_path / "below.npy", np.full((1, *SHAPE), -1))
    np.save(tmp_path / "none.npy", np.zeros((0, *SHAPE)))
    np.savez(tmp_path / "zip.npz", np.ones((1, *SHAPE)))
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    np.save(tmp_path / "cut.npy", np.ones((3, *SHAPE)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    (tmp_path / "far.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 6, 5), }".ljust(117)
        + b"\n"
    )
    (tmp_path / "text.npy").write_text("hello")
    for k, header in enumerate((b"{'descr': (((", b"{[]: 1}", b"{'descr': '<f8", b"-" * 9000 + b"1")):
        start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1)
        (tmp_path / f"header{k}.npy").write_bytes(start + header + b"\n")
    for path in sorted(tmp_path.iterdir()):
        refused(path, "array|numbers of pairs")


def test_a_folder_without_pictures_and_a_file_of_another_kind_are_refused(tmp_path):
    refused(tmp_path, "holds 0 files")
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    refused(tmp_path / "a.tif", "holds no pictures")
    with pytest.raises(FileNotFoundError):
        read_pictures(tmp_path / "b.npy", SHAPE)


def labels(tmp_path, text, names=("a.png", "b.png")):
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(tmp_path / "labels.csv", names)


def test_labels_belong_to_names_with_or_without_ending_in_any_order(tmp_path):
    found = labels(tmp_path, "\ufefflabel , image,who\r\n0.25,b,me\r\n1,a.png,you\r\n\r\n")
    assert found.tolist() == [1, 0.25]
    assert np.isnan(labels(tmp_path, "image,label\nb,0\n")[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,label\nc,1\n", "Line 2 .* none of the 2 pictures"),
        ("image,label\na,1\nb,0\na.png,0\n", "Line 4 .* again"),
        ("image,label\na,2\n", "Line 2 .*'2'"),
        ("image,label\na,nan\n", "Line 2"),
        ("image,label\na,ordered\n", "'ordered'"),
        ("image,label\na\n", "1 columns, expected 2"),
        ("picture,label\na,1\n", "picture, label"),
        ("image,label,label\na,1,0\n", "begins with"),
        ("", "begins with the columns none"),
        (b"image,label\n\xff\xfe,1\n", "no table"),
        ('image,label\n"a,1\n', "no table|Line"),
        ("image,label\na,1" + "0" * 200_000, "no table|label"),
    ],
)
def test_labels_that_are_none_are_refused_with_their_line(text, words, tmp_path):
    with pytest.raises(FileFormatError, match=words):
        labels(tmp_path, text)


def test_a_table_of_labels_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_LABEL_BYTES", 10)
    with pytest.raises(FileFormatError, match="16 bytes"):
        labels(tmp_path, "image,label\na,1\n")


def test_real_maps_of_an_instrument_read_as_pictures(shared_data):
    folders = sorted({path.parent for path in shared_data.rglob("*.png")})
    if not folders:
        pytest.skip("no measured maps: no folder of PNG is among the real data")
    found = read_pictures(folders[0], (150, 150))
    assert (found.grey.max(axis=(1, 2)) == 255).all()
