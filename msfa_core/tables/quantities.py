"""Quantities that tables from outside may hold: their house units, and what they can be.

A limit says what no star can have; beyond it stands another survey's "no value" (99.999, 1e20)
or a column of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["number", "ra", "dec", "id", "text"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity.

    Attributes
    ----------
    name : str
        House name.
    kind : str
    unit : str
        House unit, as astropy's unit parser reads it; empty for none.
    low, high : float
        What it can be at least and at most.
    reason : str
        Why not more.
    follows : str
        Quantity whose unit it has where its own is not said (the error of a parallax).
    """

    name: str
    kind: Kind = "number"
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    reason: str = ""
    follows: str = ""


FASTEST_STAR: Final = 0.05  # Doppler shift; no star of the Galaxy or beside it has it
_MAG: Final = "stars of surveys have magnitudes between these"


def _number(
    name: str, unit: str, low: float, high: float, reason: str, follows: str = ""
) -> Quantity:
    return Quantity(name, "number", unit, low, high, reason, follows)


def _all() -> tuple[Quantity, ...]:
    mags = [
        _number(name, "mag", low, high, _MAG)
        for name, low, high in (
            *(("g_mag", 1.0, 25.0), ("bp_mag", 1.0, 27.0), ("rp_mag", 0.0, 25.0)),
            *(("j_mag", -5.0, 25.0), ("h_mag", -6.0, 25.0), ("ks_mag", -6.0, 25.0)),
        )
    ]
    errors = [
        _number(f"{name}_err", "mag", 0.0, 5.0, "larger errors measure nothing", name)
        for name in ("j_mag", "h_mag", "ks_mag")
    ]
    mags += [_number(f"ps_{band}_mag", "mag", 5.0, 27.0, _MAG) for band in "grizy"]
    errors += [
        _number(f"ps_{b}_mag_err", "mag", 0.0, 5.0, "larger errors measure nothing", f"ps_{b}_mag")
        for b in "grizy"
    ]
    motion = "Barnard's star moves 10,400 mas/yr, the farthest of all"
    return (
        Quantity("ra", "ra", "deg", -360.0, 720.0, "the circle has 360 degrees"),
        Quantity("dec", "dec", "deg", -90.0, 90.0, "the poles are at ±90 degrees"),
        *(Quantity(name, "id") for name in ("obsid", "gaia_source_id", "ps_id")),
        *(
            Quantity(name, "text")
            for name in (
                *("file", "class", "subclass", "data_release", "designation", "label", "is_bhb"),
                "planid",
            )
        ),
        *mags,
        *errors,
        _number("bp_rp", "mag", -2.0, 10.0, "no star is bluer or redder"),
        _number("parallax_mas", "mas", -200.0, 800.0, "Proxima, the nearest star, has 768 mas"),
        _number(
            "parallax_error_mas", "mas", 1e-9, 100.0, "Gaia's largest are 3 mas", "parallax_mas"
        ),
        _number("parallax_over_error", "", -1e4, 1e6, "Gaia's largest is 20,000"),
        *(_number(name, "mas / yr", -11_000.0, 11_000.0, motion) for name in ("pmra", "pmdec")),
        *(
            _number(f"{name}_error", "mas / yr", 1e-9, 500.0, "larger errors measure nothing", name)
            for name in ("pmra", "pmdec")
        ),
        _number("ref_epoch", "yr", 1850.0, 2100.0, "a year of our time"),
        _number("ebv", "mag", -1.0, 50.0, "the densest cloud of the dust maps"),
        _number("excess_factor", "", 0.0, 1000.0, "BP and RP add up to about G"),
        _number("bp_flux_over_error", "", -1e3, 1e8, "no photometry is better"),
        _number("rp_flux_over_error", "", -1e3, 1e8, "no photometry is better"),
        _number("nu_eff_used_in_astrometry", "um-1", 0.3, 4.0, "within the band of G"),
        _number("pseudocolour", "um-1", -10.0, 20.0, "within the band of G"),
        _number("ecl_lat", "deg", -90.0, 90.0, "the poles are at ±90 degrees"),
        _number("astrometric_params_solved", "", 1.0, 127.0, "3, 31 or 95"),
        _number("snr_g", "", -1e3, 9000.0, "no spectrum of LAMOST or SDSS is better"),
        _number("z", "", -0.05, 8.0, "between a star that comes and the farthest quasar"),
        _number("z_err", "", 0.0, 10.0, "larger errors measure nothing", "z"),
        _number("rv", "km / s", -15_000.0, 299_792.0, "nothing is faster than light"),
        _number("rv_err", "km / s", 0.0, 10_000.0, "larger errors measure nothing", "rv"),
        _number("ps_epoch", "d", 1990.0, 100_000.0, "a day, or a year, of our time"),
        _number("ps_quality", "", 0.0, 2.0**31, "bits of an integer"),
        _number("mjd", "d", 45_000.0, 66_000.0, "a day of our time, 1982 to 2039"),
        _number("lmjd", "d", 45_000.0, 66_000.0, "a day of our time, 1982 to 2039"),
        _number("spid", "", 0.0, 10_000.0, "a spectrograph"),
        _number("fiberid", "", 0.0, 10_000.0, "a fibre"),
        _number("teff", "K", 1000.0, 300_000.0, "the coolest and hottest stars"),
        _number("teff_err", "K", 0.0, 100_000.0, "larger errors measure nothing", "teff"),
        _number("logg", "dex(cm / s2)", -2.0, 9.9, "of supergiants and white dwarfs"),
        _number("logg_err", "dex", 0.0, 10.0, "larger errors measure nothing"),
        _number("feh", "dex", -8.0, 3.0, "of the first and the richest stars"),
        _number("feh_err", "dex", 0.0, 10.0, "larger errors measure nothing"),
        _number("hdelta_d02", "Angstrom", -10.0, 1000.0, "as wide as the window of the line"),
        _number("hgamma_d02", "Angstrom", -10.0, 1000.0, "as wide as the window of the line"),
        _number("d02_hdelta", "Angstrom", -10.0, 1000.0, "as wide as the window of the line"),
        _number("d02_hgamma", "Angstrom", -10.0, 1000.0, "as wide as the window of the line"),
        _number("fm_hdelta", "", -5.0, 10.0, "a share of the continuum"),
        _number("fm_hgamma", "", -5.0, 10.0, "a share of the continuum"),
        _number("width_hgamma", "Angstrom", 0.0, 1000.0, "as wide as the window of the line"),
        _number("shape_hgamma", "", 0.0, 100.0, "an exponent"),
        _number("kp", "Angstrom", -100.0, 100.0, "as wide as the window of the line"),
        _number("abs_mag_g", "mag", -20.0, 30.0, "of supergiants and white dwarfs"),
    )


QUANTITIES: Final[dict[str, Quantity]] = {one.name: one for one in _all()}
ERRORS: Final = {one.name: one.follows for one in QUANTITIES.values() if one.follows} | {
    "logg_err": "logg",  # in dex, whatever the unit of the gravities
    "feh_err": "feh",
}


def quantity(name: str) -> Quantity:
    """Return a quantity by its house name; an unknown one is a number without unit or limits."""
    return QUANTITIES.get(name) or Quantity(name)


def is_plausible(name: str, value: float) -> bool:
    """Tell whether a star can have a value; NaN, no value, is none that it cannot have."""
    one = quantity(name)
    return not (value < one.low or value > one.high)


def limit_words(one: Quantity) -> str:
    """Return the limits of a quantity in words."""
    unit = f" {one.unit}" if one.unit and "dex" not in one.unit else ""
    return f"{one.low:g} … {one.high:g}{unit}: {one.reason}"
