"""The SDSS-like variant: same search, another continuum, another doubt."""

from dataclasses import replace

import numpy as np
import pytest
from faulty_spectra import with_step
from template_spectra import simulated_matches

from msfa_core.templates.baseline import is_doubted, sdss_like
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.matching import match


@pytest.fixture(scope="module")
def some():
    """Some templates of each class."""
    shipped = TemplateSet.load()
    stars = np.flatnonzero(shipped.cls == "STAR")[::12]
    return shipped.take(np.append(stars, np.flatnonzero(shipped.cls != "STAR")))


@pytest.fixture(scope="module")
def baseline(some):
    return sdss_like(some)


@pytest.fixture(scope="module")
def flat(some):
    """Stars with other continua than their templates, S/N 30 and more."""
    return simulated_matches(20, 8, (30.0, 60.0), templates=some)


def test_stars_stand_alone_and_the_rest_are_eigen_spectra(some, baseline):
    stars = baseline.cls == "STAR"
    assert len(set(baseline.basis[stars].tolist())) == stars.sum() == (some.cls == "STAR").sum()
    assert (baseline.basis != ALONE).all()
    assert {cls: int((baseline.cls == cls).sum()) for cls in ("GALAXY", "QSO")} == {
        "GALAXY": 4, "QSO": 4,
    }  # fmt: skip
    galaxies = some.flux[some.cls == "GALAXY"]
    own = baseline.flux[baseline.cls == "GALAXY"]
    common = np.isfinite(own).all(axis=0)
    assert np.array_equal(common, np.isfinite(galaxies).all(axis=0))
    # four of them hold nearly all of what the templates of the class are
    vectors = own[:, common].astype(float)
    model = galaxies[:, common] @ np.linalg.pinv(vectors) @ vectors
    assert np.std(galaxies[:, common] - model) < 0.25 * np.std(galaxies[:, common])


def test_a_step_between_the_arms_misleads_a_polynomial_more_than_continuum_vectors(
    some, baseline, flat
):
    stepped = with_step(flat, 0.5)
    truth = some.subclass[flat.obsid]
    right = {
        name: np.mean(match(stepped, templates).subclass() == truth)
        for name, templates in (("ours", some), ("theirs", baseline))
    }
    assert right["ours"] > 0.8
    assert right["ours"] > right["theirs"] + 0.1


def test_doubt_is_a_next_class_or_velocity_within_one_per_cent(some, flat):
    found = match(flat[np.arange(2)], some, k=3)
    apart = replace(
        found, chi2=np.array([[1.0, 1.5, 2.0]] * 2), z=np.zeros((2, 3)),
        class_chi2=np.array([[1.0, 1.5, 1.5]] * 2),
    )  # fmt: skip
    assert is_doubted(apart).tolist() == [False, False]
    close = replace(apart, class_chi2=np.array([[1.0, 1.005, 1.5], [1.0, 1.02, 1.5]]))
    assert is_doubted(close).tolist() == [True, False]
    velocities = replace(
        apart, chi2=np.array([[1.0, 1.005, 2.0]] * 2), z=np.array([[0, 0.01, 0], [0, 0.001, 0]])
    )
    assert is_doubted(velocities).tolist() == [True, False]
    nothing = replace(apart, chi2=np.full((2, 3), np.nan), template=np.full((2, 3), -1))
    assert is_doubted(nothing).all()
