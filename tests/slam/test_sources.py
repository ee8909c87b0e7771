"""Training sets from files and surveys: what is read, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError, ReadError
from msfa_core.slam.model import COLOURS
from msfa_core.slam.sources import from_survey, read_grid
from msfa_core.slam.train import Setting, train_slam
from msfa_core.slam.validation import cross_validate, observed
from msfa_core.spectra.spectrum import Spectra

from .conftest import SMALL_BINS, SMALL_SETTING


def arrays(data):
    names = dict(zip(("teff", "logg", "feh"), data.labels.T, strict=True))
    return {"wave": data.wavelength, "flux": data.flux, **names}


def test_a_grid_of_models_comes_back_as_it_was_written(small_set, tmp_path):
    colours = dict(zip(COLOURS, small_set.colours.T, strict=True))
    np.savez(tmp_path / "grid.npz", **arrays(small_set), **colours)
    read = read_grid(tmp_path / "grid.npz")
    assert np.array_equal(read.labels, small_set.labels)
    assert np.array_equal(read.colours, small_set.colours)
    np.savez(tmp_path / "plain.npz", **arrays(small_set))
    assert read_grid(tmp_path / "plain.npz").colours is None


def test_stars_of_a_grid_without_labels_are_left_out(small_set, tmp_path):
    content = arrays(small_set)
    content["feh"] = np.where(np.arange(len(small_set.labels)) < 3, np.nan, content["feh"])
    np.savez(tmp_path / "grid.npz", **content)
    assert len(read_grid(tmp_path / "grid.npz").labels) == len(small_set.labels) - 3


def test_a_file_that_is_no_grid_is_refused(small_set, tmp_path):
    path = tmp_path / "grid.npz"
    path.write_bytes(b"no array")
    with pytest.raises(ReadError, match="cannot be read"):
        read_grid(path)
    content = arrays(small_set)
    np.savez(path, wave=content["wave"], flux=content["flux"])
    with pytest.raises(ReadError, match="lacks teff, logg, feh"):
        read_grid(path)
    np.savez(path, **{**content, "wave": content["wave"][::-1]})
    with pytest.raises(ReadError, match="increasing wavelengths"):
        read_grid(path)


def test_a_labelled_survey_trains_a_model(small_set):
    rng = np.random.default_rng(6)
    spectra, _ = observed(small_set, 60.0, rng)
    spectra = Spectra(
        spectra.obsid + 100, spectra.wavelength, spectra.flux, spectra.ivar, spectra.mask, spectra.z
    )
    labels = pd.DataFrame(small_set.labels, columns=["teff", "logg", "feh"])
    labels["obsid"] = spectra.obsid
    labels.loc[0, "feh"] = np.nan
    data = from_survey(spectra, labels)
    assert len(data.labels) == len(spectra) - 1 and data.colours is None
    model = train_slam(data, bins=SMALL_BINS, degree=2, setting=SMALL_SETTING)
    there, _ = model.predict(data.labels[:5])
    assert np.abs(there - data.targets(SMALL_BINS, 2)[:5]).max() < 0.1
    with pytest.raises(CatalogueError, match="lacks feh"):
        from_survey(spectra, labels.drop(columns="feh"))
    with pytest.raises(CatalogueError, match="no spectrum of the survey"):
        from_survey(spectra, labels.assign(obsid=1))
    colours = pd.DataFrame(small_set.colours, columns=list(COLOURS))
    colours.loc[5, "j_h"] = np.nan
    assert len(from_survey(spectra, labels, colours).labels) == len(spectra) - 2


def test_cross_validation_quotes_stars_that_did_not_train(small_set):
    found = cross_validate(
        small_set, Setting(8.0, 0.05, 0.5), bins=SMALL_BINS, degree=2, folds=2,
        sample=(7000.0, 12_000.0),
    )  # fmt: skip
    assert found["folds"] == 2 and 20 < found["stars"] < 100
    alone, both = found["without_colours"], found["with_colours"]
    assert both["teff"]["scatter"] < alone["teff"]["scatter"] < 2000
    assert 0.3 < both["teff"]["pull_width"] < 3
