"""Star templates from the STELIB library (Le Borgne et al. 2003, A&A 402, 433).

STELIB is sampled at 1 Å and 3 Å FWHM in air, at rest by its catalogue velocities, with the
telluric bands left in and gaps where an exposure is missing. Here: vacuum, the log grid and (in the
red, where STELIB is sharper) the resolution of LAMOST; telluric bands divided out; gaps filled
from the star of the library that is most alike; residual velocities of its three exposures out.
What cannot serve is dropped, and listed with its reason.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d, median_filter

from msfa_core.constants import (
    FWHM_OF_SIGMA,
    LAMOST_GRID,
    LAMOST_RESOLUTION,
    SPEED_OF_LIGHT,
    LogGrid,
    StellarClass,
)
from msfa_core.errors import ReadError
from msfa_core.simulate.atmospheres import model_flux
from msfa_core.spectra.air import air_to_vacuum
from msfa_core.templates.spectral_types import LETTERS, SUBTYPES, spectral_code
from msfa_core.typing import FloatArray
from msfa_core.workshop.lamost_types import lamost_code, type_name

STELIB_FWHM: Final = 3.0  # Å, Le Borgne et al. 2003
STELIB_GRID: Final = LogGrid(35450, 4300)  # 3508–9441 Å: room beside LAMOST's for redshifts
_KERNEL: Final = 8  # pixels: half width of the smoothing kernel
_EDGE: Final = 6  # pixels beside a gap that are not trusted
# Observed-frame ranges of telluric absorption [Å, vacuum], for which STELIB is not corrected
TELLURIC: Final = (
    (6862.0, 6960.0),
    (7150.0, 7350.0),
    (7585.0, 7720.0),
    (8095.0, 8380.0),
    (8920.0, 9360.0),
)
NEEDED: Final = (3750.0, 8950.0)  # Å: what a template must have in the end
_LEAST_COVERAGE: Final = 0.62  # share of that range a star must have by itself
_BLUE_NEEDED: Final = (3750.0, 4700.0)  # where most lines are: must be there
_UNWANTED: Final = re.compile(r"^(W[NCR]|D[A-Z])|:$")  # Wolf–Rayet stars, uncertain types
# Mean temperatures of dwarfs [K] by subtype code (O0 = 0 … M9 = 69), after Pecaut & Mamajek (2013),
# recalled (0.9); giants are cooler by a few hundred K at G and K, inside the tolerance.
SEQUENCE_CODE: Final = (
    *(5, 9, 10, 12, 15, 18, 19, 20, 22, 25, 27, 30, 35),
    *(40, 45, 50, 55, 57, 60, 62, 64, 66),
)
SEQUENCE_TEFF: Final = (
    *(42_000, 33_000, 31_000, 21_000, 15_500, 12_200, 10_700, 9700, 8800, 8080, 7800, 7220, 6550),
    *(5930, 5660, 5270, 4440, 4050, 3850, 3560, 3210, 2850),
)
# The same for giants, after Gray & Corbally (2009), recalled (0.8)
GIANT_CODE: Final = (40, 45, 48, 50, 51, 52, 53, 54, 55, 60, 62, 64, 66)
GIANT_TEFF: Final = (
    *(5750, 5150, 4930, 4800, 4650, 4450, 4280, 4120, 3980, 3820, 3660, 3500, 3350),
)
_MK_TYPE: Final = re.compile(r"(?:sd)?([OBAFGKM])(\d(?:\.\d)?)(?:/?[OBAFGKM]?\d?)(IV|V|III|II|I)?")
_GIANTS: Final = ("III", "II", "I")
_GIANT_LOGG: Final = 2.5
_DWARF_LOGG: Final = 4.2
# Stars of the library that are on the horizontal branch: Kinman et al. (2000, A&A 364, 102)
FIELD_BHB: Final = frozenset({"HD002857", "HD060778", "HD086986", "HD109995", "HD161817"})
_FIRST_B: Final = 10  # B0: hotter stars are typed by MK alone
_MK_HOLDS: Final = 57  # K7: cooler stars are typed by their molecules
_TYPE_TOLERANCE: Final = 8.0  # subtypes between the type and the temperature of a header
_LEAST_BLUE: Final = 0.8
_MODEL_TEFF: Final = 6000.0  # K: hotter stars are compared with models
_NEIGHBOURS: Final = 6
# The library was pieced together of three exposures, whose wavelengths differ by up to 40 km/s
_VELOCITY_RANGES: Final = ((3850.0, 4720.0), (4780.0, 5680.0), (6050.0, 6800.0))  # Å
ARMS: Final = (3600.0, 4720.0, 4790.0, 5650.0, 6050.0, 9400.0)  # Å: from–to of each


@dataclass(frozen=True, slots=True)
class LibraryStar:
    """One star of the library, on ``STELIB_GRID``.

    Attributes
    ----------
    name : str
    spectral_type : str
        Of the header.
    teff, logg, feh : float
        Of the header; NaN where unknown.
    flux : (pixel,) array
        Median 1; NaN where the library has none.
    """

    name: str
    spectral_type: str
    teff: float
    logg: float
    feh: float
    flux: FloatArray


def read_stelib(path: Path) -> LibraryStar:
    """Read one file of the library and bring it to ``STELIB_GRID``.

    Raises
    ------
    ReadError
        When the file cannot be read.
    """
    from astropy.io import fits  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the files lack their END card
            with fits.open(path, ignore_missing_end=True) as units:
                header, flux = units[0].header, np.asarray(units[0].data, dtype=np.float64)
            start, step = float(header["CRVAL1"]), float(header["CDELT1"])
            teff, logg, feh = (_number(header, key) for key in ("TEFF", "LOG_G", "FE_H"))
            kind = str(header["SPECTYPE"]).strip()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ReadError(f"{path}: not a STELIB spectrum ({error}); restore the library.") from error
    wavelength: FloatArray = air_to_vacuum(start + step * np.arange(len(flux), dtype=np.float64))
    name = re.sub(r"^STELIB_v[\d.]+_", "", path.stem)
    return LibraryStar(name, kind, teff, logg, feh, _on_log_grid(wavelength, flux, step))


def _number(header: object, key: str) -> float:
    """Return a card of the header as a number; ``-`` and absent ones are NaN."""
    try:
        return float(header[key])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return float("nan")


def _on_log_grid(wavelength: FloatArray, flux: FloatArray, step: float) -> FloatArray:
    """Smooth to the resolution of LAMOST where sharper, and resample; NaN where unknown."""
    good = np.isfinite(flux) & (flux > 0)
    good = ~_grow(~good, _EDGE)
    wanted = (wavelength / float(LAMOST_RESOLUTION)) ** 2 - STELIB_FWHM**2
    sigma = np.sqrt(np.maximum(wanted, 1e-4)) / FWHM_OF_SIGMA / step
    offset = np.arange(-_KERNEL, _KERNEL + 1)
    kernel = np.exp(-0.5 * (offset / np.maximum(sigma, 0.05)[:, None]) ** 2)
    index = np.clip(np.arange(len(flux))[:, None] + offset, 0, len(flux) - 1)
    weight = kernel * good[index]
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth = np.sum(weight * np.where(good, flux, 0.0)[index], axis=1) / weight.sum(axis=1)
    smooth[~good] = np.nan
    result = np.full(STELIB_GRID.n_pixels, np.nan)
    grid = STELIB_GRID.wavelength
    for first, last in _runs(good):
        part = slice(first, last + 1)
        inside = (grid >= wavelength[first]) & (grid <= wavelength[last])
        if last - first > _KERNEL and inside.any():
            result[inside] = CubicSpline(wavelength[part], smooth[part])(grid[inside])
    return result / np.nanmedian(result)


def _grow(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    return np.convolve(mask, np.ones(2 * by + 1), mode="same") > 0


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


# --- telluric absorption -----------------------------------------------------------------------
def divide_telluric(stars: Sequence[LibraryStar], codes: FloatArray) -> list[FloatArray]:
    """Divide the telluric bands out, with the transmission that hot stars of the library show.

    The transmission of a band is the mean of what O–A stars have against a straight line across
    it; each star gets the power of it that leaves its band smoothest.

    Parameters
    ----------
    stars : n LibraryStar
    codes : (n,) array
        Spectral types as numbers.

    Returns
    -------
    n (pixel,) arrays
        Flux.
    """
    grid = STELIB_GRID.wavelength
    fluxes = [star.flux.copy() for star in stars]
    for low, high in TELLURIC:
        band = (grid >= low) & (grid <= high)
        is_hot = codes < LETTERS.index("F") * SUBTYPES
        hot = [f for f, h in zip(fluxes, is_hot, strict=True) if h and np.isfinite(f[band]).all()]
        shapes = np.array([f[band] / _across(grid, f, band) for f in hot])
        transmission = np.clip(np.median(shapes, axis=0), 0.05, 1.02)
        powers = np.arange(0.2, 2.5, 0.02)
        for flux in fluxes:
            if not np.isfinite(flux[band]).all():
                continue
            trial = flux[band] / transmission ** powers[:, None]
            rough = np.abs(np.diff(np.log(np.maximum(trial, 1e-6)), axis=1))
            steep = np.abs(np.diff(np.log(transmission)))
            best = int(np.argmin(np.sum(rough * steep, axis=1)))
            flux[band] = trial[best]
    return fluxes


def _across(grid: FloatArray, flux: FloatArray, band: NDArray[np.bool_]) -> FloatArray:
    """Straight line through the medians on both sides of a band."""
    at = np.flatnonzero(band)
    left, right = np.nanmedian(flux[at[0] - 12 : at[0]]), np.nanmedian(flux[at[-1] : at[-1] + 12])
    return np.interp(grid[band], [grid[at[0] - 6], grid[at[-1] + 6]], [left, right])


# --- gaps ---------------------------------------------------------------------------------------
def fill_gaps(fluxes: Sequence[FloatArray], codes: FloatArray) -> list[FloatArray]:
    """Fill what is missing of each star from the complete star that is most alike.

    Alike is least rms of ln flux after a smooth ratio is taken out, among stars within ten
    subtypes; the filling is brought to the star by that smooth ratio, held beyond its ends.

    Parameters
    ----------
    fluxes : n (pixel,) arrays
    codes : (n,) array

    Returns
    -------
    n (pixel,) arrays
        Complete over the range that a template needs; the star's own pixels untouched.
    """
    whole = [k for k, flux in enumerate(fluxes) if coverage(flux, NEEDED) == 1]
    filled = []
    for k, flux in enumerate(fluxes):
        missing = np.isnan(flux)
        if not missing.any():
            filled.append(flux)
            continue
        near = [j for j in whole if j != k and abs(codes[j] - codes[k]) <= 10] or whole  # noqa: PLR2004
        best, least = near[0], np.inf
        for j in near:
            both = ~missing & ~np.isnan(fluxes[j])
            rough = np.log(np.maximum(flux[both], 1e-3) / np.maximum(fluxes[j][both], 1e-3))
            rms = float(np.std(rough - gaussian_filter1d(rough, 150)))
            if rms < least:
                best, least = j, rms
        donor = fluxes[best]
        known = np.flatnonzero(~missing & ~np.isnan(donor))
        ratio = gaussian_filter1d(
            np.log(np.maximum(flux[known], 1e-3) / np.maximum(donor[known], 1e-3)), 40
        )
        smooth = np.exp(np.interp(np.arange(len(flux)), known, ratio))
        filled.append(np.where(missing, donor * smooth, flux))
    return filled


def coverage(flux: FloatArray, limits: tuple[float, float]) -> float:
    """Return the share of a range [Å] that has flux."""
    grid = STELIB_GRID.wavelength
    inside = (grid >= limits[0]) & (grid <= limits[1])
    return float(np.mean(np.isfinite(flux[inside])))


# --- velocities ----------------------------------------------------------------------------------
def residual_shift(flux: FloatArray, reference: FloatArray, limits: tuple[float, float]) -> float:
    """Return the velocity of a spectrum against a reference by correlation of ln flux [km/s].

    Both on ``STELIB_GRID``; a smooth run is taken out of both. NaN without a peak
    in common.
    """
    grid = STELIB_GRID.wavelength
    part = (grid >= limits[0]) & (grid <= limits[1])
    one, other = (_lines(np.log(np.maximum(x, 1e-3)))[part] for x in (flux, reference))
    lags = np.arange(-8, 9)
    m = len(one)
    score = np.array(
        [np.corrcoef(one[8 + lag : m - 8 + lag], other[8 : m - 8])[0, 1] for lag in lags]
    )
    peak = int(np.argmax(score))
    if not 0 < peak < len(lags) - 1:
        return float("nan")
    left, middle, right = score[peak - 1 : peak + 2]
    at = lags[peak] + 0.5 * (left - right) / (left - 2 * middle + right)
    return float(at * LAMOST_GRID.step * np.log(10) * SPEED_OF_LIGHT)


def _lines(ln_flux: FloatArray) -> FloatArray:
    return ln_flux - gaussian_filter1d(median_filter(ln_flux, 101, mode="nearest"), 50)


def shift(flux: FloatArray, velocity: FloatArray) -> FloatArray:
    """Return a spectrum on ``STELIB_GRID`` with its velocities taken out: at rest.

    Parameters
    ----------
    flux : (pixel,) array
    velocity : (3,) array [km/s]
        Of the blue, visual and red exposure; between ``ARMS`` they run into each other.
    """
    pixels = np.arange(len(flux), dtype=np.float64)
    by = np.interp(STELIB_GRID.wavelength, ARMS, np.repeat(velocity, 2))
    by = by / SPEED_OF_LIGHT / np.log(10) / LAMOST_GRID.step
    good = np.isfinite(flux)
    spline = CubicSpline(pixels[good], flux[good])
    moved = spline(np.clip(pixels + by, pixels[good][0], pixels[good][-1]))
    return np.where(good, moved, np.nan)


# --- the whole library -----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StelibTemplates:
    """What of the library serves as templates.

    Attributes
    ----------
    name, subclass : (t,) lists of str
    flux : (t, pixel) array
        On ``STELIB_GRID``, complete, at rest.
    velocity : (t, 3) array [km/s]
        Residual velocities that were taken out, of the blue, visual and red exposure.
    own : (t,) array
        Share of the needed range that is the star's own.
    dropped : dict of str to str
        Stars left out and why.
    """

    name: list[str]
    subclass: list[str]
    flux: FloatArray
    velocity: FloatArray
    own: FloatArray
    dropped: dict[str, str]


def mk_type(text: str) -> tuple[float, str]:
    """Return code (O0 = 0 … M9 = 69; NaN when it is none) and luminosity class of an MK type."""
    found = _MK_TYPE.match(text)
    if not found:
        return float("nan"), ""
    digit = min(int(float(found[2]) + 0.5), SUBTYPES - 1)
    return float(LETTERS.index(found[1]) * SUBTYPES + digit), found[3] or ""


def subclass_of(star: LibraryStar) -> str:
    """Return the subclass of a star: type on the LAMOST scale, luminosity class of the header.

    From Teff, log g and [Fe/H] of the header, else from those that its MK type means; beyond K5
    (giants: K4), and hotter than A0, the MK type itself: ``K7V``, ``M2III``, ``B5IV``; of O stars
    always, whose temperatures the relation does not reach. Stars known to be on the horizontal
    branch are ``BHB``.
    """
    if star.name.split()[0] in FIELD_BHB:
        return str(StellarClass.BHB)
    mk, luminosity = mk_type(star.spectral_type)
    if np.isnan(mk):
        return star.spectral_type
    is_giant = luminosity in _GIANTS
    teff = star.teff if np.isfinite(star.teff) else _teff_of(mk, is_giant)
    logg = star.logg if np.isfinite(star.logg) else (_GIANT_LOGG if is_giant else _DWARF_LOGG)
    feh = star.feh if np.isfinite(star.feh) else 0.0
    code = lamost_code(teff, logg, feh, mk)
    held = np.isnan(code) or mk >= _MK_HOLDS or mk < _FIRST_B
    return type_name(mk if held else code, luminosity)


def _teff_of(code: float, is_giant: bool) -> float:
    """Return the mean effective temperature of an MK type [K]."""
    table = (GIANT_CODE, GIANT_TEFF) if is_giant and code > GIANT_CODE[0] else None
    codes, teff = table or (SEQUENCE_CODE, SEQUENCE_TEFF)
    return float(np.interp(code, codes, teff))


def unfit(star: LibraryStar, code: float) -> str:
    """Say why a star cannot serve; empty when it can."""
    if _UNWANTED.search(star.spectral_type) or not np.isfinite(code):
        return f"type {star.spectral_type}"
    if coverage(star.flux, NEEDED) < _LEAST_COVERAGE:
        return "gaps in too much of the spectrum"
    if coverage(star.flux, _BLUE_NEEDED) < _LEAST_BLUE:
        return "gaps in the blue"
    if np.isfinite(star.teff):
        expected = float(np.interp(star.teff, SEQUENCE_TEFF[::-1], SEQUENCE_CODE[::-1]))
        if abs(code - expected) > _TYPE_TOLERANCE:
            return f"type {star.spectral_type} but {star.teff:.0f} K"
    return ""


def stelib_templates(folder: Path) -> StelibTemplates:
    """Make star templates of all the library.

    Raises
    ------
    ReadError
        When the folder holds no STELIB spectra, or one cannot be read.
    """
    paths = sorted(folder.glob("STELIB_*.fits*"))
    if not paths:
        raise ReadError(f"{folder}: no STELIB_*.fits there; name the folder of the library.")
    stars = [read_stelib(path) for path in paths]
    codes = spectral_code([star.spectral_type for star in stars])
    reasons = {s.name: unfit(s, c) for s, c in zip(stars, codes, strict=True)}
    kept = [k for k, star in enumerate(stars) if not reasons[star.name]]
    stars, codes = [stars[k] for k in kept], codes[kept]
    own = np.array([coverage(star.flux, NEEDED) for star in stars])
    fluxes = fill_gaps(divide_telluric(stars, codes), codes)
    velocity = _rest_velocities(stars, codes, fluxes)
    flux = np.array([shift(f, v) for f, v in zip(fluxes, velocity, strict=True)])
    return StelibTemplates(
        [f"{star.name} {star.spectral_type}" for star in stars],
        [subclass_of(star) for star in stars],
        flux / np.nanmedian(flux, axis=1, keepdims=True),
        velocity,
        own,
        {name: why for name, why in reasons.items() if why},
    )


def _rest_velocities(
    stars: Sequence[LibraryStar], codes: FloatArray, fluxes: Sequence[FloatArray]
) -> FloatArray:
    """(t, 3) velocities of the exposures against models, or stars at rest where there is no model.

    From F to M each star is compared with the mean of those next to it that are at rest already.
    """
    velocity = np.zeros((len(stars), len(_VELOCITY_RANGES)))
    done: list[int] = []
    at_rest: dict[int, FloatArray] = {}
    for k in np.argsort(codes, kind="stable"):
        teff = float(np.interp(codes[k], SEQUENCE_CODE, SEQUENCE_TEFF))
        teff = stars[k].teff if np.isfinite(stars[k].teff) else teff
        if teff >= _MODEL_TEFF:
            reference = _model(min(teff, 25_000.0), stars[k].logg, stars[k].feh)
        else:
            near = sorted(done, key=lambda j: abs(codes[j] - codes[k]))[:_NEIGHBOURS]
            reference = np.exp(
                np.mean([np.log(np.maximum(at_rest[j], 1e-3)) for j in near], axis=0)
            )
        found = np.array([residual_shift(fluxes[k], reference, r) for r in _VELOCITY_RANGES])
        typical = np.median(velocity[done], axis=0) if done else np.zeros(len(found))
        velocity[k] = np.where(np.isnan(found), typical, found)
        at_rest[k] = np.nan_to_num(shift(fluxes[k], velocity[k]), nan=1.0)
        done.append(int(k))
    return velocity


def _model(teff: float, logg: float, feh: float) -> FloatArray:
    """Model flux on ``STELIB_GRID``; edges of the grid of models held."""
    logg = float(np.clip(logg if np.isfinite(logg) else 4.0, 1.5, 5.0))
    feh = float(np.clip(feh if np.isfinite(feh) else 0.0, -3.0, 0.5))
    flux = model_flux("ms", teff, logg, feh)[0].astype(np.float64)
    first = LAMOST_GRID.first - STELIB_GRID.first
    after = STELIB_GRID.n_pixels - first - LAMOST_GRID.n_pixels
    result: FloatArray = np.pad(flux / np.median(flux), (first, after), mode="edge")
    return result
