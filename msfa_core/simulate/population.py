"""Who is in a simulated survey: stars of every class, and what a survey pipeline says of them.

Each class is a mixture of groups (``groups.GROUPS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import pandas as pd

from msfa_core.columns import TRUE_CLASS
from msfa_core.constants import PAPER_COUNTS, SPEED_OF_LIGHT
from msfa_core.errors import ConfigError
from msfa_core.simulate.groups import DEFAULTS, GROUPS, Shares, group_shares
from msfa_core.simulate.photometry import add_photometry, add_place, kinematic_velocity

DEMO_COUNTS: Final[Mapping[str, int]] = {
    "BHB": 250,  # a search finds mostly what it does not look for
    **{"A": 760, "B": 280, "HSD": 60, "WD": 70, "F": 60, "RRL": 20},
}
CLASSES: Final = ("BHB", "A", "B", "HSD", "WD", "F", "RRL")

Signal = Literal["even", "lamost"]  # how S/N is spread
# Share of A stars below an S/N in g, and its logarithm: 1,000 A stars of LAMOST DR10 above 10
_LAMOST_SNR: Final = tuple(
    (share, float(np.log(snr)))
    for share, snr in (
        *((0.0, 10.0), (0.01, 11.4), (0.05, 16.1), (0.1, 21.3), (0.25, 35.6), (0.5, 70.5)),
        *((0.75, 141.5), (0.9, 280.9), (0.95, 383.4), (0.99, 696.2), (1.0, 900.0)),
    )
)
_CORE_DEPARTURE: Final = (0.9, 0.35)  # mean and rms of what models leave out (1 = typical)
_HELIUM_DEPARTURE: Final = (0.9, 0.45)
_HALO_FEH: Final = -1.0


def class_counts(n_stars: int, counts: Mapping[str, float] | None = None) -> dict[str, int]:
    """Share ``n_stars`` among the classes.

    Parameters
    ----------
    n_stars : int
    counts : mapping of class to number, optional
        Proportions; ``PAPER_COUNTS`` when left out. Taken as they are when they sum to
        ``n_stars``.

    Raises
    ------
    ConfigError
        For an unknown class, a negative number, or proportions that are all zero.
    """
    wanted = dict(PAPER_COUNTS if counts is None else counts)
    unknown = sorted(set(wanted) - set(CLASSES))
    if unknown or min(wanted.values(), default=0) < 0 or sum(wanted.values()) <= 0:
        raise ConfigError(
            f"counts {wanted} need a positive number for some of the classes {CLASSES}."
        )
    if n_stars < 0:
        raise ConfigError(f"n_stars is {n_stars}; give a number of at least 0.")
    exact = {name: n_stars * wanted.get(name, 0) / sum(wanted.values()) for name in CLASSES}
    result = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(CLASSES, key=lambda name: result[name] - exact[name])
    for name in by_rest[: n_stars - sum(result.values())]:
        result[name] += 1
    return result


def _draw_class(name: str, n: int, rng: np.random.Generator, shares: Shares) -> pd.DataFrame:
    """Draw n stars of a class: a group for each, then the parameters group by group."""
    groups = GROUPS[name]
    member = rng.choice(len(groups), size=n, p=group_shares(name, shares))
    parts = []
    for index, group in enumerate(groups):
        size = int(np.sum(member == index))
        table = pd.DataFrame({**DEFAULTS, **group.draw(rng, size)}, index=range(size))
        parts.append(table.assign(group=group.name))
    return pd.concat(parts, ignore_index=True).assign(**{"class": name})


def draw_population(
    n_stars: int,
    rng: np.random.Generator,
    counts: Mapping[str, float] | None = None,
    *,
    snr_range: tuple[float, float] = (5.0, 200.0),
    first_star: int = 0,
    shares: Shares = "survey",
    snr: Signal = "even",
) -> pd.DataFrame:
    """Draw the stars of a survey, one row each.

    Parameters
    ----------
    n_stars : int
    rng : numpy.random.Generator
    counts : mapping of class to number, optional
        See ``class_counts``.
    snr_range : (2,) float
        S/N in g, drawn evenly in its logarithm.
    first_star : int
        Number of the first star; makes ``true_star`` and ``gaia_source_id`` unique in a survey
        that is drawn in parts.
    shares : {"survey", "border", "sky"}
        Of the groups within each class; see ``groups.BORDER_SHARES`` and ``SKY_SHARES``.
    snr : {"even", "lamost"}
        S/N even in its logarithm, or as A stars of LAMOST have it, moved to the ends of the range.

    Returns
    -------
    DataFrame
        ``true_*`` columns (class, group, kind, teff, logg, feh, helium, vsini, rv, ebv, distance,
        parallax, absolute magnitude …), photometry, astrometry and position, in mixed order.
    """
    numbers = class_counts(n_stars, counts)
    parts = [_draw_class(name, n, rng, shares) for name, n in numbers.items() if n]
    if not parts:
        parts = [_draw_class("A", 0, rng, shares)]
    stars = pd.concat(parts, ignore_index=True)
    stars = stars.iloc[rng.permutation(len(stars))].reset_index(drop=True)
    stars["halo"] = stars["halo"].to_numpy(bool) | (stars["feh"].to_numpy(float) < _HALO_FEH)
    stars = stars.rename(columns={"helium": "he"}).add_prefix("true_")
    stars["true_core_departure"] = rng.normal(*_CORE_DEPARTURE, len(stars))
    stars["true_he_departure"] = rng.normal(*_HELIUM_DEPARTURE, len(stars))
    stars["true_star"] = first_star + np.arange(len(stars))
    lowest, highest = np.log(snr_range)
    even = rng.uniform(size=len(stars))
    stars["true_snr_g"] = np.exp(lowest + (highest - lowest) * even)
    if snr == "lamost":
        drawn = np.exp(np.interp(even, *np.transpose(_LAMOST_SNR)))
        stars["true_snr_g"] = np.clip(drawn, *snr_range)
    stars = add_place(stars, rng)
    stars["true_rv"] = kinematic_velocity(stars, rng)
    return add_photometry(stars, rng)


# --- what the pipeline of LAMOST would say ----------------------------------------------------

_SUBCLASSES: Final = (  # least Teff [K], subclasses of the header
    (14_000, ("B6",)),
    (11_000, ("B9", "B6")),
    (9_400, ("A1V", "A1IV", "B9")),
    (8_700, ("A1V", "A2V", "A1IV")),
    (8_100, ("A2V", "A3IV", "A5V")),
    (7_700, ("A5V", "A6IV", "A7V")),
    (7_200, ("A7V", "A7III", "A7IV", "A9V")),
    (6_800, ("F0", "A9V")),
    (6_300, ("F2", "F5")),
    (0, ("F5", "F7")),
)
_WD_AS_WD: Final = 0.8  # share of white dwarfs that the pipeline recognises
_VELOCITY_ERROR: Final = {"WD": 45.0, "HSD": 18.0}  # km/s at high S/N
_VELOCITY_ERROR_FLOOR: Final = 5.0
_VELOCITY_ERROR_PER_SNR: Final = 150.0  # km/s at S/N of 1


def add_pipeline_labels(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add what a survey pipeline puts into the header: class, subclass, z and its error."""
    n = len(rows)
    teff, name = rows["true_teff"].to_numpy(float), rows[TRUE_CLASS].to_numpy(str)
    lucky, pick = rng.uniform(size=n), rng.uniform(size=n)
    subclass = []
    for k in range(n):
        if name[k] == "WD" and lucky[k] < _WD_AS_WD:
            subclass.append("WD")
            continue
        choice = next(types for least, types in _SUBCLASSES if teff[k] >= least)
        subclass.append(choice[int(pick[k] * len(choice))])
    floor = np.array([_VELOCITY_ERROR.get(each, _VELOCITY_ERROR_FLOOR) for each in name])
    error = np.hypot(floor, _VELOCITY_ERROR_PER_SNR / rows["true_snr_g"].to_numpy(float))
    velocity = rows["true_rv"].to_numpy(float) + error * rng.standard_normal(n)
    return rows.assign(
        **{"class": "STAR", "subclass": subclass},
        z=velocity / SPEED_OF_LIGHT,
        z_err=error / SPEED_OF_LIGHT,
    )
