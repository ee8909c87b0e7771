"""Pairs on the sky are all of them and only them; catalogues join on obsid and file name."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord, angular_separation, search_around_sky
from astropy_healpix import lonlat_to_healpix
from hypothesis import given, settings
from hypothesis import strategies as st

from msfa_core.errors import CatalogueError
from msfa_core.stars import sky
from msfa_core.stars.crossmatch import (
    CATALOGUE_USE,
    join_catalogue,
    joined_catalogue,
    match_sky,
)
from msfa_core.stars.known import drop_known, known_counts, mark_known
from msfa_core.tables.door import of_frame, open_table
from msfa_core.tables.report import check_slipped
from msfa_core.tables.row_keys import as_ids, file_key, positions

ARCSEC = 1.0 / 3600.0
GAIA = 4611686018427387905  # 2**62 + 1: a float would lose its last digit


def pairs_of(i, j):
    return sorted(zip(np.asarray(i).tolist(), np.asarray(j).tolist(), strict=True))


def every_pair(ra1, dec1, ra2, dec2, radius_arcsec):
    """All pairs within the radius, one by one, by Vincenty's formula."""
    grid = angular_separation(*(np.radians(x)[:, None] for x in (ra1, dec1)),
                              *(np.radians(x)[None, :] for x in (ra2, dec2)))  # fmt: skip
    return np.nonzero(np.degrees(grid) * 3600.0 <= radius_arcsec)


# --- places --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ra0", "dec0"), [(180.0, 20.0), (0.0, 0.0), (359.9999, -89.9995), (12.0, 90.0), (77.0, -90.0)]
)
def test_pairs_are_those_of_astropy_everywhere_on_the_sky(ra0, dec0):
    rng = np.random.default_rng(5)
    centre = SkyCoord(ra0, dec0, unit="deg")
    lists = [
        centre.directional_offset_by(
            rng.uniform(0, 360, 400) * u.deg, 20 * np.sqrt(rng.random(400)) * u.arcsec
        )
        for _ in range(2)
    ]
    mine = match_sky(*(x for s in lists for x in (s.ra.deg, s.dec.deg)), 3.0)
    theirs = search_around_sky(*lists, 3 * u.arcsec)
    assert pairs_of(*mine[:2]) == pairs_of(*theirs[:2])
    assert len(mine[0]) > 1000
    separation = lists[0][mine[0]].separation(lists[1][mine[1]]).arcsec
    assert np.abs(mine[2] - separation).max() < 1e-9


def test_pairs_come_ordered_by_row_and_then_by_separation():
    i, j, separation = match_sky(
        [10.0, 10.0], [0.0, 5.0], [10.0] * 3, np.array([2, -1, 0]) * ARCSEC, 3
    )
    assert i.tolist() == [0, 0, 0]
    assert j.tolist() == [2, 1, 0]
    assert separation == pytest.approx([0.0, 1.0, 2.0], abs=1e-9)


def test_one_star_pairs_with_each_of_many_and_many_with_one():
    near = np.array([-2.0, 0.0, 2.0]) * ARCSEC
    assert pairs_of(*match_sky([0.0], [0.0], near, np.zeros(3), 3)[:2]) == [(0, 0), (0, 1), (0, 2)]
    assert pairs_of(*match_sky(near, np.zeros(3), [0.0], [0.0], 3)[:2]) == [(0, 0), (1, 0), (2, 0)]


def test_right_ascension_wraps_and_may_carry_whole_turns():
    assert len(match_sky([359.9999], [0.0], [0.0001], [0.0], 1.0)[0]) == 1
    assert len(match_sky([-0.0001], [0.0], [720.0001], [0.0], 1.0)[0]) == 1
    assert len(match_sky([359.9999], [0.0], [0.0001], [0.0], 0.7)[0]) == 0


def test_around_a_pole_right_ascension_does_not_matter():
    i, _, separation = match_sky([0.0], [90.0 - 1 * ARCSEC], [180.0], [90.0 - 1 * ARCSEC], 3.0)
    assert len(i) == 1
    assert separation == pytest.approx([2.0], abs=1e-9)


@pytest.mark.parametrize("dec", [0.0, 45.0, -89.0])
@pytest.mark.parametrize("radius", [0.1, 3.0, 3600.0])
def test_the_radius_is_exact_to_a_millionth(dec, radius):
    inside, outside = (dec + radius * (1 + sign * 1e-6) * ARCSEC for sign in (-1, 1))
    assert len(match_sky([40.0], [dec], [40.0], [inside], radius)[0]) == 1
    assert len(match_sky([40.0], [dec], [40.0], [outside], radius)[0]) == 0


def test_a_pair_at_the_radius_counts():
    assert len(match_sky([0.0], [0.0], [3.0 * ARCSEC], [0.0], 3.0)[0]) == 1


def test_rows_without_a_position_match_nothing_not_even_each_other():
    i, j, _ = match_sky(
        [np.nan, 1.0, 2.0], [0.0, np.nan, 0.0], [np.nan, 2.0, 1.0], [0.0, 0.0, np.nan], 9
    )
    assert pairs_of(i, j) == [(2, 1)]
    assert len(match_sky([np.nan], [0.0], [1.0], [0.0], 3)[0]) == 0
    assert len(match_sky([], [], [1.0], [0.0], 3)[0]) == 0


@pytest.mark.parametrize(("crowded", "chunk"), [(0, 50_000), (60, 7), (3.0, 100)])
@pytest.mark.parametrize("dec", [0.0, 90.0])
def test_slices_tree_and_pieces_find_the_same_pairs(monkeypatch, crowded, chunk, dec):
    rng = np.random.default_rng(6)
    vectors = [
        sky.unit_vectors(rng.normal(0, 0.3, n), np.clip(dec + rng.normal(0, 0.3, n), -90, 90))
        for n in (500, 300)
    ]
    chord = sky.check_radius(60.0)
    plain = pairs_of(*sky.pairs_between(*vectors, chord)[:2])
    among = pairs_of(*np.sort(sky.pairs_among(vectors[0], chord)[:2], axis=0))
    monkeypatch.setattr(sky, "_CROWDED", crowded)
    monkeypatch.setattr(sky, "_CHUNK", chunk)
    assert pairs_of(*sky.pairs_between(*vectors, chord)[:2]) == plain
    assert pairs_of(*sky.pairs_between(*vectors[::-1], chord)[1::-1]) == plain
    again = sky.pairs_among(vectors[0], chord)
    assert pairs_of(*np.sort(again[:2], axis=0)) == among
    gap = np.linalg.norm(vectors[0][again[0]] - vectors[0][again[1]], axis=1)
    assert again[2] == pytest.approx(gap, abs=1e-15)
    assert len(plain) > 5
    assert len(among) > 5


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(-90, 90), st.floats(0.05, 30))
def test_random_fields_give_the_pairs_of_a_double_loop(seed, dec, radius):
    rng = np.random.default_rng(seed)
    ra = rng.normal(0, 8 * ARCSEC, (2, 30)) / max(np.cos(np.radians(dec)), 1e-6)
    decs = np.clip(dec + rng.normal(0, 8 * ARCSEC, (2, 30)), -90, 90)
    mine = match_sky(ra[0], decs[0], ra[1], decs[1], radius)
    assert pairs_of(*mine[:2]) == pairs_of(*every_pair(ra[0], decs[0], ra[1], decs[1], radius))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0.0], [91.0], [0.0], [0.0], 3.0), "beyond a pole"),
        (([0.0], [0.0], [0.0], [0.0], 0.0), "above 0"),
        (([0.0], [0.0], [0.0], [0.0], -1.0), "above 0"),
        (([0.0], [0.0], [0.0], [0.0], np.nan), "above 0"),
        (([0.0], [0.0], [0.0], [0.0], 1e6), "at most"),
        (([0.0, 1.0], [0.0], [0.0], [0.0], 3.0), "equal"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, says):
    with pytest.raises(CatalogueError, match=says):
        match_sky(*arguments)


# --- known stars ---------------------------------------------------------------------------
@pytest.fixture
def candidates():
    return pd.DataFrame(
        {
            "obsid": pd.array([101, 102, 103, 104], dtype="Int64"),
            "file": ["a/spec-55860-B6001_sp05-006.fits.gz", "spec-1-B_sp05-7.fits", "X.FITS", None],
            "ra": [10.0, 20.0, 0.0001, np.nan],
            "dec": [5.0, -5.0, 0.0, np.nan],
            "snr_g": [30.0, np.nan, 12.0, np.nan],
            "class": ["STAR", None, "STAR", None],
        },
        index=[7, 8, 9, 10],
    )  # fmt: skip


def test_known_stars_are_found_by_obsid_or_by_place_and_named_in_order(candidates):
    known = {
        "Ju2025": pd.DataFrame({"OBSID": [102, 999], "ra": [20.0, 0.0], "dec": [-5.0, 0.0]}),
        "Xue2011": pd.DataFrame({"RAdeg": [20.0, 359.9999], "DEdeg": [-5.0 + 2 * ARCSEC, 0.0]}),
    }
    marks = mark_known(candidates, known)
    assert marks.index.tolist() == [7, 8, 9, 10]
    assert marks.isna().tolist() == [True, False, False, True]
    assert marks[8] == "Ju2025;Xue2011"
    assert marks[9] == "Ju2025;Xue2011"  # another observation of the star; across RA 0
    assert drop_known(candidates, known).index.tolist() == [7, 10]
    assert drop_known(candidates.assign(known_in=marks)).index.tolist() == [7, 10]


def test_the_rows_of_a_catalogue_without_obsid_count_by_place(candidates):
    table = pd.DataFrame(
        {"obsid": pd.array([101, None], dtype="Int64"), "ra": [10.0, 20.0], "dec": [5.0, -5.0]}
    )
    assert mark_known(candidates, {"K": table}).notna().tolist() == [True, True, False, False]


def test_a_catalogue_without_any_of_these_stars_marks_none(candidates):
    far = pd.DataFrame({"ra": [200.0], "dec": [60.0]})
    for table in (far, far.iloc[:0], pd.DataFrame({"obsid": [5]})):
        assert mark_known(candidates, {"K": table}).isna().all()
    assert mark_known(candidates, {}).isna().all()


def test_a_catalogue_without_obsid_and_place_says_what_to_name(candidates):
    with pytest.raises(CatalogueError, match=r"K has neither .*name a column 'obsid'"):
        mark_known(candidates, {"K": pd.DataFrame({"name": ["HD 1"]})})
    with pytest.raises(CatalogueError, match="cannot name a catalogue"):
        mark_known(candidates, {"A;B": pd.DataFrame({"obsid": [1]})})


def test_places_are_read_from_degrees_sexagesimal_text_and_split_columns():
    right = ([187.5, 0.5], [-0.5, 10.25])
    tables = [
        pd.DataFrame({"RAJ2000": right[0], "DEJ2000": right[1]}),
        pd.DataFrame({"_RA": ["12:30:00", "0.5"], "_DE": ["-00:30:00", "10.25"]}),
        pd.DataFrame({"ra": ["12 30 00", "00 02 00"], "dec": ["-00 30 00", "+10 15 00"]}),
        pd.DataFrame(
            {"RAh": [12, 0], "RAm": [30, 2], "RAs": [0.0, 0.0], "DE-": ["-", "+"], "DEd": [0, 10],
             "DEm": [30, 15], "DEs": [0.0, 0.0]}
        ),
    ]  # fmt: skip
    for table in tables:
        ra, dec = positions(table, "K")
        assert ra == pytest.approx(right[0])
        assert dec == pytest.approx(right[1])
    assert positions(pd.DataFrame({"l": [1.0]}), "K") is None
    with pytest.raises(CatalogueError, match="column dec has 'north' in row 1 where an angle"):
        positions(pd.DataFrame({"ra": ["12:00:00"], "dec": ["north"]}), "K")


# --- catalogues ----------------------------------------------------------------------------
def test_a_catalogue_joins_on_obsid_whatever_its_order_and_names(candidates):
    table = pd.DataFrame(
        {
            "ObsID": ["103", "101", "555"], "SNRG": [99.0, 99.0, 1.0], "teff": [8000, 9000, 1.0],
            "class": ["STAR", "STAR", "QSO"], "gaia_source_id": [str(GAIA), "", "5"],
            "gaia_g_mean_mag": [15.0, 16.0, 1.0], "rv": [-120.5, 3.0, 1.0], "ps_id": [GAIA, 0, 5],
            "unrelated": ["x", "y", "z"],
        }
    )  # fmt: skip
    joined = join_catalogue(candidates, table)
    assert joined["obsid"].tolist() == [101, 102, 103, 104]
    assert joined.index.tolist() == [7, 8, 9, 10]
    assert joined["teff"].fillna(0).tolist() == [9000.0, 0, 8000.0, 0]
    assert joined["gaia_source_id"].tolist() == [pd.NA, pd.NA, GAIA, pd.NA]
    assert joined["ps_id"].tolist() == [pd.NA, pd.NA, GAIA, pd.NA]
    assert joined["g_mag"].fillna(0).tolist() == [16.0, 0, 15.0, 0]
    assert joined["rv"].fillna(0).tolist() == [3.0, 0, -120.5, 0]
    assert "unrelated" not in joined
    assert "teff" not in candidates  # the caller's table is left alone


def test_what_the_header_said_is_completed_and_labels_are_the_catalogues(candidates):
    table = pd.DataFrame(
        {
            "obsid": [101, 102],
            "snrg": [99.0, 98.0],
            "class": ["QSO", "QSO"],
            "teff": [8001.0, np.nan],
        }
    )
    joined = join_catalogue(candidates.assign(teff=[5.0, 6.0, 7.0, 8.0]), table)
    assert joined["snr_g"].fillna(0).tolist() == [30.0, 98.0, 12.0, 0]
    assert joined["class"].fillna("").tolist() == ["STAR", "QSO", "STAR", ""]
    assert joined["teff"].tolist() == [8001.0, 6.0, 7.0, 8.0]


@pytest.mark.parametrize(
    "table",
    [
        {"filename": ["spec-55860-B6001_sp05-006.fits"]},
        {"FileName": ["SPEC-55860-B6001_SP05-006"]},
        {"file": ["/data\\x\\spec-55860-B6001_sp05-006.fit.gz"]},
        {"lmjd": [55860.0], "planid": ["B6001"], "spid": [5.0], "fiberid": [6]},
    ],
)
@pytest.mark.parametrize("how", ["file", "auto"])
def test_a_catalogue_joins_on_file_names_with_or_without_folder_and_ending(candidates, table, how):
    joined = join_catalogue(candidates, pd.DataFrame({**table, "teff": [8123.0]}), how=how)
    assert joined["teff"].fillna(0).tolist() == [8123.0, 0, 0, 0]


def test_auto_turns_to_the_file_name_when_no_obsid_is_shared(candidates):
    table = pd.DataFrame({"obsid": [9], "filename": ["x.fits.gz"], "teff": [7000.0]})
    joined = join_catalogue(candidates, table)
    assert joined["teff"].notna().tolist() == [False, False, True, False]
    assert joined["obsid"].tolist() == [101, 102, 103, 104]
    assert joined["catalogue_obsid"].tolist() == [pd.NA, pd.NA, 9, pd.NA]
    with pytest.raises(CatalogueError):
        join_catalogue(candidates, table, how="obsid")


def test_a_catalogue_of_other_stars_shows_names_of_both_sides(candidates):
    table = pd.DataFrame({"obsid": [5, 6, 7], "filename": ["u", "v", "w"], "teff": 8001.0})
    with pytest.raises(CatalogueError) as caught:
        join_catalogue(candidates, table)
    for example in ("101", "102", "5, 6", "spec-55860-b6001_sp05-006", "u, v", "of the 4"):
        assert example in str(caught.value)
    with pytest.raises(CatalogueError, match="no column for the obsid in the catalogue"):
        join_catalogue(candidates, pd.DataFrame({"teff": [8001.0]}))
    with pytest.raises(CatalogueError, match="'obsid', 'file' or 'auto'"):
        join_catalogue(candidates, table, how="name")


def test_a_catalogue_without_anything_to_join_on_says_what_it_has(candidates):
    table = pd.DataFrame({"ID": ["A1"], "Teff [K]": [8000.0]})
    with pytest.raises(CatalogueError, match=r"it has ID, Teff \[K\]"):
        join_catalogue(candidates, table)


def test_of_rows_that_repeat_an_obsid_the_first_counts(candidates, caplog):
    table = pd.DataFrame({"obsid": [101, 101], "teff": [8001.0, 8002.0]})
    assert join_catalogue(candidates, table)["teff"].tolist()[0] == 8001.0
    assert "1 row of the catalogue repeats a key" in caplog.text
    for twin, is_said in ((8001.0, False), (8002.0, True)):
        opened = of_frame(table.assign(teff=[8001.0, twin]), CATALOGUE_USE)
        _, matched = joined_catalogue(candidates, opened)
        assert any("several rows that differ" in one for one in matched.notes) == is_said


def test_velocities_tell_rows_that_slipped_and_a_sign_that_was_turned():
    rng = np.random.default_rng(3)
    n = 30
    velocity = rng.normal(0.0, 120.0, n)
    own = pd.DataFrame({"obsid": 900 + np.arange(n), "z": (velocity + rng.normal(0, 8, n)) / 3e5})
    told = pd.DataFrame({"obsid": own["obsid"], "rv": velocity, "teff": 8000.0 + np.arange(n)})

    def joined(table):
        opened = of_frame(table, CATALOGUE_USE)
        return joined_catalogue(own[["obsid"]], opened, placed=own)

    noisy = told.assign(rv=velocity + rng.normal(0, 60, n))
    for honest in (told, told.sample(frac=1.0, random_state=1), noisy, told.head(5)):
        found, matched = joined(honest)
        assert matched.n == len(honest)
        assert not matched.notes
        assert found["rv"].notna().sum() == len(honest)
    slipped = told.assign(rv=np.roll(told["rv"], 1), teff=np.roll(told["teff"], 1))
    with pytest.raises(CatalogueError, match="star, S/N or velocity"):
        joined(slipped)
    found, matched = joined(told.assign(rv=-told["rv"]))
    assert "with its sign turned only" in matched.notes[0]
    assert "rv" not in found
    assert found["teff"].tolist() == told["teff"].tolist()


@pytest.mark.parametrize("beside", [True, False])
def test_redshifts_of_a_catalogue_are_held_against_those_of_the_spectra(beside):
    rng = np.random.default_rng(4)
    z = rng.normal(0.0, 120.0, 40) / 3e5
    own = pd.DataFrame({"obsid": 900 + np.arange(40), "z": np.where(np.arange(40) < 30, z, np.nan)})
    told = pd.DataFrame({"obsid": own["obsid"], "z": z, "teff": 8000.0})
    if beside:
        told["rv"] = z * 299_792.458

    def joined(table):
        return joined_catalogue(own, of_frame(table, CATALOGUE_USE), placed=own)

    assert joined(told)[0]["z"].tolist() == pytest.approx(z.tolist())
    turned = told.assign(z=-z, rv=-told["rv"]) if beside else told.assign(z=-z)
    found, matched = joined(turned)
    assert any(note.startswith("z is left out") for note in matched.notes)
    assert found["z"].isna().tolist() == own["z"].isna().tolist()
    with pytest.raises(CatalogueError, match="star, S/N or velocity"):
        joined(told.drop(columns="rv", errors="ignore").assign(z=np.roll(z, 1)))


def test_a_number_that_is_none_is_named(candidates):
    with pytest.raises(
        CatalogueError, match="column teff has 'hot' in row 2 where a number belongs"
    ):
        join_catalogue(candidates, pd.DataFrame({"obsid": [101, 102], "teff": ["8000", "hot"]}))
    joined = join_catalogue(
        candidates, pd.DataFrame({"obsid": [101], "teff": ["8000"], "logg": [""]})
    )
    assert joined["teff"].tolist()[0] == 8000.0
    assert joined["logg"].isna().all()


def test_identifiers_are_exact_or_refused():
    text = pd.Series([f"Gaia DR3 {GAIA}", str(GAIA), " 12.0 ", "", None, "-9999", "0"])
    assert as_ids(text, "id").tolist() == [GAIA, GAIA, 12, pd.NA, pd.NA, pd.NA, pd.NA]
    assert as_ids(pd.Series([12.0, np.nan]), "id").tolist() == [12, pd.NA]
    with pytest.raises(CatalogueError, match="lost digits"):
        as_ids(pd.Series([float(GAIA)]), "gaia_source_id")
    with pytest.raises(CatalogueError, match="fractions"):
        as_ids(pd.Series([1.5]), "id")
    with pytest.raises(CatalogueError, match="'HD 1' where a whole number"):
        as_ids(pd.Series(["HD 1"]), "id")


def test_file_names_are_compared_without_folder_case_and_ending():
    names = pd.Series(["a/B.fits.gz", "b.FIT", "c\\b.gz", " B ", "b.fits"])
    assert set(file_key(names)) == {"b"}


# --- what the known catalogues take away (paper §V.1) -------------------------------------------
def paper_like(rng, n_stars=300):
    """Candidates, and four catalogues: two of obsids, two of positions, as in the paper."""
    star = np.repeat(np.arange(n_stars), rng.integers(1, 4, n_stars))
    ra = rng.uniform(0, 360, n_stars)[star] % 360
    dec = rng.uniform(-90, 90, n_stars)[star]
    candidates = pd.DataFrame(
        {"obsid": np.arange(1, len(star) + 1), "uid": [f"G{k}" for k in star], "ra": ra, "dec": dec}
    )
    known = {
        "ju2025": pd.DataFrame({"obsid": rng.choice(candidates["obsid"], 80, replace=False)}),
        "zhang2025": pd.DataFrame({"obsid": rng.choice(candidates["obsid"], 50, replace=False)}),
        "xue2011": pd.DataFrame({"ra": ra[::9] + 360.0, "dec": np.clip(dec[::9] + 5e-4, -90, 90)}),
        "vickers2021": pd.DataFrame({"RAdeg": ra[::7], "DEdeg": dec[::7]}),
    }
    return candidates, known


def test_counts_of_known_stars_are_those_of_a_plain_loop():
    candidates, known = paper_like(np.random.default_rng(11))
    candidates["known_in"] = mark_known(candidates, known)
    counts = known_counts(candidates)
    in_any = np.zeros(len(candidates), dtype=bool)
    for name, table in known.items():
        if "obsid" in table.columns:
            listed = candidates["obsid"].isin(table["obsid"]).to_numpy()
        else:
            listed = np.zeros(len(candidates), dtype=bool)
            ra, dec = table.iloc[:, 0].to_numpy() % 360, table.iloc[:, 1].to_numpy()
            here = candidates["ra"].to_numpy(), candidates["dec"].to_numpy()
            rows, _ = every_pair(*here, ra, dec, 3.0)
            listed[rows] = True
        assert counts.listed[name] == (listed.sum(), candidates["uid"][listed].nunique())
        in_any |= listed
    assert counts.known == (in_any.sum(), candidates["uid"][in_any].nunique())
    left = drop_known(candidates, known)
    assert counts.new == (len(left), left["uid"].nunique())
    assert counts.known[0] + counts.new[0] == len(candidates)
    assert counts.as_dict()["new"] == list(counts.new)


def test_counts_of_a_survey_without_known_stars_or_without_candidates():
    table = pd.DataFrame({"obsid": [1, 2], "uid": ["G1", None], "known_in": [None, None]})
    table = table.astype({"uid": "str", "known_in": "str"})
    assert known_counts(table).new == (2, 2)
    assert known_counts(table.iloc[:0]).known == (0, 0)
    with pytest.raises(CatalogueError, match="known_in"):
        known_counts(table[["obsid", "uid"]])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(-720, 720),
            st.sampled_from([-90.0, -89.9999, 0.0, 60.0, 89.9999, 90.0]),
            st.floats(-4, 4),
            st.floats(-4, 4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.floats(0.1, 5.0),
    st.booleans(),
)
def test_the_matcher_finds_every_pair_and_only_those(places, radius, has_missing):
    ra, dec, east, north = (np.array(values) for values in zip(*places, strict=True))
    ra2 = ra + east / 3600 / np.maximum(np.cos(np.radians(dec)), 1e-3)
    dec2 = np.clip(dec + north / 3600, -90, 90)
    if has_missing:
        ra[0], dec2[-1] = np.nan, np.nan
    mine = match_sky(ra, dec, ra2, dec2, radius)
    ok1, ok2 = np.isfinite(ra), np.isfinite(dec2)
    grid = angular_separation(
        *(np.radians(x)[:, None] for x in (np.nan_to_num(ra), dec)),
        *(np.radians(x)[None, :] for x in (ra2, np.nan_to_num(dec2))),
    )
    grid = np.where(ok1[:, None] & ok2[None, :], np.degrees(grid) * 3600.0, np.inf)
    sure, near = grid <= radius - 1e-6, grid <= radius + 1e-6
    found = np.zeros(grid.shape, dtype=bool)
    found[mine[0], mine[1]] = True
    assert (found >= sure).all()
    assert (found <= near).all()
    assert len(mine[0]) == found.sum()  # no pair twice


# --- rows of another observation ---------------------------------------------------------------
def own_and_catalogue(n=12):
    """Return spectra, and a catalogue of them that says more than its obsid of each."""
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0.0, 360.0, n), rng.uniform(-10.0, 60.0, n)
    pixel = lonlat_to_healpix(ra * u.deg, dec * u.deg, 4096, order="nested")
    spectra = pd.DataFrame(
        {
            "obsid": 101_000_003 + 7 * np.arange(n),
            "file": [f"spec-{55_900 + 3 * i}-X01_sp01-{i + 1:03d}.fits" for i in range(n)],
            "ra": ra, "dec": dec, "lmjd": 55_900 + 3 * np.arange(n),
            "snr_g": np.geomspace(12.0, 150.0, n)[rng.permutation(n)],
        }
    )  # fmt: skip
    more = {
        "lmjd": spectra["lmjd"], "filename": spectra["file"], "snrg": spectra["snr_g"] * 0.93,
        "gaia_source_id": (pixel.astype(np.int64) << 35) + 128 * np.arange(1, n + 1),
    }  # fmt: skip
    return spectra, more, 7000.0 + 10 * np.arange(n)


@pytest.mark.parametrize("said", ["lmjd", "filename", "snrg", "gaia_source_id"])
def test_rows_that_say_to_be_of_another_spectrum_than_their_obsid_are_refused(tmp_path, said):
    spectra, more, teff = own_and_catalogue()
    path = tmp_path / "c.csv"
    table = pd.DataFrame({"obsid": spectra["obsid"], said: more[said], "teff": teff})

    def joined(table):
        table.to_csv(path, index=False)
        opened = open_table(path, CATALOGUE_USE)
        rows, matched = joined_catalogue(spectra[["obsid", "file"]], opened, placed=spectra)
        check_slipped(matched, "c.csv")
        return rows["teff"].tolist(), matched

    assert joined(table)[0] == teff.tolist()
    with pytest.raises(CatalogueError, match="of another observation"):
        joined(table.assign(obsid=np.roll(table["obsid"], 1)))
    if said != "snrg":  # of the whole column
        table.loc[[2, 3], "obsid"] = table.loc[[3, 2], "obsid"].to_numpy()
        found, matched = joined(table)
        assert np.isnan(found).tolist() == [i in (2, 3) for i in range(12)]
        assert "2 rows refused (of another observation" in matched.words()[1]


def test_sn_that_are_all_alike_and_stars_without_a_place_refuse_no_row(tmp_path):
    spectra, more, teff = own_and_catalogue()
    spectra.loc[[2, 3], ["ra", "dec"]] = [[np.nan, np.nan], spectra.loc[2, ["ra", "dec"]].to_list()]
    ids = more["gaia_source_id"].copy()
    ids[3] = ids[2]  # two spectra of one star, of which one header has no place
    table = pd.DataFrame({"obsid": spectra["obsid"], "snrg": 10.0, "source_id": ids, "teff": teff})
    table.to_csv(tmp_path / "c.csv", index=False)
    rows, matched = joined_catalogue(
        spectra[["obsid", "file"]], open_table(tmp_path / "c.csv", CATALOGUE_USE), placed=spectra
    )
    assert rows["teff"].tolist() == teff.tolist()
    assert matched.n_refused == 0
