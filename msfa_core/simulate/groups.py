"""The groups of stars that a simulated class is mixed from, and how their parameters are drawn.

BHB stars are evolved and metal-poor or, above 11,500 K, levitated. The classes A and B hold
everything else that a spectral type A or B can hide, above all the solar-metallicity stars of a
BHB star's gravity, which differ from it in metals and rotation only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.simulate.atmospheres import SOLAR_HELIUM

FloatArray = NDArray[np.float64]
Draw = dict[str, Any]

DIFFUSION_TEFF: Final = (
    11_500.0  # K; hotter BHB stars levitate iron and sink helium (Grundahl 1999)
)
# K; the hottest A and the coolest B stars. Where one ends and the other begins is a convention, so
# no star is drawn between the two.
HOTTEST_A: Final = 10_200.0
COOLEST_B: Final = 10_600.0
MAX_VSINI: Final = 350.0  # km/s
_GRID_LOGG: Final = 5.0  # highest gravity of the grid
_BRANCH_MARGIN: Final = 0.3  # dex above the zero-age horizontal branch
_SOLAR_LOGG: Final = 4.438
_SOLAR_TEFF: Final = 5777.0
# Zero-age horizontal branch: Teff [K], log L/Lsun, mass [Msun]; rounded from published tracks
_ZAHB: Final = np.array(
    [
        *([6000, 1.72, 0.68], [7200, 1.69, 0.645], [8000, 1.66, 0.62], [9000, 1.60, 0.60]),
        *([10000, 1.55, 0.585], [11000, 1.50, 0.57], [12000, 1.45, 0.56], [14000, 1.38, 0.54]),
        *([16000, 1.33, 0.525], [20000, 1.27, 0.515]),
    ]
)


def zahb_logg(teff: FloatArray | float) -> FloatArray:
    """Return the gravity of the zero-age horizontal branch [dex cgs] at Teff [K]."""
    t = np.asarray(teff, dtype=np.float64)
    luminosity = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 1])
    mass = np.interp(t, _ZAHB[:, 0], _ZAHB[:, 2])
    logg: FloatArray = _SOLAR_LOGG + np.log10(mass) + 4 * np.log10(t / _SOLAR_TEFF) - luminosity
    return logg


# --- small draws ----------------------------------------------------------------------------


def _clipped(
    rng: np.random.Generator, n: int, mean: float, rms: float, low: float, high: float
) -> FloatArray:
    return np.clip(rng.normal(mean, rms, n), low, high)


def _mixed(
    rng: np.random.Generator, n: int, share: float, first: FloatArray, second: FloatArray
) -> FloatArray:
    """Take a share of the rows from the first, the others from the second."""
    mixed: FloatArray = np.where(rng.uniform(size=n) < share, first, second)
    return mixed


def _skewed(rng: np.random.Generator, n: int, low: float, high: float, power: float) -> FloatArray:
    """Between two limits, crowded towards the low one for power > 1."""
    return low + (high - low) * rng.uniform(size=n) ** power


def _rotation(rng: np.random.Generator, n: int, fast: float = 0.7) -> FloatArray:
    """Two humps of A and B stars: slow ones, and fast ones about 150 km/s (seen at any angle)."""
    equatorial = np.abs(rng.normal(190.0, 70.0, n))
    sini = np.sqrt(1 - rng.uniform(size=n) ** 2)
    slow = np.abs(rng.normal(0.0, 35.0, n))
    return np.clip(np.where(rng.uniform(size=n) < fast, equatorial * sini, slow), 0, MAX_VSINI)


def _slow(rng: np.random.Generator, n: int, rms: float, limit: float) -> FloatArray:
    return np.clip(np.abs(rng.normal(0.0, rms, n)), 0, limit)


# --- groups ---------------------------------------------------------------------------------
# Each gives teff, logg, feh, vsini and mass; what it leaves out has the value of DEFAULTS.


def _bhb(rng: np.random.Generator, n: int) -> Draw:
    teff = 7500 + 4000 * rng.beta(1.3, 2.0, n)
    return _horizontal_branch(rng, teff)


def _bhb_cool(rng: np.random.Generator, n: int) -> Draw:
    return _horizontal_branch(rng, rng.uniform(7200, 7900, n))


def _horizontal_branch(rng: np.random.Generator, teff: FloatArray) -> Draw:
    n = len(teff)
    evolved = np.minimum(rng.exponential(0.12, n), 0.5)
    vsini = _mixed(rng, n, 0.75, _slow(rng, n, 9, 20), rng.uniform(10, 40, n))
    return {
        "teff": teff,
        "logg": np.minimum(zahb_logg(teff) - evolved + rng.normal(0, 0.06, n), _GRID_LOGG),
        "feh": _clipped(rng, n, -1.75, 0.45, -3.0, -0.8),
        "vsini": vsini,
        "mass": np.interp(teff, _ZAHB[:, 0], _ZAHB[:, 2]),
    }


def _bhb_hot(rng: np.random.Generator, n: int) -> Draw:
    teff = _skewed(rng, n, DIFFUSION_TEFF, 20_000, 1.8)
    return {
        **_horizontal_branch(rng, teff),
        "feh": rng.uniform(0.0, 0.5, n),
        "helium": rng.uniform(-3.0, -1.9, n),
        "peculiarity": "hb",  # magnesium and silicon keep to what the star was born with
        "strength": rng.uniform(0.5, 1.0, n),
        "vsini": _slow(rng, n, 5, 10),
        "halo": True,
    }


def _dwarf_a(rng: np.random.Generator, n: int) -> Draw:
    teff = _skewed(rng, n, 7000, HOTTEST_A, 1.1)
    return {
        "teff": teff,
        "logg": _clipped(rng, n, 4.05, 0.2, 3.6, 4.5),
        "feh": _clipped(rng, n, -0.05, 0.2, -0.6, 0.5),
        "vsini": _rotation(rng, n),
        "mass": 1.6 * (teff / 7500) ** 1.6,
    }


def _above_branch(rng: np.random.Generator, teff: FloatArray, least: float) -> FloatArray:
    """Gravities of metal-poor stars that are not on the horizontal branch: clearly higher."""
    return rng.uniform(np.maximum(least, zahb_logg(teff) + _BRANCH_MARGIN), 4.5)


def _thick_disc_a(rng: np.random.Generator, n: int) -> Draw:
    base = _dwarf_a(rng, n)
    return {
        **base,
        "logg": _above_branch(rng, base["teff"], 3.6),
        "feh": rng.uniform(-0.9, -0.3, n),
        "vsini": _rotation(rng, n, 0.4),
    }


def _evolved_a(rng: np.random.Generator, n: int) -> Draw:
    """Giants and subgiants of solar metallicity, half of them at the gravity of BHB stars."""
    teff = rng.uniform(7000, HOTTEST_A, n)
    on_track = zahb_logg(teff) + rng.normal(-0.05, 0.2, n)
    logg = _mixed(rng, n, 0.5, on_track, rng.uniform(2.5, 3.9, n))
    return {
        "teff": teff,
        "logg": np.clip(logg, 2.5, 4.0),
        "feh": _clipped(rng, n, -0.05, 0.22, -0.6, 0.5),
        "vsini": _rotation(rng, n, 0.4),
        "mass": 2.6 * (teff / 9000) ** 0.8,
    }


def _supergiant_a(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_evolved_a(rng, n),
        "logg": rng.uniform(1.5, 2.6, n),
        "vsini": _slow(rng, n, 40, 100),
        "mass": np.full(n, 7.0),
    }


def _am(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_dwarf_a(rng, n),
        "teff": rng.uniform(7000, 9800, n),
        "logg": rng.uniform(3.5, 4.4, n),
        "feh": rng.uniform(-0.1, 0.4, n),
        "vsini": _slow(rng, n, 50, 120),
        "peculiarity": "am",
        "strength": rng.uniform(0.25, 1.0, n),
    }


def _ap(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_dwarf_a(rng, n),
        "teff": rng.uniform(7500, HOTTEST_A, n),
        "logg": rng.uniform(3.2, 4.4, n),
        "feh": rng.uniform(-0.3, 0.4, n),
        "vsini": _slow(rng, n, 35, 90),
        "peculiarity": "ap",
        "strength": rng.uniform(0.25, 1.0, n),
    }


def _lambda_boo(rng: np.random.Generator, n: int) -> Draw:
    teff = rng.uniform(7100, 9600, n)
    return {
        **_dwarf_a(rng, n),
        "teff": teff,
        "logg": _above_branch(rng, teff, 3.6),
        "feh": rng.uniform(-2.2, -0.7, n),
        "vsini": np.clip(rng.normal(120, 50, n), 40, 250),
    }


def _blue_straggler(rng: np.random.Generator, n: int) -> Draw:
    teff = _skewed(rng, n, 7000, 9700, 1.2)
    return {
        "teff": teff,
        "logg": _above_branch(rng, teff, 3.8),
        "feh": _clipped(rng, n, -1.4, 0.5, -3.0, -0.5),
        "vsini": _mixed(rng, n, 0.6, _slow(rng, n, 15, 40), rng.uniform(10, 180, n)),
        "mass": np.full(n, 1.15),
        "halo": True,
    }


def _turn_off(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_blue_straggler(rng, n),
        "teff": rng.uniform(6600, 7300, n),
        "feh": rng.uniform(-2.5, -0.5, n),
        "mass": np.full(n, 0.9),
    }


def _dwarf_b(rng: np.random.Generator, n: int) -> Draw:
    teff = _skewed(rng, n, COOLEST_B, 25_000, 1.5)
    return {
        "teff": teff,
        "logg": _clipped(rng, n, 4.0, 0.22, 3.5, 4.5),
        "feh": _clipped(rng, n, -0.05, 0.22, -0.8, 0.5),
        "vsini": _rotation(rng, n, 0.75),
        "mass": 2.4 * (teff / 10_400) ** 1.5,
    }


def _evolved_b(rng: np.random.Generator, n: int) -> Draw:
    """Giants and subgiants, half of them at the gravity of BHB stars."""
    teff = _skewed(rng, n, COOLEST_B, 20_000, 1.6)
    least = np.interp(teff, [15_000, 20_000], [2.5, 3.1])
    on_track = np.minimum(zahb_logg(teff), 4.2) + rng.normal(-0.1, 0.2, n)
    logg = _mixed(rng, n, 0.5, on_track, rng.uniform(least, 3.8))
    return {
        **_dwarf_b(rng, n),
        "teff": teff,
        "logg": np.clip(logg, least, 4.5),
        "vsini": _rotation(rng, n, 0.5),
        "mass": 3.2 * (teff / 11_000) ** 1.2,
    }


def _supergiant_b(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_evolved_b(rng, n),
        "teff": rng.uniform(COOLEST_B, 14_500, n),
        "logg": rng.uniform(1.7, 2.6, n),
        "vsini": _slow(rng, n, 40, 100),
        "mass": np.full(n, 10.0),
    }


def _bp(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_ap(rng, n),
        "teff": rng.uniform(COOLEST_B, 15_000, n),
        "helium": rng.uniform(-1.8, SOLAR_HELIUM, n),
        "mass": rng.uniform(2.4, 4.0, n),
    }


def _mercury_manganese(rng: np.random.Generator, n: int) -> Draw:
    """Slow, helium-weak late B stars whose visible metals are nearly normal."""
    return {
        **_dwarf_b(rng, n),
        "teff": rng.uniform(COOLEST_B, 14_000, n),
        "logg": rng.uniform(3.4, 4.3, n),
        "feh": rng.uniform(-0.4, 0.4, n),
        "helium": rng.uniform(-2.0, -1.2, n),
        "vsini": _slow(rng, n, 20, 70),
    }


def _sdb(rng: np.random.Generator, n: int) -> Draw:
    teff = _clipped(rng, n, 28_500, 4000, 20_000, 38_000)
    return {
        "kind": "sd",
        "teff": teff,
        "logg": np.clip(5.5 + (teff - 28_500) / 30_000 + rng.normal(0, 0.18, n), 5.0, 6.2),
        "feh": np.full(n, -1.0),
        "helium": _clipped(rng, n, -2.1, 0.6, -3.0, -0.6),
        "vsini": _slow(rng, n, 10, 60),
        "mass": np.full(n, 0.47),
    }


def _sdo(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_sdb(rng, n),
        "teff": rng.uniform(37_000, 45_000, n),
        "logg": _clipped(rng, n, 5.6, 0.25, 5.0, 6.2),
        "helium": rng.uniform(-3.0, -0.5, n),
    }


def _he_sdo(rng: np.random.Generator, n: int) -> Draw:
    return {**_sdo(rng, n), "helium": rng.uniform(-0.5, 0.3, n)}


def _da(rng: np.random.Generator, n: int) -> Draw:
    return {
        "kind": "wd",
        "teff": np.clip(rng.lognormal(np.log(15_000), 0.45, n), 7000, 60_000),
        "logg": _clipped(rng, n, 8.05, 0.2, 7.5, 8.7),
        "feh": np.full(n, np.nan),
        "helium": np.full(n, -9.0),
        "vsini": np.zeros(n),
        "mass": np.full(n, 0.62),
        "redshift": 32.0,  # gravitational, km/s
    }


def _db(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_da(rng, n),
        "kind": "db",
        "teff": rng.uniform(14_000, 25_000, n),
        "logg": np.full(n, 8.0),
        "helium": np.full(n, 3.0),
    }


def _f(rng: np.random.Generator, n: int) -> Draw:
    teff = rng.uniform(6000, 6950, n)
    return {
        "teff": teff,
        "logg": rng.uniform(3.6, 4.5, n),
        "feh": _clipped(rng, n, -0.25, 0.3, -2.0, 0.4),
        "vsini": _slow(rng, n, 25, 100),
        "mass": 1.2 * (teff / 6300) ** 2,
    }


def _rr_lyrae(rng: np.random.Generator, n: int) -> Draw:
    return {
        "teff": rng.uniform(6100, 7400, n),
        "logg": rng.uniform(2.5, 3.2, n),
        "feh": _clipped(rng, n, -1.6, 0.4, -2.8, -0.6),
        "vsini": _slow(rng, n, 12, 30),
        "mass": np.full(n, 0.66),
        "halo": True,
    }


@dataclass(frozen=True, slots=True)
class Group:
    """One ingredient of a class.

    Attributes
    ----------
    name : str
        Value of ``true_group``.
    share : float
        Of its class; the shares of a class sum to 1.
    draw : callable
        ``draw(rng, n)`` gives the parameters of n stars.
    """

    name: str
    share: float
    draw: Callable[[np.random.Generator, int], Draw]


GROUPS: Final[Mapping[str, tuple[Group, ...]]] = {
    "BHB": (
        Group("BHB", 0.82, _bhb),
        Group("cool BHB", 0.06, _bhb_cool),
        Group("hot BHB", 0.12, _bhb_hot),
    ),
    "A": (
        Group("dwarf", 0.27, _dwarf_a),
        Group("thick disc", 0.08, _thick_disc_a),
        Group("evolved", 0.28, _evolved_a),
        Group("supergiant", 0.04, _supergiant_a),
        Group("metallic line", 0.07, _am),
        Group("peculiar", 0.05, _ap),
        Group("lambda Boo", 0.05, _lambda_boo),
        Group("blue straggler", 0.14, _blue_straggler),
        Group("turn-off", 0.02, _turn_off),
    ),
    "B": (
        Group("dwarf", 0.47, _dwarf_b),
        Group("evolved", 0.36, _evolved_b),
        Group("supergiant", 0.04, _supergiant_b),
        Group("peculiar", 0.08, _bp),
        Group("mercury-manganese", 0.05, _mercury_manganese),
    ),
    "HSD": (
        Group("sdB", 0.65, _sdb),
        Group("sdO", 0.20, _sdo),
        Group("He-sdO", 0.15, _he_sdo),
    ),
    "WD": (Group("DA", 0.93, _da), Group("DB", 0.07, _db)),
    "F": (Group("F", 1.0, _f),),
    "RRL": (Group("RR Lyrae", 1.0, _rr_lyrae),),
}

DEFAULTS: Final[Draw] = {
    **{"kind": "ms", "helium": SOLAR_HELIUM, "peculiarity": "", "strength": 0.0},
    **{"halo": False, "redshift": 0.0},
}
