"""The vector exponential and logarithm against the library's."""

import numpy as np
import pytest

from msfa_core.balmer.vectormath import vector_exp, vector_log
from msfa_core.machine.compiled import compiled


@compiled
def _exp_of(values):
    return np.array([vector_exp(v) for v in values])


@compiled
def _log_of(values):
    return np.array([vector_log(v) for v in values])


def test_exp_agrees_with_the_library_to_rounding():
    values = np.concatenate([np.linspace(-690, 5, 20_001), [0.0, -0.0, 1e-300]])
    assert _exp_of(values) == pytest.approx(np.exp(values), rel=1e-13)


def test_exp_of_a_very_negative_number_is_nothing():
    assert (_exp_of(np.array([-701.0, -1e6, -1e300])) < 1e-300).all()


def test_log_agrees_with_the_library_to_rounding():
    values = np.concatenate([np.logspace(-60, 60, 20_001), [1.0, np.sqrt(0.5), np.sqrt(2), 2.0]])
    difference = np.abs(_log_of(values) - np.log(values))
    assert (difference <= 1e-14 * np.maximum(1, np.abs(np.log(values)))).all()
