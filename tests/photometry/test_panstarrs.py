"""Pan-STARRS sources at the place and time of a spectrum, whatever the table is like."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import CatalogueError
from msfa_core.flags import PanstarrsFlag
from msfa_core.photometry.motion import places
from msfa_core.photometry.panstarrs import (
    MAGNITUDES,
    at_panstarrs,
    house_panstarrs,
    join_panstarrs,
    panstarrs_counterparts,
    panstarrs_flags,
)
from msfa_core.spine.place import joined_panstarrs
from msfa_core.stars.crossmatch import match_sky
from msfa_core.tables.door import of_frame, open_table

OBJID = 132_331_848_012_345_679
EPOCH = 56_000.0  # MJD
MJD = EPOCH + 5 * 365.25


def mast(ra=(184.8,), dec=(20.3,), **columns):
    """Rows as the archive of Pan-STARRS gives them."""
    n = len(ra)
    base = {"objID": OBJID + 3 * np.arange(n), "raMean": ra, "decMean": dec, "epochMean": EPOCH}
    for k, band in enumerate("grizy"):
        base |= {f"{band}MeanPSFMag": 16.0 - 0.1 * k, f"{band}MeanPSFMagErr": 0.01}
    return pd.DataFrame({**base, "qualityFlag": 52, **columns})


def spectra(ra=(184.8,), dec=(20.3,), **columns):
    return pd.DataFrame({"obsid": 10 + np.arange(len(ra)), "ra": ra, "dec": dec, **columns})


def joined(table, rows):
    return joined_panstarrs(table, {"table": house_panstarrs(rows)}, 3.0)


def brute_force(table, rows, radius):
    """Every pair by angles between all spectra and all sources, the stars moved one by one."""
    pairs = {}
    there = places(rows["ra"], rows["dec"], 0 * rows["ra"], 0 * rows["ra"], 0 * rows["ra"])
    for i, star in enumerate(table.itertuples()):
        years = (rows["ps_epoch"].to_numpy() - star.mjd) / 365.25
        n = len(rows)
        moved = places(
            np.full(n, star.ra), np.full(n, star.dec), np.full(n, star.pmra),
            np.full(n, star.pmdec), years,
        )  # fmt: skip
        cross = np.linalg.norm(np.cross(moved, there), axis=1)
        apart = np.degrees(np.arctan2(cross, (moved * there).sum(axis=1))) * 3600
        pairs |= {(i, int(j)): apart[j] for j in np.flatnonzero(apart <= radius)}
    return pairs


def test_counterparts_are_those_of_brute_force_at_poles_at_ra_0_in_crowds_and_on_the_move():
    rng = np.random.default_rng(3)
    ra = np.concatenate([rng.uniform(0, 360, 40), rng.uniform(-2e-3, 2e-3, 60) % 360,
                         150 + rng.normal(0, 2e-3, 200)])  # fmt: skip
    dec = np.concatenate([np.where(np.arange(40) % 2, 1, -1) * (90 - rng.uniform(0, 3e-3, 40)),
                          rng.uniform(-2e-3, 2e-3, 60), 40 + rng.normal(0, 2e-3, 200)])  # fmt: skip
    n = len(ra)
    speed, angle = 10 ** rng.uniform(0, 3.8, n), rng.uniform(0, 2 * np.pi, n)
    table = spectra(
        ra, dec, mjd=rng.uniform(56_500, 59_000, n), pmra=speed * np.cos(angle),
        pmdec=speed * np.sin(angle),
    )  # fmt: skip
    table.loc[::3, ["pmra", "pmdec"]] = np.nan
    then = at_panstarrs(table)
    shake = rng.normal(0, 1.0 / 3600, (2, n))
    source_ra = then["ra"] + shake[0] / np.maximum(np.cos(np.radians(then["dec"])), 1e-3)
    source_dec = np.clip(then["dec"] + shake[1], -90, 90)
    rows = house_panstarrs(
        mast(source_ra % 360, source_dec, epochMean=rng.uniform(55_200, 56_700, n))
    )
    i, j, apart = panstarrs_counterparts(table, rows, 3.0, match_sky)
    wanted = brute_force(table, rows, 3.0)
    assert len(wanted) > 400
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == set(wanted)
    assert apart == approx(np.array([wanted[p] for p in zip(i, j, strict=True)]), abs=1e-5)


def test_a_star_that_moved_is_found_where_pan_starrs_saw_it():
    star = spectra(mjd=[MJD], pmra=[0.0], pmdec=[4000.0])  # 20 arcsec in five years
    before = mast(dec=[20.3 - 20.0 / 3600])
    found = joined(star, before).iloc[0]
    assert found["ps_id"] == OBJID
    assert found["ps_separation"] == approx(0.0, abs=0.01)
    assert joined(star, mast())["ps_id"].isna().all()  # who stands there now is another
    still = joined(spectra(), mast())  # no date, no motion
    assert still["ps_separation"].tolist() == approx([0.0], abs=1e-6)


VIZIER = {
    "objID": "objID", "raMean": "RAJ2000", "decMean": "DEJ2000", "epochMean": "Epoch",
    "qualityFlag": "Qual",
    **{f"{b}MeanPSFMag": f"{b}mag" for b in "grizy"},
    **{f"{b}MeanPSFMagErr": f"e_{b}mag" for b in "grizy"},
}  # fmt: skip
GAIA_COPY = {
    "objID": "obj_id", "raMean": "ra", "decMean": "dec", "epochMean": "epoch_mean",
    "qualityFlag": "quality_flag",
    **{f"{b}MeanPSFMag": f"{b}_mean_psf_mag" for b in "grizy"},
    **{f"{b}MeanPSFMagErr": f"{b}_mean_psf_mag_error" for b in "grizy"},
}  # fmt: skip


@pytest.mark.parametrize("names", [{}, VIZIER, GAIA_COPY], ids=["MAST", "VizieR", "Gaia archive"])
def test_every_archive_s_names_are_understood(names):
    found = joined(spectra(), mast().rename(columns=names)).iloc[0]
    assert found["ps_id"] == OBJID
    assert [found[name] for name in MAGNITUDES] == approx([16.0, 15.9, 15.8, 15.7, 15.6])
    assert [found[f"{name}_err"] for name in MAGNITUDES] == approx([0.01] * 5)
    assert (found["ps_quality"], found["ps_flags"]) == (52, 0)


def test_gaia_s_gmag_beside_is_not_taken_for_pan_starrs_g():
    table = mast().rename(columns=VIZIER).assign(Gmag=12.0, BPmag=12.2, RPmag=11.8)
    assert joined(spectra(), table)["ps_g_mag"].tolist() == [16.0]
    lacking = joined(spectra(), table.drop(columns="gmag"))
    assert lacking["ps_g_mag"].isna().all()
    assert lacking["ps_r_mag"].notna().all()


def test_an_epoch_in_years_counts_as_one():
    rows = house_panstarrs(mast(epochMean=[2012.25]))
    assert rows["ps_epoch"].tolist() == approx([51544.5 + 12.25 * 365.25])


def test_magnitudes_of_minus_999_are_missing_and_so_are_errors_without_magnitude():
    table = mast(gMeanPSFMag=-999.0, gMeanPSFMagErr=-999.0, rMeanPSFMag=-999.0, iMeanPSFMagErr=0.0)
    found = joined(spectra(), table).iloc[0]
    assert np.isnan([found["ps_g_mag"], found["ps_g_mag_err"]]).all()
    assert np.isnan([found["ps_r_mag"], found["ps_r_mag_err"], found["ps_i_mag_err"]]).all()
    assert found["ps_i_mag"] == approx(15.8)
    assert found["ps_flags"] == PanstarrsFlag.NO_ERRORS


def test_a_table_without_errors_is_used_and_flagged():
    table = mast().drop(columns=[f"{band}MeanPSFMagErr" for band in "grizy"])
    found = joined(spectra(), table).iloc[0]
    assert found["ps_g_mag"] == 16.0
    assert found["ps_flags"] == PanstarrsFlag.NO_ERRORS


def test_two_sources_within_3_arcsec_are_both_named_and_flagged():
    rows = mast([184.8, 184.8], [20.3 + 0.5 / 3600, 20.3 - 2 / 3600])
    found = joined(spectra(), rows).iloc[0]
    assert found["ps_id"] == OBJID
    assert found["ps_flags"] == PanstarrsFlag.AMBIGUOUS
    assert f"{OBJID + 3} at 2.00 arcsec" in found["ps_candidates"]


def test_detections_listed_twice_count_once_and_say_so_where_they_differ():
    same = joined(spectra(), mast([184.8] * 2, [20.3] * 2, objID=OBJID)).iloc[0]
    assert same["ps_flags"] == 0
    differing = mast([184.8] * 2, [20.3] * 2, objID=OBJID, gMeanPSFMag=[16.0, 16.4])
    found = joined(spectra(), differing).iloc[0]
    assert (found["ps_id"], found["ps_g_mag"]) == (OBJID, 16.0)
    assert found["ps_flags"] == PanstarrsFlag.DUPLICATED


def test_quality_brightness_and_the_south_are_flagged():
    rows = mast(
        [10.0, 20.0, 30.0], [5.0] * 3, qualityFlag=[1 | 4, 64 | 16, 52], gMeanPSFMag=[16, 16, 14.0]
    )
    table = spectra([10.0, 20.0, 30.0, 40.0, 50.0], [5.0, 5.0, 5.0, 5.0, -45.0])
    none, south = PanstarrsFlag.NO_COUNTERPART, PanstarrsFlag.NOT_SURVEYED
    assert joined(table, rows)["ps_flags"].tolist() == [
        PanstarrsFlag.EXTENDED, PanstarrsFlag.POOR, PanstarrsFlag.SATURATED, none, none | south,
    ]  # fmt: skip


def test_an_identifier_names_a_row_and_one_far_away_is_refused():
    table = spectra([10.0, 20.0], [5.0, 5.0], ps_id=pd.array([OBJID, OBJID + 3], "Int64"))
    rows = house_panstarrs(mast([10.0 + 8 / 3600, 200.0], [5.0, -5.0]))
    found = join_panstarrs(table, rows, panstarrs_counterparts(table, rows, 3.0, match_sky))
    assert found["ps_found_by"].fillna("").tolist() == ["id", ""]
    assert found["ps_refused"].notna().tolist() == [False, True]
    flags = panstarrs_flags(found.assign(dec=table["dec"]))
    assert flags.tolist() == [0, PanstarrsFlag.NO_COUNTERPART | PanstarrsFlag.MISPLACED]


def test_what_a_catalogue_says_counts_where_no_table_does():
    table = spectra(
        [10.0, 20.0], [5.0, 5.0], ps_id=pd.array([7, 8], "Int64"), ps_g_mag=[15.0, 15.5]
    )
    found = joined(table, mast([20.0], [5.0]))
    assert found["ps_id"].tolist() == [7, OBJID]
    assert found["ps_g_mag"].tolist() == [15.0, 16.0]


def test_identifiers_that_lost_digits_are_refused_by_name(tmp_path):
    path = tmp_path / "ps.csv"
    rows = mast(np.linspace(10, 20, 12), np.full(12, 5.0))
    rows["objID"] = [f"{float(one):.6e}" for one in rows["objID"]]
    rows.to_csv(path, index=False)
    from msfa_core.photometry.panstarrs import PANSTARRS_USE

    opened = open_table(path, PANSTARRS_USE)
    assert "ps_id" not in opened.table
    assert "lost digits" in opened.left_out["objID"]
    assert opened.has("ra", "dec")  # its magnitudes are still of use, by place


@pytest.mark.parametrize(
    ("columns", "words"),
    [(["objID", "raMean", "decMean"], "to join on"),
     ([f"{b}MeanPSFMag" for b in "grizy"], "no magnitude")],
)  # fmt: skip
def test_a_table_of_no_use_says_what_it_lacks(columns, words):
    with pytest.raises(CatalogueError, match=words):
        house_panstarrs(mast().drop(columns=columns))


def test_our_own_columns_come_back_as_they_were():
    from msfa_core.photometry.panstarrs import PANSTARRS_USE

    rows = house_panstarrs(mast())
    again = of_frame(rows, PANSTARRS_USE, trusted=True).table
    assert again["ps_id"].tolist() == [OBJID]
    assert again["ps_g_mag_err"].tolist() == [0.01]
