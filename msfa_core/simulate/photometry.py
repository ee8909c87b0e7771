"""What Gaia and 2MASS would measure of simulated stars, and where in the sky they are.

Magnitudes come from the model fluxes in passbands that are smooth analytic approximations of
those of Gaia (good to some hundredths of a magnitude in BP−RP for stars hotter than 6000 K);
the zero point is a model of Vega.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from msfa_core.constants import EXTINCTION_PER_EBV, KM_S_PER_MAS_YR, SOLAR_LOGG
from msfa_core.photometry.motion import galactic_latitude
from msfa_core.simulate.atmospheres import SOLAR_HELIUM, surface_magnitudes
from msfa_core.typing import FloatArray

EXTINCTION: Final = {band: float(value) for band, value in EXTINCTION_PER_EBV.items()}
_SFD_SCALE: Final = 0.86  # of E(B−V) over that of Schlegel et al.: Schlafly & Finkbeiner (2011)
_DECLINATION: Final = (-10.0, 60.0)  # deg
_AVOIDED_LATITUDE: Final = 10.0  # deg
_AVOIDED_SHARE_KEPT: Final = 0.1
_G_AT_SNR_10: Final = 17.3
_G_PER_DEX_OF_SNR: Final = -2.0
_G_SCATTER: Final = 0.7
_G_LIMITS: Final = (9.5, 19.0)
_DISC_REACH, _HALO_REACH = 5.0, 60.0  # kpc; nobody lies farther
# J−H of Teff [K]; rounded main-sequence colours
_J_H: Final = (
    (6000.0, 6500.0, 7000.0, 7500.0, 8000.0, 9000.0, 10_000.0, 15_000.0, 30_000.0),
    (0.29, 0.22, 0.16, 0.12, 0.08, 0.03, 0.0, -0.07, -0.12),
)
_J_H_ERROR: Final = 0.03
_J_ERROR: Final = 0.02
_G_J_PER_BP_RP: Final = 1.3  # of A and F stars without dust, rounded
_H_KS_PER_J_H: Final = 0.2  # the same
_SOURCE_BITS: Final = 35  # of a Gaia identifier that number the sources of one sky cell


def passbands(wavelength: FloatArray) -> FloatArray:
    """Approximate response of Gaia's G, BP and RP.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]

    Returns
    -------
    (3, pixel) array
    """
    w = wavelength
    blue_edge = expit((w - 3370.0) / 25.0)
    g = 0.11 + 0.50 * expit((w - 4030.0) / 120.0) + 0.13 * expit((w - 5400.0) / 500.0)
    g = g * blue_edge * expit((8560.0 - w) / 400.0)
    bp = (0.21 + 0.42 * expit((w - 3990.0) / 100.0)) * blue_edge * expit((6580.0 - w) / 35.0)
    rp = 0.735 * expit((w - 6370.0) / 30.0) * expit((9180.0 - w) / 300.0)
    return np.stack([g, bp, rp])


def parallax_error(g_mag: FloatArray) -> FloatArray:
    """Typical parallax error of Gaia DR3 [mas] at a G magnitude (form of de Bruijne 2012)."""
    z = 10 ** (0.4 * (np.maximum(g_mag, 13.0) - 15.0))
    error: FloatArray = np.sqrt(-1.631 + 680.766 * z + 32.732 * z**2) / 1000
    return error


def j_h_of_teff(teff: FloatArray) -> FloatArray:
    """(n,) unreddened J−H [mag] of hot stars, by rounded main-sequence colours; Teff in K."""
    colour: FloatArray = np.interp(teff, *_J_H)
    return colour


def add_place(stars: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add position on the sky, and reddening that grows towards the plane."""
    n = len(stars)
    tries = 8  # the first that lies off the plane counts
    ra = rng.uniform(0, 360, (n, tries))
    south, north = np.sin(np.radians(_DECLINATION))
    sine = rng.uniform(south, north, (n, tries))
    dec = np.degrees(np.arcsin(sine))
    off_plane = np.abs(galactic_latitude(ra, dec)) > _AVOIDED_LATITUDE
    keep = off_plane | (rng.uniform(size=(n, tries)) < _AVOIDED_SHARE_KEPT)
    choice = np.argmax(keep, axis=1)
    rows = np.arange(n)
    ra, dec = ra[rows, choice], dec[rows, choice]
    latitude = np.abs(galactic_latitude(ra, dec))
    scale = 0.03 + 0.05 / np.maximum(np.sin(np.radians(latitude)), 0.15)
    ebv = np.minimum(rng.gamma(1.5, scale / 1.5, n), 0.8)
    return stars.assign(
        ra=ra,
        dec=dec,
        true_ebv=ebv,
        ebv=ebv / _SFD_SCALE * rng.lognormal(0.0, 0.1, n),
    )


def kinematic_velocity(stars: pd.DataFrame, rng: np.random.Generator) -> FloatArray:
    """(n,) radial velocity [km/s] of halo or disc, with the gravitational redshift."""
    halo = stars["true_halo"].to_numpy(bool)
    lag = -150.0 * np.cos(np.radians(stars["dec"])) * np.sin(np.radians(stars["ra"] - 130.0))
    velocity = np.where(
        halo,
        np.clip(rng.normal(0.0, 110.0, len(stars)), -330, 330) + lag,
        rng.normal(0.0, 30.0, len(stars)),
    )
    total: FloatArray = velocity + stars["true_redshift"].to_numpy(float)
    return total


def _proper_motion(
    stars: pd.DataFrame, distance_kpc: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """(n, 2) proper motion [mas/yr]: a halo that lags behind the Sun, or a disc."""
    halo = stars["true_halo"].to_numpy(bool)
    spread = np.where(halo, 110.0, 30.0)[:, None]
    velocity = spread * rng.standard_normal((len(stars), 2))
    angle = rng.uniform(0, 2 * np.pi, len(stars))
    lag = np.where(halo, 180.0, 12.0)
    velocity += lag[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    motion: FloatArray = velocity / (float(KM_S_PER_MAS_YR) * distance_kpc[:, None])
    return motion


def add_photometry(stars: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add magnitudes, parallax, proper motion and the quality columns of Gaia.

    Parameters
    ----------
    stars : DataFrame
        With ``true_kind, true_teff, true_logg, true_he, true_mass, true_snr_g, true_ebv,
        true_halo, true_star``.
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        ``stars`` with ``gaia_source_id, g_mag, bp_mag, j_mag, bp_rp, bp_g, g_rp, j_h,
        parallax_mas, pmra …``.
    """
    n = len(stars)
    helium = stars["true_he"].to_numpy(float)
    surface = surface_magnitudes(
        stars["true_kind"].to_numpy(str),
        stars["true_teff"].to_numpy(float),
        stars["true_logg"].to_numpy(float),
        np.where(stars["true_kind"].to_numpy(str) == "ms", SOLAR_HELIUM, helium),
    )
    log_radius = 0.5 * (
        np.log10(stars["true_mass"].to_numpy(float)) + SOLAR_LOGG - stars["true_logg"]
    ).to_numpy(float)
    absolute = surface - 5 * log_radius[:, None]  # (n, 3): G, BP, RP
    sfd = stars["true_ebv"].to_numpy(float) / _SFD_SCALE
    g_mag = _G_AT_SNR_10 + _G_PER_DEX_OF_SNR * np.log10(stars["true_snr_g"].to_numpy(float) / 10)
    g_mag += _G_SCATTER * rng.standard_normal(n)
    reach = np.where(stars["true_halo"].to_numpy(bool), _HALO_REACH, _DISC_REACH)  # kpc
    farthest = reach * rng.uniform(0.3, 1.0, n)
    limit = absolute[:, 0] + EXTINCTION["g"] * sfd + 5 * np.log10(100 * farthest)
    g_mag = np.clip(np.minimum(g_mag, limit), *_G_LIMITS)
    distance = 10 ** ((g_mag - EXTINCTION["g"] * sfd - absolute[:, 0] + 5) / 5) / 1000  # kpc
    noise = 0.001 + 0.003 * 10 ** (0.25 * (g_mag - 16))  # mag, of BP and RP
    observed = {
        band: g_mag
        - EXTINCTION["g"] * sfd
        + absolute[:, k]
        - absolute[:, 0]
        + EXTINCTION[band] * sfd
        for k, band in ((1, "bp"), (2, "rp"))
    }
    bp, rp = (observed[band] + noise * rng.standard_normal(n) for band in ("bp", "rp"))
    error = parallax_error(g_mag)
    motion = _proper_motion(stars, distance, rng)
    colour = bp - rp
    excess = 1.154360 + 0.033772 * colour + 0.032277 * colour**2  # Riello et al. (2021)
    excess_error = 0.0059898 + 8.817481e-12 * g_mag**7.618399
    teff = stars["true_teff"].to_numpy(float)
    j_h = j_h_of_teff(teff) + (EXTINCTION["j"] - EXTINCTION["h"]) * sfd
    g_j = _G_J_PER_BP_RP * (absolute[:, 1] - absolute[:, 2])
    j_mag = g_mag - g_j + (EXTINCTION["j"] - EXTINCTION["g"]) * sfd
    j_mag += _J_ERROR * rng.spawn(1)[0].standard_normal(n)  # leaves the draws of ``rng`` alone
    cell = rng.integers(1 << 20, 3 << 26, n)  # of the sky: makes identifiers larger than 2**53
    number = (stars["true_star"].to_numpy(np.int64) << 1) | 1
    j_h = j_h + _J_H_ERROR * rng.standard_normal(n)
    return stars.assign(
        gaia_source_id=(cell.astype(np.int64) << _SOURCE_BITS) | number,
        true_abs_mag_g=absolute[:, 0],
        true_bp_rp=absolute[:, 1] - absolute[:, 2],
        true_distance_kpc=distance,
        true_parallax_mas=1 / distance,
        g_mag=g_mag,
        bp_rp=colour,
        bp_g=bp - g_mag,
        g_rp=g_mag - rp,
        j_h=j_h,
        bp_mag=bp,
        rp_mag=rp,
        j_mag=j_mag,
        h_mag=j_mag - j_h,
        ks_mag=j_mag - (1 + _H_KS_PER_J_H) * j_h,
        j_mag_err=_J_ERROR,
        h_mag_err=np.sqrt(_J_H_ERROR**2 - _J_ERROR**2),
        ks_mag_err=_J_H_ERROR,
        parallax_mas=1 / distance + error * rng.standard_normal(n),
        parallax_error=error,
        pmra=motion[:, 0] + error * rng.standard_normal(n),
        pmdec=motion[:, 1] + error * rng.standard_normal(n),
        pmra_error=error,
        pmdec_error=error,
        bp_flux_over_error=1.0857 / noise,
        rp_flux_over_error=1.0857 / noise,
        excess_factor=excess + excess_error * rng.standard_normal(n),
    )
