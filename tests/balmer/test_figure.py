"""The picture of the fits: what it shows, in which frame, and of which spectra."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from pytest import approx
from simulated_lines import simulated_lines

from msfa_core.balmer import fit_lines
from msfa_core.balmer.figure import plot_fits
from msfa_core.errors import ConfigError, SpectrumError

Z = 0.001


@pytest.fixture(scope="module")
def star():
    alike = {"depth": (0.75, 0.75), "width": (9, 9), "shape": (1.0, 1.0)}
    return simulated_lines(2, 60, np.random.default_rng(5), z=Z, **alike)[0]


def deepest(axes):
    """Wavelength where the drawn profile is deepest."""
    model = max(axes.lines, key=lambda line: line.get_linewidth())
    return model.get_xdata()[np.argmin(model.get_ydata())]


def test_the_picture_shows_both_lines_with_their_numbers(star):
    fits = fit_lines(star)
    figure = plot_fits(star, fits)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:2]]
    assert titles[0].startswith(f"Hδ: D0.2 = {fits.d02[0, 0]:.1f} ± {fits.d02_err[0, 0]:.1f} Å")
    assert titles[1].startswith("Hγ: D0.2 = ")
    assert len(figure.axes) == 4
    told = DisplayFormatter().format(figure)[0]  # as the last value of a cell, without magic
    assert told["image/png"].startswith(b"\x89PNG")


def test_the_axis_is_at_rest_or_as_observed(star):
    rest, observed = (plot_fits(star, frame=frame).axes[0] for frame in ("rest", "observed"))
    assert deepest(rest) == approx(4102.9, abs=1)
    assert deepest(observed) == approx(deepest(rest) * (1 + Z))


def test_a_specutils_spectrum_is_drawn_as_it_is(star):
    from specutils import Spectrum as Foreign

    foreign = Foreign(
        flux=star.flux[0] * u.Unit("erg / (s cm2 AA)"),
        spectral_axis=star.wavelength * u.AA,
        redshift=Z,
    )
    assert deepest(plot_fits(foreign, frame="observed").axes[1]) == approx(4346, abs=1)


def test_a_line_that_was_not_measured_says_why(star):
    core = np.abs(star.wavelength / (1 + Z) - 4102.9) < 4
    figure = plot_fits(replace(star, mask=star.mask | core), row=1)
    assert figure.axes[0].get_title(loc="left").startswith("Hδ: not measured\nBad pixels")


def test_wrong_calls_are_refused(star):
    with pytest.raises(ConfigError, match="rest, observed"):
        plot_fits(star, frame="vacuum")
    with pytest.raises(SpectrumError, match="give the spectra that were fitted"):
        plot_fits(star[::-1], fit_lines(star))
    with pytest.raises(SpectrumError, match="no row 5"):
        plot_fits(star, row=5)
