"""The paper's bookkeeping: how many spectra and stars each step of the search leaves.

The counts of the paper stand beside those of the survey. Down to *both lines* each step keeps
part of the one above it; *high log g* and *high [Fe/H]* say how many of the stars are outliers,
and take nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import inside_by_line
from msfa_core.columns import is_true, numbers
from msfa_core.config import Settings
from msfa_core.constants import SEARCH_RULES
from msfa_core.counting import counted, counted_spectra
from msfa_core.errors import typed
from msfa_core.flags import FUNNEL_EXCLUSIONS
from msfa_core.rules import (
    PARALLAX_SENTENCE,
    are_kept_by,
    domain_sentence,
    have_good_parallax,
    in_search_domain,
    keep_by_rule,
    region_sentence,
    representatives,
    rule_sentence,
    stage1_keeps,
    stage1_sentence,
    star_numbers,
    unidentified_sentence,
)
from msfa_core.survey.folder import Survey
from msfa_core.typing import BoolArray

COLUMNS: Final = (
    "step", "what", "spectra", "stars", "of", "share", "paper_spectra", "paper_stars",
    "paper_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Step:
    """One line of the funnel; the paper's counts as published, None where it gives none."""

    name: str
    what: str
    of: str  # the step that its share is a part of
    paper_spectra: int | None = None
    paper_stars: int | None = None


_EXPLAINED: Final = ("A/B spectra", "stage 1", "stage 2", "both lines", "good parallax")
_STEPS: Final = (
    _Step("A/B spectra", "star of subclass A or B, S/N(g) above the cut", "", 597_990),
    _Step("stage 1", "class BHB of five", "A/B spectra", 37_441),
    _Step("stage 2", "BHB of two, at the threshold", "stage 1", 27_853),
    _Step("new", "in no known catalogue", "stage 2", 16_721, 15_015),
    _Step("Hδ", "within the cuts of Hδ", "new", 7_542),
    _Step("Hγ", "within the cuts of Hγ", "new", 4_484),
    _Step("both lines", "within the cuts of both: the BHB stars", "new", 3_923, 3_583),
    _Step("high log g", "above the log g limit (outliers)", "both lines", None, 667),
    _Step("high [Fe/H]", "above the [Fe/H] limit (outliers)", "both lines", None, 1_941),
    _Step("good parallax", "ϖ > 0 and σ/ϖ below the limit", "both lines", None, 2_520),
    # the paper says 54 %
    _Step("in trapezoid", "inside the trapezoid of the CMD", "good parallax", None, 1_361),
    _Step("after exclusions", "good parallax, far from plane and clouds, fast", "good parallax",
          None, 577),
    # the paper says about 80 %
    _Step("in trapezoid after exclusions", "of these, inside the trapezoid", "after exclusions",
          None, 462),
)  # fmt: skip
BY_THE_STAR: Final = tuple(step.name for step in _STEPS[7:])  # by its best spectrum alone
STAR_SENTENCE: Final = f"From {BY_THE_STAR[0]} on, the best spectrum speaks for its star"


def funnel(survey: Survey | str | Path) -> pd.DataFrame:
    """Count what each step of the search leaves of a survey, beside the paper.

    Parameters
    ----------
    survey : Survey or path

    Returns
    -------
    DataFrame
        A row per step: ``step``, ``what``, ``spectra`` and ``stars`` (a spectrum whose star is
        not identified counts as one), ``of`` (the step that it is a part of) and ``share`` of
        it, ``paper_spectra``, ``paper_stars``, ``paper_share``. Labels, parallax and place are
        those of each star's spectrum of highest S/N among the kept ones. Missing where the
        survey has not got so far.

    Raises
    ------
    SurveyError
        When the path is no survey, or part of it cannot be read.
    """
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    return funnel_of(survey.table(), survey.settings_used)


def funnel_of(table: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Count as `funnel`, in a table of spectra.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.conform`.
    settings : Settings
    """
    kept = _kept(table, settings)
    star = star_numbers(table)
    spectra = {name: None if rows is None else int(rows.sum()) for name, rows in kept.items()}
    stars = {
        name: None if rows is None else len(np.unique(star[rows])) for name, rows in kept.items()
    }
    what = {  # by the settings, in the words of the rules
        "A/B spectra": domain_sentence(settings),
        "stage 1": stage1_sentence(settings.rule),
        "stage 2": f"p_bhb ≥ {settings.bhb_threshold:g}",
        "both lines": region_sentence(settings.selection),
        "good parallax": PARALLAX_SENTENCE,
    }
    rows = []
    for step in _STEPS:
        rows.append(
            {
                "step": step.name, "what": what.get(step.name, step.what), "of": step.of,
                "spectra": spectra[step.name], "stars": stars[step.name],
                "share": _share(step, spectra, stars),
                "paper_spectra": step.paper_spectra, "paper_stars": step.paper_stars,
                "paper_share": _share(step, _PAPER_SPECTRA, _PAPER_STARS),
            }
        )  # fmt: skip
    counts = dict.fromkeys(("spectra", "stars", "paper_spectra", "paper_stars"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {**counts, "share": "float64", "paper_share": "float64"}
    )


_PAPER_SPECTRA: Final = {step.name: step.paper_spectra for step in _STEPS}
_PAPER_STARS: Final = {step.name: step.paper_stars for step in _STEPS}


def _share(
    step: _Step, spectra: dict[str, int | None], stars: dict[str, int | None]
) -> float | None:
    """Return a step's part of the step it is of: of spectra as far as these are counted."""
    for counts in (spectra, stars) if step.paper_spectra else (stars,):
        whole, part = counts.get(step.of), counts[step.name]
        if whole and part is not None:
            return part / whole
    return None


def _kept(table: pd.DataFrame, settings: Settings) -> dict[str, BoolArray | None]:
    """Return which spectra each step leaves; None for what was not done."""
    domain = is_true(table, "in_search_domain")
    if not table["in_search_domain"].notna().any():  # known before any step
        domain = in_search_domain(table, settings).to_numpy(bool)
    candidate = is_true(table, "is_candidate")
    new = candidate & table["known_in"].isna().to_numpy(bool)
    classified = table["predicted_class"].notna().any()
    says = stage1_keeps(table, settings.rule)
    lines = inside_by_line(table, settings.selection)
    both = new & is_true(table, "in_bhb_region")
    one = _representatives(table, both)
    good = one & have_good_parallax(table)
    inside = is_true(table, "in_cmd_trapezoid")
    remaining = good & are_kept_by(table, FUNNEL_EXCLUSIONS)
    measured = classified and table["balmer_flags_hdelta"].notna().any()
    labelled = measured and table[["logg", "feh"]].notna().any(axis=None)
    placed = measured and table["parallax_mas"].notna().any()
    return {
        "A/B spectra": domain,
        "stage 1": domain & says if classified else None,
        "stage 2": candidate if classified else None,
        "new": new if classified else None,
        "Hδ": new & lines["hdelta"] if measured and "hdelta" in lines else None,
        "Hγ": new & lines["hgamma"] if measured and "hgamma" in lines else None,
        "both lines": both if measured else None,
        "high log g": one & _above(table, "logg", settings.logg_outlier) if labelled else None,
        "high [Fe/H]": one & _above(table, "feh", settings.feh_outlier) if labelled else None,
        "good parallax": good if placed else None,
        "in trapezoid": good & inside if placed else None,
        "after exclusions": remaining if placed else None,
        "in trapezoid after exclusions": remaining & inside if placed else None,
    }


def _above(table: pd.DataFrame, name: str, limit: float) -> BoolArray:
    above: BoolArray = numbers(table, name) > limit
    return above


def _representatives(table: pd.DataFrame, kept: BoolArray) -> BoolArray:
    """(n,) True for one spectrum of each kept star: that of highest S/N among the kept."""
    one = kept.copy()
    one[kept] = representatives(table[kept])
    return one


def exclusions(survey: Survey | str | Path) -> pd.DataFrame:
    """Count what each sample of the CMD keeps of the stars with a good parallax.

    Parameters
    ----------
    survey : Survey or path

    Returns
    -------
    DataFrame
        As `vetting.exclusions.exclusion_counts`.
    """
    from msfa_core.vetting.exclusions import exclusion_counts  # noqa: PLC0415

    survey = survey if isinstance(survey, Survey) else Survey(survey)
    table = survey.table()
    rows = _kept(table, survey.settings_used)["good parallax"]
    return exclusion_counts(table[np.zeros(len(table), bool) if rows is None else rows])


def rule_counts(table: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Count what each rule on the two stages would keep of the search domain.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.conform`.
    settings : Settings

    Returns
    -------
    DataFrame
        A row per rule: ``rule``, ``in_force``, ``spectra``, ``stars``, ``sentence``.
    """
    rows = []
    domain, star = is_true(table, "in_search_domain"), star_numbers(table)
    for rule in SEARCH_RULES:
        kept = domain & keep_by_rule(table, rule, settings.bhb_threshold)
        rows.append(
            {
                "rule": rule, "in_force": rule == settings.rule,
                "spectra": int(kept.sum()), "stars": len(np.unique(star[kept])),
                "sentence": rule_sentence(rule, settings.bhb_threshold),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def funnel_in_words(table: pd.DataFrame, settings: Settings) -> str:
    """Return the funnel in one line, as headers of exports say it.

    Parameters
    ----------
    table : (n,) DataFrame
        All spectra of the survey.
    settings : Settings
        Those that the table follows from.
    """
    steps = funnel_of(table, settings).dropna(subset=["stars"]).to_dict("records")
    counts = [
        f"{s['step']}: "
        + (
            counted(s["stars"], "star", "stars")
            if s["step"] in BY_THE_STAR
            else counted_spectra(s["spectra"], s["stars"])
        )
        for s in steps
    ]
    return "; ".join(filter(None, [*counts, unidentified_sentence(table)]))


def funnel_lines(survey: Survey | str | Path) -> list[str]:
    """Return the funnel and the counts of the exclusions as lines of text."""
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    table, used = funnel(survey), survey.settings_used
    kind = "SIMULATED survey" if survey.is_simulated else "survey"
    lines = [
        f"{kind} {survey.path}, selection {used.selection}",
        f"{'step':<30}{'spectra':>10}{'stars':>10}{'share':>8}   "
        f"{'paper: spectra':>14}{'stars':>8}{'share':>8}   share of",
    ]
    for row in table.to_dict("records"):
        own = f"{_count(row['spectra']):>10}{_count(row['stars']):>10}{_percent(row['share']):>8}"
        paper = f"{_count(row['paper_spectra']):>14}{_count(row['paper_stars']):>8}"
        share = f"{_percent(row['paper_share']):>8}   {row['of']}"
        lines.append(f"{row['step']:<30}{own}   {paper}{share}".rstrip())
    lines.append(f"{STAR_SENTENCE}.")
    for row in table[table["step"].isin(_EXPLAINED)].to_dict("records"):
        lines.append(f"{row['step']}: {row['what']}")
    if table["spectra"].isna().any():
        lines.append(
            f"- : not known yet; `msfa run {typed(survey.path)}`, `msfa place {typed(survey.path)}`"
        )
    if not survey.known_files:
        lines.append(
            f"new: no known catalogue was given; `msfa run {typed(survey.path)} --known FILE`"
        )
    if pd.notna(table.set_index("step")["spectra"]["stage 1"]):
        lines += ["", "rules on the two stages: spectra, stars (* in force)"]
        for row in rule_counts(survey.table(), used).to_dict("records"):
            name = f"{row['rule']}{' *' * row['in_force']}"
            lines.append(f"{name:<30}{row['spectra']:>10,}{row['stars']:>10,}  {row['sentence']}")
    if table.set_index("step")["stars"].fillna(0)["good parallax"]:
        lines += ["", "samples of the stars with a good parallax: kept, left out"]
        for row in exclusions(survey).to_dict("records"):
            lines.append(f"{row['kept']:>10,}{row['left_out']:>10,}  {row['sentence']}")
    return lines


def _count(number: int | None) -> str:
    return "-" if number is None or pd.isna(number) else f"{number:,}"


def _percent(share: float | None) -> str:
    return "" if share is None or pd.isna(share) else f"{100 * share:.1f} %"
