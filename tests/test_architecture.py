"""The arrows of the house: a module imports only from the lines below its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [  # top first; names on one line do not know each other
    "main app_hooks",
    "app",
    "warming",
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
    "constants columns errors config flags rules typing durable machine shipped",
]
DEPTH = {name: depth for depth, line in enumerate(LAYERS) for name in line.split()}
FOUNDATION = set(LAYERS[-1].split())
KEPT_TO = {  # heavy libraries and the units allowed to import them
    "torch": {"networks", "training", "search"},
    "safetensors": {"networks", "training"},
    "dask": {"spine"},
    "distributed": {"spine"},
    "panel": {"main", "app", "views", "planes", "state", "theme"},
    "holoviews": {"app", "views", "planes", "theme"},
    "bokeh": {"app", "views", "planes", "theme", "state"},
    "datashader": {"planes", "app"},
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


def imported_names(path: Path) -> list[tuple[str, ...]]:
    """Return every imported dotted name, relative imports resolved, as tuples of parts."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names += [(*base, alias.name) for alias in node.names]
    return names


def own_unit(path: Path) -> str:
    return unit_of(path.relative_to(ROOT).with_suffix("").parts)


def test_every_module_has_a_line():
    assert MODULES
    assert {own_unit(path) for path in MODULES} <= set(DEPTH)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = own_unit(path)
    for name in imported_names(path):
        if name[0] in {"msfa_core", "dashboard"} and len(name) > 1:
            target = unit_of(name)
            same_unit = target == own or {target, own} <= FOUNDATION
            below = DEPTH.get(target, len(LAYERS)) > DEPTH[own]
            assert same_unit or below, f"{own} imports {'.'.join(name)}, which is not below it"
        else:
            allowed = KEPT_TO.get(name[0])
            assert allowed is None or own in allowed, f"{own} imports {name[0]}"


def test_the_core_never_prints():
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "msfa_core" and own_unit(path) != "cli":
            calls = [
                node
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
            ]
            assert not calls, f"{path} prints; only cli.py does"


def test_the_archive_is_reached_through_the_survey_only():
    """A spectrum of the archive lacks what catalogues say of it; a survey gives completed ones."""
    for path in MODULES:
        if own_unit(path) in {"survey", "spectra"}:
            continue
        reached = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and node.attr == "archive"
        ]
        assert not reached, f"{path}, lines {reached}: take Survey.spectra, spectrum or shards"
