"""The groups of stars that a simulated class is mixed from, and how their parameters are drawn.

BHB stars are evolved and metal-poor or, above 11,500 K, levitated. The classes A and B hold
everything else that a spectral type A or B can hide, above all the solar-metallicity stars of a
BHB star's gravity, which differ from it in metals and rotation only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from msfa_core.photometry.zahb import EVOLUTION_MOST, zahb_logg, zahb_mass
from msfa_core.simulate.atmospheres import SOLAR_HELIUM
from msfa_core.simulate.draws import EVOLUTION_SCALE, clipped, mixed, rotation, skewed, slow
from msfa_core.typing import FloatArray

Draw = dict[str, Any]

DIFFUSION_TEFF: Final = (
    11_500.0  # K; hotter BHB stars levitate iron and sink helium (Grundahl 1999)
)
# K; the hottest A and the coolest B stars. Where one ends and the other begins is a convention, so
# no star is drawn between the two [our choice]. The gap is no wider than the error of a
# temperature at low S/N: none that held BHB stars alone would do.
HOTTEST_A: Final = 10_250.0
COOLEST_B: Final = 10_550.0
_GRID_LOGG: Final = 5.0  # highest gravity of the grid
_BRANCH_MARGIN: Final = 0.3  # dex above the zero-age horizontal branch
_LAMBDA_BOO_MARGIN: Final = 0.25  # smaller, since they rotate and BHB stars hardly do
# --- groups ---------------------------------------------------------------------------------
# Each gives teff, logg, feh, vsini and mass; what it leaves out has the value of DEFAULTS.


def _bhb(rng: np.random.Generator, n: int) -> Draw:
    """As spectroscopic catalogues: 5, 50 and 95 % at about 7600, 8600 and 10,100 K.

    The 4985 stars of Xue et al. (2011) have g − r of −0.01, −0.16 and −0.27 there; the reading of
    the colours as temperatures is ours.
    """
    teff = 7400 + 4100 * rng.beta(1.8, 3.9, n)
    return _horizontal_branch(rng, teff)


def _bhb_cool(rng: np.random.Generator, n: int) -> Draw:
    """Those at the blue edge of the instability strip (about 7400 K), as HD 2857 is."""
    return _horizontal_branch(rng, rng.uniform(7250, 7600, n))


def _bhb_border(rng: np.random.Generator, n: int) -> Draw:
    """Those that are the most like late B stars: up to where diffusion sets in."""
    return _horizontal_branch(rng, rng.uniform(9300, DIFFUSION_TEFF + 300, n))


def _horizontal_branch(rng: np.random.Generator, teff: FloatArray) -> Draw:
    n = len(teff)
    evolved = np.minimum(rng.exponential(EVOLUTION_SCALE, n), EVOLUTION_MOST)
    vsini = mixed(rng, n, 0.75, slow(rng, n, 9, 20), rng.uniform(10, 40, n))
    return {
        "teff": teff,
        "logg": np.minimum(zahb_logg(teff) - evolved + rng.normal(0, 0.06, n), _GRID_LOGG),
        "feh": clipped(rng, n, -1.75, 0.45, -3.0, -0.8),
        "vsini": vsini,
        "mass": zahb_mass(teff),
    }


def _bhb_hot(rng: np.random.Generator, n: int) -> Draw:
    """Few: only 1 % of the stars of Xue et al. (2011) are bluer than g − r = −0.31."""
    teff = skewed(rng, n, DIFFUSION_TEFF, 20_000, 2.5)
    return {
        **_horizontal_branch(rng, teff),
        "feh": rng.uniform(0.0, 0.5, n),
        "helium": rng.uniform(-3.0, -1.9, n),
        "peculiarity": "hb",  # magnesium and silicon keep to what the star was born with
        "strength": rng.uniform(0.5, 1.0, n),
        "vsini": slow(rng, n, 5, 10),
        "halo": True,
    }


def _dwarf_a(rng: np.random.Generator, n: int) -> Draw:
    teff = skewed(rng, n, 7000, HOTTEST_A, 1.1)
    return {
        "teff": teff,
        "logg": clipped(rng, n, 4.05, 0.2, 3.6, 4.5),
        "feh": clipped(rng, n, -0.05, 0.2, -0.6, 0.5),
        "vsini": rotation(rng, n),
        "mass": 1.6 * (teff / 7500) ** 1.6,
    }


def _old_main_sequence(rng: np.random.Generator, teff: FloatArray) -> FloatArray:
    """Gravities of blue stragglers: about 4.4 at zero age, 4.0 at the end of the main sequence.

    Subgiants down to 3.8 are brief [mean and width our choice].
    """
    least = np.maximum(3.8, zahb_logg(teff) + _BRANCH_MARGIN)
    gravity = rng.normal(4.2, 0.18, len(teff))
    again = rng.uniform(least, 4.5)  # for the few outside
    return np.where((gravity > least) & (gravity < 4.5), gravity, again)  # noqa: PLR2004


def _thick_disc_a(rng: np.random.Generator, n: int) -> Draw:
    """Draw the A stars of an old population, which are its blue stragglers."""
    base = _dwarf_a(rng, n)
    return {
        **base,
        "logg": _old_main_sequence(rng, base["teff"]),
        "feh": rng.uniform(-0.9, -0.3, n),
        "vsini": rotation(rng, n, 0.4),
    }


def _evolved_a(rng: np.random.Generator, n: int) -> Draw:
    """Giants and subgiants of solar metallicity, half of them at the gravity of BHB stars."""
    teff = rng.uniform(7000, HOTTEST_A, n)
    on_track = zahb_logg(teff) + rng.normal(-0.05, 0.2, n)
    logg = mixed(rng, n, 0.5, on_track, rng.uniform(2.5, 3.9, n))
    return {
        "teff": teff,
        "logg": np.clip(logg, 2.5, 4.0),
        # as young stars of the disc within a few kpc: A stars are too young to be metal-poor, and
        # the gradient takes 0.06 dex a kpc [our choice of the width]
        "feh": clipped(rng, n, -0.07, 0.16, -0.45, 0.45),
        "vsini": rotation(rng, n, 0.5),
        "mass": 2.6 * (teff / 9000) ** 0.8,
    }


def _supergiant_a(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_evolved_a(rng, n),
        "logg": rng.uniform(1.5, 2.6, n),
        "vsini": slow(rng, n, 40, 100),
        "mass": np.full(n, 7.0),
    }


def _am(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_dwarf_a(rng, n),
        "teff": rng.uniform(7000, 9800, n),
        "logg": rng.uniform(3.5, 4.4, n),
        "feh": rng.uniform(-0.1, 0.4, n),
        "vsini": slow(rng, n, 50, 120),
        "peculiarity": "am",
        "strength": rng.uniform(0.25, 1.0, n),
    }


def _ap(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_dwarf_a(rng, n),
        "teff": rng.uniform(7500, HOTTEST_A, n),
        "logg": rng.uniform(3.2, 4.4, n),
        "feh": rng.uniform(-0.3, 0.4, n),
        "vsini": slow(rng, n, 35, 90),
        "peculiarity": "ap",
        "strength": rng.uniform(0.25, 1.0, n),
    }


def _lambda_boo(rng: np.random.Generator, n: int) -> Draw:
    """Metal-poor in what shows, near the main sequence, and rotating; mostly below 8500 K.

    More than their share of A stars (2 %): beside blue stragglers they are the most like cool BHB
    stars, and those of the MILES library are the A stars that a first classifier called BHB.
    """
    teff = skewed(rng, n, 7000, 9600, 1.3)
    least = np.maximum(3.6, zahb_logg(teff) + _LAMBDA_BOO_MARGIN)
    return {
        **_dwarf_a(rng, n),
        "teff": teff,
        "logg": np.clip(rng.normal(4.0, 0.22, n), least, 4.4),
        "feh": rng.uniform(-2.2, -0.7, n),
        "vsini": np.clip(rng.normal(120, 50, n), 40, 250),
    }


def _blue_straggler(rng: np.random.Generator, n: int) -> Draw:
    """Metal-poor main-sequence stars above the turn-off of their population."""
    teff = skewed(rng, n, 7000, 9700, 1.2)
    return {
        "teff": teff,
        "logg": _old_main_sequence(rng, teff),
        "feh": clipped(rng, n, -1.4, 0.5, -3.0, -0.5),
        "vsini": mixed(rng, n, 0.6, slow(rng, n, 15, 40), rng.uniform(10, 180, n)),
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
    teff = skewed(rng, n, COOLEST_B, 25_000, 1.5)
    return {
        "teff": teff,
        "logg": clipped(rng, n, 4.0, 0.22, 3.5, 4.5),
        "feh": clipped(rng, n, -0.05, 0.22, -0.8, 0.5),
        "vsini": rotation(rng, n, 0.75),
        "mass": 2.4 * (teff / 10_400) ** 1.5,
    }


def _evolved_b(rng: np.random.Generator, n: int) -> Draw:
    """Giants and subgiants, half of them at the gravity of BHB stars."""
    teff = skewed(rng, n, COOLEST_B, 20_000, 1.6)
    least = np.interp(teff, [15_000, 20_000], [2.5, 3.1])
    on_track = np.minimum(zahb_logg(teff), 4.2) + rng.normal(-0.1, 0.2, n)
    logg = mixed(rng, n, 0.5, on_track, rng.uniform(least, 3.8))
    return {
        **_dwarf_b(rng, n),
        "teff": teff,
        "logg": np.clip(logg, least, 4.5),
        "vsini": rotation(rng, n, 0.5),
        "mass": 3.2 * (teff / 11_000) ** 1.2,
    }


def _supergiant_b(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_evolved_b(rng, n),
        "teff": rng.uniform(COOLEST_B, 14_500, n),
        "logg": rng.uniform(1.7, 2.6, n),
        "vsini": slow(rng, n, 40, 100),
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
    """Slow, helium-weak late B stars whose visible metals are nearly normal.

    More than their share of late B stars (some per cent): of all real stars they are the most like
    hot BHB stars.
    """
    return {
        **_dwarf_b(rng, n),
        "teff": skewed(rng, n, COOLEST_B, 14_000, 1.3),
        "logg": rng.uniform(3.4, 4.3, n),
        "feh": rng.uniform(-0.4, 0.4, n),
        "helium": rng.uniform(-2.0, -1.2, n),
        "vsini": slow(rng, n, 20, 70),
    }


def _sdb(rng: np.random.Generator, n: int) -> Draw:
    teff = clipped(rng, n, 28_500, 4000, 20_000, 38_000)
    return {
        "kind": "sd",
        "teff": teff,
        "logg": np.clip(5.5 + (teff - 28_500) / 30_000 + rng.normal(0, 0.18, n), 5.0, 6.2),
        "feh": np.full(n, -1.0),
        "helium": clipped(rng, n, -2.1, 0.6, -3.0, -0.6),
        "vsini": slow(rng, n, 10, 60),
        "mass": np.full(n, 0.47),
    }


def _sdo(rng: np.random.Generator, n: int) -> Draw:
    return {
        **_sdb(rng, n),
        "teff": rng.uniform(37_000, 45_000, n),
        "logg": clipped(rng, n, 5.6, 0.25, 5.0, 6.2),
        "helium": rng.uniform(-3.0, -0.5, n),
    }


def _he_sdo(rng: np.random.Generator, n: int) -> Draw:
    return {**_sdo(rng, n), "helium": rng.uniform(-0.5, 0.3, n)}


def _da(rng: np.random.Generator, n: int) -> Draw:
    return {
        "kind": "wd",
        "teff": np.clip(rng.lognormal(np.log(15_000), 0.45, n), 7000, 60_000),
        "logg": clipped(rng, n, 8.05, 0.2, 7.5, 8.7),
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
        "feh": clipped(rng, n, -0.25, 0.3, -2.0, 0.4),
        "vsini": slow(rng, n, 25, 100),
        "mass": 1.2 * (teff / 6300) ** 2,
    }


def _rr_lyrae(rng: np.random.Generator, n: int) -> Draw:
    return {
        "teff": rng.uniform(6100, 7400, n),
        "logg": rng.uniform(2.5, 3.2, n),
        "feh": clipped(rng, n, -1.6, 0.4, -2.8, -0.6),
        "vsini": slow(rng, n, 12, 30),
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


Shares = Literal["survey", "border", "sky"]

# Shares are our choice. Most A stars of a survey are dwarfs of the disc; the groups that look like
# BHB stars have several times their share, so that a classifier learns to tell them apart.
GROUPS: Final[Mapping[str, tuple[Group, ...]]] = {
    "BHB": (
        Group("BHB", 0.955, _bhb),
        Group("cool BHB", 0.025, _bhb_cool),
        Group("hot BHB", 0.02, _bhb_hot),
        Group("border BHB", 0.0, _bhb_border),
    ),
    "A": (
        Group("dwarf", 0.34, _dwarf_a),
        Group("thick disc", 0.07, _thick_disc_a),
        Group("evolved", 0.25, _evolved_a),
        Group("supergiant", 0.04, _supergiant_a),
        Group("metallic line", 0.07, _am),
        Group("peculiar", 0.05, _ap),
        Group("lambda Boo", 0.06, _lambda_boo),
        Group("blue straggler", 0.10, _blue_straggler),
        Group("turn-off", 0.02, _turn_off),
    ),
    "B": (
        Group("dwarf", 0.46, _dwarf_b),
        Group("evolved", 0.35, _evolved_b),
        Group("supergiant", 0.04, _supergiant_b),
        Group("peculiar", 0.08, _bp),
        Group("mercury-manganese", 0.07, _mercury_manganese),
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

# Shares for training where the search is weak: more of the stars on both sides of the border
# between BHB and B stars, hot BHB stars, and stars of a BHB star's gravity. At S/N 10–20 metals
# hardly show there, so that what is said follows from these numbers.
BORDER_SHARES: Final[Mapping[str, tuple[float, ...]]] = {
    "BHB": (0.84, 0.03, 0.04, 0.09),
    "A": (0.30, 0.07, 0.28, 0.04, 0.07, 0.05, 0.07, 0.10, 0.02),
    "B": (0.42, 0.37, 0.04, 0.08, 0.09),
}

# Shares about as on the sky, for a test like the paper's: most A and B stars are dwarfs of the
# disc, and those that look like BHB stars are rare among them [our reading of catalogues].
SKY_SHARES: Final[Mapping[str, tuple[float, ...]]] = {
    "A": (0.62, 0.12, 0.10, 0.005, 0.06, 0.02, 0.01, 0.055, 0.01),
    "B": (0.78, 0.14, 0.01, 0.05, 0.02),
}


def group_shares(name: str, shares: Shares = "survey") -> tuple[float, ...]:
    """Return the share of each group of a class, in the order of ``GROUPS``."""
    named = {"border": BORDER_SHARES, "sky": SKY_SHARES}.get(shares, {})
    if name in named:
        return named[name]
    return tuple(group.share for group in GROUPS[name])


DEFAULTS: Final[Draw] = {
    **{"kind": "ms", "helium": SOLAR_HELIUM, "peculiarity": "", "strength": 0.0},
    **{"halo": False, "redshift": 0.0},
}
