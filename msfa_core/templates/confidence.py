"""How far a template match can be trusted: Conf = C·f(B) + (1 − C)·f(R) (LAMOST 1-D pipeline).

B and R are the residuals at the blue and the red end of the spectrum, of its lines and of its
continuum; f, a Gaussian calibrated on spectra with labels, falls from 1 where they are larger than
usual; C says how much of the spectral type is written in the blue.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID, Certainty, Sourced
from msfa_core.errors import ModelError
from msfa_core.shipped import shipped
from msfa_core.templates.continuum import extinction
from msfa_core.templates.library import ALONE
from msfa_core.templates.results import BLUE, RED
from msfa_core.templates.spectral_types import Family, spectral_type
from msfa_core.typing import FloatArray

if TYPE_CHECKING:
    from msfa_core.templates.results import Matches


CALIBRATION_FILE: Final = shipped("templates", "confidence.json")
PERCENT: Final = 100.0
_NUMBERS: Final = ("typical", "width", "bend_typical", "bend_width")
_DIGITS: Final = 4
_LEAST_RESIDUAL: Final = 1e-12
_SAMPLING: Final = 20  # pixels: the continuum is smooth
REDDENING_MAX: Final = Sourced(  # STELIB reddened by 1.25, 1.5 and 2 mag: 92, 53 and 18 % keep
    1.2, "mag", "E(B-V) that continuum vectors follow: beyond, cooler templates fit better",
    Certainty.VERIFIED,
)  # fmt: skip


def _weight(value: float, what: str) -> Sourced:
    return Sourced(value, "", f"share of the blue end for {what}", Certainty.DEFAULT)


BLUE_WEIGHT: Final = {  # C by the letter of the spectral type
    "O": _weight(0.8, "O stars"),
    "B": _weight(0.8, "B stars"),
    "A": _weight(0.8, "A stars"),
    "F": _weight(0.7, "F stars"),
    "G": _weight(0.6, "G stars"),
    "K": _weight(0.5, "K stars"),
    "M": _weight(0.25, "M stars"),
}
BLUE_WEIGHT_WHITE_DWARF: Final = _weight(0.8, "white dwarfs")
BLUE_WEIGHT_CARBON: Final = _weight(0.5, "carbon stars, as cool as K stars")
BLUE_WEIGHT_OTHER: Final = _weight(0.5, "galaxies, QSOs and all else")


@dataclass(frozen=True, slots=True)
class EndCalibration:
    """The f of one end: a Gaussian of two residuals, those of the lines and of the continuum.

    Attributes
    ----------
    typical, width : float
        log10 of the residual (see :func:`weighed_residual`) up to which a match is as good as it
        gets, and standard deviation [dex] of the Gaussian by which f falls beyond.
    bend_typical, bend_width : float
        The same for the bend [rms of ln continuum, see :func:`continuum_bend`], itself and not
        its logarithm.
    """

    typical: float
    width: float
    bend_typical: float = math.inf
    bend_width: float = 1.0

    def f(self, residual: FloatArray, bend: FloatArray | None = None) -> FloatArray:
        """Return f of residuals: 1 up to the typical ones, then half a Gaussian; 0 where unknown.

        Parameters
        ----------
        residual : array
            Of any shape; NaN where the end was not observed.
        bend : array of the same shape, optional
            NaN where it has no meaning, which takes nothing away.
        """
        known = np.isfinite(residual)
        log = np.log10(np.maximum(np.where(known, residual, 1.0), _LEAST_RESIDUAL))
        beyond = (np.maximum(log - self.typical, 0.0) / self.width) ** 2
        if bend is not None and math.isfinite(self.bend_typical):
            excess = np.where(np.isnan(bend), 0.0, bend) - self.bend_typical
            beyond = beyond + (np.maximum(excess, 0.0) / self.bend_width) ** 2
        return np.where(known, np.exp(-0.5 * beyond), 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Both ends, and whence the numbers are.

    Attributes
    ----------
    blue, red : EndCalibration
    provenance : str
    """

    blue: EndCalibration
    red: EndCalibration
    provenance: str = ""

    @classmethod
    def load(cls, path: str | Path | None = None) -> Calibration:
        """Read a calibration; the shipped one when not named.

        Raises
        ------
        ModelError
            When the file is missing or is none.
        """
        path = Path(path) if path else CALIBRATION_FILE
        if not path.is_file():
            raise ModelError(
                f"{path}: no calibration of the confidence there; restore it, or make it with "
                "`python -m msfa_core.workshop.calibrate_confidence`."
            )
        return _load(path, path.stat().st_mtime_ns)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them."""
        ends = {"blue": self.blue, "red": self.red}
        numbers = {
            name: {key: round(getattr(end, key), _DIGITS) for key in _NUMBERS}
            for name, end in ends.items()
        }
        return {**numbers, "provenance": self.provenance}


@functools.lru_cache(maxsize=2)
def _load(path: Path, _changed: int) -> Calibration:
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
        blue, red = (
            EndCalibration(*(float(numbers[name][key]) for key in _NUMBERS))
            for name in ("blue", "red")
        )
        if not all(end.width > 0 and end.bend_width > 0 for end in (blue, red)):
            raise ValueError("a width is not positive")
        return Calibration(blue, red, str(numbers.get("provenance", "")))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: not a calibration of the confidence ({error}); restore the file."
        ) from error


# --- residuals of the continuum ------------------------------------------------------------------
def continuum_bend(matches: Matches) -> tuple[FloatArray, FloatArray]:
    """Return how far the continuum had to be bent, beyond what dust can do, at both ends.

    Parameters
    ----------
    matches : Matches
        ``n`` spectra, ``k`` solutions each.

    Returns
    -------
    blue, red : (n, k) arrays
        rms over an end of ln(spectrum's continuum / template's), after a scale and a reddening,
        fitted to the ends that were observed, are taken off. Infinite where the continuum is
        turned to negative values, NaN where the end was not observed or the template is one of
        eigen-spectra, which have no continuum of their own.
    """
    _, blue, red = _dust_and_bend(matches)
    return blue, red


def fitted_reddening(matches: Matches) -> FloatArray:
    """(n, k) E(B−V) [mag] by which the continuum was reddened; NaN where `continuum_bend` is."""
    return _dust_and_bend(matches)[0]


def _dust_and_bend(matches: Matches) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n, k) reddening, and the rms that it leaves at the blue and the red end."""
    at = [_samples(*end) for end in (BLUE, RED)]
    pixels = np.concatenate(at)
    is_blue = np.arange(len(pixels)) < len(at[0])
    wavelength = LAMOST_GRID.wavelength[pixels]
    shape = matches.template.shape
    n_vectors = len(matches.templates.continuum)
    ratio = matches.coefficients[..., :n_vectors] @ matches.templates.continuum[:, pixels]
    alone = matches.templates.basis[np.maximum(matches.template, 0)] == ALONE
    usable = alone & (matches.template >= 0)
    reddening = np.full(shape, np.nan)
    bends = [np.full(shape, np.nan), np.full(shape, np.nan)]
    seen = [np.isfinite(matches.blue_residual), np.isfinite(matches.red_residual)]
    dust = np.column_stack([np.ones(len(pixels)), extinction(wavelength)])
    for has_blue, has_red in ((True, True), (True, False), (False, True)):
        rows = usable & (seen[0] == has_blue) & (seen[1] == has_red)
        inside = (is_blue & has_blue) | (~is_blue & has_red)
        if not rows.any():
            continue
        chosen = ratio[rows][:, inside]
        inverted = (chosen <= 0).any(axis=1)
        ln_ratio = np.log(np.where(inverted[:, None], 1.0, chosen))
        basis = dust[inside]
        fitted = ln_ratio @ np.linalg.pinv(basis).T
        rest = ln_ratio - fitted @ basis.T
        ebv = -fitted[:, 1] / (0.4 * math.log(10.0))
        reddening[rows] = np.where(inverted, np.nan, ebv)
        for k, (end, has) in enumerate(((is_blue[inside], has_blue), (~is_blue[inside], has_red))):
            if has:
                rms = np.sqrt(np.mean(rest[:, end] ** 2, axis=1))
                bends[k][rows] = np.where(inverted, np.inf, rms)
    return reddening, bends[0], bends[1]


def _samples(low: float, high: float) -> NDArray[np.int64]:
    """Return pixels of ``LAMOST_GRID``, every so many, between two wavelengths [Å]."""
    first, last = np.searchsorted(LAMOST_GRID.wavelength, [low, high])
    return np.arange(first, last, _SAMPLING)


# --- confidence ----------------------------------------------------------------------------------
def weighed_residual(residual: FloatArray, chi2: FloatArray) -> FloatArray:
    """Return residuals, larger where they are more than the noise explains.

    Parameters
    ----------
    residual : array
        rms of (data − model)/continuum.
    chi2 : array of the same shape
        Reduced χ² of the same pixels: its root, where above 1, is the factor.
    """
    return residual * np.sqrt(np.maximum(chi2, 1.0))


def blue_weight(cls: NDArray[np.str_], subclass: NDArray[np.str_]) -> FloatArray:
    """(t,) C of each template: the share of the blue end in the confidence.

    Parameters
    ----------
    cls : (t,) str array
        ``STAR``, ``GALAXY`` or ``QSO``.
    subclass : (t,) str array
        Hot subdwarfs and BHB stars count as the O, B and A stars that they look like.
    """
    weight = np.full(len(cls), float(BLUE_WEIGHT_OTHER))
    for row, (big, name) in enumerate(zip(cls, subclass, strict=True)):
        if str(big) != "STAR":
            continue
        kind = spectral_type(str(name))
        if kind.family == Family.WHITE_DWARF:
            weight[row] = BLUE_WEIGHT_WHITE_DWARF
        elif kind.family == Family.CARBON:
            weight[row] = BLUE_WEIGHT_CARBON
        elif kind.letter:
            weight[row] = BLUE_WEIGHT[kind.letter]
    return weight


def confidence(matches: Matches, calibration: Calibration | None = None) -> FloatArray:
    """Return the confidence of every solution.

    Parameters
    ----------
    matches : Matches
        ``n`` spectra, ``k`` solutions each.
    calibration : Calibration, optional
        The shipped one when not given.

    Returns
    -------
    (n, k) array [percent]
        NaN where there is no solution. An end that was not observed adds nothing.
    """
    chosen = calibration or Calibration.load()
    weights = blue_weight(matches.templates.cls, matches.templates.subclass)
    found = matches.template >= 0
    share = weights[np.where(found, matches.template, 0)]
    bend = continuum_bend(matches)
    blue = weighed_residual(matches.blue_residual, matches.blue_chi2)
    red = weighed_residual(matches.red_residual, matches.red_chi2)
    value = share * chosen.blue.f(blue, bend[0]) + (1.0 - share) * chosen.red.f(red, bend[1])
    return np.where(found, PERCENT * value, np.nan)
