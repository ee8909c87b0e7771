"""One set of rules, held against real machine-readable tables and against those that we write."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import PAPER_COLUMNS, conform
from msfa_core.tables.export import export

REAL = ("Anderson2009_table1", "Dunham_NH3", "Rathborne_2009_Table2", "Reid_2014_table1")
REAL += ("Simon_2006_Table1",)  # the others declare what their rows do not hold
_BYTES = re.compile(r"^ {0,8}(?:(\d+)- *)?(\d+) +([AIFE])(\d+)(?:\.(\d+))? +(\S+) +(\S+) *(.*)$")


def faults_of_row(row: str, columns: list[tuple[str, int, int, str, str]]) -> list[str]:
    """Return what breaks the rules in one row: each cell by its format, nothing between them."""
    found, left = [], list(row)
    for name, first, last, kind, text in columns:
        cell = "".join(left[first - 1 : last]).strip()
        left[first - 1 : last] = " " * (last - first + 1)
        if kind != "A" and cell:
            try:
                int(cell) if kind == "I" else float(cell)
            except ValueError:
                found.append(f"{name} holds {cell!r}")
        if not cell and kind != "A" and not text.startswith(("?", "[")):
            found.append(f"{name} is blank, and not declared so")
    between = "".join(left).strip()
    return [*found, f"text outside the described bytes: {between!r}"] if between else found


def faults(path: Path) -> list[str]:
    """Return what breaks the rules: head, bytes, formats, notes, and every cell of the rows."""
    lines = path.read_text(encoding="ascii").split("\n")
    found = []
    heads = [line for line in lines if re.match(r"(Title|Authors|Table):", line)]
    if [line.split(":")[0] for line in heads[:3]] != ["Title", "Authors", "Table"]:
        found.append("Title, Authors, Table do not come first, in this order")
    rules = [k for k, line in enumerate(lines) if re.fullmatch(r"(-{80}|={80})", line)]
    at = next(k for k, line in enumerate(lines) if line.startswith("Byte-by-byte Description"))
    if lines[at - 1] != "=" * 80:
        found.append("no double rule above the description of bytes")
    head = lines[at + 2].split()
    if head != ["Bytes", "Format", "Units", "Label", "Explanations"]:
        found.append(f"the columns of the description are {head}")
    end = next(k for k in rules if k > at + 3)
    columns, before = [], 0
    for line in lines[at + 4 : end]:
        told = _BYTES.match(line)
        if told is None:
            continue  # the second line of an explanation
        first, last = int(told[1] or told[2]), int(told[2])
        if first <= before or last - first + 1 != int(told[4]):
            found.append(f"bytes of {told[7]}: {first}-{last} {told[3]}{told[4]}")
        before = last
        columns.append((told[7], first, last, told[3], told[8]))
    if max(map(len, lines[:end]), default=0) > 80 + 32:
        found.append("a line of the head is far too long")
    last_rule = rules[-1]
    notes = [int(n) for n in re.findall(r"^Note \((\d+)\):", "\n".join(lines[end:last_rule]), re.M)]
    if notes != list(range(1, len(notes) + 1)):
        found.append(f"notes are numbered {notes}")
    marked = {int(n) for one in columns for n in re.findall(r"\((\d+)\)", one[4])}
    if not marked <= set(notes):
        found.append(f"markers without a note: {marked - set(notes)}")
    rows = [line for line in lines[last_rule + 1 :] if line.strip()]
    found += [fault for row in rows for fault in faults_of_row(row.ljust(before), columns)]
    return sorted(set(found))


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_the_rules_hold_for_real_tables(real_data, name):
    said = faults(real_data / "catalogues" / "mrt_examples" / f"{name}.mrt")
    assert not [one for one in said if "is blank" not in one], said  # authors forget the ?


@pytest.mark.parametrize("columns", ["paper", "full"])
def test_the_rules_hold_for_ours(tmp_path, columns):
    rng = np.random.default_rng(5)
    table = conform(pd.DataFrame({"obsid": 2**60 + np.arange(40)}))
    for name in PAPER_COLUMNS[1:]:
        table[name] = np.where(rng.random(40) < 0.2, np.nan, rng.normal(0, 1e3, 40))
    table["comment"] = [None, 'a, "b" – Ж', "line\nend", "= 1 + 1"] * 10
    table["is_candidate"] = pd.array([True, False, None, True] * 10, dtype="boolean")
    header = {"title": "T" * 200, "authors": "Ann, Bob", "note": "long " * 60, "α": "β ≥ 3"}
    path = export(table, tmp_path / "ours.mrt", columns=columns, header=header)
    assert faults(path) == []
