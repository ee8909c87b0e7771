"""The list of the workshop names every shipped file, and commands that are there."""

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTED = (ROOT / "msfa_core" / "workshop" / "README.md").read_text(encoding="utf-8")
FILES = {cell for row in re.findall(r"^\| (`data/.*?) \|", LISTED, re.MULTILINE)
         for cell in re.findall(r"`(.*?)`", row)}  # fmt: skip


def test_every_shipped_file_has_a_command_or_says_that_it_was_made_by_hand():
    shipped = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "data").rglob("*.*")
        if path.is_file() and path.name != "README.md" and path.parts[len(ROOT.parts) + 1] != "demo"
    }
    assert {name for name in shipped if not any(fnmatch(name, file) for file in FILES)} == set()
    assert {file for file in FILES if not any(fnmatch(name, file) for name in shipped)} == set()


def test_every_maker_is_named_and_every_name_is_a_maker():
    named = set(re.findall(r"python -m msfa_core\.workshop\.(\w+)", LISTED))
    makers = {
        path.stem
        for path in (ROOT / "msfa_core" / "workshop").glob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }
    assert named == makers
