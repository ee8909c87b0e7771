"""There is one spectrum: what a catalogue says of it counts everywhere, as if its file said so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from twin_surveys import FIRST, NOWHERE, make_twins

from dashboard.state.data import SurveyData
from dashboard.state.finding import add_up, explain, fit_templates
from msfa_core.balmer.fit import FitFlag
from msfa_core.products import write_products
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest

COMPLETED = FIRST  # the first spectrum: its z is the catalogue's


@pytest.fixture(scope="module")
def twins(tmp_path_factory, tiny_models):
    """The survey whose headers say everything and the one where a catalogue does, both run."""
    made = make_twins(tmp_path_factory.mktemp("twins"), models=str(tiny_models))
    for survey in made:
        run(survey, ["classify", "measure", "match", "identify"], workers=1)
    return made


@pytest.fixture(scope="module")
def screens(twins):
    """What the screens of both show."""
    return [SurveyData(survey) for survey in twins]


def test_a_survey_gives_completed_spectra(twins):
    said, told = twins
    obsids = said.table()["obsid"].to_numpy(np.int64)
    assert np.array_equal(told.spectra(obsids).z, said.spectra(obsids).z, equal_nan=True)
    assert np.isnan(told.spectra([NOWHERE]).z).all()
    for obsid in obsids.tolist():
        one, other = said.spectrum(obsid), told.spectrum(obsid)
        for name in ("z", "ra", "dec", "snr_g"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-15, nan_ok=True)
        if obsid != NOWHERE:
            for name in ("class", "subclass"):
                assert other.meta[name] == one.meta[name]
        assert np.array_equal(other.flux, one.flux)


def test_shards_carry_completed_spectra_to_workers(twins):
    said, told = twins
    for shard in told.shards():
        batch = shard.spectra()
        assert batch.obsid.tolist() == shard.obsid.tolist()
        expected = said.spectra(shard.obsid)
        assert np.array_equal(batch.z, expected.z, equal_nan=True)
        assert np.array_equal(batch.flux, expected.flux, equal_nan=True)


def test_the_tables_are_the_same(twins):
    said, told = (survey.table().set_index("obsid").drop(columns="file") for survey in twins)
    assert told.loc[COMPLETED, "d02_hdelta"] == pytest.approx(said.loc[COMPLETED, "d02_hdelta"])
    both = [name for name in said.columns if name in told.columns]
    rows = said.index.drop(NOWHERE)
    pd.testing.assert_frame_equal(told.loc[rows, both], said.loc[rows, both])


def test_the_screen_shows_what_the_table_says(twins, screens):
    for survey, data in zip(twins, screens, strict=True):
        table = survey.table().set_index("obsid")
        for obsid, row in table.iterrows():
            spectrum, line_fits, windows = data.measured(obsid)
            assert spectrum.z == pytest.approx(row["z"], nan_ok=True)
            assert spectrum.z == pytest.approx(row["rest_z"], nan_ok=True)
            for k, line in enumerate(line_fits.lines):
                assert line_fits.d02[0, k] == pytest.approx(row[f"d02_{line}"], nan_ok=True)
                assert int(line_fits.flags[0, k]) == row[f"balmer_flags_{line}"]
                unknown = bool(line_fits.flags[0, k] & FitFlag.NO_REDSHIFT)
                assert unknown == (obsid == NOWHERE)
                assert windows[line].wavelength.size or unknown


def test_why_strips_and_templates_are_in_the_frame_of_the_star(screens):
    said, told = screens
    one, other = explain(said, COMPLETED), explain(told, COMPLETED)
    assert len(other.stages) == len(one.stages) == 2
    for stage, same in zip(other.stages, one.stages, strict=True):
        np.testing.assert_allclose(stage.attribution, same.attribution)
    one, other = fit_templates(said, COMPLETED), fit_templates(told, COMPLETED)
    assert [s.z for s in other.solutions] == [s.z for s in one.solutions]


def test_epochs_are_the_same_and_add_up_to_the_same_spectrum(screens):
    one, other = (add_up(data, COMPLETED).coadd for data in screens)
    assert other is not None and other.used.all()
    assert np.array_equal(other.z, one.z)
    assert np.array_equal(other.spectrum.flux, one.spectrum.flux)


def test_products_of_a_spectrum_and_of_a_star_hold_the_catalogues_z(twins, tmp_path):
    for survey in twins:
        write_products(survey, tmp_path / survey.path.name, coadded=True)
    names = sorted(path.name for path in (tmp_path / "said").glob("*.fits"))
    assert names == sorted(path.name for path in (tmp_path / "told").glob("*.fits"))
    for name in names:
        with fits.open(tmp_path / "said" / name) as one, fits.open(tmp_path / "told" / name) as two:
            for card in ("Z", "RA", "DEC", "CLASS", "SUBCLASS"):
                if f"{NOWHERE}" not in name:
                    assert two[0].header.get(card) == one[0].header.get(card), (name, card)
            assert two["COADD"].data.tobytes() == one["COADD"].data.tobytes()


def test_a_catalogue_that_comes_later_completes_spectra_that_are_open_already(twins, tmp_path):
    survey = Survey.create(tmp_path / "S")
    survey.archive.append([twins[1].archive.original(COMPLETED)])
    assert np.isnan(survey.spectra([COMPLETED]).z[0])
    catalogue = tmp_path / "late.csv"
    catalogue.write_text(f"obsid,z\n{COMPLETED},0.0005\n")
    ingest(survey, [], [catalogue])
    assert survey.spectra([COMPLETED]).z[0] == 0.0005
    assert survey.spectrum(COMPLETED).z == 0.0005


@pytest.mark.parametrize(("cls", "subclass"), [("", ""), ("Unknown", "Non"), (" ", "none")])
def test_a_word_that_says_nothing_is_none_and_a_catalogue_fills_it(twins, tmp_path, cls, subclass):
    one = twins[0].archive.original(COMPLETED)
    survey = Survey.create(tmp_path / "S")
    survey.archive.append([replace(one, meta={**one.meta, "class": cls, "subclass": subclass})])
    before = survey.table()["class"]
    assert before.isna().all() or before.tolist() == [cls]  # what LAMOST says stays visible
    catalogue = tmp_path / "classes.csv"
    catalogue.write_text(f"obsid,class,subclass\n{COMPLETED},STAR,A3V\n")
    ingest(survey, [], [catalogue])
    assert survey.table()["class"].tolist() == ["STAR"]
    assert survey.table()["subclass"].tolist() == ["A3V"]
    assert survey.spectrum(COMPLETED).meta["subclass"] == "A3V"


def test_spectra_stored_by_a_killed_ingest_are_completed_in_the_table_too(twins, tmp_path):
    bare = twins[1].archive.original(COMPLETED)
    survey = Survey.create(tmp_path / "S")
    survey.archive.append([replace(bare, obsid=COMPLETED + k) for k in range(2)])
    catalogue = tmp_path / "z.csv"
    rows = [f"{COMPLETED + k},0.000{k + 1}" for k in range(3)]
    catalogue.write_text("\n".join(["obsid,z", *rows]) + "\n")
    ingest(survey, [], [catalogue])
    written = survey.table()
    kept = survey.path / "catalogues" / "z.csv.parquet"
    pd.DataFrame({"obsid": [COMPLETED + k for k in range(3)], "z": [1e-4, 2e-4, 3e-4]}).to_parquet(
        kept
    )
    survey.archive.append([replace(bare, obsid=COMPLETED + 2)])
    assert written["z"].tolist() == [1e-4, 2e-4]
    assert survey.table()["z"].tolist() == [1e-4, 2e-4, 3e-4]
    assert survey.spectra([COMPLETED + 2]).z.tolist() == [3e-4]
