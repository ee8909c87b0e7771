"""Every rule that pipeline, screen and export share: once each, beside its sentence.

A rule tells of each of ``n`` rows of a table whether it holds; the function of the same subject
that ends in ``_sentence`` says it in the words that filters, legends, the status, the funnel and
the headers of exports show.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from msfa_core.columns import is_false, is_true, numbers
from msfa_core.config import Settings
from msfa_core.constants import (
    KIEL_BAND,
    LENIENT_P_CLASS,
    PARALLAX_ERROR_MAX,
    SEARCH_RULES,
    SPEED_OF_LIGHT,
    StellarClass,
)
from msfa_core.counting import counted
from msfa_core.errors import ConfigError
from msfa_core.flags import CmdExclusion, MatchFlag
from msfa_core.typing import BoolArray, FloatArray, IntArray

STAR: Final = "STAR"  # class of the header
EXTRAGALACTIC: Final = ("GALAXY", "QSO")
OBJECT_CLASSES: Final = (STAR, *EXTRAGALACTIC)  # of headers and templates
NOTHING_SAID: Final = frozenset(("", "NON", "NONE", "UNKNOWN", "NAN", "NULL", "-"))
SEARCHED: Final = ("A", "B")  # first letters of the subclass
SHIFTS_APART: Final = 60.0  # km/s; headers and trusted matches of real stars differ by 4 ± 4
SIGMAS_APART: Final = 5.0  # of the match
_NO_SHIFT: Final = int(MatchFlag.NO_SOLUTION | MatchFlag.AT_EDGE | MatchFlag.FEATURELESS)
_UNTRUSTED: Final = _NO_SHIFT | int(MatchFlag.LOW_CONFIDENCE | MatchFlag.REDDENED)
OF_REST: Final = ("template_z", "template_z_err", "template_class", "template_flags")
OWN_STAR: Final = "spectra of one uid are one star; without a uid, a spectrum is its own star"


# --- words of files ----------------------------------------------------------------------------
def words_of(values: pd.Series) -> pd.Series:
    """Return words of headers as they are compared: no white space around, upper case.

    A word that says nothing (empty; LAMOST's class ``Unknown`` and subclass ``Non``) is missing.
    """
    words = values.astype("str").str.strip().str.upper()
    return words.where(~words.isin(NOTHING_SAID))


def _words(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        return pd.Series(None, index=table.index, dtype="str")
    return words_of(table[name])


def _where(condition: pd.Series) -> BoolArray:
    """Return a condition as plain booleans: what is missing does not hold."""
    return condition.astype("boolean").to_numpy(dtype=bool, na_value=False)


def have_subclass(table: pd.DataFrame) -> BoolArray:
    """(n,) True where a header or catalogue gives a subclass."""
    return _where(_words(table, "subclass").notna())


def are_a_or_b(table: pd.DataFrame, searched: Sequence[str] = SEARCHED) -> BoolArray:
    """(n,) True where the subclass of the header begins with A or B (or what else is searched)."""
    return _where(_words(table, "subclass").str.startswith(tuple(searched)))


def are_extragalactic(classes: pd.Series) -> BoolArray:
    """(n,) True for galaxies and quasars."""
    return _where(words_of(classes).isin(EXTRAGALACTIC))


def kinds(table: pd.DataFrame) -> pd.Series:
    """(n,) class of the header, of stars with the letter of the subclass: ``STAR A``, ``STAR dM``.

    Where the search reads A or B, so does this.
    """
    name = table["class"].astype("str").str.strip().str.upper()
    given = table["subclass"].astype("str").str.strip()
    letter = given.str.extract(r"^([a-z]*[A-Z]?)", expand=False).fillna("")
    letter = letter.where(~are_a_or_b(table), given.str.slice(0, 1).str.upper())
    return name.where(name != STAR, (name + " " + letter).str.strip())


def resolutions(table: pd.DataFrame) -> pd.Series:
    """(n,) ``low`` or ``medium``; low where nothing is said (LAMOST's old files, SDSS)."""
    return _words(table, "resolution").str.lower().fillna("low")


def are_low_resolution(table: pd.DataFrame) -> BoolArray:
    """(n,) True where a spectrum is of the low-resolution survey (or kin: SDSS)."""
    return _where(resolutions(table) == "low")


# --- the search --------------------------------------------------------------------------------
def outside_domain(
    table: pd.DataFrame,
    settings: Settings,
    star: str = STAR,
    searched: Sequence[str] = SEARCHED,
) -> dict[str, BoolArray]:
    """Tell what keeps spectra out of the search domain.

    Parameters
    ----------
    table : (n,) DataFrame
        ``class, subclass, snr_g`` and, where known, ``resolution``.
    settings : Settings
    star, searched : str, sequence of str
        Another class, other beginnings of the subclass (upper case), for a choice of one's own.

    Returns
    -------
    dict of column to (n,) bool array
        Where each condition of the domain fails; what is missing fails (a catalogue can add it).
    """
    return {
        "class": ~_where(_words(table, "class") == star),
        "subclass": ~are_a_or_b(table, searched),
        "snr_g": ~(numbers(table, "snr_g") > settings.snr_min),
        "resolution": ~are_low_resolution(table),
    }


def outside_domain_sentences(row: pd.Series, settings: Settings) -> list[str]:
    """Say what keeps one spectrum out of the search domain; nothing when it is inside.

    Parameters
    ----------
    row : Series
        Its row of the table.
    settings : Settings
    """
    one = pd.DataFrame([row])
    fails = outside_domain(one, settings)
    reasons = {
        "class": f"class {row['class']}, not {STAR}",
        "subclass": f"subclass {row['subclass']}, neither A nor B",
        "snr_g": f"S/N(g) {row['snr_g']:.4g} not above {settings.snr_min:g}",
        "resolution": "medium resolution",
    }
    lacks = {"class": "no class", "subclass": "no subclass", "snr_g": "no S/N(g)"}
    words = {name: _words(one, name).notna().iloc[0] for name in ("class", "subclass")}
    given = {**words, "snr_g": not pd.isna(row["snr_g"])}
    return [
        reasons[name] if given.get(name, True) else lacks[name]
        for name, failed in fails.items()
        if failed[0]
    ]


def in_search_domain(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Tell which spectra the search is about, as `domain_sentence` says.

    Parameters
    ----------
    table : (n,) DataFrame
    settings : Settings

    Returns
    -------
    (n,) boolean Series
    """
    outside = np.logical_or.reduce(list(outside_domain(table, settings).values()))
    return pd.Series(~outside, index=table.index, dtype="boolean")


def domain_sentence(settings: Settings) -> str:
    """Say what the search domain is."""
    return f"stars of subclass A or B, low resolution, S/N(g) > {settings.snr_min:g}"


def domain_conditions(
    settings: Settings, star: str = STAR, searched: Sequence[str] = SEARCHED
) -> dict[str, str]:
    """Say each condition of the search domain in words, by the keys of `outside_domain`."""
    return {
        "class": f"class {star}",
        "subclass": f"subclass {' or '.join(searched)}",
        "snr_g": f"S/N(g) > {settings.snr_min:g}",
        "resolution": "low resolution",
    }


def stage1_says_bhb(predicted_class: pd.Series | np.ndarray) -> BoolArray:
    """(n,) True where BHB is the most probable class of five; false without an answer."""
    return _where(pd.Series(np.asarray(predicted_class), dtype="str") == str(StellarClass.BHB))


def both_stages_say_bhb(
    predicted_class: pd.Series | np.ndarray, p_bhb: pd.Series | np.ndarray, threshold: float
) -> BoolArray:
    """(n,) True where stage 1 says BHB and stage 2 agrees at the threshold.

    Parameters
    ----------
    predicted_class : (n,) array of str
        Most probable class of stage 1; empty or missing without an answer.
    p_bhb : (n,) array
        Probability of stage 2; NaN without an answer.
    threshold : float
    """
    p = pd.Series(p_bhb).to_numpy(np.float64, na_value=np.nan)
    return stage1_says_bhb(predicted_class) & (p >= threshold)


def keep_by_rule(table: pd.DataFrame, rule: str, threshold: float) -> BoolArray:
    """(n,) True where the two stages keep a spectrum by a named rule, as `rule_sentence` says.

    Parameters
    ----------
    table : (n,) DataFrame
        ``predicted_class, p_bhb``; for other rules than the paper's ``p_class_bhb``.
    rule : {"paper", "lenient"}
    threshold : float
        Of ``p_bhb``.

    Raises
    ------
    ConfigError
        For an unknown rule.
    """
    return stage1_keeps(table, rule) & (numbers(table, "p_bhb") >= threshold)


def stage1_keeps(table: pd.DataFrame, rule: str) -> BoolArray:
    """(n,) True where stage 1 hands a spectrum on by a named rule, as `stage1_sentence` says."""
    if rule == "paper":
        return stage1_says_bhb(table["predicted_class"])
    if rule == "lenient":
        return numbers(table, "p_class_bhb") >= float(LENIENT_P_CLASS)
    raise ConfigError(f"rule is {rule!r}; choose {' or '.join(SEARCH_RULES)}.")


def stage1_sentence(rule: str) -> str:
    """Say what stage 1 hands on by a rule."""
    if rule == "lenient":
        return f"P(BHB) of stage 1 ≥ {float(LENIENT_P_CLASS):g}"
    return "class BHB at stage 1"


def rule_sentence(rule: str, threshold: float) -> str:
    """Say when a rule keeps a spectrum of the search domain."""
    return f"{stage1_sentence(rule)}, p_bhb ≥ {threshold:g}"


def are_candidates(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Tell which spectra the search keeps, as `candidate_sentence` says.

    Parameters
    ----------
    table : (n,) DataFrame
        ``in_search_domain, predicted_class, p_bhb``, and what the rule of the settings needs.
    settings : Settings

    Returns
    -------
    (n,) boolean Series
        Missing where the networks have not said anything, or stage 2 was not asked and stage 1,
        by this rule and these class shares, would hand the spectrum on.
    """
    says = keep_by_rule(table, settings.rule, settings.bhb_threshold)
    kept = pd.Series(is_true(table, "in_search_domain") & says, table.index, dtype="boolean")
    unsaid = table["p_bhb"].isna() & (
        table["predicted_class"].isna() | stage1_keeps(table, settings.rule)
    )
    return kept.mask(unsaid, pd.NA)


def ruled_out_by_stage1(table: pd.DataFrame) -> BoolArray:
    """(n,) True where stage 1 left so little chance of BHB that stage 2 was not asked."""
    said = table["predicted_class"].notna() & table["p_bhb"].isna()
    return said.to_numpy(dtype=bool)


def ruled_out_sentence(settings: Settings) -> str:
    """Say when stage 2 is not asked."""
    return f"ruled out by stage 1: P(BHB) < {settings.stage2_from:g}, stage 2 not asked"


def candidate_sentence(settings: Settings) -> str:
    """Say what a candidate is."""
    return f"in the search domain, {rule_sentence(settings.rule, settings.bhb_threshold)}"


AT_THE_LIMIT: Final = 0.16  # chance to be inside of a star one standard error beyond a limit
_SIGMAS: Final = NormalDist().inv_cdf(1 - AT_THE_LIMIT)


def is_beyond(excess: ArrayLike, error: ArrayLike) -> BoolArray:
    """(n,) True where values lie beyond a limit by more than their errors allow.

    A star a part of its error beyond a limit has not been seen beyond it: `AT_THE_LIMIT`.

    Parameters
    ----------
    excess : (n,) array
        How far beyond; negative on the near side.
    error : (n,) array
        Without an error (NaN) the value alone decides.
    """
    beyond = np.asarray(excess, dtype=np.float64)
    room = _SIGMAS * np.nan_to_num(np.asarray(error, dtype=np.float64))
    found: BoolArray = (beyond > 0) & (beyond >= room)
    return found


def beyond_limit(table: pd.DataFrame, name: str, limit: float) -> BoolArray:
    """(n,) True where a value lies above a limit by more than its error, ``…_err``, allows."""
    return is_beyond(numbers(table, name) - limit, numbers(table, f"{name}_err"))


def _is_surely(outside: BoolArray, chance: FloatArray) -> BoolArray:
    """(n,) True for what lies outside and has no chance to be inside above `AT_THE_LIMIT`."""
    return outside & ~(np.nan_to_num(chance) > AT_THE_LIMIT)


def region_sentence(selection: str) -> str:
    """Say what it means that a spectrum lies inside the D0.2–fm region."""
    return f"Hδ and Hγ measured and within the limits of the selection {selection}"


def outside_region(table: pd.DataFrame) -> BoolArray:
    """(n,) True outside the D0.2–fm region by more than the errors allow: `AT_THE_LIMIT`.

    Without a probability (a selection that has none, a line without errors) the values decide.
    """
    return _is_surely(is_false(table, "in_bhb_region"), numbers(table, "p_in_bhb_region"))


# --- stars -------------------------------------------------------------------------------------
def star_numbers(table: pd.DataFrame) -> IntArray:
    """Tell which spectra are of one star, as `OWN_STAR` says.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``uid`` where stars are identified.

    Returns
    -------
    (n,) int64 array
        Equal numbers for spectra of one star: 0, 1, … in the order in which stars come.
    """
    if "uid" not in table.columns:
        return np.arange(len(table), dtype=np.int64)
    uid = table["uid"].astype("str")
    star, stars = pd.factorize(uid.where(uid != ""))
    alone = star < 0
    star = np.where(alone, len(stars) + np.cumsum(alone), star)
    return pd.factorize(star)[0].astype(np.int64)


def n_stars(table: pd.DataFrame) -> int:
    """Return of how many stars these spectra are, as `OWN_STAR` says."""
    return int(star_numbers(table).max(initial=-1)) + 1


def unidentified_sentence(table: pd.DataFrame) -> str:
    """Say how many spectra count as a star each since nobody knows whose they are; or nothing."""
    n = len(table) if "uid" not in table else int(table["uid"].isna().sum())
    if not n:
        return ""
    return f"{counted(n, 'spectrum', 'spectra')} not identified yet, each counted as a star"


def title_sentence(table: pd.DataFrame) -> str:
    """Say what these rows are as the title of a table: nothing that does not hold of each."""
    is_all = bool(len(table))
    releases = _words(table, "data_release") if is_all else pd.Series(dtype=str)
    is_lamost = is_all and bool(releases.str.startswith("LAMOST", na=False).all())
    verdicts = _words(table, "verdict") if is_all else releases
    is_chosen = is_true(table, "is_candidate").all() and not (verdicts == "REJECT").any()
    whence = " from LAMOST spectra" if is_lamost else ""
    if is_all and (verdicts == "ACCEPT").all():
        return f"Blue horizontal-branch stars{whence}"
    if is_all and is_chosen:
        return f"Candidate blue horizontal-branch stars{whence}"
    return f"{'LAMOST s' if is_lamost else 'S'}pectra searched for blue horizontal-branch stars"


def representatives(table: pd.DataFrame) -> BoolArray:
    """(n,) True for one spectrum of each star: of highest S/N, of equals the lowest obsid."""
    return represents(
        star_numbers(table), numbers(table, "snr_g"), table["obsid"].to_numpy(np.int64)
    )


def represents(star: IntArray, snr_g: FloatArray, obsid: IntArray) -> BoolArray:
    """Tell which spectra represent their star: the rule of `representatives` on plain arrays.

    Parameters
    ----------
    star : (n,) int64 array
        Equal for spectra of one star.
    snr_g : (n,) array
        NaN counts as lowest.
    obsid : (n,) int64 array
    """
    order = np.lexsort((obsid, -np.nan_to_num(snr_g, nan=-np.inf), star))
    one = np.zeros(len(star), dtype=bool)
    one[order[np.flatnonzero(np.diff(star[order], prepend=-1))]] = True
    return one


def epoch_shifts(table: pd.DataFrame) -> FloatArray:
    """(n,) Doppler shift of each epoch: of its measured velocity, else z of file or catalogue."""
    velocity = numbers(table, "epoch_rv")
    return np.where(np.isfinite(velocity), velocity / SPEED_OF_LIGHT, numbers(table, "z"))


def redshift_is_contradicted(table: pd.DataFrame) -> BoolArray:
    """(n,) True where a trusted match with a template of a star gives another Doppler shift."""
    return _is_apart(numbers(table, "z"), table)


def rest_redshifts(table: pd.DataFrame) -> FloatArray:
    """(n,) Doppler shift that brings each spectrum to rest, as `rest_sentence` says.

    What is measured at a wrong shift is wrong too: lines off their centres, the Ca II K index on
    the wing of its line, a prepared spectrum of a kind that the networks never saw.

    Parameters
    ----------
    table : (n,) DataFrame
        ``z`` of file or catalogue and, where spectra were matched, `OF_REST`.
    """
    z = numbers(table, "z")
    takes = (np.isnan(z) & _are_stars(table, _NO_SHIFT)) | redshift_is_contradicted(table)
    return np.where(takes, numbers(table, "template_z"), z)


def rest_sentence() -> str:
    """Say at which shift a spectrum is classified, measured, labelled and shown."""
    return (
        "the Doppler shift of file or catalogue; that of the template of a star where they give "
        "none, or where the template is trusted and theirs is more than "
        f"{SHIFTS_APART:g} km/s and {SIGMAS_APART:g} σ off"
    )


def measured_off_rest(table: pd.DataFrame) -> BoolArray:
    """(n,) True where lines were measured at a shift that a trusted match contradicts.

    So it is where spectra were matched after they were measured.
    """
    measured = numbers(table, "rest_z")
    return _is_apart(np.where(np.isfinite(measured), measured, numbers(table, "z")), table)


def redshift_sentences() -> tuple[str, str]:
    """Say what contradicts a redshift, where the template's is used, and where it is not yet."""
    apart = f"> {SHIFTS_APART:g} km/s, > {SIGMAS_APART:g} σ"
    return (
        f"the template gives another redshift ({apart}): used in place of the header's",
        f"the template gives another redshift ({apart}): measured at the header's, msfa run",
    )


def _is_apart(z: FloatArray, table: pd.DataFrame) -> BoolArray:
    shift, error = numbers(table, "template_z"), numbers(table, "template_z_err")
    limit = np.fmax(SHIFTS_APART, SIGMAS_APART * SPEED_OF_LIGHT * error)
    is_apart: BoolArray = SPEED_OF_LIGHT * np.abs(z - shift) > limit
    return is_apart & _are_stars(table, _UNTRUSTED)


def _are_stars(table: pd.DataFrame, doubts: int) -> BoolArray:
    """(n,) True where the template of a star fits, and none of these flags is raised."""
    raised = np.nan_to_num(numbers(table, "template_flags"), nan=1.0).astype(np.int64) & doubts
    return _where(_words(table, "template_class") == STAR) & (raised == 0)


def have_good_parallax(table: pd.DataFrame) -> BoolArray:
    """(n,) True where the parallax passes the paper's cut, `PARALLAX_SENTENCE`."""
    positive = numbers(table, "parallax_mas") > 0
    return positive & (numbers(table, "parallax_over_error") > 1 / float(PARALLAX_ERROR_MAX))


def placed_by_trapezoid(table: pd.DataFrame) -> tuple[BoolArray, BoolArray]:
    """(n,) True inside, and (n,) True outside the trapezoid by more than the errors allow.

    Neither without a good parallax, nor `AT_THE_LIMIT`.
    """
    good = have_good_parallax(table)
    outside = _is_surely(is_false(table, "in_cmd_trapezoid"), numbers(table, "p_in_cmd_trapezoid"))
    return good & is_true(table, "in_cmd_trapezoid"), good & outside


def are_kept_by(table: pd.DataFrame, samples: CmdExclusion) -> BoolArray:
    """(n,) True where none of these samples of the diagram leaves a star out.

    A star without Gaia data is in none of them.
    """
    flags = table["cmd_exclusions"]
    bits = flags.fillna(0).to_numpy(np.int64)
    kept: BoolArray = flags.notna().to_numpy(bool) & ((bits & int(samples)) == 0)
    return kept


PARALLAX_SENTENCE: Final = f"ϖ > 0 and σ/ϖ < {float(PARALLAX_ERROR_MAX):g}"


# --- labels ------------------------------------------------------------------------------------
def kiel_band(teff: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the gravities between which BHB stars lie (Culpan et al. 2024).

    Parameters
    ----------
    teff : (n,) array [K]

    Returns
    -------
    lower, upper : (n,) arrays [dex]
    """
    logarithm = np.log10(np.asarray(teff, dtype=np.float64))
    (slope_low, low), (slope_high, high) = KIEL_BAND
    return slope_low * logarithm + float(low), slope_high * logarithm + float(high)


def in_kiel_band(teff: ArrayLike, logg: ArrayLike) -> BoolArray:
    """Tell which stars lie inside the Kiel band; False where a label is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = kiel_band(teff)
        gravity = np.asarray(logg, dtype=np.float64)
        inside: BoolArray = (gravity > lower) & (gravity < upper)
    return inside


def outside_kiel_band(table: pd.DataFrame) -> BoolArray:
    """(n,) True outside the Kiel band by more than the errors of Teff and log g allow."""
    teff, logg = numbers(table, "teff"), numbers(table, "logg")
    logg_err = np.nan_to_num(numbers(table, "logg_err"))
    with np.errstate(invalid="ignore", divide="ignore"):
        per_kelvin = np.nan_to_num(numbers(table, "teff_err")) / (teff * np.log(10))
        lower, upper = kiel_band(teff)
        beyond = [
            is_beyond(excess, np.hypot(logg_err, slope * per_kelvin))
            for excess, (slope, _) in zip((lower - logg, logg - upper), KIEL_BAND, strict=True)
        ]
    return beyond[0] | beyond[1]
