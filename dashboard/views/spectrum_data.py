"""What the spectrum panel draws of one star, as data sources hold it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dashboard.planes.cells import is_missing
from dashboard.state import Star
from msfa_core.constants import LINE_LIST, SPEED_OF_LIGHT, TELLURIC_LIST
from msfa_core.spectra.display import error_of, flux_unit, shown_wavelength
from msfa_core.spectra.spectrum import Spectrum

MAIN_LINES: Final = ("Ca II K", "Hδ", "Hγ", "He I 4471", "Hβ", "Mg I b", "Na I D2", "Hα")
LEGEND_SHARE: Final = (0.13, 0.4)  # of the width and the height of the frame that it takes
STAR_Z: Final = 0.01  # below it a shift is told as a velocity
GRID: Final = np.float32  # what the browser needs


def empty(*names: str) -> dict[str, NDArray[Any]]:
    """Return columns of a data source that hold nothing."""
    return {name: np.empty(0, GRID) for name in names}


def spectrum_data(spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
    """Return the columns of the spectrum's data source, without the pixels that hold nothing."""
    unit = flux_unit(spectrum)
    wavelength, error = shown_wavelength(spectrum, rest), error_of(spectrum) / unit
    flux = spectrum.flux.astype(np.float64) / unit
    known = np.isfinite(flux)
    band = np.where(np.isfinite(error) & ~spectrum.mask, error, 0.0)
    columns = {"x": wavelength, "y": flux, "low": flux - band, "high": flux + band}
    columns["snr"] = np.where(band > 0, flux / np.where(band > 0, band, 1.0), 0.0)
    return {name: values[known].astype(GRID) for name, values in columns.items()}


def bad_pixels(spectrum: Spectrum, rest: bool) -> dict[str, NDArray[Any]]:
    """Return the masked pixels of a spectrum that have a flux."""
    bad = spectrum.mask & np.isfinite(spectrum.flux)
    wavelength = shown_wavelength(spectrum, rest)
    flux = spectrum.flux[bad] / flux_unit(spectrum)
    return {"x": wavelength[bad].astype(GRID), "y": flux.astype(GRID)}


def line_markers(z: float, rest: bool) -> dict[str, list[Any]]:
    """Return where the marked lines stand; sky and telluric lines are not shifted.

    Parameters
    ----------
    z : float
        Doppler shift of the star; NaN when unknown.
    rest : bool
        Frame of the axis.
    """
    shift = 1.0 + z if np.isfinite(z) else 1.0
    names, base, kinds = [], [], []
    for name, (wavelength, kind) in LINE_LIST.items():
        names.append(name)
        kinds.append(kind)
        base.append(wavelength if rest or shift == 1.0 else wavelength * shift)
    for name, (wavelength, kind) in TELLURIC_LIST.items():
        names.append(name)
        kinds.append(kind)
        base.append(wavelength / shift if rest else wavelength)
    return {
        "name": names,
        "x": list(base),
        "base": base,
        "kind": kinds,
        "moves": [kind not in ("sky", "telluric") for kind in kinds],
        "main": [name in MAIN_LINES for name in names],
    }


def title_of(star: Star | None, blind: bool = False) -> str:
    """Return the title: who it is, how good, where it comes from; no class while blind."""
    if star is None:
        return "no star on screen"
    row, spectrum = star.row, star.spectrum
    parts = [
        str(star.obsid),
        "" if is_missing(row["snr_g"]) else f"S/N(g) {row['snr_g']:.0f}",
        "" if blind else ("no subclass" if is_missing(row["subclass"]) else str(row["subclass"])),
        _velocity_words(spectrum.z, math.nan if is_missing(row["z"]) else row["z"], blind),
        file_of(spectrum),
    ]
    return " · ".join(part for part in parts if part)


def _velocity_words(used: float, said: float, blind: bool) -> str:
    """Say at which velocity the spectrum is shown, and where it is not that of its file."""
    if not math.isfinite(used):
        return "no z: observed wavelengths"
    is_star = abs(used) < STAR_Z
    told = f"RV {used * SPEED_OF_LIGHT:+.0f} km/s" if is_star else f"z {used:+.4f}"
    if blind or used == said:
        return f"{'' if blind else 'header '}{told}".replace("-", "−")
    if not math.isfinite(said):
        header = "none"
    elif is_star and abs(said) < STAR_Z:
        header = f"{said * SPEED_OF_LIGHT:+.0f}"
    else:
        header = f"z {said:+.4f}"
    return f"template {told} (header {header})".replace("-", "−")


def clear_corner(
    pixels: dict[str, NDArray[Any]], across: tuple[float, float], up: tuple[float, float]
) -> str:
    """Return the right-hand corner of the frame in which fewer pixels lie, for the legend.

    Parameters
    ----------
    pixels : dict of str to array
        ``x`` and ``y`` of the spectrum.
    across, up : (float, float)
        Limits of the axes.
    """
    depth, height = LEGEND_SHARE
    near = (pixels["x"] > across[1] - depth * (across[1] - across[0])) & (pixels["x"] <= across[1])
    level = (pixels["y"][near] - up[0]) / (up[1] - up[0])
    is_high, is_low = np.sum(level > 1 - height), np.sum(level < height)
    return "bottom_right" if is_high > is_low else "top_right"


def file_of(spectrum: Spectrum) -> str:
    """Return the name of the file, without its folders."""
    return spectrum.file.replace("\\", "/").rsplit("/", 1)[-1]
