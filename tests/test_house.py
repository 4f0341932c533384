"""The rules of the house: who may import whom, what is loaded when, and how large a room may grow."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import aptstream

HOUSE = Path(aptstream.__file__).parent
MODULES = sorted(HOUSE.rglob("*.py"))
#: Ions flow this way: a room imports from itself and from those before it.
ROOMS = ["crystal", "io", "cloud", "pole", "simulate", "sdm", "model", "scan", "grid", "phases", "peers", "report"]
EVERYWHERE = {"errors", "points", "regions", "progress", "showing", "__init__"}
TOP = {"checking", "cluster", "display", "drawings", "gallery", "inspection", "orientation", "redraw", "runresult"}
TOP |= {"reproduce", "verification", "workflow", "cli"}
CLI = (
    "check",
    "cluster",
    "compare",
    "complete",
    "figure",
    "model",
    "parts",
    "phases",
    "pole",
    "ranges",
    "report",
    "reproduce",
    "scan",
    "simulate",
    "store",
)
TOP |= {f"cli_{name}" for name in CLI}
HEAVY = ["dask", "distributed", "tensorflow", "zarr", "matplotlib", "scipy", "skimage", "ai_edge_litert"]
LIGHTER = ["numpy", "rich", "typer"]
GATES = {
    "_sdm": "sdm/kernel.py",
    "_field": "sdm/field.py",
    "_kdtree": "cloud/tree.py",
    "_ions": "io/decode.py",
    "_text": "io/text.py",
    "_waves": "pole/waves.py",
    "_gridnet": "model/gridnet.py",
}

by_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))


def name_of(path):
    return str(path.relative_to(HOUSE))


def room_of(path):
    relative = path.relative_to(HOUSE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes_of(path):
    return list(ast.walk(tree_of(path)))


@functools.cache
def imports(path):
    """Imported module, and whether only inside a function; what only type checkers see does not count."""
    found = []

    def walk(node, inside):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                walk(child, inside)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            # `from aptstream import _sdm` imports a module, `from aptstream import __version__` does not.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend((name, inside) for name in names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            walk(child, inside)

    walk(tree_of(path), False)
    return found


def packages_of(path):
    return {(name.split(".")[0], inside) for name, inside in imports(path)}


def test_the_walk_sees_what_it_should():
    seen = dict(imports(HOUSE / "scan" / "lazy.py"))
    assert seen["dask.array"] is True
    assert seen["aptstream.scan.plan.plan_scan"] is False
    assert "numpy" in seen
    assert sum(name.startswith("dask") for name, _ in imports(HOUSE / "scan" / "lazy.py")) == 1


def test_every_module_belongs_to_a_known_room():
    assert {room_of(path) for path in MODULES} == {*ROOMS, *EVERYWHERE, *TOP}


@by_module
def test_a_room_imports_only_from_those_before_it(path):
    room = room_of(path)
    allowed = set(EVERYWHERE)
    if room in TOP:
        allowed |= {*ROOMS, *TOP}
    elif room in ROOMS:
        allowed |= set(ROOMS[: ROOMS.index(room) + 1])
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] == "aptstream" and len(parts) > 1 and parts[1] not in ("__version__", *GATES):
            assert parts[1] in allowed, f"{name_of(path)} imports {name}"


@pytest.mark.parametrize(("extension", "gate"), GATES.items())
def test_an_extension_has_exactly_one_importer(extension, gate):
    importers = [
        name_of(path)
        for path in MODULES
        if any(name.split(".")[:2] == ["aptstream", extension] for name, _ in imports(path))
    ]
    assert importers == [gate]


def test_every_extension_has_a_gate():
    ext = HOUSE.parent / "ext"
    if not ext.is_dir():
        pytest.skip("installed without sources")
    assert {path.stem for path in ext.glob("*.pyx")} == set(GATES)


@by_module
def test_heavy_packages_stay_where_they_belong(path):
    room = room_of(path)
    for package, inside in packages_of(path):
        if package in ("tensorflow", "keras"):
            assert room == "model", package
            assert inside, package
        if package in ("dask", "distributed"):
            assert inside or room in ("scan", "cluster"), package
        if package in ("matplotlib", "plotly"):
            assert room == "report", package
        assert package != "pytest"


@by_module
def test_a_module_fits_on_a_few_screens(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@by_module
def test_everything_public_says_what_it_is(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    bare = []

    def look(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if child.name.startswith("_"):
                    continue
                if not ast.get_docstring(child):
                    bare.append(prefix + child.name)
                if isinstance(child, ast.ClassDef):
                    look(child, f"{prefix}{child.name}.")

    look(tree, "")
    assert bare == []


@by_module
def test_only_the_command_line_prints(path):
    calls = [
        node.lineno
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == [] or path.name == "cli.py"


@by_module
def test_nothing_asserts_about_input_or_swallows_everything(path):
    for node in nodes_of(path):
        assert not isinstance(node, ast.Assert), node.lineno
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, node.lineno


def fresh(code):
    """Run a line in an interpreter of its own and return what it prints."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=HOUSE.parent
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_aptstream_loads_nothing_heavy():
    assert fresh(f"import aptstream, sys; print([name for name in {HEAVY + LIGHTER!r} if name in sys.modules])") == "[]"


def test_the_command_line_answers_before_the_heavy_packages_are_loaded():
    code = f"import aptstream.cli, aptstream.cluster, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert fresh(code) == "[]"


def test_scanning_and_reporting_load_neither_tensorflow_nor_workers():
    code = "from aptstream import run_scan, report, find, load_model; import sys; load_model('cubes'); "
    assert fresh(code + "print([n for n in ('tensorflow', 'distributed') if n in sys.modules])") == "[]"


#: Names that notebooks rely on (ARCHITECTURE §3), as far as they exist.
PROMISED = [
    "ingest",
    "open_store",
    "PointStore",
    "PointCloud",
    "Box",
    "Sphere",
    "Range",
    "RangeTable",
    "Roles",
    "read_ranges",
    "PointTree",
    "Crystal",
    "load_model",
    "Model",
    "train",
    "scan",
    "run_scan",
    "open_scan",
    "vote",
    "find",
    "find_precipitates",
    "Precipitates",
    "VoxelGrid",
    "report",
    "Summary",
    "count_sdm",
    "SdmScan",
    "scan_sdms",
    "SdmWindow",
    "sdm_dictionary",
    "simulate_specimen",
    "Settings",
    "draw_particles",
    "AptstreamError",
]


def test_every_promised_name_is_public_and_resolves():
    assert set(PROMISED) <= set(aptstream.__all__)
    for name in aptstream.__all__:
        thing = getattr(aptstream, name)
        assert name == "__version__" or callable(thing), name
        assert name in dir(aptstream)


def test_type_checkers_see_the_same_names_as_programs():
    tree = ast.parse(Path(aptstream.__file__).read_text(encoding="utf-8"))
    (block,) = (n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    seen |= {node.targets[0].id for node in block.body if isinstance(node, ast.Assign)}
    assert seen - {"make_dictionary"} == set(aptstream.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = aptstream.nonsense


@pytest.mark.parametrize(
    "first", ["aptstream.scan", pytest.param("__import__('aptstream.scan.run')", marks=pytest.mark.slow)]
)
def test_rooms_that_share_their_name_with_their_main_function_are_both(first):
    code = f"import aptstream; {first}; from aptstream import scan, report; import inspect; "
    code += "print(callable(scan), callable(report), *inspect.signature(scan).parameters, scan.open_scan.__name__)"
    assert fresh(code) == "True True store model roles edge_nm open_scan"


def test_all_errors_have_one_root_and_travel_between_processes():
    import pickle

    from aptstream import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, errors.AptstreamError)
        copy = pickle.loads(pickle.dumps(kind("what was found")))
        assert (type(copy), str(copy)) == (kind, "what was found")
