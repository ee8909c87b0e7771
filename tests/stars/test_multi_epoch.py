"""The multiple-epoch catalogue says of each star what its spectra say, and reads back."""

import numpy as np
import pandas as pd
import pytest
from astropy.time import Time

from msfa_core.errors import CatalogueError
from msfa_core.stars.multi_epoch import (
    MEC_COLUMNS,
    explode_epochs,
    middle_minutes,
    multi_epoch_table,
    read_multi_epoch,
)
from msfa_core.tables.export import FORMATS, export


@pytest.fixture
def spectra():
    """Forty stars with 1 to 5 epochs, some values missing, negative ones among them."""
    rng = np.random.default_rng(12)
    rows = []
    for star in range(40):
        uid = f"{'GPL'[star % 3]}{4_000_000_000_000_000_001 + star}"
        ra, dec = rng.uniform(0, 360), rng.uniform(-10, 80)
        for _ in range(1 + star % 5):
            day = Time(55900 + rng.uniform(0, 3000), format="mjd")
            missing = rng.random() < 0.2
            rows.append(
                {
                    "obsid": 101001 + len(rows),
                    "uid": uid,
                    "ra": ra + rng.normal(0, 1e-5),
                    "dec": dec,
                    "z": round(rng.normal(0, 5e-4), 8),
                    "epoch_rv": np.nan if missing else round(rng.normal(0, 150), 2),
                    "teff": np.nan if missing else round(rng.uniform(7000, 20000), 2),
                    "logg": round(rng.uniform(2.5, 4.5), 3),
                    "feh": round(rng.normal(-1.5, 0.6), 3),
                    "date_obs": None if missing else day.isot,
                    "mjd": day.mjd,
                }
            )
    return pd.DataFrame(rows)


def test_the_middle_of_an_observation_is_a_local_modified_julian_minute():
    # header of a LAMOST file: exposures from local minute 80436692 (DATE-BEG 19:35:47) onwards,
    # DATE-OBS 2011-10-24T12:32:00 UTC is 20:32 local
    dates = ["2011-10-24T12:32:00", "2011-10-24T12:07:09.80", None, "?", "2011-10-24", "20111024"]
    table = pd.DataFrame({"date_obs": dates})
    minutes = middle_minutes(table)
    assert minutes.tolist()[:2] == [80436692 + 60, 80436727]
    assert minutes.isna().tolist() == [False, False, True, True, True, True]
    assert middle_minutes(table[[]]).isna().all()


def test_a_star_has_one_row_with_its_epochs_in_the_order_of_time(spectra):
    mec = multi_epoch_table(spectra).set_index("uid")
    for uid, epochs in spectra.groupby("uid"):
        if len(epochs) < 2:
            assert uid not in mec.index
            continue
        row = mec.loc[uid]
        assert row["obs_number"] == len(epochs)
        in_time = epochs.assign(m=middle_minutes(epochs)).sort_values(["m", "obsid"])
        assert row["obsid_list"] == "-".join(map(str, in_time["obsid"]))
        assert row["ura"] == pytest.approx(epochs["ra"].mean(), abs=1e-6)
        assert row["udec"] == pytest.approx(epochs["dec"].mean(), abs=1e-6)
        assert pd.isna(row["gp_id"]) if uid[0] == "L" else row["gp_id"] == int(uid[1:])


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_reads_back_to_the_epochs_that_went_in(spectra, tmp_path, suffix):
    path = export(multi_epoch_table(spectra), tmp_path / f"mec.{suffix}", columns=MEC_COLUMNS)
    back = read_multi_epoch(path).set_index("obsid")
    several = spectra.groupby("uid")["obsid"].transform("size") > 1
    truth = spectra[several].set_index("obsid")
    assert sorted(back.index) == sorted(truth.index)
    back = back.loc[truth.index]
    assert back["uid"].tolist() == truth["uid"].tolist()
    for name, source in {
        "z": "z",
        "teff": "teff",
        "logg": "logg",
        "feh": "feh",
        "rv": "epoch_rv",
    }.items():
        np.testing.assert_array_equal(back[name], truth[source])
    assert back["midmjm"].fillna(0).tolist() == middle_minutes(truth).fillna(0).tolist()


def test_negative_values_and_exponents_are_told_from_the_separator():
    table = pd.DataFrame(
        {
            "obsid_list": ["101-102-103"],
            "rv_list": ["12.0--8.5-3.0"],
            "z_list": ["-1e-05-2E-4--9999"],
        }
    )
    epochs = explode_epochs(table)
    assert epochs["obsid"].tolist() == [101, 102, 103]
    assert epochs["rv"].tolist() == [12.0, -8.5, 3.0]
    assert epochs["z"].tolist()[:2] == [-1e-05, 2e-4]
    assert np.isnan(epochs["z"].iloc[2])


def test_identifiers_keep_all_their_digits():
    epochs = explode_epochs(pd.DataFrame({"obsid_list": ["9007199254740993-9007199254740995"]}))
    assert epochs["obsid"].tolist() == [9007199254740993, 9007199254740995]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"obsid_list": ["1-2"], "z_list": ["0.1"]}, "z_list has 1 values"),
        ({"obsid_list": ["1,2"]}, "no list of numbers"),
        ({"obsid_list": ["1---2"]}, "no list of numbers"),
        ({"z_list": ["0.1-0.2"]}, "obsid_list"),
    ],
)
def test_a_catalogue_that_is_none_is_refused(lists, said):
    with pytest.raises(CatalogueError, match=said):
        explode_epochs(pd.DataFrame(lists))


def test_medium_resolution_is_left_out_and_a_survey_without_epochs_is_refused(spectra):
    medium = spectra.assign(resolution="medium")
    both = pd.concat([spectra, medium.assign(obsid=medium["obsid"] + 10**6)])
    assert multi_epoch_table(both).equals(multi_epoch_table(spectra))
    with pytest.raises(CatalogueError, match="no star has two"):
        multi_epoch_table(medium)
    with pytest.raises(CatalogueError, match="steps identify"):
        multi_epoch_table(spectra.assign(uid=pd.Series([None] * len(spectra), dtype="str")))


def test_stars_without_a_position_have_no_mean_position(spectra):
    mec = multi_epoch_table(spectra.assign(ra=np.nan))
    assert mec["ura"].isna().all()
    assert mec["udec"].isna().all()
