"""Damaged files of every format, a million and more: nothing but an error of ours may come out.

``python bench/fuzz.py --reader apt --runs 1000000`` changes valid files, guided by the branches that the reader takes
(atheris, libFuzzer). An execution fails if anything but a result or an `AptstreamError` comes out, if it takes more
than 1 s of CPU, or if it lifts the peak memory by more than 10 × the file and 32 MiB. The input that failed is kept in
the working folder as ``crash-…``; give its path beside ``--reader`` to run it again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aptstream.io"]):
    from aptstream.io import open_ions, read_ranges
    from aptstream.io.ions import _formats

    _formats()  # imports the readers

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import ionfiles

from aptstream.errors import AptstreamError

MOST_BYTES = 1 << 15
MOST_SECONDS = 1.0
MEMORY_FACTOR, MEMORY_BYTES = 10, 32 << 20
SUFFIX = {"pos": ".pos", "epos": ".epos", "apt": ".apt", "csv": ".csv", "nxapm": ".nxs"}
RANGE_SUFFIX = {"rrng": ".rrng", "rng": ".rng", "env": ".env"}
INTEGERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    12,
    16,
    44,
    147,
    148,
    172,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
    2**64 - 1,
]
WORDS = [
    *(
        b"nan",
        b"inf",
        b"-inf",
        b"1e38",
        b"1e999",
        b"-1e-999",
        b"1,5",
        b"1.5",
        b".",
        b",",
        b";",
        b"\t",
        b" ",
        b"#",
        b'"',
    ),
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\0",
        b"\xb5",
        b"x",
        b"y (nm)",
        b"z_nm",
        b"m/q (Da)",
    ),
    *(
        b"[Ions]",
        b"[Ranges]",
        b"Number=3",
        b"Range1=",
        b"Vol:0.02",
        b"Color:CCCCCC",
        b"Si:31",
        b"Name:Si2",
        b"Xx:1",
        b"---",
    ),
    *(b"0" * 70, b"9" * 30, b"1e", b"-", b"4611686018427387904", b"Polyatomic Extension", b"x,y,z,m/q\n", b"((((((("),
]
RANGES = {
    "rrng": [
        b"[Ions]\nNumber=2\nIon1=Al\nIon2=Li\n[Ranges]\nNumber=2\nRange1=26.8 27.2 Vol:0.016 Al:1 Color:33CCFF\n"
        b"Range2=6,9 7,2 Vol:0.02 Li:1 Name:Li Color:FF0000\n",
    ],
    "rng": [
        b"2 2\nAluminium\nAl 0.20 0.80 1.00\nLithium\nLi 1.00 0.00 0.00\n"
        b"------------------- Al Li\n. 26.8000 27.2000 1 0\n. 6.9000 7.2000 0 1\n",
        b"2 2\nAluminium\nAl 0.2 1 1\nHydrogen\nH 0.8 0.8 0\n----- Al H\n. 13.40 13.90 1 0\n. 13.95 14.10 1 1\n\n"
        b"--- polyatomic extension\n1 1\nAlH\nAlH 1.00 0.00 0.50\n----- AlH\n. 13.95 14.10 1\n",
    ],
    "env": [b"Rev_2.0\n2 2\nAl 0 0 1\nLi 1 0 0\nAl 26.8 27.2 16.6 1\nLi 6.9 7.2 21 1\n"],
}


def seeds(reader: str) -> list[bytes]:
    """Make valid files, small enough for thousands of executions a second."""
    ions = ionfiles.numbers(40)
    if reader in RANGES:
        return RANGES[reader]
    if reader == "apt":
        return [ionfiles.apt_of(ions), ionfiles.apt_of(ions[:1])]
    if reader == "csv":
        forms = [(",", ".", ""), (";", ",", "x;y;z;m/q"), ("\t", ".", "#ion list"), (" ", ",", "")]
        return [ionfiles.text(ions, separator, mark, header) for separator, mark, header in forms]
    if reader == "nxapm":
        chunked = {"chunks": (16, 3), "compression": "gzip", "shuffle": True}
        made = [ionfiles.nxapm(ions, libver, **form) for libver in ("earliest", "latest") for form in ({}, chunked)]
        return [*made, ionfiles.nxapm(ions, chunks=(7, 2), fletcher32=True)]
    return [ionfiles.VALID[SUFFIX[reader]](ions)]


def put_integer(data: bytearray, choose: random.Random) -> None:
    """Overwrite a header field, or anything else, with a number that is likely to be mishandled."""
    size = choose.choice((1, 2, 4, 8))
    headers = [match.start() for match in re.finditer(rb"SEC\0|APT\0|TREE|OHDR|SNOD|HEAP|FRHP|BTHD", data)]
    base = choose.choice(headers) if headers and choose.random() < 0.7 else choose.randrange(max(1, len(data)))
    at = min(base + 4 * choose.randrange(40), max(0, len(data) - size))
    value = (choose.choice(INTEGERS) + choose.randrange(-1, 2)) % 2 ** (8 * size)
    data[at : at + size] = value.to_bytes(size, choose.choice(("little", "big")))


def put_word(data: bytearray, choose: random.Random) -> None:
    """Insert a piece of text, or put it in the place of a field."""
    word = choose.choice(WORDS)
    fields = [match.span() for match in re.finditer(rb"[^,;\t \r\n]+", data)] if len(data) < 4096 else []
    if fields and choose.random() < 0.6:
        start, stop = choose.choice(fields)
        data[start:stop] = word
    else:
        at = choose.randrange(len(data) + 1)
        data[at:at] = word


def move_part(data: bytearray, choose: random.Random) -> None:
    """Cut, repeat or shorten: sections and lines twice, gone, or half."""
    breaks = [match.start() for match in re.finditer(rb"SEC\0|\n", data)] or [choose.randrange(len(data) + 1)]
    start, stop = sorted((choose.choice([0, *breaks]), choose.choice([*breaks, len(data)])))
    part = bytes(data[start:stop])
    what = choose.randrange(3)
    if what == 0:
        data[stop:stop] = part
    elif what == 1:
        del data[start:stop]
    else:
        del data[choose.randrange(len(data) + 1) :]


def flip(data: bytearray, choose: random.Random) -> None:
    """Flip one bit."""
    if data:
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Change a file a little, with an eye to its structure, or as libFuzzer does."""
    choose = random.Random(seed)
    if choose.random() < 0.3:
        return bytes(atheris.Mutate(data, most))
    changed = bytearray(data)
    for _ in range(choose.randrange(1, 4)):
        choose.choice((put_integer, put_word, move_part, flip))(changed, choose)
    return bytes(changed[:most])


def read_all(path: Path) -> None:
    """Read a file as the programs do; the blocks must hold as many ions as were announced, each of them finite."""
    if path.suffix in RANGE_SUFFIX.values():
        read_ranges(path)
        return
    file = open_ions(path)
    assert sum(len(block) for block in file.blocks(rows=1 << 16)) == file.n_ions
    assert len(file.read(file.n_ions // 2, file.n_ions)) == file.n_ions - file.n_ions // 2


def peak_bytes() -> int:
    """Tell the highest memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def checked(path: Path) -> Callable[[bytes], None]:
    """Return one execution, which writes its input to `path`."""

    def execute(data: bytes) -> None:
        path.write_bytes(data)
        memory, start = peak_bytes(), time.process_time()
        with contextlib.suppress(AptstreamError):
            read_all(path)
        seconds, grown = time.process_time() - start, peak_bytes() - memory
        assert seconds <= MOST_SECONDS, f"{seconds:.2f} s for {len(data)} bytes"
        assert grown <= MEMORY_FACTOR * len(data) + MEMORY_BYTES, f"{grown} bytes for a file of {len(data)}"

    return execute


def main(arguments: Sequence[str]) -> None:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", choices=[*SUFFIX, *RANGE_SUFFIX], required=True)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("crash", nargs="?", help="an input that failed before")
    options = parser.parse_args(arguments)
    scratch = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder, "input").with_suffix((SUFFIX | RANGE_SUFFIX)[options.reader])
        execute = checked(path)
        for data in seeds(options.reader):  # what is loaded or made once does not count
            execute(data)
        if options.crash:
            execute(Path(options.crash).read_bytes())
            return
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, data in enumerate(seeds(options.reader)):
            (corpus / str(number)).write_bytes(data)
        flags = [f"-runs={options.runs}", f"-seed={options.seed}", f"-max_len={MOST_BYTES}", "-timeout=30"]
        flags += ["-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1", str(corpus)]
        atheris.Setup([sys.argv[0], *flags], execute, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
