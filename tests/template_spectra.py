"""Spectra made of the shipped templates, and faults of a survey put into spectra."""

from dataclasses import replace

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.spectra.spectrum import Spectra
from msfa_core.templates.cells import matcher_of
from msfa_core.templates.continuum import simulated_ratios
from msfa_core.templates.library import TemplateSet

STAR_Z = 0.0035


def simulated_matches(n, seed, snr=(5.0, 100.0), cls="STAR", z=None, templates=None):
    """n spectra of random templates: shifted, with another continuum and noise.

    The truth rides along as ``spectra.z``; ``obsid`` is the row of the template.
    """
    random = np.random.default_rng(seed)
    chosen = templates if templates is not None else TemplateSet.load()
    matcher = matcher_of(chosen)
    low, high = (-STAR_Z, STAR_Z) if cls == "STAR" else z
    there = np.flatnonzero(chosen.cls == cls)
    reach = [k for k in there if matcher.covers(k, low) and matcher.covers(k, high)]
    rows = random.choice(reach, n)
    shift = random.uniform(low, high, n)
    ratios = simulated_ratios(n, seed)
    flux = np.full((n, LAMOST_GRID.n_pixels), np.nan)
    for k in range(n):
        flux[k, matcher.pixels] = matcher.shifted(int(rows[k]), float(shift[k]))
    flux *= ratios
    level = np.exp(random.uniform(*np.log(snr), n))[:, None]
    sigma = np.nanmedian(flux, axis=1, keepdims=True) / level
    flux += sigma * random.normal(size=flux.shape)
    good = np.isfinite(flux)
    return Spectra(
        obsid=rows.astype(np.int64),
        wavelength=LAMOST_GRID.wavelength,
        flux=flux.astype(np.float32),
        ivar=np.where(good, 1 / sigma**2, 0).astype(np.float32),
        mask=~good,
        z=shift,
    )


def with_response(spectra, response):
    """The spectra seen through a response (pixel,): flux and errors scale alike."""
    return replace(
        spectra,
        flux=(spectra.flux * response).astype(np.float32),
        ivar=(spectra.ivar / response**2).astype(np.float32),
    )


def without(spectra, low, high):
    """The spectra with a range [Å] masked."""
    lost = (spectra.wavelength >= low) & (spectra.wavelength <= high)
    return replace(
        spectra, mask=spectra.mask | lost, ivar=np.where(lost, 0, spectra.ivar).astype(np.float32)
    )


def faulty(spectra):
    """Pairs of name and spectra with a severe fault."""
    wavelength = spectra.wavelength
    x = (wavelength - 6400.0) / 2700.0
    for factor in (0.5, 0.7, 1.4, 2.0):
        step = np.where(wavelength < 5850.0, 1.0, factor)
        yield f"step at the joint x{factor:g}", with_response(spectra, step)
    for tilt in (-0.6, -0.3, 0.3, 0.6):
        yield f"response tilted by {tilt:+.0%}", with_response(spectra, np.exp(tilt * x))
    bend = np.where(wavelength < 5850.0, 1 + 0.3 * np.sin((wavelength - 3700) / 683.0), 1.0)
    yield "blue response bent by 30 %", with_response(spectra, bend)
    yield "no blue arm", without(spectra, 3000.0, 5850.0)
    yield "no red arm", without(spectra, 5850.0, 10_000.0)
