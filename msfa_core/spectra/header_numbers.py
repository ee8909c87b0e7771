"""Values of header cards as numbers: sentinels, angles in other units, shifts as velocities."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from msfa_core.constants import SENTINELS, SPEED_OF_LIGHT
from msfa_core.tables.cells import angle, number
from msfa_core.tables.quantities import is_plausible

_CIRCLE: Final = 360.0  # deg
_POLE: Final = 90.0  # deg
_DEGREES: Final = {  # of an angle that a card gives in another unit
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hourangle"), 15.0),
    **dict.fromkeys(("rad", "radian", "radians"), 180.0 / np.pi),
    **dict.fromkeys(("arcmin", "arcminutes"), 1 / 60),
    **dict.fromkeys(("arcsec", "arcseconds"), 1 / 3600),
}
_DOPPLER: Final = {  # of a redshift that a card gives as a velocity
    **dict.fromkeys(("km/s", "km s-1", "km s**-1", "km.s-1", "kms", "kms-1"), 1 / SPEED_OF_LIGHT),
    **dict.fromkeys(("m/s", "m s-1", "m s**-1", "m.s-1"), 1e-3 / SPEED_OF_LIGHT),
}


def as_number(value: Any, quantity: str = "") -> float:
    """Return a value of a file as a float.

    Parameters
    ----------
    value : number or text
        Text as in a table from outside: ``'12,5'``, ``'−0.001'``.
    quantity : str
        House name: what no star can have (z = −9) is no value.

    Returns
    -------
    float
        NaN when absent, no number, a sentinel or beyond the limits of the quantity.
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        read = number(value)
        value = math.nan if read is None else read
    try:
        found = float(value)
    except (TypeError, ValueError):
        return math.nan
    if found in SENTINELS or not (quantity == "" or is_plausible(quantity, found)):
        return math.nan
    return found


def as_degrees(value: Any, quantity: str, unit: str = "") -> float:
    """Return a position of a header in degrees, ``ra`` or ``dec``; text may be sexagesimal.

    A unit that the card names (`card_unit`) is believed of a number.
    """
    if type(value) is float and unit not in _DEGREES and _in_circle(value, quantity):
        return value
    if isinstance(value, str) and number(value) is None:
        return as_number(angle(value, hours=quantity == "ra"), quantity)
    degrees = as_number(as_number(value) * _DEGREES.get(unit, 1.0), quantity)
    return degrees % _CIRCLE if quantity == "ra" and not 0.0 <= degrees <= _CIRCLE else degrees


def _in_circle(degrees: float, quantity: str) -> bool:
    """Tell whether an angle is one of a place as it is."""
    return 0.0 <= degrees <= _CIRCLE if quantity == "ra" else abs(degrees) <= _POLE


def as_redshift(value: Any, quantity: str, unit: str = "") -> float:
    """Return ``z`` or ``z_err`` of a header as a redshift, where the card names a velocity too."""
    return as_number(as_number(value) * _DOPPLER.get(unit, 1.0), quantity)
