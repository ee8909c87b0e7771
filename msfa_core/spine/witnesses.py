"""Six witnesses on every star, each for a BHB star, against it, or silent: one home of the rules.

The networks, the template match, the D0.2–fm plane, the colour–magnitude diagram, the labels and
Ca II K. A witness is silent where it was not asked, or cannot tell.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer.locus import above_dividing_line, calcium_loci, dividing_line_errors
from msfa_core.columns import is_true, numbers
from msfa_core.config import Settings
from msfa_core.constants import CONFIDENCE_MIN, StellarClass
from msfa_core.flags import LabelFlag, MatchFlag
from msfa_core.rules import (
    PARALLAX_SENTENCE,
    have_good_parallax,
    is_beyond,
    keep_by_rule,
    measured_off_rest,
    outside_region,
    placed_by_trapezoid,
    redshift_sentences,
    region_sentence,
    rule_sentence,
    ruled_out_by_stage1,
    ruled_out_sentence,
)
from msfa_core.slam.reasons import REASONS, beyond_errors, flags_at, has_reason
from msfa_core.templates.second_opinion import template_disagrees
from msfa_core.templates.spectral_types import Family, spectral_type
from msfa_core.typing import BoolArray

Stances = NDArray[np.int8]
_ABSCISSA: Final = "d02_hdelta"  # what KP is held against
OTHER_STARS: Final = (  # reasons that tell of another star; the rest tell of a poor fit
    LabelFlag.HIGH_LOGG,
    LabelFlag.HIGH_FEH,
    LabelFlag.OUTSIDE_KIEL_BAND,
    LabelFlag.DISAGREES_WITH_CLASS,
)
LIMIT_WORDS: Final = "at the limit"  # of a witness that is silent there
NEAR_0: Final = 0.0005  # what three digits would write as 0.000
EVEN_CHANCE: Final = 0.5
LEAST_LACKING: Final = 9.5e-5  # of what four digits tell: beyond, what is lacking is told
SINGLE_PRECISION: Final = float(np.finfo(np.float32).eps)  # of the networks


class Stance(IntEnum):
    """What a witness says to "this is a BHB star"."""

    AGAINST = -1
    SILENT = 0
    FOR = 1


@dataclass(frozen=True, slots=True)
class Witness:
    """What one witness says of one star.

    Attributes
    ----------
    name : str
        One of `WITNESSES`.
    stance : Stance
    words : str
        In two or three words.
    sentence : str
        The rule, and what was measured.
    """

    name: str
    stance: Stance
    words: str
    sentence: str


def _stances(speaks_for: BoolArray, speaks_against: BoolArray) -> Stances:
    return speaks_for.astype(np.int8) - (speaks_against & ~speaks_for).astype(np.int8)


def _networks(table: pd.DataFrame, settings: Settings) -> Stances:
    judged = np.isfinite(numbers(table, "p_bhb")) | ruled_out_by_stage1(table)
    kept = keep_by_rule(table, settings.rule, settings.bhb_threshold)
    return _stances(kept, judged & ~kept)


def _template(table: pd.DataFrame, _settings: Settings) -> Stances:
    held_against_bhb = table.assign(predicted_class=str(StellarClass.BHB))
    disagrees = template_disagrees(held_against_bhb)
    no = disagrees.fillna(False).to_numpy(dtype=bool)
    return _stances(disagrees.notna().to_numpy() & ~no & _is_bhb_template(table), no)


def _is_bhb_template(table: pd.DataFrame) -> BoolArray:
    """(n,) True where the best template is one of a BHB star.

    One of an ordinary star of B5 to F2 says nothing for: among the simulated stars that match
    such a one best, fewer are BHB stars than among all.
    """
    names = table["template_subclass"].astype("str")
    own = [name for name in names.unique() if spectral_type(name).family == Family.BHB]
    found: BoolArray = names.isin(own).to_numpy(bool)
    return found


def _plane(table: pd.DataFrame, _settings: Settings) -> Stances:
    return _stances(is_true(table, "in_bhb_region"), outside_region(table))


def _cmd(table: pd.DataFrame, _settings: Settings) -> Stances:
    return _stances(*placed_by_trapezoid(table))


def _reasons(table: pd.DataFrame, settings: Settings) -> NDArray[np.int64]:
    return flags_at(table, settings.logg_outlier, settings.feh_outlier)


def _of_other_stars(table: pd.DataFrame, settings: Settings) -> dict[LabelFlag, BoolArray]:
    """Return where each of `OTHER_STARS` holds by more than the errors of the labels."""
    flags = _reasons(table, settings)
    beyond = beyond_errors(table, settings.logg_outlier, settings.feh_outlier)
    return {one: has_reason(flags, one) & beyond.get(one, True) for one in OTHER_STARS}


def _labels(table: pd.DataFrame, settings: Settings) -> Stances:
    labelled = np.isfinite(numbers(table, "logg")) & np.isfinite(numbers(table, "feh"))
    other = np.logical_or.reduce(list(_of_other_stars(table, settings).values()))
    return _stances(labelled & ~has_reason(_reasons(table, settings)), labelled & other)


@functools.cache
def calcium_teff_max() -> float:
    """Return the temperature [K] beyond which Ca II K against Hδ cannot tell BHB stars.

    Where Hδ of Population I models is widest: hotter ones lie among the BHB stars.
    """
    return min(
        float(locus.teff[np.argmax(locus.d02_hdelta)])
        for locus in calcium_loci()
        if locus.sequence == "pop1"
    )


def _calcium(table: pd.DataFrame, _settings: Settings) -> Stances:
    x, x_err = numbers(table, _ABSCISSA), numbers(table, f"{_ABSCISSA}_err")
    above = above_dividing_line(numbers(table, "kp"), x, _ABSCISSA)
    error = dividing_line_errors(numbers(table, "kp_err"), x, x_err, _ABSCISSA)
    cool = ~(numbers(table, "teff") > calcium_teff_max())
    return _stances(is_beyond(-above, error) & cool, is_beyond(above, error))


WITNESSES: Final[dict[str, Callable[[pd.DataFrame, Settings], Stances]]] = {
    "networks": _networks,
    "template": _template,
    "D0.2–fm": _plane,
    "CMD": _cmd,
    "labels": _labels,
    "Ca K": _calcium,
}


def stances(table: pd.DataFrame, settings: Settings) -> dict[str, Stances]:
    """Return what each witness says to each of ``n`` rows.

    Parameters
    ----------
    table : (n,) DataFrame
        Columns of `columns.conform`.
    settings : Settings

    Returns
    -------
    dict of name -> (n,) int8 array
        `Stance`, in the order of `WITNESSES`.
    """
    return {name: ask(table, settings) for name, ask in WITNESSES.items()}


# --- in words ----------------------------------------------------------------------------------
def probability_words(p: float) -> str:
    """Return a probability in few characters: ``0.870``, ``0.9994``, and beyond ``1−3e-5``.

    Neither nothing nor all unless it is.
    """
    if not np.isfinite(p):
        return ""
    if 0 < p < NEAR_0:
        return "<0.001"
    if 1 - p > LEAST_LACKING:
        return f"{p:.3f}" if 1 - p > 10 * LEAST_LACKING else f"{p:.4f}"
    lacks = f"{1 - p:.0e}".replace("e-0", "e-")
    return f"1−{lacks}" if 1 - p > SINGLE_PRECISION else "1"


_SHORT: Final = {  # reasons in two words
    LabelFlag.HIGH_LOGG: "high log g",
    LabelFlag.HIGH_FEH: "high [Fe/H]",
    LabelFlag.OUTSIDE_KIEL_BAND: "outside band",
    LabelFlag.DISAGREES_WITH_CLASS: "not its class",
}


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124


def _signed(words: str) -> str:
    return words.replace("-", "−")


def _number(row: pd.Series, name: str) -> float:
    value = row.get(name)
    return float("nan") if value is None or pd.isna(value) else float(value)


def _measured(row: pd.Series, name: str, text: str, digits: int, unit: str = "") -> str:
    """Return a value with its error: ``KP 0.42 ± 0.11 Å``; empty where there is none."""
    value, error = _number(row, name), _number(row, f"{name}_err")
    if not np.isfinite(value):
        return ""
    spread = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
    return _signed(f"{text} {value:.{digits}f}{spread}{unit}")


def _say_networks(row: pd.Series, settings: Settings, stance: Stance) -> tuple[str, str]:
    said, p = _text(row["predicted_class"]), _number(row, "p_bhb")
    if not said and not np.isfinite(p):
        return "not asked", "This spectrum was not classified: msfa run."
    if not np.isfinite(p):
        ruled_out = ruled_out_sentence(settings)
        return f"{said} · ruled out", f"The networks do not keep it ({ruled_out}): class {said}."
    words = f"{said or '–'} · {probability_words(p)}"
    rule = rule_sentence(settings.rule, settings.bhb_threshold)
    verb = {Stance.FOR: "keep it", Stance.AGAINST: "do not keep it"}.get(stance, "cannot tell")
    return words, f"The networks {verb} ({rule}): class {said or '–'}, p_bhb {p:.7g}."


def _say_template(row: pd.Series, _settings: Settings, stance: Stance) -> tuple[str, str]:
    kind = _text(row["template_class"])
    if not kind:
        return "not matched", "No template match yet: msfa run."
    flags = _number(row, "template_flags")
    if np.isfinite(flags) and int(flags) & int(MatchFlag.FEATURELESS):
        return "no lines", "No line speaks: a continuum alone fits as well as any template."
    named = _text(row["template_subclass"]) if kind == "STAR" else ""
    said, sure = named or kind, _number(row, "template_confidence")
    confidence = f" {sure:.0f} %" if np.isfinite(sure) else ""
    ends = {
        Stance.FOR: "as a BHB star can look",
        Stance.AGAINST: "which no BHB star looks like",
        Stance.SILENT: "too unsure to count",
    }
    if stance == Stance.SILENT and sure >= float(CONFIDENCE_MIN):
        ends[stance] = "which a BHB star can look like too"
    return f"{said}{confidence}", f"The best template is {said}{confidence}, {ends[stance]}."


def _say_plane(row: pd.Series, settings: Settings, stance: Stance) -> tuple[str, str]:
    words = {Stance.FOR: "inside", Stance.AGAINST: "outside", Stance.SILENT: "not measured"}[stance]
    doubt, chance = "", _number(row, "p_in_bhb_region")
    told = f"; chance to be inside {100 * chance:.0f} %"
    if stance == Stance.SILENT and not pd.isna(row.get("in_bhb_region")):
        words, doubt = LIMIT_WORDS, told
    elif stance == Stance.FOR and chance < EVEN_CHANCE:  # inside by its values, not by its errors
        doubt = told
    parts = []
    for line, name in (("hdelta", "Hδ"), ("hgamma", "Hγ")):
        width = _measured(row, f"d02_{line}", f"D0.2 {name}", 1, " Å")
        parts += [width, _measured(row, f"fm_{line}", "fm" if width else f"fm {name}", 3)]
    values = ", ".join(part for part in parts if part)
    rule = region_sentence(settings.selection)
    return words, f"{words.capitalize()} ({rule}{doubt})" + (f": {values}." if values else ".")


def _place_words(row: pd.Series, deredden: bool) -> str:
    """Return the place that was judged: as observed, or without dust."""
    names, words = ("bp_rp", "abs_mag_g"), ("BP−RP", "M_G")
    if deredden:
        names, words = ("bp_rp0", "abs_mag_g0"), ("(BP−RP)₀", "M_G,₀")
    colour, magnitude, error = (_number(row, name) for name in (*names, "abs_mag_g_err"))
    spread = f" ± {error:.2f}" if np.isfinite(error) else ""
    return f"{words[0]} {colour:.3f}, {words[1]} {magnitude:.2f}{spread}"


def _say_cmd(row: pd.Series, settings: Settings, stance: Stance) -> tuple[str, str]:
    colour = _number(row, "bp_rp")
    if not np.isfinite(colour):
        return "no Gaia", "No Gaia colours joined: msfa run --gaia FILE."
    if stance == Stance.SILENT and not np.isfinite(_number(row, "parallax_mas")):
        return "no parallax", "Gaia gives no parallax of this star."
    if stance == Stance.SILENT and not have_good_parallax(pd.DataFrame([row]))[0]:
        return "parallax poor", f"The parallax is not good enough to speak ({PARALLAX_SENTENCE})."
    place = _place_words(row, settings.deredden_cmd)
    if stance == Stance.SILENT:
        chance = _number(row, "p_in_cmd_trapezoid")
        place += f"; chance to be inside {100 * chance:.0f} %"
        return LIMIT_WORDS, _signed(f"At the limit of the trapezoid of BHB stars: {place}.")
    words = "inside" if stance == Stance.FOR else "outside"
    return words, _signed(f"{words.capitalize()} the trapezoid of BHB stars: {place}.")


def _say_labels(row: pd.Series, settings: Settings, stance: Stance) -> tuple[str, str]:
    values = [
        _measured(row, name, text, digits)
        for name, text, digits in (("teff", "Teff", 0), ("logg", "log g", 2), ("feh", "[Fe/H]", 2))
    ]
    told = ", ".join(part for part in values if part)
    if stance == Stance.FOR:
        return "within limits", f"Within the limits of BHB stars: {told}."
    one = pd.DataFrame([row])
    flags = int(_reasons(one, settings)[0])
    raised = [reason for reason in REASONS if flags & reason]
    if not raised:
        return "not labelled", f"No log g and [Fe/H]{f' ({told})' if told else ''}: msfa run."
    sure = [reason for reason, holds in _of_other_stars(one, settings).items() if holds[0]]
    unsure = [reason for reason in OTHER_STARS if reason in raised and reason not in sure]
    why = "; ".join(
        reason.sentence + (", by less than its error" if reason in unsure else "")
        for reason in raised
    )
    if stance == Stance.AGAINST:
        return _SHORT[sure[0]], f"Set aside: {why} ({told})."
    words = LIMIT_WORDS if unsure == raised else "poor fit"
    return words, f"The labels cannot tell: {why} ({told})."


def _say_calcium(row: pd.Series, _settings: Settings, stance: Stance) -> tuple[str, str]:
    told = _measured(row, "kp", "KP", 2, " Å")
    if not told and measured_off_rest(pd.DataFrame([row]))[0]:
        return "not measured", f"No Ca II K index: {redshift_sentences()[1]}."
    if not told:
        return "not measured", "No Ca II K index: not measured, or not covered."
    if stance == Stance.SILENT:
        why = f"too near the line, beyond its ends, or hotter than {calcium_teff_max():,.0f} K"
        return told.split(" ±")[0], f"Ca II K cannot tell here ({why}): {told}."
    if stance == Stance.FOR:
        return "weak", f"Ca II K as weak as in metal-poor BHB stars, for its Hδ: {told}."
    return "strong", f"Ca II K as strong as in Population I stars, for its Hδ: {told}."


_SAYINGS: Final = dict(
    zip(
        WITNESSES,
        (_say_networks, _say_template, _say_plane, _say_cmd, _say_labels, _say_calcium),
        strict=True,
    )
)


def witnesses(
    row: pd.Series, settings: Settings, known: dict[str, Stance] | None = None
) -> tuple[Witness, ...]:
    """Return what the six witnesses say of one star.

    Parameters
    ----------
    row : Series
        Its row of the table.
    settings : Settings
    known : dict of name -> Stance, optional
        Where the stances of the whole table are at hand.
    """
    if known is None:
        found = stances(pd.DataFrame([row]), settings)
        known = {name: Stance(int(stance[0])) for name, stance in found.items()}
    return tuple(
        Witness(name, known[name], *say(row, settings, known[name]))
        for name, say in _SAYINGS.items()
    )
