"""A real Dask scheduler with workers of their own, over TLS: the same scan, and no door open."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from dask.utils import key_split

from aptstream.cloud.workers import run_tasks
from aptstream.cluster import Scheduler, local_client, remote_client
from aptstream.errors import WorkerError
from aptstream.scan import open_scan, run_scan
from aptstream.scan import plan as planning

# The processes see this package where this process does, also where it is not installed.
SURROUNDINGS = {
    **{name: value for name, value in os.environ.items() if not name.startswith("DASK_")},
    "PYTHONPATH": os.pathsep.join(sys.path),
}
COMMON = ("--protocol", "tls", "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")


# What can be told without a scheduler


@pytest.fixture
def files(tmp_path):
    for name in ("ca.pem", "node.pem", "node.key"):
        (tmp_path / name).write_text("not read here")
    return tmp_path / "ca.pem", tmp_path / "node.pem", tmp_path / "node.key"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost"])
def test_plain_addresses_of_this_machine_are_allowed(host):
    assert Scheduler(f"tcp://{host}:8786").insecure is False


@pytest.mark.parametrize("host", ["10.0.0.7", "192.0.2.1", "0.0.0.0", "[::]", "[2001:db8::1]", "no-such-name.invalid"])
def test_plain_addresses_elsewhere_are_refused_unless_asked_for_by_name(host):
    with pytest.raises(WorkerError, match=r"no TLS.*--tls-ca-file.*--insecure"):
        Scheduler(f"tcp://{host}:8786")
    assert Scheduler(f"tcp://{host}:8786", insecure=True).insecure


@pytest.mark.parametrize(
    "address", ["", "10.0.0.7:8786", "http://10.0.0.7", "tls://", "inproc://a", "ucx://10.0.0.7:1"]
)
def test_what_is_no_address_is_refused(address, files):
    with pytest.raises(WorkerError, match=r"no address of a scheduler.*tls://HOST:PORT"):
        Scheduler(address, *files, insecure=True)


def test_tls_asks_for_all_its_files(files):
    assert Scheduler("tls://10.0.0.7:8786", *files).ca == files[0]
    for missing in range(3):
        given = [None if i == missing else file for i, file in enumerate(files)]
        with pytest.raises(WorkerError, match=r"asks for TLS: give --tls-ca, --tls-cert and --tls-key"):
            Scheduler("tls://10.0.0.7:8786", *given, insecure=True)
    files[1].unlink()
    with pytest.raises(WorkerError, match=r"no file .*node\.pem"):
        Scheduler("tls://10.0.0.7:8786", *files)


@pytest.mark.cluster
def test_a_scheduler_of_ours_keeps_nothing_of_the_tasks_that_are_done(monkeypatch):
    monkeypatch.setattr("aptstream.cluster.KNOWN_NAMES", 8)
    with local_client(1) as client:
        for done in run_tasks(pow, [(i, 2) for i in range(20)], client):
            assert done >= 0
        scheduler = client.cluster.scheduler
        spans = list(scheduler.extensions["spans"].spans.values())
        assert spans  # else the memory is somewhere else now: bench_scale.py --tasks shows whether there is any
        assert all(not span.metadata for span in spans)
        assert key_split.cache_info().currsize < 20


# Real processes


def authority(folder: Path) -> Path:
    """Make an authority, and a certificate that it signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("certificates are made with the program openssl, which is not here")
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    for words in (
        ("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"),
        ("req", *key, "-subj", "/CN=node", "-keyout", "node.key", "-out", "node.csr"),
        ("x509", "-req", "-in", "node.csr", *signed, "-out", "node.pem"),
    ):
        subprocess.run((openssl, *words), cwd=folder, check=True, capture_output=True)
    return folder


def named(folder: Path, ca: str, certificate: str, key: str) -> tuple[str, ...]:
    """Give the files of an authority as options."""
    return (ca, f"{folder / 'ca.pem'}", certificate, f"{folder / 'node.pem'}", key, f"{folder / 'node.key'}")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("ours") / "a")


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("another") / "a")


@contextmanager
def process(folder: Path, *words):
    """Run a program of Dask as a user does, and end it with all that it started."""
    with (folder / f"{words[0]}-{time.monotonic_ns()}.log").open("xb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, words)], cwd=folder, env=SURROUNDINGS, stdout=log, stderr=log
        )
    try:
        yield program
    finally:
        family = [*psutil.Process(program.pid).children(recursive=True), program] if program.poll() is None else []
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        program.wait()


@pytest.fixture(scope="module")
def scheduler(ours, tmp_path_factory):
    """Address of a scheduler without workers, and its process."""
    folder = tmp_path_factory.mktemp("scheduler")
    tls = named(ours, "--tls-ca-file", "--tls-cert", "--tls-key")
    with process(folder, "scheduler", "--port", "0", "--scheduler-file", "s.json", *COMMON, *tls) as program:
        while not (folder / "s.json").is_file():
            assert program.poll() is None, next(folder.glob("*.log")).read_text()
            time.sleep(0.05)
        yield json.loads((folder / "s.json").read_text())["address"], program


@pytest.fixture
def worker(ours, scheduler, tmp_path):
    """Start a worker of the scheduler."""
    tls = named(ours, "--tls-ca-file", "--tls-cert", "--tls-key")
    (tmp_path / "worker").mkdir()

    def start(*options):
        return process(tmp_path / "worker", "worker", scheduler[0], "--nthreads", "1", *COMMON, *tls, *options)

    return start


def client_of(folder: Path, address: str) -> Scheduler:
    return Scheduler(address, folder / "ca.pem", folder / "node.pem", folder / "node.key")


def scan_on(store, out, *words):
    """Scan with the command line, in a process of its own."""
    question = ("--host", "Al", "--solute", "Li,Mg", "--model", "cubes", "--out", str(out))
    return subprocess.run(
        [sys.executable, "-m", "aptstream.cli", "scan", str(store.path), *question, *map(str, words)],
        cwd=out.parent,
        env=SURROUNDINGS,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.cluster
def test_a_scan_over_tls_is_the_same_and_nothing_listens_beyond_this_machine(
    scheduler, worker, ours, specimen_store, specimen_scan, tmp_path
):
    tls = named(ours, "--tls-ca", "--tls-cert", "--tls-key")
    with worker() as first, worker() as second:
        ended = scan_on(specimen_store, tmp_path / "scan.zarr", "--scheduler", scheduler[0], *tls)
        listening = set().union(*(listeners(p.pid) for p in (scheduler[1], first, second)))
    assert ended.returncode == 0, ended.stderr
    assert open_scan(tmp_path / "scan.zarr").digest() == specimen_scan.digest()
    assert listening == {"127.0.0.1"}


@pytest.mark.cluster
def test_a_client_with_the_certificate_of_another_authority_is_refused(
    scheduler, another, ours, specimen_store, tmp_path, monkeypatch
):
    tls = named(another, "--tls-ca", "--tls-cert", "--tls-key")
    ended = scan_on(specimen_store, tmp_path / "scan.zarr", "--scheduler", scheduler[0], *tls)
    assert ended.returncode == 1
    assert re.search(r"error: The scheduler at tls://\S+ cannot be used: .*the same authority\?", ended.stderr)
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "scan.zarr").exists()
    monkeypatch.setattr("aptstream.cluster.PATIENCE_S", 3)
    mixed = Scheduler(scheduler[0], ours / "ca.pem", another / "node.pem", another / "node.key")
    with pytest.raises(WorkerError, match="cannot be used"), remote_client(mixed):
        pass
    mispaired = Scheduler(scheduler[0], ours / "ca.pem", ours / "node.pem", another / "node.key")
    with pytest.raises(WorkerError, match="cannot be used"), remote_client(mispaired):
        pass


@pytest.mark.cluster
def test_a_client_without_a_certificate_is_refused(scheduler, specimen_store, tmp_path, monkeypatch):
    ended = scan_on(specimen_store, tmp_path / "scan.zarr", "--scheduler", scheduler[0])
    assert ended.returncode == 1
    assert "asks for TLS: give --tls-ca, --tls-cert and --tls-key" in ended.stderr
    monkeypatch.setattr("aptstream.cluster.PATIENCE_S", 3)
    with (
        pytest.raises(WorkerError, match="cannot be used"),
        remote_client(Scheduler(scheduler[0].replace("tls", "tcp"))),
    ):
        pass


@pytest.mark.cluster
def test_a_scheduler_without_workers_says_how_to_start_some(scheduler, ours, monkeypatch):
    monkeypatch.setattr("aptstream.cluster.PATIENCE_S", 1)
    with (
        pytest.raises(WorkerError, match=r"has no workers.*dask worker tls://"),
        remote_client(client_of(ours, scheduler[0])),
    ):
        pass


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("preload", "found"),
    [
        ("import aptstream; aptstream.__version__ = '9.9'", r"has 9\.9, expected aptstream \d"),
        ("import sys; sys.modules['aptstream'] = sys.modules['aptstream.cluster'] = None", r"has no aptstream \("),
    ],
)
def test_a_worker_of_another_version_is_refused(preload, found, scheduler, worker, ours, tmp_path):
    (tmp_path / "preload.py").write_text(preload)
    with (
        worker("--preload", tmp_path / "preload.py"),
        pytest.raises(WorkerError, match=f"1 of 1 workers cannot take part: tls://.*{found}.*Install the same"),
        remote_client(client_of(ours, scheduler[0])),
    ):
        pass


@pytest.mark.cluster
def test_a_worker_whose_time_is_up_and_that_comes_again_changes_nothing(
    scheduler, worker, ours, specimen_store, specimen_scan, model, roles, tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))
    seen = []
    with worker("--lifetime", "3s", "--lifetime-restart"), remote_client(client_of(ours, scheduler[0])) as client:

        def wait_for_the_next_worker(*_state):
            """Hold back the tasks that are not in flight until those that are have met the end of their worker."""
            now = set(client.scheduler_info(n_workers=-1)["workers"])
            seen.append(now)
            while len(seen) < 3 and (not now or now == seen[0]):
                time.sleep(0.1)
                now = set(client.scheduler_info(n_workers=-1)["workers"])

        scan = run_scan(
            specimen_store, model, roles, out=tmp_path / "s.zarr", client=client, progress=wait_for_the_next_worker
        )
    assert len(set().union(*seen)) > 1
    assert scan.digest() == specimen_scan.digest()


@pytest.mark.cluster
def test_a_default_run_listens_on_this_machine_only_from_its_begin_to_its_end(specimen_files, tmp_path):
    question = (
        "--ranges",
        str(specimen_files.rrng),
        "--host",
        "Al",
        "--solute",
        "Li,Mg",
        "--out",
        str(tmp_path / "run"),
    )
    words = [sys.executable, "-m", "aptstream.cli", "run", str(specimen_files.pos), *question]
    with (tmp_path / "log").open("xb") as log:
        run = subprocess.Popen(words, cwd=tmp_path, env=SURROUNDINGS, stdout=log, stderr=log)
        listening = set()
        while run.poll() is None:
            listening |= listeners(run.pid)
            time.sleep(0.1)
    assert run.returncode == 0, (tmp_path / "log").read_text()
    assert listening == {"127.0.0.1"}


def listeners(pid: int) -> set[str]:
    """Name the addresses on which a process and all that it started listen."""
    found = set()
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return found
    for member in family:
        try:
            found |= {c.laddr.ip for c in member.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
    return found
