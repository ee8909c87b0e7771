"""Every flag of a measurement, each with its sentence; 0 is always good."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import (
    ARM_JOINT,
    BP_RP_FLUX_OVER_ERROR_MIN,
    CONFIDENCE_MIN,
    CONTINUUM_TOLERANCE,
    D02_LEVEL,
    EBV_LIMITS,
    FLUX_CALIBRATION_MAX,
    LINE_RMS_MAX,
    LINE_SHIFT_MAX,
    LINE_SNR_MIN,
    PARALLAX_ERROR_MAX,
    SHAPE_TRUSTED,
)


class SentenceFlag(enum.IntFlag):
    """An integer of bits, each of which can say in words what it means.

    Attributes
    ----------
    sentence : str
        What one bit means; empty for a combination, which has :meth:`sentences`.
    """

    sentence: str

    def __new__(cls, value: int, sentence: str = "") -> Self:
        """Keep the sentence beside the bit."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    @classmethod
    def sentences(cls, flags: int) -> list[str]:
        """Return one sentence per bit that is set, in the order of the bits."""
        return [flag.sentence for flag in cls if int(flags) & flag]


Kind = TypeVar("Kind", bound=SentenceFlag)


def combined(raised: Mapping[Kind, NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Put conditions together, one bit each.

    Parameters
    ----------
    raised : mapping of flag to bool array
        At least one; all of one shape.

    Returns
    -------
    int64 array of that shape
    """
    flags = np.zeros(np.shape(next(iter(raised.values()))), dtype=np.int64)
    for flag, condition in raised.items():
        flags |= np.where(condition, int(flag), 0)
    return flags


class FitFlag(SentenceFlag):
    """Why a line measurement should not be trusted; 0 means it can."""

    NO_COVERAGE = 1, "The line or its continuum is not covered by enough good pixels."
    LOW_SIGNAL = 2, f"The continuum S/N is below {LINE_SNR_MIN:g} per pixel."
    NOT_CONVERGED = 4, "The fit did not converge."
    AT_BOUND = 8, "A parameter of the profile sits on its bound."
    POOR_FIT = (
        16,
        f"The residuals exceed {100 * LINE_RMS_MAX:g} % of the continuum "
        "(noise or a profile unlike SWS).",
    )
    SHAPE_RANGE = 32, f"The shape c lies outside {SHAPE_TRUSTED[0]:g}–{SHAPE_TRUSTED[1]:g}."
    CONTINUUM_OFF = (
        64,
        "The fitted continuum differs from the local one by more than "
        f"{100 * CONTINUUM_TOLERANCE:g} %.",
    )
    TOO_SHALLOW = 128, f"The line is less than {100 * D02_LEVEL:g} % deep, so D0.2 is not defined."
    MASKED_CORE = 256, "Bad pixels cover the line core."
    EMISSION_CORE = 512, "The line core turns up or is filled in by emission."
    NO_REDSHIFT = 1024, "The spectrum has no redshift, so its rest frame is unknown."
    BAD_FLUX = 2048, "The continuum is constant, zero or negative."
    CORE_SPIKE = 4096, "A spike (cosmic ray or sky) lies on the line core."
    OFF_CENTRE = (
        8192,
        f"The line lies over {LINE_SHIFT_MAX:g} Å off where the redshift puts it, or is two lines.",
    )
    LOPSIDED = 16384, "The two sides of the line differ: a blend or a bad continuum."
    PIXELS_REJECTED = 32768, "Outlying pixels outside the core were left out of the fit."
    LINES_DISAGREE = 65536, "Hδ and Hγ differ more than in any single star; one may be disturbed."
    BLENDED = 131072, "A second line shows in the residuals: two stars of different velocity."
    IN_ARM_JOINT = (
        262144,
        f"The line falls where the blue and red arms meet ({ARM_JOINT[0]:g}–{ARM_JOINT[1]:g} Å).",
    )
    HALPHA_EMISSION = (
        524288,
        "Hα stands in emission (nebula, disk, sky): the line core may be filled in, too, and fm "
        "too large.",
    )


class MatchFlag(SentenceFlag):
    """What to know about a template match before trusting it; 0 = measured and good."""

    NO_SOLUTION = 1, "no template fits: too few good pixels"
    LOW_SIGNAL = 2, "S/N below what a subclass needs"
    NO_BLUE = 4, "blue end not observed"
    NO_RED = 8, "red end not observed"
    AT_EDGE = 16, "redshift at the end of its range"
    LOW_CONFIDENCE = 32, f"confidence below {CONFIDENCE_MIN:g} %"
    REMATCHED = 64, "best after a fit together with a polynomial"
    ALIKE = 128, "the next solution is as good and of nearly the same subclass"
    FEATURELESS = 256, "no line speaks: a continuum alone fits as well, so no class is known"
    REDDENED = 512, "redder than a template's continuum can be made: class and velocity in doubt"


class LabelFlag(SentenceFlag):
    """What to know about the labels of a star before trusting them; 0 = measured and good."""

    FROM_CATALOGUE = 1, "from a catalogue, not measured here"
    MISSING = 2, "not all of Teff, log g and [Fe/H] are known"
    HIGH_LOGG = 4, "log g above the limit"
    HIGH_FEH = 8, "[Fe/H] above the limit"
    OUTSIDE_KIEL_BAND = 16, "outside the BHB band of the Kiel diagram"
    OUTSIDE_HULL = 32, "outside the hull of the training labels"
    AT_EDGE = 64, "a label on the edge of the training set: a limit, without error"
    POOR_CHI2 = 128, "the model does not describe the spectrum (poor χ²)"
    DISAGREES_WITH_PHOTOMETRY = 256, "Teff disagrees with BP−RP"
    DISAGREES_WITH_CLASS = 512, "labels disagree with the class found for the star"
    NOT_CONVERGED = 1024, "the fit of the labels did not converge"
    FOLDED = (
        2048,
        "Teff may be another one: a second fit is as good, or He I, log g or [Fe/H] odd",
    )


class CmdFlag(SentenceFlag):
    """Why a place in the colour–magnitude diagram should not be trusted; 0 means it can."""

    NO_GAIA = 1, "no Gaia row for this star"
    NO_COLOUR = 2, "no BP or RP magnitude"
    NO_PARALLAX = 4, "parallax missing, zero or negative: no absolute magnitude"
    POOR_PARALLAX = 8, f"parallax error above {float(PARALLAX_ERROR_MAX):g} of the parallax"
    COLOUR_EXCESS = 16, "BP and RP do not add up to G (corrected excess factor)"
    FAINT_COLOUR = 32, f"BP or RP flux below {BP_RP_FLUX_OVER_ERROR_MIN:g} times its error"
    AMBIGUOUS = 64, "several Gaia sources within the match radius; the nearest was taken"
    NO_PROPER_MOTION = 128, "no proper motion: matched where it stands, no velocity"
    ABSURD_REDDENING = 256, f"E(B−V) outside {EBV_LIMITS[0]:g} … {EBV_LIMITS[1]:g}: not used"
    DUPLICATED = 512, "listed more than once in the Gaia table, with different values"
    NO_ZERO_POINT = 1024, "no parallax zero point: the parallax is used as it is"
    MISPLACED = 2048, "the Gaia row that its identifier names lies far away: refused"


class PanstarrsFlag(SentenceFlag):
    """What to know of the Pan-STARRS row of a spectrum before trusting it; 0 means nothing."""

    NO_COUNTERPART = 1, "no Pan-STARRS row for this star"
    AMBIGUOUS = 2, "several Pan-STARRS sources within the match radius; the nearest was taken"
    DUPLICATED = 4, "listed more than once in the Pan-STARRS table, with different magnitudes"
    MISPLACED = 8, "the Pan-STARRS row that its identifier names lies far away: refused"
    NO_ERRORS = 16, "Pan-STARRS magnitudes without errors"
    EXTENDED = 32, "extended for Pan-STARRS"
    POOR = 64, "no good measurement by the quality flag of Pan-STARRS"
    SATURATED = 128, "brighter than where Pan-STARRS saturates"
    NOT_SURVEYED = 256, "south of what Pan-STARRS surveyed"


class FluxFlag(SentenceFlag):
    """What the colours of a star say of the flux calibration of its spectrum; 0 = it is good."""

    NO_PHOTOMETRY = 1, "no two good Pan-STARRS magnitudes of g, r, i to compare with"
    NO_COVERAGE = 2, "the spectrum covers fewer than two of g, r, i"
    TILTED = 4, f"tilted against g − i by more than {float(FLUX_CALIBRATION_MAX):g} mag"
    ARMS_DISAGREE = 8, "blue and red arm disagree with the colours: a step at their joint"


class CmdExclusion(SentenceFlag):
    """Why a star is left out of a sample of the colour–magnitude diagram; 0 = in every sample."""

    LOW_LATITUDE = 1, "galactic latitude at or below the limit of the settings"
    LMC = 2, "within the circle of the Large Magellanic Cloud"
    SMC = 4, "within the circle of the Small Magellanic Cloud"
    SLOW = 8, "tangential velocity not above 145 km/s, or unknown"
    PARALLAX_SAMPLE = 16, "not in the parallax sample of Culpan et al. (2021)"
    PROPER_MOTION_SAMPLE = 32, "not in the proper-motion sample of Culpan et al. (2021)"


# What the funnel takes off at its end: places in the sky, and slow stars
FUNNEL_EXCLUSIONS: Final = (
    CmdExclusion.LOW_LATITUDE | CmdExclusion.LMC | CmdExclusion.SMC | CmdExclusion.SLOW
)


class UidFlag(SentenceFlag):
    """Why the star of a spectrum may be another one; 0 = no doubt."""

    SEVERAL_IDS = 1, "several identifiers of neighbours to choose from"
    NEIGHBOUR = 2, "another star of the survey within the match radius"
    FAR = 4, "farther than the match radius from the mean position of its star"
    NO_POSITION = 8, "no position"
    SEVERAL_SOURCES = 16, "several Gaia sources within the match radius"
    SEVERAL_PANSTARRS = 32, "named by one of several Pan-STARRS sources within the match radius"
    NEARER_PANSTARRS = 64, "a Pan-STARRS source lies nearer than the Gaia source that names it"


FLAGS_OF: Final[Mapping[str, type[SentenceFlag]]] = {  # column -> what its bits are
    "uid_flags": UidFlag,
    "balmer_flags_hdelta": FitFlag,
    "balmer_flags_hgamma": FitFlag,
    "template_flags": MatchFlag,
    "label_flags": LabelFlag,
    "cmd_flags": CmdFlag,
    "cmd_exclusions": CmdExclusion,
    "ps_flags": PanstarrsFlag,
    "flux_calibration_flags": FluxFlag,
}
