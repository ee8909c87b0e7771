"""Line indices that tell metal-poor BHB stars from Population I stars of the same gravity.

Ca II K as KP (Beers et al. 1999) and equivalent widths of Mg II 4481, He I 4471,
Si II 4128+4131 and Fe II 4233, each against a pseudo-continuum through its side bands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.balmer.continuum import solve_spd
from msfa_core.balmer.interop import as_batches, in_pieces, plain_arrays
from msfa_core.balmer.results import LineFits
from msfa_core.constants import (
    EW_REPEAT_ERROR,
    KP_BANDS_AIR,
    KP_K6_MAX,
    KP_K12_MAX,
    KP_REPEAT_ERROR,
    KP_SIDE_BANDS_AIR,
)
from msfa_core.errors import ConfigError
from msfa_core.flags import FitFlag
from msfa_core.machine.compiled import compiled
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import BoolArray, FloatArray

_MAX_TERMS: Final = 3  # of a pseudo-continuum, as `_equivalent_width` sums them
_COVERED: Final = 0.95  # share of the band that must be good
_SIDE_COVERED: Final = 0.6  # share of either side band


@dataclass(frozen=True, slots=True)
class Band:
    """A feature and the side bands of its pseudo-continuum.

    Attributes
    ----------
    low, high : float
        Limits of the feature [Å, vacuum, rest].
    sides : ((low, high), (low, high))
        Blue and red side band [Å, vacuum, rest].
    degree : int
        Of the pseudo-continuum: 1 is a straight line; a line on a Balmer wing needs 2.
    """

    low: float
    high: float
    sides: tuple[tuple[float, float], tuple[float, float]]
    degree: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.degree < _MAX_TERMS:
            raise ConfigError(
                f"a pseudo-continuum of degree {self.degree} is not fitted: "
                f"give 0 to {_MAX_TERMS - 1}."
            )


def _kp_band(name: str) -> Band:
    """Return one Ca II K band of Beers et al. in vacuum."""
    low, high = (air_to_vacuum(edge) for edge in KP_BANDS_AIR[name])
    blue, red = ((air_to_vacuum(side[0]), air_to_vacuum(side[1])) for side in KP_SIDE_BANDS_AIR)
    return Band(low, high, (blue, red))


CA_K_BANDS: Final = {name: _kp_band(name) for name in KP_BANDS_AIR}
# Bands about 3 times the LAMOST resolution (2.4 Å) wide; sides free of lines in A and B stars.
EW_BANDS: Final = {
    "ew_mgii4481": Band(4478.8, 4486.0, ((4455.0, 4467.0), (4487.0, 4499.0))),
    "ew_hei4471": Band(4469.0, 4476.5, ((4455.0, 4467.0), (4487.0, 4499.0))),
    "ew_siii4130": Band(4126.0, 4135.2, ((4114.0, 4120.0), (4135.7, 4143.2)), degree=2),
    "ew_feii4233": Band(4231.0, 4237.6, ((4219.0, 4225.5), (4238.5, 4246.5))),
}


@compiled(part=True)
def _edge(wavelength, i):  # type: ignore[no-untyped-def]
    """Lower edge of a pixel: halfway to the one before."""
    if i == 0:
        return wavelength[0] - 0.5 * (wavelength[1] - wavelength[0])
    if i == len(wavelength):
        return wavelength[i - 1] + 0.5 * (wavelength[i - 1] - wavelength[i - 2])
    return 0.5 * (wavelength[i - 1] + wavelength[i])


@compiled(part=True)
def _overlap(wavelength, i, stretch, low, high):  # type: ignore[no-untyped-def]
    """Length of a pixel that lies within a rest-frame band [Å, rest]."""
    left, right = _edge(wavelength, i) / stretch, _edge(wavelength, i + 1) / stretch
    return max(min(right, high) - max(left, low), 0.0)


@compiled(part=True)
def _equivalent_width(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    wavelength, flux, ivar, mask, stretch, band, sides, terms, matrix, side, coefficients
):
    """Return one equivalent width and its error [Å]; NaN where it is not covered."""
    blue_low, blue_high, red_low, red_high = sides[0, 0], sides[0, 1], sides[1, 0], sides[1, 1]
    low, high = band[0], band[1]
    centre = 0.5 * (blue_low + red_high)
    scale = 0.5 * (red_high - blue_low)
    first = np.int64(0)
    last = len(wavelength)
    while first < last:  # first pixel beyond the blue limit
        middle = (first + last) // 2
        if wavelength[middle] < (blue_low - 1.0) * stretch:
            first = middle + 1
        else:
            last = middle
    m0 = m1 = m2 = m3 = m4 = s0 = s1 = s2 = 0.0
    good0 = good1 = good_band = 0.0
    end = first
    for i in range(first, len(wavelength)):
        if wavelength[i] > (red_high + 1.0) * stretch:
            break
        end = i + 1
        if mask[i] or not (ivar[i] > 0.0) or not math.isfinite(flux[i]):
            continue
        o0 = _overlap(wavelength, i, stretch, blue_low, blue_high)
        o1 = _overlap(wavelength, i, stretch, red_low, red_high)
        good0 += o0
        good1 += o1
        good_band += _overlap(wavelength, i, stretch, low, high)
        length = _edge(wavelength, i + 1) / stretch - _edge(wavelength, i) / stretch
        weight = ivar[i] * (o0 + o1) / length
        x = (wavelength[i] / stretch - centre) / scale
        first_order, second_order = weight * x, weight * x * x
        value = flux[i]
        s0 += weight * value
        s1 += first_order * value
        s2 += second_order * value
        m0 += weight
        m1 += first_order
        m2 += second_order
        m3 += second_order * x
        m4 += second_order * (x * x)
    side[0], side[1], side[2] = s0, s1, s2
    matrix[0, 0], matrix[1, 0], matrix[2, 0] = m0, m1, m2
    matrix[1, 1], matrix[2, 1], matrix[2, 2] = m2, m3, m4
    if (
        good0 < _SIDE_COVERED * (blue_high - blue_low)
        or good1 < _SIDE_COVERED * (red_high - red_low)
        or good_band < _COVERED * (high - low)
        or not solve_spd(matrix, terms)
    ):
        return math.nan, math.nan
    for j in range(terms):
        total = 0.0
        for k in range(terms):
            total += matrix[j, k] * side[k]
        coefficients[j] = total
    width = variance = 0.0
    for j in range(terms):
        side[j] = 0.0  # from here on: derivative of the width by the coefficients
    for i in range(first, end):
        o = _overlap(wavelength, i, stretch, low, high)
        if o == 0.0 or mask[i] or not (ivar[i] > 0.0) or not math.isfinite(flux[i]):
            continue
        x = (wavelength[i] / stretch - centre) / scale
        level = 0.0
        for j in range(terms - 1, -1, -1):
            level = level * x + coefficients[j]
        if not level > 0.0:
            return math.nan, math.nan
        width += o * (1.0 - flux[i] / level)
        share = o / level
        variance += share * share / ivar[i]
        power = o * flux[i] / (level * level)
        for j in range(terms):
            side[j] += power
            power *= x
    for j in range(terms):
        for k in range(terms):
            variance += side[j] * matrix[j, k] * side[k]
    return width, math.sqrt(variance)


@compiled
def _measure_bands(wavelength, flux, ivar, mask, z, bands, sides, terms, widths, errors):  # type: ignore[no-untyped-def]
    """Fill (n, band) equivalent widths and errors."""
    matrix = np.zeros((_MAX_TERMS, _MAX_TERMS))
    side, coefficients = np.zeros(_MAX_TERMS), np.zeros(_MAX_TERMS)
    for r in range(len(z)):
        if not math.isfinite(z[r]) or not z[r] > -1.0:
            continue
        for k in range(len(bands)):
            widths[r, k], errors[r, k] = _equivalent_width(
                wavelength, flux[r], ivar[r], mask[r], 1.0 + z[r], bands[k], sides[k], terms[k],
                matrix, side, coefficients,
            )  # fmt: skip


def equivalent_widths(
    spectra: Spectra | Spectrum | Sequence[Spectrum] | Any, bands: dict[str, Band]
) -> pd.DataFrame:
    """Measure equivalent widths against pseudo-continua.

    Parameters
    ----------
    spectra : as for :func:`msfa_core.balmer.fit_lines`
    bands : mapping of name to Band

    Returns
    -------
    DataFrame
        ``n`` rows: ``obsid`` and per band ``name``, ``name_err`` [Å]; absorption is positive,
        NaN where the band or its sides are not covered by good pixels. The error holds the noise
        of the band and that of the pseudo-continuum.
    """
    chosen = list(bands.values())
    limits = np.array([[band.low, band.high] for band in chosen], dtype=np.float64)
    sides = np.array([band.sides for band in chosen], dtype=np.float64)
    terms = np.array([band.degree + 1 for band in chosen], dtype=np.int64)
    batches = as_batches(spectra)
    n = sum(len(rows) for rows, _ in batches)
    obsid = np.zeros(n, dtype=np.int64)
    widths = np.full((n, len(chosen)), np.nan)
    errors = np.full((n, len(chosen)), np.nan)
    for rows, batch in in_pieces(batches):
        part, part_error = (np.full((len(batch), len(chosen)), np.nan) for _ in range(2))
        _measure_bands(*plain_arrays(batch), limits, sides, terms, part, part_error)
        widths[rows], errors[rows], obsid[rows] = part, part_error, batch.obsid
    data: dict[str, Any] = {"obsid": obsid}
    for k, name in enumerate(bands):
        data[name], data[f"{name}_err"] = widths[:, k], errors[:, k]
    return pd.DataFrame(data)


def calcium_k(spectra: Spectra | Spectrum | Sequence[Spectrum] | Any) -> pd.DataFrame:
    """Measure the Ca II K indices K6, K12, K18 and the saturation-safe KP of Beers et al. (1999).

    KP is K6 while that is below 2 Å, else K12 while that is below 5 Å, else K18.

    Returns
    -------
    DataFrame
        ``n`` rows: ``obsid``, ``k6``, ``k12``, ``k18``, ``kp``, each with ``_err`` [Å]. Errors are
        those of the noise; that of ``kp`` holds in quadrature what repeat spectra differ by beyond
        it (``constants.KP_REPEAT_ERROR``: their pseudo-continua do not agree better).
    """
    table = equivalent_widths(spectra, CA_K_BANDS)
    weak = table["k6"] < KP_K6_MAX
    middle = table["k12"] < KP_K12_MAX
    for suffix in ("", "_err"):
        strong = np.where(middle, table[f"k12{suffix}"], table[f"k18{suffix}"])
        table[f"kp{suffix}"] = np.where(weak, table[f"k6{suffix}"], strong)
    table["kp_err"] = np.hypot(table["kp_err"], float(KP_REPEAT_ERROR) * table["kp"])
    lost = table[["k6", "k12", "k18"]].isna().any(axis=1)
    table.loc[lost, ["kp", "kp_err"]] = np.nan
    return table


def line_indices(spectra: Spectra | Spectrum | Sequence[Spectrum] | Any) -> pd.DataFrame:
    """Measure the indices of the catalogue.

    Parameters
    ----------
    spectra : as for :func:`msfa_core.balmer.fit_lines`

    Returns
    -------
    DataFrame
        ``n`` rows: ``obsid``, ``kp``, ``ew_mgii4481``, ``ew_hei4471``, ``ew_siii4130``,
        ``ew_feii4233``, each with ``_err`` [Å]; NaN where not covered. Errors hold what repeat
        spectra differ by beyond their noise (``constants.KP_REPEAT_ERROR``, ``EW_REPEAT_ERROR``).
    """
    kp = calcium_k(spectra)[["obsid", "kp", "kp_err"]]
    widths = equivalent_widths(spectra, EW_BANDS).drop(columns="obsid")
    for name, band in EW_BANDS.items():
        least = float(EW_REPEAT_ERROR) * (band.high - band.low)
        widths[f"{name}_err"] = np.hypot(widths[f"{name}_err"], least)
    return pd.concat([kp, widths], axis=1)


def without_wrong_frames(table: pd.DataFrame, fits: LineFits) -> pd.DataFrame:
    """Take out indices of spectra whose redshift is wrong: their bands lie beside their lines.

    Bands are 6 to 30 Å wide; where Hδ and Hγ both lie over 3 Å off, it is the redshift that is
    wrong, and an index would be that of another piece of the spectrum.

    Parameters
    ----------
    table : (n,) DataFrame
        From `line_indices`.
    fits : LineFits
        ``n`` rows of Hδ and Hγ of the same spectra.

    Returns
    -------
    (n,) DataFrame
        NaN there.
    """
    off = (fits.flags & int(FitFlag.OFF_CENTRE) != 0).all(axis=1)
    values = table.columns.drop("obsid")
    return table.assign(**table[values].mask(pd.Series(off, table.index), np.nan))


@dataclass(frozen=True, slots=True)
class CalciumWindow:
    """Ca II K of one spectrum as a lens shows it: over the pseudo-continuum of KP.

    Attributes
    ----------
    wavelength : (k,) array [Å, vacuum, rest]
    flux, error : (k,) arrays
        Over the straight pseudo-continuum; NaN where there is none.
    is_good : (k,) bool array
    """

    wavelength: FloatArray
    flux: FloatArray
    error: FloatArray
    is_good: BoolArray


def kp_band(kp: float) -> Band:
    """Return the band that KP counts at this value [Å]; the middle one where it is not known."""
    if kp < KP_K6_MAX:
        return CA_K_BANDS["k6"]
    return CA_K_BANDS["k12" if not kp >= KP_K12_MAX else "k18"]


def calcium_window(spectrum: Spectrum, low: float, high: float) -> CalciumWindow:
    """Return the pixels around Ca II K over the pseudo-continuum through the side bands of KP.

    Parameters
    ----------
    spectrum : Spectrum
    low, high : float
        Limits of what is returned [Å, vacuum, rest].
    """
    rest = np.asarray(spectrum.wavelength, dtype=np.float64) / (1.0 + spectrum.z)
    rows = (rest >= low) & (rest <= high) if np.isfinite(spectrum.z) else np.zeros(len(rest), bool)
    x = rest[rows]
    flux = np.asarray(spectrum.flux, dtype=np.float64)[rows]
    ivar = np.asarray(spectrum.ivar, dtype=np.float64)[rows]
    good = ~np.asarray(spectrum.mask, dtype=bool)[rows] & (ivar > 0) & np.isfinite(flux)
    sides = CA_K_BANDS["k6"].sides
    on_side = np.logical_or.reduce([(x >= a) & (x <= b) for a, b in sides]) & good
    nothing = np.full(len(x), np.nan)
    if not all((on_side & (x >= a) & (x <= b)).any() for a, b in sides):
        return CalciumWindow(x, nothing, nothing, good)
    line = np.polynomial.Polynomial.fit(x[on_side], flux[on_side], 1, w=np.sqrt(ivar[on_side]))(x)
    line = np.where(line > 0, line, np.nan)
    error = np.where(good, 1.0 / np.sqrt(np.where(good, ivar, 1.0)), np.nan)
    return CalciumWindow(x, flux / line, error / line, good)
