"""A comparison of releases as files: one page that stands alone, and tables as CSV."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core import __version__
from msfa_core.durable import write_whole
from msfa_core.tables.guards import csv_bytes
from msfa_core.validation.releases import Comparison

PAGE: Final = "releases.html"
_SHOWN: Final = 200  # spectra on the page; the CSV has all
_STYLE: Final = """\
body{font:15px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;font-size:13px}
th,td{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.failed{color:#a00;font-weight:600}.passed{color:#070}
"""


def write_comparison(found: Comparison, folder: str | Path) -> list[Path]:
    """Write the page and the tables ``summary.csv``, ``spectra.csv``, ``lost.csv``, ``new.csv``.

    Parameters
    ----------
    found : Comparison
    folder : str or Path
        Made when it is not there.

    Returns
    -------
    list of Path
        The page first.

    Raises
    ------
    SurveyError
        When a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "summary": found.summary.reset_index(),
        "spectra": found.spectra,
        "lost": found.lost,
        "new": found.new,
    }
    paths = [folder / PAGE]
    write_whole(paths[0], page_text(found).encode())
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        write_whole(path, csv_bytes(table))
        paths.append(path)
    return paths


def page_text(found: Comparison) -> str:
    """Return the page: nothing in it comes from elsewhere, and all text is escaped."""
    a, b = escape(found.a), escape(found.b)
    changed = found.spectra[found.spectra["changed"] != ""]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>{a} and {b}</title><style>{_STYLE}</style>",
        f"<h1>{a} (A) and {b} (B)</h1>",
        f"<p>{found.n_a:,} spectra in A, {found.n_b:,} in B; {found.by_obsid:,} joined by obsid, "
        f"{found.by_place:,} by place and night; {len(found.lost):,} lost, {len(found.new):,} new; "
        f"{len(changed):,} changed.</p>",
        f"<p>{escape(verdict(found))}</p>",
        "<h2>Quantities</h2>",
        _quantities(found.summary),
        f"<h2>Spectra that changed</h2>{_told(len(changed))}",
        _table(changed.head(_SHOWN)),
    ]
    for title, table in (("Lost", found.lost), ("New", found.new)):
        if len(table):
            parts += [f"<h2>{title}</h2>{_told(len(table))}", _table(table.head(_SHOWN))]
    parts.append(f"<p>msfa-bhb {escape(__version__)}</p></html>")
    return "\n".join(parts)


def verdict(found: Comparison) -> str:
    """Return in one line whether the releases agree within the limits."""
    limited = int(found.summary["limit"].notna().sum())
    if not limited:
        return "no limits were given"
    if not found.failed:
        return f"passed: all {limited} limits are kept"
    words = [f"{name} {_value(found.summary.loc[name])}" for name in found.failed]
    return f"failed: {', '.join(words)}"


def _value(row: pd.Series) -> str:
    if np.isnan(row["value"]):
        return f"has no value (limit {row['limit']:g})"
    return f"{row['value']:.4g} (limit {row['limit']:g})"


def _told(n: int) -> str:
    return f"<p>the first {_SHOWN} of {n:,}; all are in the CSV</p>" if n > _SHOWN else ""


def _quantities(summary: pd.DataFrame) -> str:
    rows = ["<tr><th>quantity<th>value<th>spectra<th>limit<th>"]
    for name, row in summary.iterrows():
        word = "" if pd.isna(row["passed"]) else "passed" if row["passed"] else "failed"
        value = "–" if np.isnan(row["value"]) else f"{row['value']:.4g}"
        limit = "" if np.isnan(row["limit"]) else f"{row['limit']:g}"
        rows.append(
            f"<tr><td title='{escape(str(name), quote=True)}'>{escape(row['words'])}"
            f"<td class='n'>{value}<td class='n'>{row['n']:,}<td class='n'>{limit}"
            f"<td class='{word}'>{word}"
        )
    return f"<table>{''.join(rows)}</table>"


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}" for name in table.columns)
    rows = [
        "<tr>" + "".join(f"<td>{escape(_cell(value))}" for value in row)
        for row in table.itertuples(index=False)
    ]
    return f"<table><tr>{head}{''.join(rows)}</table>"


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
