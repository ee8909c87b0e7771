"""Gaia tables under every name, joined by identifier, obsid and position."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import house_gaia, join_gaia

BIG = 4_611_686_018_427_387_905  # beyond the integers that a float holds


def archive_table(**columns):
    base = {
        "source_id": [BIG, BIG + 2],
        "ra": [10.0, 20.0],
        "dec": [1.0, 2.0],
        "phot_g_mean_mag": [14.0, 15.0],
        "phot_bp_mean_mag": [14.1, 15.3],
        "phot_rp_mean_mag": [14.0, 15.0],
        "parallax": [0.5, -0.1],
        "parallax_error": [0.05, 0.05],
    }
    return pd.DataFrame({**base, **columns})


def candidates(**columns):
    base = {
        "obsid": pd.array([101, 102, 103], "Int64"),
        "gaia_source_id": pd.array([BIG + 2, None, None], "Int64"),
    }
    return pd.DataFrame({**base, **columns})


def test_archive_names_become_house_names_and_colour_is_computed():
    house = house_gaia(archive_table())
    assert house["gaia_source_id"].tolist() == [BIG, BIG + 2]
    assert house["bp_rp"].tolist() == pytest.approx([0.1, 0.3])
    assert house["parallax_over_error"].tolist() == pytest.approx([10.0, -2.0])


def test_text_identifiers_keep_every_digit():
    house = house_gaia(archive_table(source_id=[str(BIG), f"Gaia DR3 {BIG + 2}"]))
    assert house["gaia_source_id"].tolist() == [BIG, BIG + 2]


def test_identifiers_that_went_through_float_are_left_out_or_refused():
    rounded = archive_table(source_id=[float(BIG), float(BIG)])
    assert house_gaia(rounded)["gaia_source_id"].isna().all()  # positions are left to go by
    with pytest.raises(CatalogueError, match="lost digits"):
        house_gaia(rounded.drop(columns=["ra", "dec"]))


def test_a_table_without_identity_or_photometry_is_refused_with_its_columns():
    with pytest.raises(CatalogueError, match="nothing|no source_id, obsid or ra/dec"):
        house_gaia(pd.DataFrame({"g_mag": [1.0], "colour": [0.1]}))
    with pytest.raises(CatalogueError, match="G magnitude"):
        house_gaia(pd.DataFrame({"source_id": [1], "parallax": [0.1]}))


def test_rows_join_by_source_id_then_obsid_then_sky_and_the_rest_stay_missing():
    gaia = house_gaia(
        pd.concat(
            [
                archive_table(),
                pd.DataFrame({"source_id": [7], "obsid": [102], "phot_g_mean_mag": [13.0]}),
            ],
            ignore_index=True,
        )
    )
    no_pairs = join_gaia(candidates(), gaia)
    assert no_pairs["gaia_source_id"].tolist()[:2] == [BIG + 2, 7]
    assert pd.isna(no_pairs["gaia_source_id"].iloc[2])
    pairs = (np.array([2, 0]), np.array([0, 0]), np.array([1.2, 0.1]))
    with_pairs = join_gaia(candidates(), gaia, pairs)
    assert with_pairs["gaia_source_id"].tolist() == [BIG + 2, 7, BIG]
    assert not with_pairs["gaia_ambiguous"].any()


def test_two_sources_in_the_radius_keep_the_nearest_and_are_marked_ambiguous():
    gaia = house_gaia(archive_table())
    pairs = (np.array([1, 1, 2]), np.array([0, 1, 1]), np.array([2.0, 0.5, 1.0]))
    joined = join_gaia(candidates(gaia_source_id=pd.array([None] * 3, "Int64")), gaia, pairs)
    assert joined["gaia_source_id"].tolist()[1:] == [BIG + 2, BIG + 2]
    assert joined["gaia_ambiguous"].tolist() == [False, True, False]
    both = f"{BIG + 2} at 0.50 arcsec; {BIG} at 2.00 arcsec"
    assert joined["gaia_candidates"].iloc[1] == both
    assert joined["gaia_candidates"].isna().tolist() == [True, False, True]


def test_a_source_listed_twice_counts_once():
    twice = pd.concat([archive_table(), archive_table()], ignore_index=True)
    gaia = house_gaia(twice)
    pairs = (np.array([1, 1]), np.array([0, 2]), np.array([0.5, 0.5]))
    joined = join_gaia(candidates(gaia_source_id=pd.array([BIG, None, None], "Int64")), gaia, pairs)
    assert joined["gaia_source_id"].tolist()[:2] == [BIG, BIG]
    assert not joined["gaia_ambiguous"].any()
    assert not joined["gaia_duplicated"].any()
    assert joined["gaia_candidates"].isna().all()


def test_a_source_listed_twice_with_different_values_is_marked():
    other = archive_table(phot_g_mean_mag=[14.5, 15.0])
    gaia = house_gaia(pd.concat([archive_table(), other], ignore_index=True))
    ids = pd.array([BIG, BIG + 2, None], "Int64")
    joined = join_gaia(candidates(gaia_source_id=ids), gaia)
    assert joined["g_mag"].tolist()[:2] == [14.0, 15.0]
    assert joined["gaia_duplicated"].tolist() == [True, False, False]


def test_an_empty_table_finds_nothing():
    joined = join_gaia(candidates(), house_gaia(archive_table().iloc[:0]))
    assert joined["gaia_source_id"].isna().all() and joined["g_mag"].isna().all()


def test_names_of_2mass_and_of_vizier_are_known():
    vizier = pd.DataFrame(
        {
            "Source": [1], "RA_ICRS": [10.0], "DE_ICRS": [1.0], "Gmag": [14.0], "BPmag": [14.1],
            "RPmag": [13.9], "Plx": [0.4], "e_Plx": [0.02], "pmRA": [3.0], "pmDE": [-2.0],
            "e_pmRA": [0.1], "e_pmDE": [0.1], "Jmag": [13.8], "e_Jmag": [0.02], "Kmag": [13.7],
        }
    )  # fmt: skip
    house = house_gaia(vizier).iloc[0]
    assert house["bp_rp"] == pytest.approx(0.2)
    assert (house["pmdec"], house["pmdec_error"]) == (-2.0, 0.1)
    assert (house["j_mag"], house["j_mag_err"], house["ks_mag"]) == (13.8, 0.02, 13.7)
    assert pd.isna(house["h_mag"])
    assert house["gaia_source_id"] == 1
