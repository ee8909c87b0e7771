"""Template matching of real LAMOST spectra: class, trust, and what faults do to both."""

import numpy as np
import pytest
from exam_of_real_stars import read_standard
from faulty_spectra import with_step, with_tilt, without_arm
from library_spectra import at_lamost, library_stars, read_miles, read_stelib
from real_lamost import labelled

from msfa_core.flags import MatchFlag
from msfa_core.spectra.spectrum import as_spectra
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.spectral_types import subtypes_apart

pytestmark = [pytest.mark.real, pytest.mark.slow]
N = 30


@pytest.fixture(scope="module")
def some(real_data):
    """Thirty spectra of S/N > 10, every type among them, and their labels."""
    spectra, table = labelled(real_data, least_snr=10.0)
    rows = np.linspace(0, len(spectra) - 1, N).astype(int)
    return spectra[rows], table.iloc[rows].reset_index(drop=True)


def matched(spectra):
    return rank(match(spectra), spectra).as_table()


@pytest.fixture(scope="module")
def whole(some):
    return matched(some[0])


def test_real_stars_are_stars_of_about_their_type(some, whole):
    assert (whole["template_class"] == "STAR").all()
    apart = subtypes_apart(some[1]["subclass"].tolist(), whole["template_subclass"].tolist())
    assert np.mean(apart <= 5) >= 0.85


def test_steps_where_the_arms_meet_leave_the_class_and_take_confidence(some, whole):
    trust = [whole["template_confidence"].mean()]
    for factor in (1.41, 2.0):
        found = matched(with_step(some[0], factor))
        assert (found["template_class"] == whole["template_class"]).mean() >= 0.95
        trust.append(found["template_confidence"].mean())
    assert (np.diff(trust) < -3).all()
    found = matched(with_step(some[0], 0.5))
    assert (found["template_class"] == whole["template_class"]).mean() >= 0.95
    assert found["template_confidence"].mean() < trust[1]


def test_tilts_of_the_response_leave_the_class_and_take_confidence(some, whole):
    trust = [whole["template_confidence"].mean()]
    for size in (0.5, 1.0):
        found = matched(with_tilt(some[0], size))
        assert (found["template_class"] == whole["template_class"]).mean() >= 0.95
        trust.append(found["template_confidence"].mean())
    assert (np.diff(trust) < -3).all()


@pytest.mark.parametrize(("arm", "flag"), [("blue", MatchFlag.NO_BLUE), ("red", MatchFlag.NO_RED)])
def test_a_missing_arm_is_flagged_and_leaves_the_class(some, whole, arm, flag):
    found = matched(without_arm(some[0], arm))
    assert (found["template_class"] == whole["template_class"]).mean() >= 0.95
    assert (found["template_flags"].to_numpy(np.int64) & int(flag)).all()
    assert found["template_confidence"].mean() < whole["template_confidence"].mean() - 15


class Silence:
    """No noise, for `at_lamost`."""

    def standard_normal(self, n):
        return np.zeros(n)


@pytest.mark.parametrize(("snr", "draws"), [(3.0, 20), (5.0, 12), (10.0, 8)])
def test_errors_of_redshifts_of_faint_subdwarfs_hold(real_data, snr, draws):
    """Few weak lines, and others of noise: of the minimum of χ² alone the rms was 1.7 to 3."""
    folders = ("stelib", "flux_standards/esookestan", "flux_standards/esohststan")
    paths = [one for folder in folders for one in library_stars(real_data, folder, "HSD")]
    assert len(paths) >= 8
    rng, drawn = np.random.default_rng(12), []
    for path in paths:
        star = (read_stelib if "stelib" in str(path) else read_standard)(path)
        drawn.append(at_lamost(star, 300.0, Silence()))
        drawn += [at_lamost(star, snr, rng) for _ in range(draws)]
    found = match(as_spectra(drawn), k=1)
    z, error = (one[:, 0].reshape(len(paths), draws + 1) for one in (found.z, found.z_err))
    pull = (z[:, 1:] - z[:, :1]) / error[:, 1:]
    pull = pull[np.isfinite(pull) & (np.abs(z[:, 1:]) < 0.01)]  # others are no stars, and flagged
    assert len(pull) > 30
    assert 0.7 < np.sqrt(np.mean(pull**2)) < 1.3


@pytest.mark.parametrize("cls", ["BHB", "A", "B"])
def test_errors_of_redshifts_of_hot_stars_hold(real_data, cls):
    """About the redshift of the same star without noise, so that the library's own does not count.

    Of MILES alone: in STELIB the velocities of single lines of one star differ by up to 100 km/s.
    """
    snrs, draws = (10.0, 20.0), 6
    rng, drawn = np.random.default_rng(5), []
    paths = library_stars(real_data, "miles", cls)[:16]
    assert len(paths) >= 5
    for path in paths:
        star = read_miles(path)
        drawn.append(at_lamost(star, 300.0, Silence()))
        drawn += [at_lamost(star, snr, rng) for snr in snrs for _ in range(draws)]
    found = match(as_spectra(drawn), k=1)
    z, error = (one[:, 0].reshape(len(paths), -1) for one in (found.z, found.z_err))
    pull = (z[:, 1:] - z[:, :1]) / error[:, 1:]
    assert np.isfinite(pull).all()
    for snr, of_it in zip(snrs, np.split(pull, len(snrs), axis=1), strict=True):
        width = np.sqrt(np.mean(of_it**2))
        print(f"\n{cls}, S/N {snr:.0f}: {of_it.size} draws, pulls {width:.2f}")
        assert 0.8 < width < 1.3
