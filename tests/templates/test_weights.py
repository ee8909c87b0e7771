import numpy as np
import pytest
from template_spectra import simulated_matches

from msfa_core.templates.weights import (
    DOUBTFUL_ERROR,
    FIT_RANGE,
    LEFT_OUT,
    MODEL_ERROR,
    fit_weights,
    model_error,
)


@pytest.fixture(scope="module")
def spectra():
    return simulated_matches(4, seed=1, snr=(200.0, 300.0))


def test_bad_pixels_and_telluric_bands_do_not_count(spectra):
    spectra.mask[0, 1000:1010] = True
    weight = fit_weights(spectra)
    assert (weight[0, 1000:1010] == 0).all()
    for low, high in LEFT_OUT:
        inside = (spectra.wavelength > low) & (spectra.wavelength < high)
        assert (weight[:, inside] == 0).all()
    outside = (spectra.wavelength < FIT_RANGE[0]) | (spectra.wavelength > FIT_RANGE[1])
    assert (weight[:, outside] == 0).all()


def test_bright_spectra_are_limited_by_what_templates_lack(spectra):
    at = int(np.searchsorted(spectra.wavelength, 5300.0))
    weight = fit_weights(spectra)[1:, at]
    level = np.abs(spectra.flux[1:, at - 75 : at + 76]).mean(axis=1)
    assert 1 / np.sqrt(weight) / level == pytest.approx(float(MODEL_ERROR), rel=0.05)


def test_the_joint_of_the_arms_counts_less():
    share = model_error()
    assert share[np.isfinite(share)].min() == float(MODEL_ERROR)
    assert float(DOUBTFUL_ERROR) in share
