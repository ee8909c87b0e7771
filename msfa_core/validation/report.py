"""A validation as files: tables (CSV), pictures (PNG) and a page that says what they show."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core import __version__
from msfa_core.counting import counted
from msfa_core.durable import write_whole
from msfa_core.survey.folder import Survey
from msfa_core.tables.guards import csv_bytes
from msfa_core.tables.packing import split_path
from msfa_core.training.evaluation_report import INTERVALS, with_intervals
from msfa_core.validation.compare import Validation
from msfa_core.validation.figures import write_figures

REPORT_FILE: Final = "validation.md"
_SECTIONS: Final = {  # how a table's name begins -> heading, and what it shows
    "class_confusion": ("Classes: confusion", "Counts: reference down, survey across."),
    "class": ("Classes", "Recall of `all` is the share of spectra with the right class."),
    "letter_confusion": ("Spectral types: confusion", "Counts: reference down, survey across."),
    "subclass": ("Subclasses", "Share within so many subtypes (O0 = 0 … M9 = 69)."),
    "velocity": (
        "Doppler shifts",
        "Survey − reference, as a velocity; scatter is 1.4826 × the median absolute deviation.",
    ),
    "labels": ("Stellar labels", "Survey − reference."),
    "search_confusion": ("Search: confusion", "Counts: reference down, survey across."),
    "search": ("Search: five classes", "The most probable class of stage 1."),
    "candidates": ("Search: BHB candidates", "Candidates of the survey against BHB or not."),
    "uid_radius": (
        "Identity and the match radius",
        "Stars of the whole survey against the radius that joins spectra; merges and splits "
        "against 3 arcsec.",
    ),
}


def write_validation(
    validation: Validation, folder: str | Path, survey: Survey, reference: str | Path
) -> list[Path]:
    """Write tables, pictures and the page ``validation.md``.

    Parameters
    ----------
    validation : Validation
    folder : str or Path
        Made when it is not there.
    survey : Survey
        For its name and provenance.
    reference : str or Path
        File that the survey was compared with; its checksum is written.

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
    tables = []
    for name, table in validation.tables.items():
        path = folder / f"{name}.csv"
        named = table.index.name or not isinstance(table.index, pd.RangeIndex)
        content = table.rename_axis(table.index.name or "of").reset_index() if named else table
        write_whole(path, csv_bytes(content))
        tables.append(path)
    title = _title(validation, survey, reference)
    pictures = write_figures(validation, folder, title)
    page = folder / REPORT_FILE
    drawn = {path.stem for path in pictures}
    write_whole(page, report_text(validation, survey, reference, drawn).encode())
    return [page, *tables, *pictures]


def report_text(
    validation: Validation, survey: Survey, reference: str | Path, drawn: set[str]
) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    validation : Validation
    survey : Survey
    reference : str or Path
    drawn : set of str
        Tables that have a picture.
    """
    joined = validation.joined
    parts = [
        f"# {_title(validation, survey, reference)}",
        f"{len(joined):,} of the survey's {validation.n_survey:,} spectra are among the "
        f"{validation.n_reference:,} rows of the reference: {joined.by_obsid:,} by obsid, "
        f"{joined.by_position:,} by position, {joined.ambiguous:,} of these with several "
        "counterparts (the nearest was taken).",
        INTERVALS,
    ]
    if validation.notes:
        parts.append("\n".join(f"- Not compared: {note}." for note in validation.notes))
    for name, table in validation.tables.items():
        heading, words = _section(name)
        opinion = name.rsplit("_", 1)[-1] if name.endswith(("_templates", "_header")) else ""
        parts.append(f"## {heading}{f' ({opinion})' if opinion else ''}\n\n{words}")
        parts.append(markdown_table(table))
        if name in drawn:
            parts.append(f"![{heading}]({name}.png)")
    parts.append("## Provenance\n\n" + "\n".join(f"- {line}" for line in _lines(survey, reference)))
    return "\n\n".join(parts) + "\n"


def summary_lines(validation: Validation) -> list[str]:
    """Return the figures that a screen has room for."""
    lines = [validation.joined.record["line"]] if validation.joined.record else []
    lines.append(f"{counted(len(validation.joined), 'spectrum', 'spectra')} compared")
    for opinion in ("templates", "header"):
        tables = validation.tables
        said = []
        if f"class_{opinion}" in tables:
            said.append(f"class right {tables[f'class_{opinion}'].loc['all', 'recall']:.1%}")
        if f"subclass_{opinion}" in tables:
            row = tables[f"subclass_{opinion}"].loc["all"]
            said.append(f"within 3 subtypes {row['within_3']:.1%}, 5 {row['within_5']:.1%}")
        if f"velocity_{opinion}" in tables:
            row = tables[f"velocity_{opinion}"].iloc[0]
            said.append(f"velocity {row['median']:+.1f} ± {row['scatter']:.1f} km/s")
        if said:
            lines.append(f"{opinion}: {', '.join(said)}")
    if "candidates" in validation.tables:
        row = validation.tables["candidates"].iloc[0]
        shares = [
            f"{name} {'–' if np.isnan(row[name]) else format(row[name], '.3f')} "
            f"({row['n_right']:,.0f} of {row[of]:,.0f})"
            for name, of in (("precision", "n_chosen"), ("recall", "n_true"))
        ]
        lines.append(f"BHB candidates: {', '.join(shares)}")
    return lines


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table as Markdown, shares with their intervals folded in."""
    folded = with_intervals(table, 3)
    if not isinstance(table.index, pd.RangeIndex):
        folded = folded.rename_axis(table.index.name or "").reset_index()
    names = [_cell(str(name).replace("_", " ")) for name in folded.columns]
    rows = [names, ["---"] * len(names)]
    rows += [[_cell(value) for value in row] for row in folded.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: object) -> str:
    """Return a cell that breaks no row: classes of a reference are other people's words."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _section(name: str) -> tuple[str, str]:
    """Heading and words of a table: the longest beginning counts."""
    best = max((key for key in _SECTIONS if name.startswith(key)), key=len)
    return _SECTIONS[best]


def _title(validation: Validation, survey: Survey, reference: str | Path) -> str:
    kind = "SIMULATED survey" if survey.is_simulated else "survey"
    n = counted(len(validation.joined), "spectrum", "spectra")
    return f"{kind} {survey.path.resolve().name} against {Path(reference).name}: {n}"


def _lines(survey: Survey, reference: str | Path) -> list[str]:
    """Return what was compared with what, when, and by which steps."""
    digest = hashlib.sha256(split_path(reference)[0].read_bytes()).hexdigest()
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    header = survey.export_header("all spectra that the reference knows")
    kept = [f"{name}: {text}" for name, text in header.items() if name not in ("title", "table")]
    return [
        f"validation: {now}, msfa-bhb {__version__}",
        f"reference: {Path(reference).name}, sha256 {digest}",
        *kept,
    ]
