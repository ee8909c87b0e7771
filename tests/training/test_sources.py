"""Training sets from chunks with known truth."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import TrainingError
from msfa_core.spectra.spectrum import Spectra
from msfa_core.training.sources import from_chunks, from_survey


def chunk(index):
    """Six spectra with Hδ and Hγ of known width, one of them an F star, one without pixels."""
    rng = np.random.default_rng(index)
    wavelength = LAMOST_GRID.wavelength
    flux = np.ones((6, len(wavelength)), np.float32)
    for centre in (4102.892, 4341.692, 4862.71):
        flux -= 0.7 * np.exp(-np.abs((wavelength - centre) / 12)).astype(np.float32)
    flux += rng.normal(0, 0.005, flux.shape).astype(np.float32)
    mask = np.zeros(flux.shape, bool)
    mask[5] = True
    obsid = np.arange(6) + 6 * index
    ivar = np.where(mask, 0, 4e4).astype(np.float32)
    truth = pd.DataFrame(
        {
            "obsid": obsid,
            "true_class": ["BHB", "A", "B", "F", "WD", "HSD"],
            "true_star": obsid,
            "true_teff": 9000.0 + obsid,
            "snr_g": 50.0,
            "designation": "x",
        }
    )
    return Spectra(obsid, wavelength, flux, ivar, mask, np.zeros(6)), truth


@pytest.fixture(scope="module")
def made():
    seen = []
    data = from_chunks(chunk, 2, provenance={"seed": 3}, progress=lambda *at: seen.append(at[1:3]))
    return data, seen


def test_chunks_become_prepared_and_labelled_spectra(made):
    data, seen = made
    assert data.obsid.tolist() == [0, 1, 2, 4, 6, 7, 8, 10]
    assert data.class_counts == {"BHB": 2, "A": 2, "B": 2, "HSD": 0, "WD": 2}
    assert data.truth["true_teff"].tolist() == [9000.0 + k for k in data.obsid]
    assert data.flux.min() == 0
    assert data.flux.max() == 1
    assert seen == [(1, 2), (2, 2)]


def test_what_was_left_out_is_counted(made):
    data, _ = made
    assert data.provenance == {"seed": 3, "n_other_classes": 2, "n_dropped": 2}


def test_the_lines_are_measured_for_the_comparison_with_plane_cuts(made):
    data, _ = made
    expected = 2 * 12 * np.log(0.7 / 0.2)  # D0.2 of the profile put in
    assert data.truth["d02_hdelta"].to_numpy() == approx(expected, rel=0.1)
    assert data.truth["fm_hdelta"].to_numpy() == approx(0.3, abs=0.08)
    assert data.truth["in_bhb_xue2008"].dtype == bool


@pytest.mark.slow
def test_the_set_does_not_depend_on_the_number_of_workers(made):
    from functools import partial

    from msfa_core.simulate.survey import SurveyPlan, simulate_chunk

    plan = SurveyPlan(4, 8, {"BHB": 2, "A": 2}, chunk=2)
    one, two = (
        from_chunks(partial(simulate_chunk, plan), plan.n_chunks, workers=k) for k in (1, 2)
    )
    assert one.fingerprint() == two.fingerprint()


def test_chunks_without_a_known_class_are_refused():
    def only_f(index):
        spectra, truth = chunk(index)
        return spectra, truth.assign(true_class="F")

    with pytest.raises(TrainingError, match="no spectrum of class BHB, A, B, HSD, WD"):
        from_chunks(only_f, 1)
    with pytest.raises(TrainingError, match="no chunks"):
        from_chunks(chunk, 0)


class _Survey:
    """What a training set needs of a survey."""

    is_simulated = False

    def __init__(self):
        self.stored, _ = chunk(0)
        self.obsid = self.stored.obsid

    def spectra(self, obsids):
        return self.stored[[int(np.flatnonzero(self.obsid == k)[0]) for k in obsids]]

    def table(self):
        uid = pd.Series(["G7", "G7", "G9", pd.NA, "G4", "G5"], dtype="string")
        return pd.DataFrame({"obsid": self.obsid, "uid": uid, "snr_g": 20.0 + self.obsid})


def test_a_survey_and_a_table_of_labels_make_a_set():
    labels = pd.DataFrame({"obsid": [1, 0, 3, 2, 77], "label": ["A", "A", "WD", "BHB", "B"]})
    data = from_survey(_Survey(), labels)
    assert data.obsid.tolist() == [1, 0, 3, 2]
    assert data.label.tolist() == [1, 1, 4, 0]
    assert data.star[0] == data.star[1]  # two epochs of G7
    assert len(np.unique(data.star)) == 3
    assert data.snr_g.tolist() == [21.0, 20.0, 23.0, 22.0]
    assert data.provenance["n_not_in_survey"] == 1


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"obsid": [1], "class": ["A"]}, "no column label"),
        ({"obsid": [1, 1], "label": ["A", "B"]}, "twice"),
        ({"obsid": [99], "label": ["A"]}, "none of the 1 labelled spectra"),
        ({"obsid": [1], "label": ["K3"]}, "unknown class 'K3'"),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_refused(labels, reason):
    with pytest.raises(TrainingError, match=reason):
        from_survey(_Survey(), pd.DataFrame(labels))
