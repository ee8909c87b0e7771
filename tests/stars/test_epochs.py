"""Spectra of one star get one name, of two stars two; the best one stands for the star."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord, search_around_sky
from astropy_healpix import HEALPix
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from msfa_core.errors import CatalogueError
from msfa_core.flags import UidFlag
from msfa_core.stars.epochs import UID_NSIDE, assign_uids, group_positions

ARCSEC = 1.0 / 3600.0
GAIA = 2**62 + 1  # a float would lose its last digit


def spectra(ra, dec, gaia=None, ps1=None, snr_g=None):
    n = len(ra)
    table = {"obsid": np.arange(1, n + 1), "ra": np.array(ra, float), "dec": np.array(dec, float)}
    for name, values in (("gaia_source_id", gaia), ("ps_id", ps1)):
        if values is not None:
            table[name] = pd.array(values, dtype="Int64")
    table["snr_g"] = np.array(snr_g, float) if snr_g is not None else np.ones(n)
    return pd.DataFrame(table)


def same_groups(one, other):
    """Whether two labellings divide the rows alike."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


# --- groups --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ra0", "dec0"), [(180.0, 20.0), (0.0, 0.0), (0.0, 90.0), (50.0, -89.9999), (359.9999, 60.0)]
)
def test_groups_are_those_of_astropy_everywhere_on_the_sky(ra0, dec0):
    rng = np.random.default_rng(8)
    places = SkyCoord(ra0, dec0, unit="deg").directional_offset_by(
        rng.uniform(0, 360, 300) * u.deg, 60 * np.sqrt(rng.random(300)) * u.arcsec
    )
    i, j, *_ = search_around_sky(places, places, 3 * u.arcsec)
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(300, 300))
    count, theirs = connected_components(graph, directed=False)
    mine = group_positions(places.ra.deg, places.dec.deg, 3.0)
    assert 20 < count < 290
    assert same_groups(mine, theirs)
    assert mine.max() + 1 == count


def test_a_chain_of_neighbours_is_one_group_though_its_ends_are_far_apart():
    chain = 2 * ARCSEC * np.arange(50)
    assert set(group_positions(chain, np.zeros(50), 3.0)) == {0}
    assert group_positions(chain * 2, np.zeros(50), 3.0).tolist() == list(range(50))


def test_rows_without_a_position_are_groups_of_their_own():
    groups = group_positions([1.0, np.nan, 1.0, np.nan], [0.0, 0.0, 0.0, np.nan], 3.0)
    assert groups.tolist() == [0, 1, 0, 2]


def test_many_epochs_at_one_very_place_cost_no_pairs():
    n = 200_000  # all pairs would be 2e10
    assert group_positions(np.full(n, 10.0), np.full(n, 5.0), 3.0).max() == 0


# --- names ---------------------------------------------------------------------------------
def test_the_name_is_gaia_else_ps1_else_the_healpix_pixel_of_the_mean_position():
    table = spectra(
        ra=[10, 20, 30, 30 + 1 * ARCSEC, np.nan], dec=[0, 0, 60, 60, np.nan],
        gaia=[GAIA, None, None, None, None], ps1=[7, 123456789012345678, None, None, None],
    )  # fmt: skip
    uid = assign_uids(table)["uid"].tolist()
    healpix = HEALPix(UID_NSIDE, order="nested")
    pixel = healpix.lonlat_to_healpix((30 + 0.5 * ARCSEC) * u.deg, 60 * u.deg)
    assert uid == [f"G{GAIA}", "P123456789012345678", f"L{pixel}", f"L{pixel}", "O5"]


def test_gaia_ids_that_differ_in_the_last_digit_are_two_stars():
    table = spectra([10, 10], [0, 0], gaia=[GAIA, GAIA + 1])
    assert assign_uids(table)["uid"].tolist() == [f"G{GAIA}", f"G{GAIA + 1}"]


def test_one_gaia_id_is_one_star_however_far_its_positions_lie_apart():
    result = assign_uids(spectra([10, 200], [0, 40], gaia=[5, 5]))
    assert result["uid"].tolist() == ["G5", "G5"]
    assert result["n_epochs"].tolist() == [2, 2]


def test_a_spectrum_without_an_id_belongs_to_its_neighbour_and_to_the_nearest_of_two():
    dec = np.array([0.0, 1.0, 3.9, 5.0, 9.0]) * ARCSEC
    table = spectra(np.zeros(5), dec, gaia=[11, None, None, 22, None])
    assert assign_uids(table)["uid"].tolist()[:4] == ["G11", "G11", "G22", "G22"]
    assert assign_uids(table)["uid"].tolist()[4].startswith("L")


def test_a_chain_of_spectra_without_ids_hangs_on_the_star_at_its_end():
    table = spectra(2 * ARCSEC * np.arange(40), np.zeros(40), gaia=[*[None] * 39, 77])
    assert set(assign_uids(table)["uid"]) == {"G77"}


def test_a_ps1_id_leads_to_the_gaia_id_that_goes_with_it():
    table = spectra([10, 200, 300], [0, 0, 0], gaia=[5, None, None], ps1=[9, 9, 8])
    assert assign_uids(table)["uid"].tolist() == ["G5", "G5", "P8"]
    ambiguous = spectra([10, 50, 200], [0, 0, 0], gaia=[5, 6, None], ps1=[9, 9, 9])
    assert assign_uids(ambiguous)["uid"].tolist() == ["G5", "G6", "P9"]


def test_two_ps1_objects_in_reach_of_each_other_stay_two():
    table = spectra([10, 10 + ARCSEC, 10 + 1.2 * ARCSEC], [0, 0, 0], ps1=[1, 2, None])
    assert assign_uids(table)["uid"].tolist() == ["P1", "P2", "P2"]


def test_identifiers_come_as_text_too_and_sentinels_are_none():
    table = spectra([10, 20], [0, 0]).assign(gaia_source_id=[str(GAIA), "-9999"])
    assert assign_uids(table)["uid"].tolist()[0] == f"G{GAIA}"
    assert assign_uids(table)["uid"].tolist()[1].startswith("L")


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_names_do_not_depend_on_the_order_of_the_rows(seed):
    rng = np.random.default_rng(seed)
    n = 40
    ids = [None if rng.random() < 0.6 else int(rng.integers(1, 12)) for _ in range(2 * n)]
    table = spectra(
        rng.normal(0, 6 * ARCSEC, n), rng.normal(0, 6 * ARCSEC, n), ids[:n], ids[n:], rng.random(n)
    )
    plain = assign_uids(table).set_index(table["obsid"])
    mixed = table.sample(frac=1, random_state=seed)
    again = assign_uids(mixed).set_index(mixed["obsid"]).sort_index()
    pd.testing.assert_frame_equal(plain, again)
    gaia = table["gaia_source_id"].notna().to_numpy()
    names = "G" + table.loc[gaia, "gaia_source_id"].astype("str")
    assert plain["uid"].to_numpy()[gaia].tolist() == names.tolist()


# --- epochs --------------------------------------------------------------------------------
def test_each_star_has_one_representative_the_best_spectrum():
    table = spectra(
        [10] * 3 + [20] * 2 + [30] * 2, [0] * 7, snr_g=[5, 9, 7, np.nan, 1, 4, 4]
    )  # fmt: skip
    result = assign_uids(table)
    assert result["n_epochs"].tolist() == [3, 3, 3, 2, 2, 2, 2]
    assert result["is_representative"].tolist() == [False, True, False, False, True, True, False]
    assert [str(dtype) for dtype in result.dtypes] == [
        *("str", "Int64", "boolean", "Int64"),
    ]


def test_among_equals_the_lowest_obsid_stands_for_the_star():
    table = spectra([10, 10, 10], [0, 0, 0], snr_g=[np.nan] * 3).assign(obsid=[30, 10, 20])
    assert assign_uids(table)["is_representative"].tolist() == [False, True, False]
    bare = table.drop(columns="snr_g")
    assert assign_uids(bare)["is_representative"].tolist() == [False, True, False]


def test_the_index_of_the_candidates_is_kept():
    table = spectra([10, 20], [0, 0]).set_index(pd.Index([5, 3]))
    assert assign_uids(table).index.tolist() == [5, 3]


def test_no_spectra_give_no_stars():
    assert len(assign_uids(spectra([], []))) == 0


def test_positions_missing_everywhere_leave_every_spectrum_on_its_own():
    assert assign_uids(spectra([np.nan] * 3, [np.nan] * 3))["uid"].tolist() == ["O1", "O2", "O3"]


def test_a_table_that_cannot_be_identified_says_why():
    with pytest.raises(CatalogueError, match="lacks the column"):
        assign_uids(pd.DataFrame({"obsid": [1]}))
    with pytest.raises(CatalogueError, match="lost digits"):
        assign_uids(spectra([1], [1]).assign(gaia_source_id=[float(GAIA)]))
    with pytest.raises(CatalogueError, match="have no obsid"):
        assign_uids(spectra([1], [1]).assign(obsid=[0]))


# --- doubts ----------------------------------------------------------------------------------
def flags_of(table):
    return [UidFlag(int(flag)) for flag in assign_uids(table)["uid_flags"]]


def test_a_spectrum_that_had_ids_to_choose_from_is_marked():
    # the second lies between two Gaia stars, the third beside one only
    table = spectra(
        ra=[10, 10 + 1.5 * ARCSEC, 20, 10 + 3.4 * ARCSEC, 20 + 1 * ARCSEC], dec=[0] * 5,
        gaia=[GAIA, None, 7, GAIA + 1, None],
    )  # fmt: skip
    assert assign_uids(table)["uid"].tolist() == [f"G{GAIA}"] * 2 + ["G7", f"G{GAIA + 1}", "G7"]
    both = UidFlag.SEVERAL_IDS | UidFlag.NEIGHBOUR
    none = UidFlag(0)
    assert flags_of(table) == [none, both, none, UidFlag.NEIGHBOUR, none]


def test_ambiguous_pan_starrs_ids_are_marked_as_well():
    table = spectra([10, 10 + 1.5 * ARCSEC, 10 + 3.4 * ARCSEC], [0] * 3, ps1=[5, None, 6])
    assert UidFlag.SEVERAL_IDS in flags_of(table)[1]


def test_two_stars_within_the_radius_are_marked_on_both():
    table = spectra([10, 10 + 1 * ARCSEC, 40], [0, 0, 0], gaia=[5, 6, 7])
    assert flags_of(table) == [UidFlag.NEIGHBOUR, UidFlag.NEIGHBOUR, UidFlag(0)]


def test_spectra_far_from_the_mean_place_of_their_star_are_marked():
    far = flags_of(spectra([10, 10 + 20 * ARCSEC, 40], [0, 0, 0], gaia=[5, 5, 7]))
    assert far == [UidFlag.FAR, UidFlag.FAR, UidFlag(0)]
    opposite = flags_of(spectra([0, 180], [0, 0], gaia=[5, 5]))
    assert opposite == [UidFlag.FAR, UidFlag.FAR]


def test_spectra_without_a_position_are_marked_and_nothing_else():
    assert flags_of(spectra([np.nan, 10], [0, 0])) == [UidFlag.NO_POSITION, UidFlag(0)]


def test_a_dense_field_of_a_thousand_epochs_is_one_star():
    rng = np.random.default_rng(4)
    scatter = rng.normal(0, 0.3 * ARCSEC, (2, 1000))
    result = assign_uids(spectra(100 + scatter[0], 30 + scatter[1], gaia=[5] + [None] * 999))
    assert set(result["uid"]) == {"G5"}
    assert (result["n_epochs"] == 1000).all()
    assert result["is_representative"].sum() == 1
