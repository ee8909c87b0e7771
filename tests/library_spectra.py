"""Real stars of known nature for the tests: MILES and STELIB, in vacuum, as LAMOST would see them.

Both libraries are of about LAMOST's resolution (2.5 and 3 Å), in the rest frame and in air.
"""

import zlib

import numpy as np
import pandas as pd
from astropy.io import fits
from scipy.interpolate import CubicSpline

from msfa_core.constants import LAMOST_GRID
from msfa_core.spectra.spectrum import Spectrum


def air_to_vacuum(wavelength):
    """Vacuum wavelengths of air ones [Å], above 2000 Å (inverse of Ciddor 1996, N. Piskunov)."""
    s = (1e4 / wavelength) ** 2
    index = (
        1
        + 8.336624212083e-5
        + 0.02408926869968 / (130.1065924522 - s)
        + 1.599740894897e-4 / (38.92568793293 - s)
    )
    return wavelength * index


def _read_linear(path):
    with fits.open(path, ignore_missing_end=True) as units:
        cards, flux = units[0].header, units[0].data.astype(np.float64)
        header = {key: cards[key] for key in ("CRVAL1", "CRPIX1", "CDELT1")}
        name = str(cards.get("OBJECT", path.stem)).strip()
    air = header["CRVAL1"] + (np.arange(len(flux)) + 1 - header["CRPIX1"]) * header["CDELT1"]
    good = np.isfinite(flux) & (flux > 0)
    first, last = np.flatnonzero(good)[[0, -1]]
    own = slice(first, last + 1)
    scale = np.median(flux[good])
    return Spectrum(
        obsid=zlib.crc32(path.name.encode()) + 1,
        wavelength=air_to_vacuum(air)[own],
        flux=flux[own] / scale,
        ivar=np.where(good, 1e4, 0.0)[own],  # nominal S/N 100: the libraries give no errors
        mask=~good[own],
        z=0.0,
        file=str(path),
        meta={"name": name, "layout": "library"},
    )


def read_miles(path):
    """A star of the MILES library (3540–7409 Å in air) as a Spectrum in vacuum, z = 0."""
    return _read_linear(path)


def read_stelib(path):
    """A star of STELIB v3.2 (3200–9900 Å in air) as a Spectrum in vacuum, z = 0."""
    return _read_linear(path)


def at_lamost(spectrum, snr, rng, z=0.0):
    """The star on LAMOST pixels, moved by ``z``, with photon noise of this S/N per pixel in g.

    Flux by cubic spline (the libraries are finely sampled); S/N grows with the square root of
    the flux; pixels outside the library's range are left out, bad ones stay bad.
    """
    grid = LAMOST_GRID.wavelength
    moved = spectrum.wavelength * (1 + z)
    grid = grid[(grid >= moved[0]) & (grid <= moved[-1])]
    good = ~spectrum.mask
    flux = CubicSpline(moved[good], spectrum.flux[good])(grid)
    level = np.median(flux[(grid > 4000) & (grid < 5500)])
    sigma = np.sqrt(np.maximum(flux, 0.01 * level) * level) / snr
    nearest = np.searchsorted(moved, grid).clip(0, len(moved) - 1)
    mask = spectrum.mask[nearest]
    return Spectrum(
        obsid=spectrum.obsid,
        wavelength=grid,
        flux=(flux + sigma * rng.standard_normal(len(grid))).astype(np.float32),
        ivar=np.where(mask, 0, sigma**-2).astype(np.float32),
        mask=mask,
        z=z,
        snr_g=float(snr),
        file=spectrum.file,
        meta=dict(spectrum.meta, resolution="low"),
    )


def manifest(real_data):
    """MANIFEST.csv of the real data, indexed by path: object_class, teff, logg, feh and more."""
    return pd.read_csv(real_data / "MANIFEST.csv", index_col="path")


def library_stars(real_data, library, object_class=None):
    """Paths of the stars of ``miles`` or ``stelib``, of one class (``BHB``, ``A`` …) or all."""
    table = manifest(real_data)
    table = table[table.index.str.startswith(f"{library}/")]
    if object_class is not None:
        table = table[table["object_class"] == object_class]
    return [real_data / path for path in table.index]
