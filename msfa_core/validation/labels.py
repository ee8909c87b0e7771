"""Labels that a user gives for spectra of a survey: classes to learn, or Teff, log g and [Fe/H]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from msfa_core.constants import LABELS
from msfa_core.errors import CatalogueError, SurveyError
from msfa_core.stars.crossmatch import settled
from msfa_core.survey.folder import Survey
from msfa_core.survey.unmatched import none_matched
from msfa_core.tables.door import Use, open_table
from msfa_core.tables.report import as_record
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.validation.reference import REFERENCE_NAMES, reference_rows

CLASS_NAMES: Final[Mapping[str, tuple[str, ...]]] = {"label": ("label", "true_class")}
LABEL_NAMES: Final[Mapping[str, tuple[str, ...]]] = {name: REFERENCE_NAMES[name] for name in LABELS}


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of spectra.

    Attributes
    ----------
    table : (n,) DataFrame
        ``obsid`` of the survey, a row each, and the labels.
    record : dict
        What became of the user's table, for the provenance; its ``line`` in words.
    """

    table: pd.DataFrame
    record: dict[str, Any]


def labels_of(
    survey: Survey, path: str | Path, names: Mapping[str, tuple[str, ...]] = LABEL_NAMES
) -> Labels:
    """Read a table of labels and find the spectra that it tells of: by obsid, else by place.

    Parameters
    ----------
    survey : Survey
    path : str or Path
    names : mapping of str to tuple of str
        House names of the labels, and those in files; all of them are needed.

    Raises
    ------
    CatalogueError
        When the table cannot be read, lacks a label, or tells of no spectrum of the survey.
    """
    use = Use(
        "a table of labels",
        {**PLACE_USE.vocabulary, **names},
        (("obsid", *names), ("ra", "dec", *names)),
        keep_others=True,
    )
    opened = open_table(path, use)
    if not (opened.has(*names) and (opened.has("obsid") or opened.has("ra", "dec"))):
        *first, last = ["obsid", *names]
        raise CatalogueError(
            f"{opened.path}: a table of labels needs {', '.join(first)} and {last} (ra, dec do for "
            f"obsid); it has {opened.has_words()}.{opened.reasons()}"
        )
    spectra = survey.base_table()
    radius = survey.settings.match_radius_arcsec
    opened = settled(opened, spectra, radius)
    row, matched, _ = reference_rows(spectra, opened, radius)
    if not matched.n:
        raise none_matched(opened, matched, spectra, ("obsid", "ra", "dec"))
    found = row >= 0
    table = opened.table[list(names)].iloc[row[found]].reset_index(drop=True)
    table.insert(0, "obsid", spectra["obsid"][found].to_numpy())
    return Labels(table, as_record(opened, "labels", matched))


def keep_record(survey: Survey, labels: Labels) -> str:
    """Keep in the provenance what became of a table of labels; return why not, if so."""
    try:
        with survey.lock():
            survey.record("table", **labels.record)
    except SurveyError as error:  # what the labels are for needs no lock
        return f"not kept in the provenance: {error}"
    return ""
