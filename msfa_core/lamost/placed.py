"""Whether the places of a general catalogue are degrees: what else it says of them must agree.

Right ascensions in hours would go on to everything that is made of the selection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.spectra.places import centre_of_plan
from msfa_core.tables.cells import place_in_name
from msfa_core.typing import FloatArray

_WITNESSES: Final[dict[str, tuple[Callable[[str], tuple[float, float] | None], float]]] = {
    "designation": (place_in_name, 1 / 60),  # how a text gives a place, and how near it is [deg]
    "planid": (centre_of_plan, 6.0),  # the centre of the plate
}
_LOOKED_AT: Final = 2000  # rows
_MOST: Final = 0.5  # share of rows that are denied, beyond which the columns are
_NO_PLACES: Final = 0.1  # share of declinations beyond the poles
_MANY: Final = 30  # rows whose range tells
_OTHER_UNITS: Final = {  # name: factor to degrees, full circle in it, least spread in declination
    "hours": (15.0, 24.0, 20.0),
    "radians": (180.0 / np.pi, 2 * np.pi, 0.35),
}
_NEAR_FULL: Final = 0.04  # of a circle, at either end
_POLE: Final = 90.0  # deg


def check_places(
    table: pd.DataFrame,
    what: str,
    are_degrees: bool,
    of_all: Mapping[str, FloatArray] = MappingProxyType({}),
) -> None:
    """Refuse places that are no degrees, by the names in the table or by their range.

    Parameters
    ----------
    table : (n,) DataFrame
        By house names; nothing is looked at without numbers ``ra`` and ``dec``.
    what : str
        The catalogue, for messages.
    are_degrees : bool
        Whether the file says that they are: then the range tells nothing.
    of_all : mapping
        ``ra``, ``dec`` of rows of the whole catalogue: what was chosen of it may reach less far.

    Raises
    ------
    CatalogueError
    """
    if not {"ra", "dec"} <= set(table.columns):
        return
    if not all(pd.api.types.is_numeric_dtype(table[name]) for name in ("ra", "dec")):
        return
    ra, dec = (table[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return
    beyond = np.abs(dec[known]) > _POLE
    if beyond.mean() > _NO_PLACES:
        raise CatalogueError(
            f"{what}: column dec reaches {np.abs(dec[known]).max():.6g} deg, beyond the poles: "
            "are ra and dec exchanged? Correct them, or take them out."
        )
    for name, (read, limit) in _WITNESSES.items():
        if name in table:
            _ask(table.loc[known, [name, "ra", "dec"]], name, read, limit, what)
    if are_degrees:
        return
    if of_all:
        ra, dec = of_all["ra"], of_all["dec"]
        known = np.isfinite(ra) & np.isfinite(dec)
    if known.sum() >= _MANY:
        _check_range(ra[known], dec[known], what)


def _ask(
    rows: pd.DataFrame,
    name: str,
    read: Callable[[str], tuple[float, float] | None],
    limit: float,
    what: str,
) -> None:
    """Refuse places that another column denies in most rows."""
    rows = rows.iloc[:: max(len(rows) // _LOOKED_AT, 1)]
    words = rows[name].fillna("").astype("str").str.strip()
    read_places = [read(word) for word in words]
    there = np.array([one is not None for one in read_places])
    if not there.any():
        return
    others = np.array([one for one in read_places if one is not None])
    ra, dec = (rows[one].to_numpy(np.float64)[there] for one in ("ra", "dec"))
    apart = _apart(ra, dec, others)
    if (apart > limit).mean() <= _MOST:
        return
    at = int(np.argmax(apart > limit))
    hint = next(
        (
            f"they are {unit}: "
            for unit, (factor, *_) in _OTHER_UNITS.items()
            if (_apart(ra * factor, dec * (factor if unit == "radians" else 1), others) < limit)
            .mean() > _MOST
        ),
        "",
    )  # fmt: skip
    raise CatalogueError(
        f"{what}: ra and dec ({ra[at]:.6g} {dec[at]:+.6g}) are not the places that {name} tells "
        f"({words[there].iloc[at]}); {hint}give degrees of ICRS, or take them out."
    )


def _apart(ra: FloatArray, dec: FloatArray, others: FloatArray) -> FloatArray:
    """(n,) distances [deg], good to a few degrees."""
    across = (ra - others[:, 0] + 180.0) % 360.0 - 180.0
    return np.hypot(across * np.cos(np.radians(others[:, 1])), dec - others[:, 1])


def _check_range(ra: FloatArray, dec: FloatArray, what: str) -> None:
    """Refuse right ascensions that fill 0 to 24, or 0 to 2π, across the sky."""
    for unit, (_, full, spread) in _OTHER_UNITS.items():
        fills = ra.min() >= 0.0 and ra.min() < _NEAR_FULL * full
        fills &= (1 - _NEAR_FULL) * full < ra.max() <= full and np.ptp(dec) > spread
        if fills and (unit == "hours" or np.abs(dec).max() <= np.pi / 2):
            raise CatalogueError(
                f"{what}: its right ascensions reach from {ra.min():.4g} to {ra.max():.4g} over "
                f"{np.ptp(dec):.3g} in declination: they look like {unit}. Give degrees, or call "
                "the columns radeg and dedeg if that is what they are."
            )
