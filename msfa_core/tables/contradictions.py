"""Columns of one table that say the same thing twice, and differ.

A colour beside its two magnitudes, a parallax over its error beside both, a velocity beside a
Doppler shift: where most rows differ, one of the columns is another quantity than its name says (a
colour without dust, a distance, a velocity in another frame or with the other sign), and nothing in
the file tells which one. And columns that, beside the others, can hardly be what they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import KM_S_PER_MAS_YR, SPEED_OF_LIGHT
from msfa_core.tables.colours_beside import (
    FEWEST_TO_COMPARE,
    TURNED,
    as_g,
    exchanged_bands,
    mixed_bands,
    numbers_of,
    rank_correlation,
)
from msfa_core.tables.units import LARGEST_SHARE
from msfa_core.typing import FloatArray

_NEAR_ONE: Final = 0.005  # 1,500 km/s
_ENOUGH: Final = 3  # rows that have all of the columns
_GOOD_PARALLAX: Final = 5.0  # σ
_NEGATIVE: Final = -0.1  # mas; parallaxes below it in the middle of a table are none …
_NEGATIVE_SIGMA: Final = -3.0  # … or below so many errors
_LUMINOSITIES: Final = (-7.0, 18.0)  # mag in G, of supergiants and of coolest white dwarfs
_BRIGHT: Final = 18.0  # mag in G
_LARGE_ERROR: Final = 1.0  # mas; DR2 and DR3 have 0.02 to 0.2 for stars brighter than that
_GROWS: Final = 0.7  # rank correlation with G; honest parallaxes of 20 rows reach 0.53
_MORE_ALIKE: Final = 0.6  # spread of absolute magnitudes if it is a distance, over that if not
_SUN: Final = (115.9, -121.3, 183.1)  # km/s along the axes of ICRS: (11, 248, 7) in the Galaxy
_ONE_FIELD: Final = 0.8  # length of the mean direction of stars; 1 for a point
_ASTRAY: Final = 0.5  # mean cosine with the reflex of the Sun's motion below which …
_ALONG: Final = 0.7  # … and above which one is hardly it, and the other is; 0.87 of BHB stars
_HOT: Final = 7000.0  # K; stars of such Teff …
_LEAST_GRAVITY: Final = 2.3  # … and of less than this in the middle are supergiants, or in m/s²
_GIANTS: Final = 4800.0  # K; beyond it stars of the giant branch have …
_LEAST_OF_GIANTS: Final = 1.5  # … more than this
_FASTEST_SHIFT: Final = 0.002  # 600 km/s: no table of stars is faster in the middle
_BLUEST: Final = -0.7  # mag of BP−RP; hot subdwarfs and white dwarfs reach −0.6
_BLUE_SHARE: Final = 0.1  # of a table beyond it; noise brings few there
_RICH: Final = 1.0  # [Fe/H] that few peculiar stars have; a fifth of the stars here as a ratio …
_RICH_SHARE: Final = 0.1
_RICHEST: Final = 1.5  # … of which some go far beyond
_TOO_RICH: Final = 0.7  # [Fe/H] in the middle; stars of the bulge and metallic-line stars have less
_NEAR_INFRARED: Final = ("j_mag", "h_mag", "ks_mag")
_BLUEST_INFRARED: Final = -0.25  # J−H and H−Ks in the middle; −0.1 of hot subdwarfs
_POOR: Final = 0.1  # in the middle of ratios of the halo …
_LOG_QUARTILES: Final = 0.4  # … with quartiles so far apart in dex, 0.6 of BHB stars …
_TAIL: Final = 2.5  # … and the largest so many times that of a tail cut at zero
_SLOW: Final = 3.0  # km/s; one star in a hundred is slower across the line of sight
_FEWEST_SLOW: Final = 5
_OTHER_MOTION: Final = 0.01  # of the total; what is rounded stays within in the middle
_NEARER: Final = 3.0  # times as near to it with cos δ as without
_TOTAL_MOTIONS: Final = ("pm", "pm_total", "pmtot", "pm_tot", "total_pm", "mu_tot", "mutot")
_DISTANCES: Final = frozenset(
    (
        *("dist", "distance", "d", "d_kpc", "dist_kpc", "dist_pc", "dhel", "d_hel", "dhelio"),
        *("rgal", "r_gal", "rgc", "r_gc", "r_helio", "rhelio", "r_est", "r_med_geo", "rgeo"),
    )
)


@dataclass(frozen=True, slots=True)
class _Twice:
    """A quantity that columns give in two ways.

    Attributes
    ----------
    names : tuple of str
        House names: the quantity, and those that it follows from.
    follows : callable
        Its value by the others.
    differ : callable
        How far two values are apart, on the scale of ``limit``.
    limit : float
        Median difference beyond which they are not the same quantity.
    unit : str
        In which the difference is told.
    """

    names: tuple[str, ...]
    follows: Callable[..., FloatArray]
    differ: Callable[[FloatArray, FloatArray], FloatArray]
    limit: float
    unit: str


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.abs(one - other)


def _factor(one: FloatArray, other: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(one / other)
        return np.where(one * other < 0, np.inf, np.maximum(ratio, 1.0 / ratio))


_TWICE: Final = (
    _Twice(  # two decimals in the file stay within the limit
        ("bp_rp", "bp_mag", "rp_mag"), lambda bp, rp: bp - rp, _difference, 0.03, "mag"
    ),
    _Twice(  # a zero point taken off the parallax stays within it
        ("parallax_over_error", "parallax_mas", "parallax_error_mas"),
        lambda parallax, error: parallax / error, _factor, 2.0, "times",
    ),
    _Twice(  # two pipelines, or lines of hot and of cool stars, stay within it
        ("rv", "z"), lambda z: z * float(SPEED_OF_LIGHT), _difference, 30.0, "km/s"
    ),
)  # fmt: skip


def contradictions(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> dict[str, str]:
    """Return which quantities contradict each other, and why none of them can be taken.

    Parameters
    ----------
    values : mapping of str to (n,) Series
        By house name, in house units.
    names : mapping of str to str
        What the file calls them.

    Returns
    -------
    dict of str to str
        House name -> reason in words.
    """
    found: dict[str, str] = {}
    for one in _TWICE:
        if not set(one.names) <= values.keys():
            continue
        columns = [values[name].to_numpy(np.float64, na_value=np.nan) for name in one.names]
        with np.errstate(divide="ignore", invalid="ignore"):
            other = one.follows(*columns[1:])
        known = np.isfinite(columns[0]) & np.isfinite(other)
        if known.sum() < _ENOUGH:
            continue
        middle = float(np.median(one.differ(columns[0][known], other[known])))
        if middle <= one.limit:
            continue
        by = " and ".join(names[name] for name in one.names[1:])
        size = f"by {middle:.3g} {one.unit} in the middle" if np.isfinite(middle) else "in sign"
        why = (
            f"{names[one.names[0]]} and what {by} make of it differ {size}: one of them is "
            "something else than it is called; take that one out of the file"
        )
        first, *others = one.names
        found |= {first: why, **dict.fromkeys(others, f"as {names[first]} before it")}
    if "bp_rp" in found and (why := as_g(values, names)):
        found["g_mag"] = why
    return found


def unlikely(
    values: Mapping[str, pd.Series],
    names: Mapping[str, str],
    have_units: Collection[str],
    beside: Mapping[str, pd.Series],
) -> dict[str, str]:
    """Return which quantities can hardly be what their names say, and what to do.

    Parameters
    ----------
    values, names : mapping
        As for `contradictions`.
    have_units : collection of str
        House names of columns whose file says their unit; they are believed.
    beside : mapping of str to (n,) Series
        All columns of the table as they stand in it, by their names in lower case.
    """
    found: dict[str, str] = {}
    if "feh" in values:
        why = _is_ratio(values["feh"]) if "feh" not in have_units else ""
        why = why or _is_too_rich(values["feh"])
        found |= {"feh": why} if why else {}
    found |= _too_blue(values, names)
    found |= exchanged_bands(values, names)
    found |= mixed_bands(values, names)
    if "bp_rp" in values and (why := _is_turned(values, names)):
        found["bp_rp"] = why
    if "logg" in values and "logg" not in have_units:
        why = _no_gravity(numbers_of(values["logg"]), values.get("teff"))
        found |= {"logg": why} if why else {}
    if {"g_mag", "parallax_mas"} <= values.keys():
        why = _no_luminosity(values, names)
        found |= dict.fromkeys(("g_mag", "parallax_mas"), why) if why else {}
        if not why and (why := _grows_with_faintness(values)):
            found["parallax_mas"] = why
    if "parallax_mas" in values and (why := _no_parallax(values)):
        found["parallax_mas"] = why
    if {"g_mag", "parallax_error_mas"} <= values.keys() and (why := _no_error_of_gaia(values)):
        found["parallax_error_mas"] = why
    if {"ra", "dec", "pmra", "pmdec"} <= values.keys():
        if why := _exchanged(values) or _without_cosine(values, beside):
            found |= {"pmra": why, "pmdec": f"as {names['pmra']} before it"}
        elif "parallax_mas" in values and (why := _is_slow(values)):
            found["parallax_mas"] = why
    if "z" in values and names["z"].strip().lower() == "z":
        why = _no_shift(numbers_of(values["z"]), values.keys(), beside)
        found |= {"z": why} if why else {}
    return found


def _no_gravity(logg: FloatArray, temperatures: pd.Series | None) -> str:
    """Return why log g without a unit can be in m/s²; nothing where it cannot."""
    remedy = "it can be log g in m/s², 2 dex less; give its unit (cm/s2 or m/s2)"
    kinds = [("", np.ones(len(logg), bool), _LEAST_GRAVITY)]
    if temperatures is not None and np.isfinite(teff := numbers_of(temperatures)).any():
        kinds = [
            (f" hotter than {_HOT:,.0f} K", teff >= _HOT, _LEAST_GRAVITY),
            (f" of {_GIANTS:,.0f} to {_HOT:,.0f} K", (teff >= _GIANTS) & (teff < _HOT),
             _LEAST_OF_GIANTS),
        ]  # fmt: skip
    for which, rows, least in kinds:
        some = logg[rows & np.isfinite(logg)]
        if len(some) >= _ENOUGH and (middle := float(np.median(some))) < least:
            would = (
                "would make them supergiants" if which else "is that of supergiants, or of giants"
            )
            return f"its middle value {middle:.3g} of {len(some):,} stars{which} {would}: {remedy}"
    return ""


def _no_luminosity(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> str:
    """Return why a magnitude and a parallax are hardly of one star; nothing where they are."""
    g_mag, parallax = (numbers_of(values[name]) for name in ("g_mag", "parallax_mas"))
    known = np.isfinite(g_mag) & (parallax > 0)
    if "parallax_error_mas" in values:
        known &= parallax > _GOOD_PARALLAX * numbers_of(values["parallax_error_mas"])
    if known.sum() < _ENOUGH:
        return ""
    middle = float(np.median(g_mag[known] + 5 * np.log10(parallax[known]) - 10))
    if _LUMINOSITIES[0] < middle < _LUMINOSITIES[1]:
        return ""
    return (
        f"{names['g_mag']} and {names['parallax_mas']} would make an absolute magnitude of "
        f"{middle:.3g} in the middle, as no stars have: one of them is something else than it is "
        "called (an absolute magnitude, a distance); take that one out of the file"
    )


def _no_parallax(values: Mapping[str, pd.Series]) -> str:
    """Return why a column is hardly one of parallaxes: noise makes few of them so negative."""
    parallax = numbers_of(values["parallax_mas"])
    error = values.get("parallax_error_mas")
    limit = _NEGATIVE if error is None else _NEGATIVE_SIGMA * numbers_of(error)
    known = np.isfinite(parallax) & np.isfinite(limit)
    if known.sum() < _ENOUGH or not np.median((parallax - limit)[known]) < 0:
        return ""
    return (
        f"its middle value is {np.median(parallax[known]):.3g} mas, farther below zero than errors "
        "bring one: it is a logarithm, or its sign is turned; give the parallax itself"
    )


def _no_error_of_gaia(values: Mapping[str, pd.Series]) -> str:
    """Return why errors of parallaxes are hardly Gaia's: those of bright stars are far smaller."""
    g_mag, error = (numbers_of(values[name]) for name in ("g_mag", "parallax_error_mas"))
    some = error[np.isfinite(error) & (g_mag < _BRIGHT)]
    if len(some) < _ENOUGH or (middle := float(np.median(some))) < _LARGE_ERROR:
        return ""
    return (
        f"its middle value of {len(some):,} stars brighter than G = {_BRIGHT:g} is {middle:.3g} "
        "mas, and Gaia's are below 0.2 mas there: it can be in per cent, or of something else; "
        "give the error itself, in mas"
    )


def _grows_with_faintness(values: Mapping[str, pd.Series]) -> str:
    """Return why a column is hardly one of parallaxes: distances are larger for fainter stars."""
    g_mag, parallax = (numbers_of(values[name]) for name in ("g_mag", "parallax_mas"))
    known = np.isfinite(g_mag) & np.isfinite(parallax)
    g_mag, parallax = g_mag[known], parallax[known]
    if known.sum() < FEWEST_TO_COMPARE or not (parallax > 0).all():
        return ""
    log = np.log10(parallax)
    ranks = [pd.Series(one).rank().to_numpy() for one in (g_mag, log)]
    if min(float(np.ptp(one)) for one in ranks) == 0 or np.corrcoef(*ranks)[0, 1] < _GROWS:
        return ""
    spreads = [
        np.median(np.abs(one - np.median(one))) for one in (g_mag + 5 * log, g_mag - 5 * log)
    ]
    if not spreads[1] < _MORE_ALIKE * spreads[0]:
        return ""
    return (
        f"it grows as stars are fainter, from {parallax.min():.3g} to {parallax.max():.3g}, as "
        "distances do and parallaxes do not; give the parallax itself, in mas"
    )


def _exchanged(values: Mapping[str, pd.Series]) -> str:
    """Return why the two motions look exchanged: stars of the halo move against the Sun's motion.

    Only stars all over the sky tell: those of one field, or of the disc, move otherwise.
    """
    ra, dec, pmra, pmdec = (numbers_of(values[name]) for name in ("ra", "dec", "pmra", "pmdec"))
    known = np.isfinite(ra + dec + pmra + pmdec) & (np.hypot(pmra, pmdec) > 0)
    if known.sum() < FEWEST_TO_COMPARE:
        return ""
    east, north, pmra, pmdec = (
        np.radians(ra[known]),
        np.radians(dec[known]),
        pmra[known],
        pmdec[known],
    )
    place = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    if np.linalg.norm(place.mean(axis=1)) > _ONE_FIELD:
        return ""
    x, y, z = _SUN
    along = np.sin(east) * x - np.cos(east) * y
    up = np.sin(north) * (np.cos(east) * x + np.sin(east) * y) - np.cos(north) * z
    size = np.hypot(along, up) * np.hypot(pmra, pmdec)
    given, other = ((along * a + up * b) / size for a, b in ((pmra, pmdec), (pmdec, pmra)))
    if given.mean() > _ASTRAY or other.mean() < _ALONG:
        return ""
    return (
        f"{int(known.sum()):,} stars all over the sky move as the Sun's own motion makes stars of "
        f"the halo do only if the two are exchanged (mean cosine {other.mean():.2f}, as given "
        f"{given.mean():.2f}); exchange their names"
    )


def _is_ratio(column: pd.Series) -> str:
    """Return why metals are hardly [Fe/H]: ratios to the Sun's are never negative."""
    feh = numbers_of(column)
    feh = feh[np.isfinite(feh)]
    if len(feh) < FEWEST_TO_COMPARE or not (feh > 0).all():
        return ""
    low, middle, high = np.quantile(feh, (0.25, 0.5, 0.75))
    are_rich = feh.max() > _RICHEST and np.mean(feh > _RICH) > _RICH_SHARE
    is_tailed = feh.max() > _TAIL * np.log2(len(feh)) * middle
    is_tailed &= np.log10(high / low) > _LOG_QUARTILES
    if not are_rich and not (middle < _POOR and is_tailed):
        return ""
    return (
        f"all {len(feh):,} values are above zero, from {feh.min():.3g} to {feh.max():.3g} with "
        f"{middle:.3g} in the middle, as ratios to the Sun's have it and [Fe/H] does not; give "
        "[Fe/H], or its unit (dex)"
    )


def _is_too_rich(column: pd.Series) -> str:
    """Return why metals are hardly [Fe/H]: no table of stars has so many."""
    feh = numbers_of(column)
    feh = feh[np.isfinite(feh)]
    if len(feh) < _ENOUGH or (middle := float(np.median(feh))) <= _TOO_RICH:
        return ""
    return (
        f"its middle value is {middle:.3g}, and no table of stars is so rich in metals: its sign "
        "can be turned; give [Fe/H], below zero for stars poorer than the Sun"
    )


def _too_blue(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> dict[str, str]:
    """Return which magnitudes in the near infrared make colours that no stars have, and why."""
    for blue, red in pairwise(_NEAR_INFRARED):
        if blue not in values or red not in values:
            continue
        colour = numbers_of(values[blue]) - numbers_of(values[red])
        colour = colour[np.isfinite(colour)]
        if len(colour) < _ENOUGH or (middle := float(np.median(colour))) >= _BLUEST_INFRARED:
            continue
        why = (
            f"{names[blue]} − {names[red]} is {middle:.3g} in the middle, bluer than any stars: "
            "they can be AB magnitudes, or exchanged; give those of 2MASS (Vega)"
        )
        others = [one for one in _NEAR_INFRARED if one in values and one != blue]
        return {blue: why, **dict.fromkeys(others, f"as {names[blue]} beside it")}
    return {}


def _is_turned(values: Mapping[str, pd.Series], names: Mapping[str, str]) -> str:
    """Return why a colour is hardly BP−RP, but RP−BP."""
    colour = numbers_of(values["bp_rp"])
    some = colour[np.isfinite(colour)]
    n_blue = int(np.count_nonzero(some < _BLUEST))
    remedy = "it can be RP−BP; give BP−RP"
    if n_blue >= _ENOUGH and n_blue > _BLUE_SHARE * len(some):
        return f"{n_blue:,} of {len(some):,} stars would be bluer than any is: {remedy}"
    witnesses = {"teff": -1, "nu_eff_used_in_astrometry": -1}
    beside = {
        one: sign * numbers_of(values[one]) for one, sign in witnesses.items() if one in values
    }
    if {"g_mag", "ks_mag"} <= values.keys():
        beside["ks_mag"] = numbers_of(values["g_mag"]) - numbers_of(values["ks_mag"])
    for one, redness in beside.items():
        found = rank_correlation(colour, redness)
        if found is not None and found < -TURNED:
            return f"it falls where stars are redder by {names[one]}: {remedy}"
    return ""


def _without_cosine(values: Mapping[str, pd.Series], beside: Mapping[str, pd.Series]) -> str:
    """Return why motions in right ascension are without cos δ, by the total beside them."""
    totals = [one for one in _TOTAL_MOTIONS if one in beside]
    if not totals:
        return ""
    total = pd.to_numeric(beside[totals[0]], errors="coerce").to_numpy(np.float64)
    dec, pmra, pmdec = (numbers_of(values[name]) for name in ("dec", "pmra", "pmdec"))
    shorter = pmra * np.cos(np.radians(dec))
    known = np.isfinite(shorter + pmdec) & (total > 0)
    if known.sum() < _ENOUGH:
        return ""
    given, other = (
        float(np.median(np.abs(np.hypot(one, pmdec)[known] / total[known] - 1)))
        for one in (pmra, shorter)
    )
    if given < _OTHER_MOTION or given < _NEARER * other:
        return ""
    return (
        f"{totals[0]} is the total of motions times cos(dec): it is without cos(dec); multiply it, "
        "as Gaia does"
    )


def _is_slow(values: Mapping[str, pd.Series]) -> str:
    """Return why a column is hardly one of parallaxes: with it hardly a star would move.

    Distances in kpc of stars of the halo are so many times their parallaxes. Stars of one field
    may be one group that moves along with the Sun.
    """
    ra, dec, parallax, pmra, pmdec = (
        numbers_of(values[name]) for name in ("ra", "dec", "parallax_mas", "pmra", "pmdec")
    )
    motion = np.hypot(pmra, pmdec)
    known = np.isfinite(ra + dec + motion) & (parallax > 0) & (motion > 0)
    if "parallax_error_mas" in values:  # of quasars, parallax and motion are both of chance
        known &= ~(parallax <= _GOOD_PARALLAX * numbers_of(values["parallax_error_mas"]))
    if known.sum() < _FEWEST_SLOW:
        return ""
    east, north = np.radians(ra[known]), np.radians(dec[known])
    place = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    if np.linalg.norm(place.mean(axis=1)) > _ONE_FIELD:
        return ""
    across = float(np.median(float(KM_S_PER_MAS_YR) * motion[known] / parallax[known]))
    if across > _SLOW:
        return ""
    return (
        f"with it {int(known.sum()):,} stars all over the sky would move by {across:.2g} km/s in "
        "the middle, as none do: it can be a distance; give the parallax itself, in mas"
    )


def _no_shift(z: FloatArray, houses: Collection[str], beside: Collection[str]) -> str:
    """Return why a column called z is hardly a Doppler shift; nothing where it can be one."""
    z = z[np.isfinite(z)]
    if len(z) < _ENOUGH:
        return ""
    low, middle, high = float(z.min()), float(np.median(np.abs(z))), float(z.max())
    if abs(middle - 1.0) < _NEAR_ONE and high - low < 4 * _NEAR_ONE:
        return f"it is {low:.6g} to {high:.6g}, which looks like 1 + z: give z itself"
    remedy = "call a Doppler shift redshift, or z with z_err beside it"
    are_shares = 0.0 < low < high < LARGEST_SHARE and bool({"teff", "logg"} & set(houses))
    knows_metals = "feh" in houses or bool({"z_err", "zerr", "e_z"} & set(beside))
    if are_shares and (middle > _FASTEST_SHIFT or not knows_metals):
        return (
            f"all of it lies from {low:.3g} to {high:.3g}, beside labels of stars: it can be the "
            f"mass fraction of metals; {remedy}, and give [Fe/H] for metals"
        )
    if middle > LARGEST_SHARE and (apart := sorted(_DISTANCES & set(beside))):
        return (
            f"with {', '.join(apart)} beside it and {middle:.3g} in the middle, it can be a height "
            f"above the plane; {remedy}"
        )
    return ""
