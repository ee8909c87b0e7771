"""The step `place` on surveys: tables of every kind, an archive, and what is missing."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from local_tap import recorded_rows, start_archive
from pytest import approx
from small_survey import star_spectrum

from msfa_core.columns import columns_of
from msfa_core.config import Settings
from msfa_core.errors import CatalogueError, ConfigError, SurveyError
from msfa_core.flags import CmdFlag
from msfa_core.photometry.colours import colours
from msfa_core.photometry.gaia import house_gaia
from msfa_core.photometry.tap import Patience
from msfa_core.spine.place import fetch_online, fetch_panstarrs_online, place
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import give
from msfa_core.tables.read import read_table

QUICK = Patience(tries=2, first_wait=0.01, answer_seconds=20, job_seconds=20, first_poll=0.01)
SETTINGS = Settings(dust_map="none")
BIG = 4_611_686_018_427_387_905


def no_progress(*_):
    pass


def spectra(n=3, **columns):
    base = {
        "obsid": np.arange(n) + 10,
        "ra": 10.0 + np.arange(n),
        "dec": 60.0 + np.arange(n),
        "lmjd": 57388,
    }
    return pd.DataFrame({**base, **columns})


def gaia(table, **columns):
    n = len(table)
    base = {
        "source_id": BIG + 2 * np.arange(n), "ra": table["ra"], "dec": table["dec"],
        "phot_g_mean_mag": 14.0, "phot_bp_mean_mag": 14.1, "phot_rp_mean_mag": 13.9,
        "parallax": 0.5, "parallax_error": 0.05, "pmra": 10.0, "pmdec": -10.0,
        "pmra_error": 0.1, "pmdec_error": 0.1, "j_m": 13.8, "h_m": 13.75,
        "j_msigcom": 0.02, "h_msigcom": 0.02,
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def placed(table, rows, settings=SETTINGS):
    return place(table, {} if rows is None else {"table": house_gaia(rows)}, settings)


def test_every_column_of_the_step_is_filled_and_typed():
    result = placed(spectra(), gaia(spectra(), ebv=0.02))
    for column in columns_of("place"):
        assert str(result[column.name].dtype) == column.dtype
    star = result.iloc[0]
    assert (star["gaia_source_id"], star["ebv_source"], star["cmd_flags"]) == (BIG, "column", 0)
    assert star["gaia_separation"] < 0.01
    assert star["abs_mag_g"] == approx(14 + 5 * np.log10(0.5) - 10)
    found = colours(result).iloc[0]
    assert found["bp_rp"] == approx(0.2 - 0.02 * 1.261)
    assert found["j_h_err"] == approx(np.hypot(0.02, 0.02))


@pytest.mark.parametrize("kind", ["csv", "fits", "vot", "ecsv"])
def test_tables_of_every_kind_place_the_same_stars(kind, tmp_path):
    table = spectra()
    rows = gaia(table)
    rows.loc[1, "phot_bp_mean_mag"] = np.nan
    path = tmp_path / f"gaia.{kind}"
    if kind == "csv":
        rows.to_csv(path, index=False)
    else:
        names = {"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv"}
        Table.from_pandas(rows).write(path, format=names[kind])
    result = placed(table, read_table(path))
    assert result["gaia_source_id"].tolist() == [BIG, BIG + 2, BIG + 4]
    assert result["abs_mag_g"].to_numpy() == approx(np.full(3, 14 + 5 * np.log10(0.5) - 10))
    assert result["cmd_flags"].tolist() == [0, CmdFlag.NO_COLOUR, 0]
    assert colours(result)["g_rp"].notna().all()


def test_rows_are_found_by_source_id_obsid_and_position():
    table = spectra(gaia_source_id=pd.array([BIG, None, None], "Int64"))
    rows = gaia(table)
    rows.loc[0, ["ra", "dec"]] = [200.0, -50.0]  # by its identifier only
    rows["obsid"] = pd.array([None, 11, None], "Int64")
    rows.loc[1, ["ra", "dec"]] = np.nan  # by its obsid only
    result = placed(table, rows)
    assert result["gaia_source_id"].tolist() == [BIG, BIG + 2, BIG + 4]


def test_two_sources_within_3_arcsec_are_both_named_and_flagged():
    table = spectra()
    rows = gaia(table)
    rival = rows.iloc[[1]].assign(source_id=BIG + 100, dec=rows["dec"].iloc[1] + 2 / 3600)
    result = placed(table, pd.concat([rows, rival], ignore_index=True))
    star = result.iloc[1]
    assert star["gaia_source_id"] == BIG + 2
    assert star["cmd_flags"] == CmdFlag.AMBIGUOUS
    assert str(BIG + 2) in star["gaia_candidates"]
    assert f"{BIG + 100} at 2.00 arcsec" in star["gaia_candidates"]
    assert result["gaia_candidates"].isna().tolist() == [True, False, True]


def test_duplicated_source_ids_take_the_first_row_and_say_so_where_they_differ():
    table = spectra()
    rows = gaia(table)
    again = rows.iloc[:2].assign(phot_g_mean_mag=[14.0, 15.0])
    result = placed(table, pd.concat([rows, again], ignore_index=True))
    assert result["g_mag"].tolist() == [14.0, 14.0, 14.0]
    assert result["cmd_flags"].tolist() == [0, CmdFlag.DUPLICATED, 0]


def test_a_negative_parallax_an_absurd_reddening_and_no_motion_are_flagged():
    table = spectra()
    rows = gaia(table, parallax=[-0.3, 0.5, 0.5], ebv=[0.02, 5.0, 0.02], pmra=[10.0, 10.0, np.nan])
    result = placed(table, rows)
    assert result["cmd_flags"].tolist() == [
        CmdFlag.NO_PARALLAX, CmdFlag.ABSURD_REDDENING, CmdFlag.NO_PROPER_MOTION,
    ]  # fmt: skip
    assert result["abs_mag_g"].isna().tolist() == [True, False, False]
    assert result["tangential_velocity"].isna().tolist() == [True, False, True]
    assert colours(result)["bp_rp"].isna().tolist() == [False, True, False]


def test_a_fast_star_is_matched_where_it_was():
    table = spectra(lmjd=57388 - 3652)  # ten years before Gaia's epoch
    rows = gaia(table, pmdec=[-900.0, -10.0, -10.0])
    rows.loc[0, "dec"] -= 9 / 3600
    result = placed(table, rows)
    assert result["gaia_source_id"].notna().all()
    assert result["gaia_separation"].iloc[0] == approx(0.0, abs=0.2)
    no_date = placed(table.drop(columns="lmjd"), rows)
    assert no_date["gaia_source_id"].isna().tolist() == [True, False, False]


def test_without_any_photometry_everything_is_missing_and_flagged():
    result = placed(spectra(), None)
    for name in ("g_mag", "bp_rp", "abs_mag_g", "in_cmd_trapezoid", "cmd_exclusions", "ebv"):
        assert result[name].isna().all(), name
    nothing = CmdFlag.NO_GAIA | CmdFlag.NO_COLOUR | CmdFlag.NO_PARALLAX
    assert (result["cmd_flags"] == int(nothing)).all()
    assert colours(result).isna().all(axis=None)


def test_the_map_of_the_dust_fills_missing_reddening_and_says_so():
    result = placed(spectra(), gaia(spectra()), Settings(dust_map="sfd"))
    assert (result["ebv_source"] == "sfd").all()
    assert result["bp_rp0"].notna().all()
    with pytest.raises(ConfigError, match="known are"):
        placed(spectra(), None, Settings(dust_map="green"))


def test_an_archive_completes_a_table_and_a_complete_table_stays():
    table = spectra()
    short = gaia(table, parallax=[0.5, np.nan, 0.5], ebv=0.1).iloc[:2]
    archive = gaia(table, phot_g_mean_mag=13.0)
    tables = {"archive": house_gaia(archive), "table": house_gaia(short)}
    result = place(table, tables, SETTINGS)
    assert result["g_mag"].tolist() == [14.0, 13.0, 13.0]
    assert result["ebv"].tolist()[0] == 0.1


# --- surveys -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def server():
    archive, url, stop = start_archive()
    yield archive, url
    stop()


@pytest.fixture
def survey(tmp_path):
    """A survey of spectra at the places of the recorded archive."""
    rng = np.random.default_rng(6)
    rows = recorded_rows()
    made = []
    for number, (ra, dec) in enumerate(zip(rows["ra"], rows["dec"], strict=True)):
        spectrum = star_spectrum(500 + number, 9.0, 0.7, 0.0, 30.0, rng, f"star-{number}.fits")
        meta = {**spectrum.meta, "lmjd": 57388}
        object.__setattr__(spectrum, "ra", float(ra))
        object.__setattr__(spectrum, "dec", float(dec))
        object.__setattr__(spectrum, "meta", meta)
        made.append(spectrum)
    survey = Survey.create(tmp_path / "s", dust_map="none")
    survey.archive.append(made)
    return survey


def test_a_survey_is_placed_from_the_archive_and_a_second_time_nothing_is_asked(survey, server):
    known, url = server
    known.questions.clear()
    report = fetch_online(survey, no_progress, url, batch=5, patience=QUICK)
    assert (report.n_rows, report.n_before) == (14, 0)
    run(survey, ["place"], workers=1)
    table = survey.table().set_index("obsid")
    rows = recorded_rows()
    assert table.loc[500 + 3, "cmd_flags"] == CmdFlag.NO_PARALLAX
    assert table.loc[500 + 7, "cmd_flags"] == CmdFlag.NO_COLOUR
    assert table.loc[500 + 8, "cmd_flags"] == CmdFlag.NO_PARALLAX | CmdFlag.NO_PROPER_MOTION
    for one in (504, 505):  # within 3 arcsec of each other
        assert table.loc[one, "cmd_flags"] == CmdFlag.AMBIGUOUS
    others = [k for k in range(14) if k not in (3, 4, 5, 7, 8)]
    assert table["gaia_source_id"].iloc[others].tolist() == [
        int(rows["source_id"][k]) for k in others
    ]
    assert set(table["cmd_flags"].iloc[others]) <= {0, int(CmdFlag.POOR_PARALLAX)}
    known.questions.clear()
    again = fetch_online(survey, no_progress, url, batch=5, patience=QUICK)
    assert again.n_before == again.n_stars == 14
    assert not known.questions


def test_what_a_table_has_is_not_asked_of_the_archive(survey, server, tmp_path):
    known, url = server
    base = survey.table()
    path = tmp_path / "gaia.csv"
    gaia(base.iloc[:9]).to_csv(path, index=False)
    give(survey, gaia=[path])
    known.questions.clear()
    assert fetch_online(survey, no_progress, url, patience=QUICK).n_stars == 5
    with pytest.raises(SurveyError, match="no candidates yet"):
        fetch_online(survey, no_progress, url, candidates_only=True, patience=QUICK)


def test_pan_starrs_is_asked_where_its_stars_were_and_not_in_the_south(survey, server):
    known, url = server
    fetch_online(survey, no_progress, url, patience=QUICK)
    asked = len(known.questions)
    report = fetch_panstarrs_online(survey, no_progress, url, patience=QUICK)
    assert report.n_rows > 0
    query, stars = known.questions[-1]
    assert len(known.questions) == asked + 1
    assert (np.asarray(stars["dec"]) >= -31).all()
    assert fetch_panstarrs_online(survey, no_progress, url, patience=QUICK).n_before > 0
    run(survey, ["place"], workers=1)
    table = survey.table()
    assert table["ps_id"].notna().sum() >= 8
    assert table["ps_separation"].dropna().max() < 3.0


def test_without_a_network_the_survey_stays_as_it_was(survey):
    with pytest.raises(CatalogueError, match="check the network"):
        fetch_online(survey, no_progress, "http://127.0.0.1:9/tap", patience=QUICK)
    run(survey, ["place"], workers=1)
    assert survey.table()["g_mag"].isna().all()


def test_simulated_stars_are_in_no_archive(tmp_path):
    made = Survey.create(tmp_path / "m", simulated=True)
    with pytest.raises(SurveyError, match="in no archive"):
        fetch_online(made, no_progress)


def test_a_changed_setting_places_the_stars_anew(survey, server, monkeypatch):
    _, url = server
    fetch_online(survey, no_progress, url, patience=QUICK)
    assert run(survey, ["place"], workers=1).did_work
    assert not run(survey, ["place"], workers=1).did_work
    plain = survey.table()["abs_mag_g"]
    monkeypatch.setenv("MSFA_PARALLAX_ZERO_POINT", "true")
    assert run(survey, ["place"], workers=1).did_work
    corrected = survey.table()
    fainter = corrected["abs_mag_g"] - plain
    assert (fainter.dropna() > 0).all() and fainter.notna().sum() >= 11
    assert (corrected["parallax_zero_point"].dropna() < 0).all()
