"""The arrows of the house: a module imports only from the lines below its own, none in a circle."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [  # top first; names on one line do not know each other
    "main app_hooks",
    "app",
    "warming making",
    "views",
    "planes",
    "state theme",
    "cli",
    "workshop",
    "validation",
    "training products",
    "spine",
    "simulate lamost",
    "survey",
    "search balmer templates slam stars",
    "photometry vetting",
    "spectra networks",
    "tables",
    "constants columns errors config flags rules typing durable machine shipped counting",
]
DEPTH = {name: depth for depth, line in enumerate(LAYERS) for name in line.split()}
FOUNDATION = set(LAYERS[-1].split())
KEPT_FROM = {  # units that users never run, or that the screen draws nothing from
    "workshop": {"main", "app", "warming", "views", "planes", "state", "theme"},
    "simulate": {"main", "app", "warming", "views", "planes", "state", "theme"},
}
MOST_ARROWS = 100  # between folders, the modules of the last line taken as one
MOST_LOOSE = 10  # modules of msfa_core in no folder
KEPT_TO = {  # heavy libraries and the units allowed to import them
    "torch": {"networks", "training", "search"},
    "safetensors": {"networks", "training"},
    "dask": {"spine"},
    "distributed": {"spine"},
    "panel": {"main", "app", "views", "planes", "state", "theme"},
    "holoviews": {"app", "views", "planes", "theme"},
    "bokeh": {"app", "views", "planes", "theme", "state"},
    "sqlalchemy": {"vetting"},
    "alembic": {"vetting"},
    "typer": {"cli"},
    "rich": {"cli"},
}
MODULES = sorted(
    path
    for package in ("msfa_core", "dashboard")
    for path in (ROOT / package).rglob("*.py")
    if path.relative_to(ROOT).parts[1] != "__init__.py"
)


def unit_of(parts: tuple[str, ...]) -> str:
    """Return the layer name of ('msfa_core', 'spectra', 'prepare'): 'spectra'."""
    return parts[1]


class Said(NamedTuple):
    """What a module says that a rule looks at; read once for all of them."""

    names: list[tuple[str, ...]]  # every imported one, relative imports resolved, in its parts
    prints: bool
    archive: list[int]  # lines that reach for an attribute of this name


@cache
def said_in(path: Path) -> Said:
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names: list[tuple[str, ...]] = []
    prints, archive = False, []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            prints |= getattr(node.func, "id", "") == "print"
        elif isinstance(node, ast.Attribute) and node.attr == "archive":
            archive.append(node.lineno)
        elif isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names += [(*base, alias.name) for alias in node.names]
    return Said(names, prints, archive)


def own_unit(path: Path) -> str:
    return unit_of(path.relative_to(ROOT).with_suffix("").parts)


def test_every_module_has_a_line():
    assert MODULES
    assert {own_unit(path) for path in MODULES} <= set(DEPTH)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = own_unit(path)
    for name in said_in(path).names:
        if name[0] in {"msfa_core", "dashboard"} and len(name) > 1:
            target = unit_of(name)
            same_unit = target == own or {target, own} <= FOUNDATION
            below = DEPTH.get(target, len(LAYERS)) > DEPTH[own]
            assert same_unit or below, f"{own} imports {'.'.join(name)}, which is not below it"
            assert own not in KEPT_FROM.get(target, ()), f"{own} imports {'.'.join(name)}"
        else:
            allowed = KEPT_TO.get(name[0])
            assert allowed is None or own in allowed, f"{own} imports {name[0]}"


def test_the_core_never_prints():
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "msfa_core" and own_unit(path) != "cli":
            assert not said_in(path).prints, f"{path} prints; only cli.py does"


def test_the_archive_is_reached_through_the_survey_only():
    """A spectrum of the archive lacks what catalogues say of it; a survey gives completed ones."""
    for path in MODULES:
        if own_unit(path) in {"survey", "spectra"}:
            continue
        reached = said_in(path).archive
        assert not reached, f"{path}, lines {reached}: take Survey.spectra, spectrum or shards"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def arrows_between_modules() -> tuple[list[str], list[tuple[int, int]]]:
    """Return the modules and the pairs (importing, imported), packages' own files aside."""
    names = [module_name(path) for path in MODULES]
    number = {
        name: k
        for k, (name, path) in enumerate(zip(names, MODULES, strict=True))
        if path.name != "__init__.py"
    }
    pairs = {
        (own, number[name])
        for own, path in enumerate(MODULES)
        for parts in said_in(path).names
        for name in (".".join(parts), ".".join(parts[:-1]))
        if name in number and number[name] != own
    }
    return names, sorted(pairs)


def test_no_module_imports_itself_by_way_of_others():
    names, pairs = arrows_between_modules()
    start, end = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs)), (start, end)), shape=(len(names), len(names)))
    _, circle = connected_components(graph, connection="strong")
    of = {}
    for name, number in zip(names, circle, strict=True):
        of.setdefault(number, []).append(name)
    assert [members for members in of.values() if len(members) > 1] == []


def test_few_arrows_join_the_folders():
    """One room per folder, one floor for the modules that everybody stands on."""
    names, pairs = arrows_between_modules()

    def room(name: str) -> str:
        package, _, rest = name.partition(".")
        unit = rest.split(".")[0]
        return package if package == "dashboard" else "floor" if unit in FOUNDATION else unit

    rooms = {(room(names[a]), room(names[b])) for a, b in pairs}
    assert len({(a, b) for a, b in rooms if a != b}) <= MOST_ARROWS


def test_few_modules_stand_in_no_folder():
    loose = [path for path in MODULES if len(path.relative_to(ROOT).parts) == 2]
    assert len([path for path in loose if path.parent.name == "msfa_core"]) <= MOST_LOOSE


def test_the_table_of_contents_names_every_folder_once():
    contents = (ROOT / "msfa_core" / "__init__.py").read_text(encoding="utf-8")
    named = [line.split()[0] for line in ast.get_docstring(ast.parse(contents)).splitlines()
             if line.startswith("  ")]  # fmt: skip
    folders = [path.parent.name for path in (ROOT / "msfa_core").glob("*/__init__.py")]
    assert sorted(named) == sorted(folders)
