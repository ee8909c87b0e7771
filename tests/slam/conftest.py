"""A small SLAM model that is trained in seconds, and what it was trained on."""

import pytest

from msfa_core.simulate.labelled_grid import draw_labels, labelled_grid
from msfa_core.slam.pixels import Bins
from msfa_core.slam.train import Setting, TrainingSet, train_slam

SMALL_BINS = Bins(4250.0, 4500.0, 8)  # Hγ and some metal lines
SMALL_SETTING = Setting(c=8.0, epsilon=0.02, gamma=0.5)


def training_set(n, seed=42, **options):
    made = labelled_grid(draw_labels(n, seed, **options))
    return TrainingSet(
        made.wavelength, made.flux, made.labels, made.colours, alternatives=made.alternatives
    )


@pytest.fixture(scope="session")
def small_set():
    return training_set(100, corners=False)


@pytest.fixture(scope="session")
def small_model(small_set):
    return train_slam(
        small_set, bins=SMALL_BINS, degree=2, setting=SMALL_SETTING, notes={"source": "a test"}
    )
