"""Read a survey once, for its report: counts, rules, figures, and every star it is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core import __version__
from msfa_core.columns import is_true, numbers
from msfa_core.config import Settings
from msfa_core.counting import counted_of, counted_spectra
from msfa_core.errors import ExportError, typed
from msfa_core.rules import (
    PARALLAX_SENTENCE,
    candidate_sentence,
    domain_sentence,
    n_stars,
    star_numbers,
)
from msfa_core.spine.witnesses import Witness, witnesses
from msfa_core.survey.figures.judged import Agreement, agreement, reliability, standing
from msfa_core.survey.figures.panel import Panel
from msfa_core.survey.figures.planes import planes, selection_in_words, share
from msfa_core.survey.figures.plots import one_of_each
from msfa_core.survey.figures.star import StarPicture, pictures
from msfa_core.survey.folder import Survey
from msfa_core.survey.funnel import funnel_of
from msfa_core.survey.provenance import now
from msfa_core.typing import BoolArray, Progress, no_progress

CANDIDATES: Final = "candidates"
CHOICES: Final = ("accept", "reject", "unsure", "disputed", CANDIDATES)
MOST_PICTURES: Final = 1_000  # stars whose spectra a page carries; the others have values only
_PLURAL: Final = {
    "accept": "accepted stars",
    "reject": "rejected stars",
    "unsure": "stars left unsure",
    "disputed": "disputed stars",
    CANDIDATES: "candidates",
}


@dataclass(frozen=True)
class StarStory:
    """One star of a report.

    Attributes
    ----------
    row : Series
        Of its spectrum of highest S/N among the chosen, with the verdict of record.
    epochs : DataFrame
        Every spectrum of the star in the survey, in the order of dates or obsids.
    decisions : DataFrame
        What stands of what was decided on it, as from `standing`.
    witnesses : tuple of Witness
    picture : StarPicture or None
        None beyond `MOST_PICTURES`.
    """

    row: pd.Series
    epochs: pd.DataFrame
    decisions: pd.DataFrame
    witnesses: tuple[Witness, ...]
    picture: StarPicture | None

    @property
    def obsid(self) -> int:
        """Its spectrum."""
        return int(self.row["obsid"])

    @property
    def name(self) -> str:
        """Its identifier; of a star that was not identified, that of the spectrum."""
        uid = self.row.get("uid")
        return str(uid) if isinstance(uid, str) and uid else f"obsid {self.obsid}"


@dataclass(frozen=True)
class Report:
    """What a report tells.

    Attributes
    ----------
    name : str
        Of the survey.
    simulated : bool
    made_at, software : str
    words : str
        What the chosen stars are: ``accepted stars``.
    why_none : str
        Why there is no chosen star; empty when there is one.
    summary : tuple of str
        Sentences: what was found.
    facts : tuple of (str, str)
        Numbers for the head of the page, each with its name.
    rules : tuple of (str, str)
        The selection in words.
    funnel : DataFrame
        As `survey.funnel.funnel`.
    panels : dict of str to Panel
        Planes of the paper, and ``reliability``.
    agreement : Agreement
    stars : tuple of StarStory
    header : dict of str to str
        Provenance, as exports give it.
    settings : Settings
    """

    name: str
    simulated: bool
    made_at: str
    software: str
    words: str
    why_none: str
    summary: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, str], ...]
    funnel: pd.DataFrame
    panels: dict[str, Panel]
    agreement: Agreement
    stars: tuple[StarStory, ...]
    header: dict[str, str]
    settings: Settings


def gather(
    survey: Survey | str | Path, choice: str = "accept", progress: Progress = no_progress
) -> Report:
    """Read what a report tells of a survey.

    Parameters
    ----------
    survey : Survey or path
    choice : str
        Stars that get a section of their own: those with a verdict (`CHOICES`), or all
        ``candidates``.
    progress : callable, optional

    Raises
    ------
    ExportError
        For an unknown choice.
    SurveyError
        When the path is no survey, or part of it cannot be read.
    """
    if choice not in CHOICES:
        raise ExportError(f"unknown choice {choice!r}; choose from {', '.join(CHOICES)}.")
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    table, settings = survey.table_with_verdicts(), survey.settings_used
    candidates = is_true(table, "is_candidate")
    if choice == CANDIDATES:
        rows = candidates
    else:
        rows = (table["verdict"].astype("str") == choice).to_numpy(bool)
    one, words = one_of_each(table, rows), _PLURAL[choice]
    agreed = agreement(survey)
    panels = planes(table, settings, one, words)
    panels["reliability"] = reliability(table)
    stars = _stars(survey, table, one, settings, progress)
    header = survey.export_header(f"{words} of the survey", table[rows])
    return Report(
        name=survey.path.resolve().name,
        simulated=survey.is_simulated,
        made_at=now(),
        software=f"msfa-bhb {__version__}",
        words=words,
        why_none="" if len(stars) else _why_none(choice, table, survey),
        summary=_summary(table, one, words, panels, agreed),
        facts=_facts(table, one, words, agreed),
        rules=_rules(header, settings),
        funnel=funnel_of(table, settings),
        panels=panels,
        agreement=agreed,
        stars=stars,
        header=header,
        settings=settings,
    )


def _why_none(choice: str, table: pd.DataFrame, survey: Survey) -> str:
    if not len(table):
        name = typed(survey.path.name)
        return f"This survey holds no spectrum yet: add some with `msfa ingest {name}`."
    if table["predicted_class"].isna().all():
        return (
            f"Nothing was searched yet: `msfa run {typed(survey.path.name)}` finds the candidates."
        )
    if choice == CANDIDATES:
        return f"The search kept none of {len(table):,} spectra."
    n = int(is_true(table, "is_candidate").sum())
    return (
        f"No star has the verdict {choice}. Candidate spectra: {n:,}; look at them with `msfa "
        "serve`. Stars of another verdict are told of with --verdict, all candidates with "
        "--candidates."
    )


def _rules(header: dict[str, str], settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the selection in words, in the order of the search."""
    return (
        ("Searched", f"{domain_sentence(settings)}."),
        ("Candidate", f"{candidate_sentence(settings)}."),
        ("D0.2–fm region", selection_in_words(settings)),
        ("Good parallax", f"{PARALLAX_SENTENCE}."),
        (
            "Outlying labels",
            f"log g > {settings.logg_outlier:g} or [Fe/H] > {settings.feh_outlier:g}.".replace(
                "-", "−"
            ),
        ),
        ("Verdict of record", header["verdict rule"]),
    )


def _facts(
    table: pd.DataFrame, one: BoolArray, words: str, agreed: Agreement
) -> tuple[tuple[str, str], ...]:
    candidates = table[is_true(table, "is_candidate")]
    facts = [
        ("spectra", f"{len(table):,}"),
        ("stars", f"{n_stars(table):,}"),
        ("candidates (stars)", f"{n_stars(candidates):,}"),
        (words, f"{int(one.sum()):,}"),
        ("reviewers", f"{len(agreed.n_by_reviewer):,}"),
    ]
    if np.isfinite(agreed.kappa):
        facts.append(("agreement κ", f"{agreed.kappa:.2f}".replace("-", "−")))
    return tuple(facts)


def _summary(
    table: pd.DataFrame,
    one: BoolArray,
    words: str,
    panels: dict[str, Panel],
    agreed: Agreement,
) -> tuple[str, ...]:
    """Return the result in a few sentences, each of which is a count or a median."""
    if not len(table):
        return ("This survey holds no spectrum yet.",)
    domain, candidates = is_true(table, "in_search_domain"), is_true(table, "is_candidate")
    said = []
    if table["predicted_class"].notna().any():
        said.append(
            f"Of {counted_spectra(len(table), n_stars(table))}, {int(domain.sum()):,} "
            "lie in the search domain; the search keeps "
            f"{counted_spectra(int(candidates.sum()), n_stars(table[candidates]))} as candidates."
        )
    else:
        said.append(f"{counted_spectra(len(table), n_stars(table))}; nothing was searched yet.")
    n = int(one.sum())
    if n:
        region = is_true(table, "in_bhb_region")
        said.append(
            f"{counted_of(n, words)}; {share(int((one & region).sum()), n)} lie in the D0.2–fm "
            "region of both lines."
        )
        medians = [
            f"{name} {np.median(known):{form}}{unit}".replace("-", "−")
            for column, name, form, unit in (
                ("teff", "Teff", ",.0f", " K"),
                ("logg", "log g", ".2f", ""),
                ("feh", "[Fe/H]", ".2f", ""),
            )
            if len(known := _finite(numbers(table, column)[one]))
        ]
        if medians:
            said.append(f"Their medians: {', '.join(medians)}.")
        if not panels["cmd"].missing:
            said.append(panels["cmd"].sentence)
    said.append(agreed.sentence)
    return tuple(said)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _stars(
    survey: Survey, table: pd.DataFrame, one: BoolArray, settings: Settings, progress: Progress
) -> tuple[StarStory, ...]:
    """Return the chosen stars, the surest candidates first."""
    chosen = table[one]
    order = np.lexsort((chosen["obsid"].to_numpy(np.int64), -numbers(chosen, "p_bhb")))
    chosen = chosen.iloc[order]
    star = pd.Series(star_numbers(table), index=table.index)
    by_star = {int(number): rows for number, rows in table.groupby(star.to_numpy())}
    decided = standing(survey)
    obsid = chosen["obsid"].to_numpy(np.int64)
    drawn = pictures(survey, obsid[:MOST_PICTURES])
    told = []
    for k, (label, row) in enumerate(chosen.iterrows()):
        epochs = by_star[int(star[label])]
        said = decided[decided["obsid"].isin(epochs["obsid"])] if len(decided) else decided
        told.append(
            StarStory(
                row,
                epochs.sort_values("obsid"),
                said,
                witnesses(row, settings),
                drawn[k] if k < len(drawn) else None,
            )
        )
        progress("report", k + 1, len(chosen), "stars" if k + 1 == len(chosen) else "")
    return tuple(told)
