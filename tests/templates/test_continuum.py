import numpy as np
import pytest

from msfa_core.templates.continuum import characteristic_vectors, extinction, simulated_ratios


def test_extinction_is_one_at_v_and_rises_to_the_blue():
    curve = extinction(np.array([4400.0, 5495.0, 7000.0]))
    assert curve[1] == pytest.approx(3.1, abs=0.01)
    assert curve[0] - curve[1] == pytest.approx(1.0, abs=0.03)
    assert curve[2] < curve[1]


def test_the_vectors_are_orthogonal_and_the_first_is_positive():
    vectors = characteristic_vectors(simulated_ratios(200, 1), 5)
    product = vectors @ vectors.T / vectors.shape[1]
    assert np.allclose(product, np.eye(5), atol=1e-6)
    assert (vectors[0] > 0).all()


def test_a_few_vectors_say_nearly_all_of_new_ratios():
    vectors = characteristic_vectors(simulated_ratios(400, 1), 7)
    new = simulated_ratios(50, 2)
    fit = new @ vectors.T @ vectors / vectors.shape[1]
    assert np.sqrt(np.mean((fit - new) ** 2)) < 0.06 < np.sqrt(np.mean((new - 1) ** 2))


def test_ratios_are_seeded():
    assert np.array_equal(simulated_ratios(3, 7), simulated_ratios(3, 7))
    assert np.allclose(simulated_ratios(3, 7).mean(axis=1), 1)
