"""Every number from the literature, with its name, unit, source and certainty.

A :class:`Sourced` number behaves as a float and carries where it comes from, so that
the dashboard can show the provenance beside the number.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPEED_OF_LIGHT: Final = 299_792.458  # km/s, exact (SI)
SOLAR_LOGG: Final = 4.438  # dex(cm/s2)
MJD_J2000: Final = 51_544.5  # d, of the year 2000.0
DAYS_PER_YEAR: Final = 365.25  # a Julian one
FWHM_OF_SIGMA: Final = 2.3548200450309493  # of a Gaussian: 2 √(2 ln 2)
SIGMA_OF_MAD: Final = 1.482602  # of a Gaussian, over its median absolute deviation
NO_VALUE: Final = -9999.0  # what LAMOST's files and catalogues write where there is none …
SENTINELS: Final = (-999.0, NO_VALUE)  # … and in tables also this


class Certainty(enum.StrEnum):
    """How well a number is known."""

    SOURCE = "read in a public source"
    VERIFIED = "computed and checked"
    RECALLED = "recalled, not re-read"
    DEFAULT = "our default where the source could not be read"


class Sourced(float):
    """A float that knows its unit, source and certainty.

    Parameters
    ----------
    value : float
    unit : str
        Unit as written for people; empty when dimensionless.
    source : str
        Where the number was read or how it was found.
    certainty : Certainty
    """

    unit: str
    source: str
    certainty: Certainty

    def __new__(
        cls, value: float, unit: str, source: str, certainty: Certainty = Certainty.SOURCE
    ) -> Sourced:
        """Make the number; its notes ride along."""
        number = super().__new__(cls, value)
        number.unit, number.source, number.certainty = unit, source, certainty
        return number

    def __reduce__(self) -> tuple[type[Sourced], tuple[float, str, str, Certainty]]:
        """Keep the notes when the number is pickled (workers receive settings)."""
        return Sourced, (float(self), self.unit, self.source, self.certainty)

    @property
    def provenance(self) -> str:
        """One phrase for a tooltip: source and certainty."""
        return f"{self.source} ({self.certainty})"


@dataclass(frozen=True, slots=True)
class WavelengthGrid:
    """A linear wavelength grid, both ends included.

    Attributes
    ----------
    start, stop : float
        First and last wavelength [Å, vacuum].
    n_pixels : int
    """

    start: float
    stop: float
    n_pixels: int

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """(n_pixels,) wavelengths [Å, vacuum]."""
        return np.linspace(self.start, self.stop, self.n_pixels)


@dataclass(frozen=True, slots=True)
class LogGrid:
    """A grid of equal steps in log10 wavelength.

    Attributes
    ----------
    first : int
        log10 of the first wavelength in units of ``step`` (35682 is 10**3.5682 Å), an
        integer so that two grids of the same step differ by a whole number of pixels.
    n_pixels : int
    step : float
        Step in log10 λ.
    """

    first: int
    n_pixels: int
    step: float = 1e-4

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """(n_pixels,) wavelengths [Å, vacuum]."""
        wavelength: NDArray[np.float64] = np.power(
            10.0, (self.first + np.arange(self.n_pixels)) * self.step
        )
        return wavelength


NETWORK_GRID: Final = WavelengthGrid(4000.0, 7000.0, 2430)  # paper §II.3; step 1.235076 Å
LAMOST_GRID: Final = LogGrid(35682, 3909)  # COEFF0 3.5682, COEFF1 1e-4: 3699.99–9099.13 Å
LAMOST_RESOLUTION: Final = Sourced(1800, "", "LAMOST low-resolution survey design")

# --- lines -------------------------------------------------------------------------------
# Vacuum wavelengths [Å], computed from the air values by the inverse of Edlén as adopted in
# the IAU standard (checked to 0.001 Å).
BALMER_LINES: Final = {
    "hdelta": Sourced(4102.892, "Å", "air 4101.734 to vacuum", Certainty.VERIFIED),
    "hgamma": Sourced(4341.692, "Å", "air 4340.472 to vacuum", Certainty.VERIFIED),
    "hbeta": Sourced(4862.71, "Å", "air 4861.35 to vacuum", Certainty.VERIFIED),
    "halpha": Sourced(6564.60, "Å", "air 6562.79 to vacuum", Certainty.VERIFIED),
}
LINE_SYMBOLS: Final = {"hdelta": "Hδ", "hgamma": "Hγ", "hbeta": "Hβ", "halpha": "Hα"}
HEPSILON: Final = Sourced(3971.20, "Å", "air 3970.08 to vacuum", Certainty.VERIFIED)
FIT_LINES: Final = ("hdelta", "hgamma")  # the two lines of the paper (§V.2)
LABELS: Final = ("teff", "logg", "feh")  # the atmospheric labels (§V.3.1)
COLOURS: Final = ("bp_g", "g_rp", "bp_rp", "j_h")  # of Ju et al. (2025), dereddened [mag]
STEPS: Final = (  # the spine
    "match",
    "classify",
    "know",
    "measure",
    "place",
    "check",
    "label",
    "identify",
)

# Marker list of the spectrum panel: name -> (vacuum wavelength [Å], kind)
LINE_LIST: Final = {
    "Ca II K": (3934.777, "metal"),
    "Hε": (float(HEPSILON), "balmer"),
    "He I 4026": (4027.33, "helium"),
    "Hδ": (float(BALMER_LINES["hdelta"]), "balmer"),
    "Si II 4128": (4129.22, "metal"),
    "Si II 4131": (4132.06, "metal"),
    "Fe II 4233": (4234.36, "metal"),
    "Hγ": (float(BALMER_LINES["hgamma"]), "balmer"),
    "He I 4388": (4389.16, "helium"),
    "He I 4471": (4472.76, "helium"),
    "Mg II 4481": (4482.39, "metal"),
    "He II 4686": (4687.02, "helium"),
    "Hβ": (float(BALMER_LINES["hbeta"]), "balmer"),
    "Mg I b": (5176.1, "metal"),
    "He I 5876": (5877.25, "helium"),
    "Na I D2": (5891.58, "metal"),
    "Na I D1": (5897.56, "metal"),
    "Hα": (float(BALMER_LINES["halpha"]), "balmer"),
    "He I 6678": (6680.0, "helium"),
}
# Not redshifted: they stand still on the observed axis.
TELLURIC_LIST: Final = {
    "[O I] sky 5577": (5578.89, "sky"),
    "Na D sky": (5894.6, "sky"),
    "[O I] sky 6300": (6302.05, "sky"),
    "telluric B": (6869.0, "telluric"),
    "telluric A": (7605.0, "telluric"),
}
ARM_JOINT: Final = (5700.0, 6000.0)  # Å, where the blue and red arms meet

G_BAND: Final = (4000.0, 5500.0)  # Å, pixels of a S/N in g: simulated, or where no header gives it

# --- search ------------------------------------------------------------------------------


class StellarClass(enum.StrEnum):
    """The five classes of stage 1 (paper §II.2), in the order of the network's outputs."""

    BHB = "BHB"  # blue horizontal-branch star
    A = "A"
    B = "B"
    HSD = "HSD"  # hot subdwarf
    WD = "WD"  # white dwarf


STELLAR_CLASSES: Final = tuple(StellarClass)  # stage 1: 0 BHB, 1 A, 2 B, 3 HSD, 4 WD
CLASS_NAMES: Final = tuple(str(one) for one in STELLAR_CLASSES)
PAPER_COUNTS: Final = {"BHB": 4581, "A": 4500, "B": 4500, "HSD": 3431, "WD": 4500}  # paper §II.2
SNR_MIN: Final = Sourced(10.0, "", "S/N(g) > 10: g-band cut of the search", Certainty.DEFAULT)
_SKY: Final = "kept of 597,990 A and B spectra, paper §V.1"
_RARE: Final = "our reading of catalogues of LAMOST"
PRIOR_SHARES: Final = {  # of the classes among spectra of subclass A or B, S/N(g) > 10
    "lamost": {
        "BHB": Sourced(0.047, "", _SKY),
        "A": Sourced(0.840, "", "the rest", Certainty.DEFAULT),
        "B": Sourced(0.100, "", _RARE, Certainty.DEFAULT),
        "HSD": Sourced(0.003, "", _RARE, Certainty.DEFAULT),
        "WD": Sourced(0.010, "", _RARE, Certainty.DEFAULT),
    }
}
SEARCH_RULES: Final = ("paper", "lenient")  # of the two stages; `rules.both_stages_say_bhb`
LENIENT_P_CLASS: Final = Sourced(
    0.3, "", "chosen on real stars of validation: +2 % of BHB draws, +0.7 % of others",
    Certainty.VERIFIED,
)  # fmt: skip
STAGE2_FROM: Final = Sourced(
    0.01, "", "no rule keeps a spectrum that stage 1 gives less: it takes 0.2 to be first of five, "
    "0.3 for the lenient rule, 0.076 for model stars to turn it", Certainty.VERIFIED,
)  # fmt: skip
BHB_THRESHOLD: Final = Sourced(0.5, "", "stage-2 probability, paper §V.1")
NOVELTY_MAX: Final = Sourced(
    2.0, "", "one in 100 training spectra is as strange", Certainty.DEFAULT
)
MATCH_RADIUS_ARCSEC: Final = Sourced(3.0, "arcsec", "known catalogues by sky, paper §V.1")


# --- velocities of epochs -------------------------------------------------------------------
_REPEATS: Final = "repeat LAMOST spectra of 60 stars"
RV_FLOOR: Final = Sourced(  # scatter of template velocities 7.8 km/s in pairs, 2.3 of it formal
    5.0, "km/s", f"systematic error per epoch: {_REPEATS}, F to K", Certainty.VERIFIED
)
RV_FLOOR_HOT: Final = Sourced(  # median difference 8 km/s in ten pairs; 1.3 with our templates
    10.0, "km/s", f"the same of header velocities of hot stars: {_REPEATS}", Certainty.DEFAULT
)


# --- line fits: beyond these they are doubted; the sentences of `flags.FitFlag` say them --------
D02_LEVEL: Final = 0.2  # D0.2 is measured this far below the local continuum
LINE_SNR_MIN: Final = 5.0  # of the continuum per pixel; below, a line is not measured
LINE_RMS_MAX: Final = 0.03  # of the continuum
SHAPE_TRUSTED: Final = (0.5, 2.0)
CONTINUUM_TOLERANCE: Final = 0.08
LINE_SHIFT_MAX: Final = 3.0  # Å; real A and B stars of LAMOST stay below 1.3


# --- Balmer selections (D0.2 in Å) ----------------------------------------------------------
def _box(source: str, certainty: Certainty, *limits: float) -> tuple[Sourced, ...]:
    """Return (D0.2 low, D0.2 high, fm low, fm high)."""
    units = ("Å", "Å", "", "")
    return tuple(
        Sourced(limit, unit, source, certainty) for limit, unit in zip(limits, units, strict=True)
    )


BOX_XUE2008: Final = _box("Xue et al. 2008, Hδ box", Certainty.RECALLED, 17.0, 28.5, 0.1, 0.3)
BOX_JU2024: Final = _box(
    "paper Eq. 12 (Ju et al. 2024): numbers unread, the Hδ box of Xue et al. 2008 for both lines",
    Certainty.DEFAULT,
    17.0,
    28.5,
    0.1,
    0.3,
)
_XUE2011: Final = "Xue et al. 2011"
BOX_XUE2011: Final = {
    "hdelta_d02_max": Sourced(29.0, "Å", _XUE2011),
    "hdelta_fm_max": Sourced(0.35, "", _XUE2011),
    "hgamma_shape_min": Sourced(0.75, "", _XUE2011),
    "hgamma_shape_max": Sourced(1.25, "", _XUE2011),
    "hgamma_width_min": Sourced(7.0, "Å", _XUE2011),
    "hgamma_width_offset": Sourced(10.8, "Å", _XUE2011),
    "hgamma_width_curvature": Sourced(26.5, "Å", _XUE2011),
    "hgamma_width_vertex": Sourced(1.08, "", _XUE2011),
}


# --- Ca II K (Beers et al. 1999), wavelengths in AIR as published -----------------------------
def _band_air(low: float, high: float) -> tuple[Sourced, Sourced]:
    """Return the limits of a band [Å, air]."""
    source = "Beers et al. 1999, KP index"
    return (
        Sourced(low, "Å (air)", source, Certainty.RECALLED),
        Sourced(high, "Å (air)", source, Certainty.RECALLED),
    )


KP_BANDS_AIR: Final = {
    "k6": _band_air(3930.7, 3936.7),
    "k12": _band_air(3927.7, 3939.7),
    "k18": _band_air(3924.7, 3942.7),
}
KP_SIDE_BANDS_AIR: Final = (_band_air(3903.0, 3923.0), _band_air(4000.0, 4020.0))
KP_K6_MAX: Final = Sourced(2.0, "Å", "Beers et al. 1999: K6 counts below", Certainty.RECALLED)
KP_REPEAT_ERROR: Final = Sourced(
    0.03, "", "share of KP by which repeat LAMOST spectra of 60 stars differ beyond their noise",
    Certainty.VERIFIED,
)  # fmt: skip
EW_REPEAT_ERROR: Final = Sourced(
    0.005, "", "share of the band by which equivalent widths of 13 pairs of repeat LAMOST spectra "
    "of S/N above 60 differ beyond their noise", Certainty.VERIFIED,
)  # fmt: skip
_PAIRS: Final = "75 pairs of repeat LAMOST spectra, 20 of A and early F stars, differ beyond noise"
D02_REPEAT_ERROR: Final = {  # other lines take the larger
    "hdelta": Sourced(0.05, "", f"share of D0.2 by which {_PAIRS}", Certainty.VERIFIED),
    "hgamma": Sourced(0.02, "", f"share of D0.2 by which {_PAIRS}", Certainty.VERIFIED),
}
FM_REPEAT_ERROR: Final = {
    "hdelta": Sourced(0.025, "", f"by which fm of {_PAIRS}", Certainty.VERIFIED),
    "hgamma": Sourced(0.010, "", f"by which fm of {_PAIRS}", Certainty.VERIFIED),
}
WIDTH_REPEAT_ERROR: Final = {
    "hdelta": Sourced(0.06, "", f"share of b by which {_PAIRS}", Certainty.VERIFIED),
    "hgamma": Sourced(0.04, "", f"share of b by which {_PAIRS}", Certainty.VERIFIED),
}
SHAPE_REPEAT_ERROR: Final = {
    "hdelta": Sourced(0.03, "", f"share of c by which {_PAIRS}", Certainty.VERIFIED),
    "hgamma": Sourced(0.03, "", f"share of c by which {_PAIRS}", Certainty.VERIFIED),
}
KP_K12_MAX: Final = Sourced(5.0, "Å", "Beers et al. 1999: K12 counts below", Certainty.RECALLED)

# --- photometry (Culpan et al. 2021, A&A 654, A107) ---------------------------------------
CMD_BP_RP: Final = (
    Sourced(-0.1, "mag", "Culpan et al. 2021"),
    Sourced(0.53, "mag", "Culpan et al. 2021"),
)
CMD_ABS_MAG_BRIGHT: Final = Sourced(-1.0, "mag", "Culpan et al. 2021")
CMD_FAINT_INTERCEPT: Final = Sourced(2.5, "mag", "Culpan et al. 2021")
CMD_FAINT_SLOPE: Final = Sourced(-2.77, "mag/mag", "Culpan et al. 2021")
BP_RP_FLUX_OVER_ERROR_MIN: Final = Sourced(10, "", "Culpan et al. 2021")
EXCESS_FACTOR_SIGMA_MAX: Final = Sourced(5, "", "|C*| limit, Culpan et al. 2021; C* of Riello 2021")
PARALLAX_ERROR_MAX: Final = Sourced(0.2, "", "σ/ϖ of the paper's CMD sample, §V.3.2")

_SF11: Final = "Schlafly & Finkbeiner 2011 scale, per E(B−V) of Schlegel et al. 1998"
EXTINCTION_PER_EBV: Final = {  # magnitudes of extinction per magnitude of E(B−V)
    "g": Sourced(2.364, "mag/mag", f"Gaia G, {_SF11}"),
    "bp": Sourced(2.998, "mag/mag", f"Gaia BP, {_SF11}"),
    "rp": Sourced(1.737, "mag/mag", f"Gaia RP, {_SF11}"),
    "j": Sourced(0.748, "mag/mag", f"2MASS J, {_SF11}"),
    "h": Sourced(0.453, "mag/mag", f"2MASS H, {_SF11}"),
    "ks": Sourced(0.306, "mag/mag", f"2MASS Ks, {_SF11}"),
}
EBV_LIMITS: Final = (  # a reddening beyond them is no reddening of a star that this search finds
    Sourced(-0.05, "mag", "noise of a reddening of zero", Certainty.DEFAULT),
    Sourced(2.0, "mag", "an A star behind more dust is too faint for LAMOST", Certainty.DEFAULT),
)
GAIA_ZERO_POINT_ERROR: Final = {  # least error of a Gaia magnitude
    "g": Sourced(0.00276, "mag", "Riello et al. 2021, zero point of G", Certainty.RECALLED),
    "bp": Sourced(0.00279, "mag", "Riello et al. 2021, zero point of BP", Certainty.RECALLED),
    "rp": Sourced(0.00378, "mag", "Riello et al. 2021, zero point of RP", Certainty.RECALLED),
}
GAIA_VEGA_ZERO_POINT: Final = {  # of fluxes in electrons per second
    "g": Sourced(25.6874, "mag", "Riello et al. 2021, zero point of G", Certainty.RECALLED),
    "bp": Sourced(25.3385, "mag", "Riello et al. 2021, zero point of BP", Certainty.RECALLED),
    "rp": Sourced(24.7479, "mag", "Riello et al. 2021, zero point of RP", Certainty.RECALLED),
}

GAIA_AB_LESS_VEGA: Final = {  # magnitudes in the AB system less those of the archive
    "g": Sourced(0.1137, "mag", "Riello et al. 2021, AB zero point of G less Vega's"),
    "bp": Sourced(0.0154, "mag", "Riello et al. 2021, of BP"),
    "rp": Sourced(0.3561, "mag", "Riello et al. 2021, of RP"),
}

GAIA_EPOCH: Final = Sourced(2016.0, "yr", "reference epoch of Gaia DR3 positions")
PANSTARRS_EPOCH_MJD: Final = Sourced(
    55_926.0, "d", "where a row lists no epoch: middle of the 3π survey, 2009-06 to 2014-03",
    Certainty.DEFAULT,
)  # fmt: skip
PANSTARRS_DEC_MIN: Final = Sourced(-31.0, "deg", "3π survey: north of −30; Chambers et al. 2016")
PANSTARRS_SATURATION: Final = {  # brighter than these the camera saturates
    band: Sourced(limit, "mag", "Magnier et al. 2013; Chambers et al. 2016")
    for band, limit in (("g", 14.5), ("r", 15.0), ("i", 15.0), ("z", 14.0), ("y", 13.0))
}
PANSTARRS_BANDS: Final = {  # ends at half of the response [Å]
    band: tuple(Sourced(end, "Å", "Tonry et al. 2012, Table 4") for end in ends)
    for band, ends in (("g", (4140.0, 5510.0)), ("r", (5500.0, 6890.0)), ("i", (6900.0, 8190.0)))
}
FLUX_CALIBRATION_MAX: Final = Sourced(
    0.3, "mag", "between g and i; beyond it a continuum is not to be trusted", Certainty.DEFAULT
)
KM_S_PER_MAS_YR: Final = Sourced(4.74, "km/s", "1 AU per year; Culpan et al. 2021")
CMD_LATITUDE_MIN: Final = Sourced(
    20.0, "deg", "|b| of Culpan et al. 2021, their Table 1 unread", Certainty.DEFAULT
)
CLOUD_CIRCLES: Final = {  # RA, Dec, radius [deg]
    name: tuple(
        Sourced(value, "deg", f"circle around the {name}, Culpan et al. 2021, unread",
                Certainty.DEFAULT)
        for value in circle
    )
    for name, circle in {"LMC": (81.28, -69.78, 10.0), "SMC": (12.80, -73.15, 5.0)}.items()
}  # fmt: skip
TANGENTIAL_VELOCITY_MIN: Final = Sourced(145.0, "km/s", "Culpan et al. 2021, parallax sample")
CULPAN_PARALLAX_OVER_ERROR: Final = Sourced(5.0, "", "Culpan et al. 2021, divides their samples")
CULPAN_EXCESS: Final = {  # limits of the excess factor, constant and slope with (BP−RP)²
    "low": (Sourced(1.0, "", "Culpan et al. 2021"), Sourced(0.015, "", "Culpan et al. 2021")),
    "high": (Sourced(1.3, "", "Culpan et al. 2021"), Sourced(0.06, "", "Culpan et al. 2021")),
}
PROPER_MOTION_LATITUDE_MIN: Final = Sourced(50.0, "deg", "Culpan et al. 2021, proper-motion sample")
REDUCED_PROPER_MOTION: Final = (
    Sourced(6.80, "mag", "Culpan et al. 2021, proper-motion sample"),
    Sourced(11.88, "mag", "Culpan et al. 2021, proper-motion sample"),
)
PROPER_MOTION_OVER_ERROR: Final = Sourced(5.0, "", "Culpan et al. 2021, proper-motion sample")


# --- templates ----------------------------------------------------------------------------
CONFIDENCE_MIN: Final = Sourced(80.0, "percent", "LAMOST pipeline: below it, polynomial re-match")


# --- labels -------------------------------------------------------------------------------
LOGG_OUTLIER: Final = Sourced(4.0, "dex(cm/s2)", "high log g outlier limit", Certainty.DEFAULT)
FEH_OUTLIER: Final = Sourced(-1.0, "dex", "high [Fe/H] outlier limit", Certainty.DEFAULT)
_BHB_CUT: Final = "cuts of the paper's BHB training stars"
_MK: Final = "effective temperatures of MK types, rounded outwards"
CLASS_LABELS: Final = {  # class -> label -> limits [K, dex]
    "BHB": {
        "teff": (
            Sourced(7000.0, "K", _BHB_CUT, Certainty.DEFAULT),
            Sourced(20_000.0, "K", _BHB_CUT, Certainty.DEFAULT),
        ),
        "logg": (
            Sourced(2.5, "dex(cm/s2)", _BHB_CUT, Certainty.DEFAULT),
            Sourced(4.5, "dex(cm/s2)", _BHB_CUT, Certainty.DEFAULT),
        ),
        "feh": (
            Sourced(-np.inf, "dex", _BHB_CUT, Certainty.DEFAULT),
            Sourced(-0.5, "dex", _BHB_CUT, Certainty.DEFAULT),
        ),
    },
    "A": {
        "teff": (
            Sourced(7000.0, "K", _MK, Certainty.DEFAULT),
            Sourced(10_500.0, "K", _MK, Certainty.DEFAULT),
        )
    },
    "B": {
        "teff": (
            Sourced(9500.0, "K", _MK, Certainty.DEFAULT),
            Sourced(np.inf, "K", _MK, Certainty.DEFAULT),
        )
    },
    # SLAM knows no stars this hot or compact: any of its labels speaks against the class
    "HSD": {
        "teff": (
            Sourced(18_000.0, "K", "hot subdwarfs are hotter", Certainty.DEFAULT),
            Sourced(np.inf, "K", "hot subdwarfs are hotter", Certainty.DEFAULT),
        )
    },
    "WD": {
        "logg": (
            Sourced(7.0, "dex(cm/s2)", "white dwarfs are heavier", Certainty.DEFAULT),
            Sourced(np.inf, "dex(cm/s2)", "white dwarfs are heavier", Certainty.DEFAULT),
        )
    },
}
_REAL: Final = "makes the pulls of 40 spectra of A and BHB stars of MILES and STELIB 1 wide"
LABEL_EXTERNAL_ERROR: Final = {  # of real stars, beyond the errors of the fit
    "teff": Sourced(180.0, "K", _REAL, Certainty.VERIFIED),
    "logg": Sourced(0.21, "dex(cm/s2)", _REAL, Certainty.VERIFIED),
    "feh": Sourced(0.23, "dex", _REAL, Certainty.VERIFIED),
}
_B_STARS: Final = "35 A and B stars of MILES and STELIB, SLAM_CARD"
HOT_TEFF_SCALE: Final = {  # Teff as the model atmospheres give it, grown up to a ratio
    "from": Sourced(9200.0, "K", "A stars and cooler stay", Certainty.VERIFIED),
    "up_to": Sourced(10_000.0, "K", _B_STARS, Certainty.VERIFIED),
    "ratio": Sourced(1.05, "", _B_STARS, Certainty.VERIFIED),
}
_HOT: Final = "247 draws of 33 B and late-A stars of MILES and STELIB, on that scale"
_COOL: Final = "25 spectra of F stars of STELIB scatter by 0.6 dex, those of LAMOST's labels alike"
_HOT_METALS: Final = "18 spectra of B and late-A stars of MILES and STELIB: −0.2 ± 0.5 dex"
_STRONGEST: Final = "15 A and B stars of MILES and STELIB found there scatter by 0.45 dex"
LOGG_ERROR_AT_STRONGEST: Final = {  # Balmer lines, where Teff and log g trade places
    "from": Sourced(9000.0, "K", _STRONGEST, Certainty.VERIFIED),
    "full_from": Sourced(9300.0, "K", _STRONGEST, Certainty.VERIFIED),
    "full_to": Sourced(11_000.0, "K", _STRONGEST, Certainty.VERIFIED),
    "to": Sourced(12_000.0, "K", _STRONGEST, Certainty.VERIFIED),
    "error": Sourced(0.45, "dex(cm/s2)", _STRONGEST, Certainty.VERIFIED),
}
LABEL_EXTERNAL_ERROR_BEYOND: Final = {  # of Teff: it grows from …, up to …, and stays there at …
    "teff": (  # where the scale of Teff is extrapolated
        Sourced(9400.0, "K", f"from here on: {_HOT}", Certainty.VERIFIED),
        Sourced(9800.0, "K", f"up to here: {_HOT}", Certainty.VERIFIED),
        Sourced(550.0, "K", f"and stays: {_HOT}", Certainty.VERIFIED),
    ),
    "logg": (  # where Balmer lines no longer tell gravity
        Sourced(7500.0, "K", f"from here on: {_COOL}", Certainty.VERIFIED),
        Sourced(7150.0, "K", f"down to here: {_COOL}", Certainty.VERIFIED),
        Sourced(0.6, "dex(cm/s2)", f"and stays: {_COOL}", Certainty.VERIFIED),
    ),
    "feh": (  # where metal lines are too weak for this resolution
        Sourced(9000.0, "K", f"from here on: {_HOT_METALS}", Certainty.VERIFIED),
        Sourced(9500.0, "K", f"up to here: {_HOT_METALS}", Certainty.VERIFIED),
        Sourced(0.45, "dex", f"and stays: {_HOT_METALS}", Certainty.VERIFIED),
    ),
}
_SILENT: Final = "leaves fewest draws of library stars off by 1500 K without a flag"
_CORNER: Final = "of unflagged library stars beyond both, only folded ones were seen"
FOLDED: Final = {  # when Teff may be another one, `slam.labels.are_folded`
    "distance": Sourced(1000.0, "K", f"of another minimum of χ²: {_SILENT}", Certainty.VERIFIED),
    "behind": Sourced(3.0, "", f"of its χ², at most: {_SILENT}", Certainty.VERIFIED),
    "helium": Sourced(3.0, "σ", f"of lines too strong or weak: {_SILENT}", Certainty.VERIFIED),
    "helium_from": Sourced(9700.0, "K", "cooler stars have no line to be too weak"),
}
FOLDED_CORNERS: Final = {  # Teff with [Fe/H] or log g in which a Teff is another one
    "poor": (
        Sourced(7500.0, "K", f"cooler: {_CORNER}", Certainty.VERIFIED),
        Sourced(-2.6, "dex", f"poorer: {_CORNER}", Certainty.VERIFIED),
    ),
    "thin": (
        Sourced(8000.0, "K", f"cooler: {_CORNER}", Certainty.VERIFIED),
        Sourced(2.6, "dex(cm/s2)", f"of less gravity: {_CORNER}", Certainty.VERIFIED),
    ),
}
HELIUM_WINDOWS: Final = (  # in vacuum
    (Sourced(4021.0, "Å", "blue of He I 4027"), Sourced(4033.0, "Å", "red of He I 4027")),
    (Sourced(4467.0, "Å", "blue of He I 4473"), Sourced(4477.0, "Å", "red of He I 4473")),
)
LABEL_CHI2_MAX: Final = Sourced(3.0, "", "reduced χ² of a label fit", Certainty.DEFAULT)
KIEL_BAND: Final = (  # log g between a·log10 Teff + b, lower and upper (Culpan et al. 2024)
    (Sourced(4.0150, "", "Culpan et al. 2024"), Sourced(-12.742, "", "Culpan et al. 2024")),
    (Sourced(4.4157, "", "Culpan et al. 2024"), Sourced(-13.720, "", "Culpan et al. 2024")),
)

# --- notebooks -----------------------------------------------------------------------------
SHOWN_ROWS: Final = 10  # of a record that a notebook shows

# --- the record of vetting -----------------------------------------------------------------
STORE_DEADLINE: Final = 8.0  # s, until a store that does not answer refuses; browsers wait longer
STORE_SETTLING: Final = 4.0  # s more, to find out whether a decision was stored after all
TRAINING_SHARE: Final = 0.05  # of what a reviewer sees: stars with known answers
CLAIM_MINUTES: Final = 5.0  # for which a star on one reviewer's screen comes last for another
VERDICT_RULES: Final = {  # how the verdict of record comes about; vetting/record.py applies them
    "agreement": "the verdict that all who decided share, else disputed, until a final verdict "
    "settles it",
    "latest": "the latest decision of anybody, a final one before all others",
}
