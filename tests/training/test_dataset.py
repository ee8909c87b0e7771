"""Labelled spectra: checked, split by star, kept on disk."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.constants import PAPER_COUNTS, STELLAR_CLASSES
from msfa_core.errors import TrainingError
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.training.dataset import (
    LabelledSpectra,
    labelled_spectra,
    require_classes,
    split_by_star,
    stage_labels,
)

BHB, A, B, HSD, WD = range(5)


@pytest.fixture
def flux():
    return np.random.default_rng(1).random((4, 2430), dtype=np.float32)


def many(n_stars=60, epochs=3):
    """Stars with several epochs each and the smallest flux that passes."""
    n = n_stars * epochs
    star = np.repeat(np.arange(n_stars), epochs)
    return LabelledSpectra(
        obsid=np.arange(n),
        flux=np.zeros((n, 2430), np.float32),
        label=star % 5,
        star=np.random.default_rng(2).permutation(n_stars)[star] + 7,
        snr_g=np.full(n, 20.0),
        truth=pd.DataFrame(index=range(n)),
    )


def test_the_counts_of_the_paper_are_the_default():
    assert PAPER_COUNTS == {"BHB": 4581, "A": 4500, "B": 4500, "WD": 4500, "HSD": 3431}
    assert set(PAPER_COUNTS) == {str(c) for c in STELLAR_CLASSES}


def test_labels_become_the_numbers_of_the_networks_outputs(flux):
    data = labelled_spectra(PreparedSpectra(np.arange(4), flux), ["WD", "BHB", " A ", "HSD"])
    assert data.label.tolist() == [WD, BHB, A, HSD]
    assert data.class_counts == {"BHB": 1, "A": 1, "B": 0, "HSD": 1, "WD": 1}
    assert len(np.unique(data.star)) == 4


def test_spectra_that_could_not_be_prepared_are_dropped_and_counted(flux):
    flux[1] = np.nan
    flux[2, 100] = np.nan
    data = labelled_spectra(
        PreparedSpectra(np.array([5, 6, 7, 8]), flux),
        ["A", "B", "WD", "BHB"],
        truth=pd.DataFrame({"true_teff": [1.0, 2.0, 3.0, 4.0]}),
    )
    assert data.obsid.tolist() == [5, 8]
    assert data.label.tolist() == [A, BHB]
    assert data.truth["true_teff"].tolist() == [1.0, 4.0]
    assert data.provenance["n_dropped"] == 2


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  "])
def test_a_missing_label_is_refused_with_its_obsid(flux, missing):
    with pytest.raises(TrainingError, match="1 of 4 spectra have no label.*obsid 12"):
        labelled_spectra(PreparedSpectra(np.arange(10, 14), flux), ["A", "B", missing, "WD"])


def test_an_unknown_label_is_named(flux):
    with pytest.raises(TrainingError, match="unknown class 'G2V', 'bhb'.*BHB, A, B, HSD, WD"):
        labelled_spectra(PreparedSpectra(np.arange(4), flux), ["A", "bhb", "G2V", "WD"])


def test_lengths_that_differ_are_refused(flux):
    prepared = PreparedSpectra(np.arange(4), flux)
    with pytest.raises(TrainingError, match="3 rows of labels for 4 spectra"):
        labelled_spectra(prepared, ["A"] * 3)
    with pytest.raises(TrainingError, match="2 rows of star"):
        labelled_spectra(prepared, ["A"] * 4, star=np.arange(2))
    with pytest.raises(TrainingError, match="5 rows of truth"):
        labelled_spectra(prepared, ["A"] * 4, truth=pd.DataFrame(index=range(5)))


def test_spectra_of_another_length_are_refused():
    with pytest.raises(TrainingError, match=r"shape \(2, 2000\), expected \(2, 2430\)"):
        LabelledSpectra(
            np.arange(2),
            np.zeros((2, 2000), np.float32),
            np.zeros(2, int),
            np.arange(2),
            np.zeros(2),
            pd.DataFrame(index=range(2)),
        )


def test_nan_pixels_and_impossible_labels_are_refused(small_set):
    flux = small_set.flux.copy()
    flux[3, 5] = np.nan
    with pytest.raises(TrainingError, match="NaN"):
        LabelledSpectra(
            small_set.obsid,
            flux,
            small_set.label,
            small_set.star,
            small_set.snr_g,
            small_set.truth,
        )
    with pytest.raises(TrainingError, match="labels run from 1 to 5"):
        LabelledSpectra(
            small_set.obsid,
            small_set.flux,
            small_set.label + 1,
            small_set.star,
            small_set.snr_g,
            small_set.truth,
        )


def test_a_star_of_two_classes_is_refused(flux):
    prepared = PreparedSpectra(np.arange(4), flux)
    with pytest.raises(TrainingError, match="two classes"):
        labelled_spectra(prepared, ["A", "A", "B", "WD"], star=np.array([1, 2, 2, 3]))


def test_absent_classes_are_named(flux):
    data = labelled_spectra(PreparedSpectra(np.arange(4), flux), ["A", "B", "A", "WD"])
    with pytest.raises(TrainingError, match="no spectra of class BHB, HSD"):
        require_classes(data, STELLAR_CLASSES)


def test_no_star_is_in_two_parts_of_the_split():
    data = many()
    split = split_by_star(data, seed=3)
    parts = [set(data.star[rows].tolist()) for rows in (split.train, split.validation, split.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    rows = np.concatenate([split.train, split.validation, split.test])
    assert sorted(rows.tolist()) == list(range(len(data)))


def test_the_split_is_stratified_by_class():
    data = many(n_stars=500, epochs=1)
    split = split_by_star(data)
    for part, share in ((split.train, 72), (split.validation, 8), (split.test, 20)):
        assert np.bincount(data.label[part]).tolist() == [share] * 5


def test_the_split_follows_from_the_seed_and_not_from_the_order_of_epochs():
    data = many()
    one, same, other = (split_by_star(data, seed=s) for s in (1, 1, 2))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    order = np.random.default_rng(4).permutation(len(data))
    shuffled = split_by_star(data[order], seed=1)
    assert set(data[order].star[shuffled.test].tolist()) == set(data.star[one.test].tolist())


def test_a_class_of_two_stars_cannot_be_split():
    data = many(n_stars=10, epochs=2)
    with pytest.raises(TrainingError, match="class BHB has 2 stars"):
        split_by_star(data)


def test_stage_2_learns_bhb_against_a_and_hsd_as_in_the_paper():
    label = np.array([BHB, A, B, HSD, WD])
    assert stage_labels(label, 1).tolist() == [0, 1, 2, 3, 4]
    assert stage_labels(label, 2).tolist() == [0, 1, -1, 1, -1]
    assert stage_labels(label, 2, "all").tolist() == [0, 1, 1, 1, 1]


def test_a_set_comes_back_from_its_file(small_set, tmp_path):
    path = small_set.save(tmp_path / "sets" / "small.npz")
    back = LabelledSpectra.load(path)
    assert back.flux == approx(small_set.flux, abs=8e-6)
    for name in ("obsid", "label", "star", "snr_g"):
        assert np.array_equal(getattr(back, name), getattr(small_set, name)), name
    assert back.truth["true_teff"].tolist() == small_set.truth["true_teff"].tolist()
    assert back.truth["true_group"].tolist() == small_set.truth["true_group"].tolist()
    known = {"seed": 11, "simulated": True, "n_dropped": 0}
    assert back.provenance == small_set.provenance == known
    assert back.fingerprint() == small_set.fingerprint()
    assert [p.name for p in path.parent.iterdir()] == ["small.npz"]


def test_the_fingerprint_tells_sets_apart(small_set):
    flux = small_set.flux.copy()
    flux[0, 0] += 0.01
    other = LabelledSpectra(
        small_set.obsid, flux, small_set.label, small_set.star, small_set.snr_g, small_set.truth
    )
    assert other.fingerprint() != small_set.fingerprint()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 nothing"])
def test_a_file_that_is_no_set_is_refused(tmp_path, content):
    path = tmp_path / "set.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"set.npz"):
        LabelledSpectra.load(path)


def test_arrays_of_someone_else_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", flux=np.zeros(3))
    with pytest.raises(TrainingError, match="not a set of labelled spectra"):
        LabelledSpectra.load(tmp_path / "other.npz")
