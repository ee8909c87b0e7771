"""Emission that fills the cores of Hδ and Hγ is told by Hα, where it is far stronger."""

from dataclasses import replace

import numpy as np
import pytest

from msfa_core.balmer import FitFlag, fit_lines
from msfa_core.constants import BALMER_LINES
from msfa_core.simulate.survey import simulate_spectra

CASE_B = {"hdelta": 0.259, "hgamma": 0.468, "hbeta": 1.0, "halpha": 2.863}  # 10⁴ K


@pytest.fixture(scope="module")
def stars():
    spectra, _ = next(simulate_spectra(40, 7, {"BHB": 1, "A": 1, "B": 1}, (15.0, 80.0)))
    return [one for one in spectra if np.isfinite(one.z)]


def with_nebula(spectrum, height, velocity=0.0):
    """Add a nebula whose Hδ is so high, of the star's continuum beside it."""
    shifts = spectrum.wavelength / (1 + spectrum.z + velocity / 299_792.458)
    beside = np.abs(np.abs(shifts - BALMER_LINES["hdelta"]) - 60) < 10
    peak = height * np.median(spectrum.flux[beside]) / CASE_B["hdelta"]
    flux = spectrum.flux.astype(float)
    for line, strength in CASE_B.items():
        rest = float(BALMER_LINES[line])
        sigma = rest / 1800 / 2.355
        # of one flux and another width
        high = peak * strength * BALMER_LINES["hdelta"] / rest
        flux = flux + high * np.exp(-0.5 * ((shifts - rest) / sigma) ** 2)
    return replace(spectrum, flux=flux)


def are_told(spectra):
    return (fit_lines(spectra).flags & int(FitFlag.HALPHA_EMISSION) != 0).all(axis=1)


def test_filled_cores_are_told_and_those_of_stars_alone_are_not(stars):
    alone = fit_lines(stars)
    assert not (alone.flags & int(FitFlag.HALPHA_EMISSION)).any()
    filled = fit_lines([with_nebula(one, 0.06) for one in stars])
    assert 0.03 < np.nanmedian((filled.fm - alone.fm)[:, 0]) < 0.08
    known = np.isfinite(alone.fm).all(axis=1)
    assert known.sum() > 25
    for velocity in (0.0, 150.0):
        assert are_told([with_nebula(one, 0.06, velocity) for one in stars])[known].mean() > 0.8
        assert are_told([with_nebula(one, 0.1, velocity) for one in stars])[known].mean() > 0.95


def test_a_spike_in_fine_pixels_is_no_emission(stars):
    """Three pixels of 0.3 Å are narrower than any line of LAMOST."""
    one = stars[0]
    wavelength = np.arange(3700.0, 9000.0, 0.3)
    known = {
        name: np.interp(wavelength, one.wavelength, getattr(one, name)) for name in ("flux", "ivar")
    }
    at = np.abs(wavelength / (1 + one.z) - BALMER_LINES["halpha"]).argmin()
    known["flux"][at - 1 : at + 2] *= 4.0
    mask = np.zeros(len(wavelength), bool)
    assert not are_told([replace(one, wavelength=wavelength, mask=mask, meta={}, **known)]).any()


def test_a_spike_at_halpha_or_a_spectrum_that_ends_before_it_say_nothing(stars):
    spiked, cut = [], []
    for one in stars:
        at = np.abs(one.wavelength / (1 + one.z) - BALMER_LINES["halpha"]).argmin()
        flux = one.flux.astype(float)
        flux[at] *= 4.0
        spiked.append(replace(one, flux=flux))
        blue = one.wavelength < 6400
        cut.append(
            replace(
                one,
                **{
                    name: getattr(one, name)[blue]
                    for name in ("wavelength", "flux", "ivar", "mask")
                },
                meta={},
            )
        )
    assert not are_told(spiked).any()
    assert not are_told(cut).any()
