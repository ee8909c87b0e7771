"""Tables given to a survey: matched, said, added up; refused ones leave no trace."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from outside_tables import csv_text, truth

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import CatalogueError
from msfa_core.flags import CmdFlag
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spine.run import run
from msfa_core.stars.crossmatch import CATALOGUE_USE, settled
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import gaia_table, give, known_tables
from msfa_core.survey.ingest import Storing, ingest
from msfa_core.survey.status import status
from msfa_core.tables.door import of_frame
from msfa_core.tables.row_keys import PLACE_USE
from msfa_core.typing import no_progress
from msfa_core.validation.labels import keep_record, labels_of

TRUTH = truth(6)


@pytest.fixture
def survey(tmp_path):
    survey = Survey.create(tmp_path / "s", dust_map="none")
    wavelength = LAMOST_GRID.wavelength[:50]
    survey.archive.append(
        [
            Spectrum(  # without a date
                obsid=int(row.obsid), wavelength=wavelength, flux=np.ones(50, np.float32),
                ivar=np.ones(50, np.float32), mask=np.zeros(50, bool), z=0.0, ra=row.ra,
                dec=row.dec, snr_g=20.0, file=f"spec-{row.Index}.fits",
                meta={"layout": "lamost-table", "resolution": "low"},
            )
            for row in TRUTH.itertuples()
        ]
    )  # fmt: skip
    return survey


def gaia_file(path, table=TRUTH, **columns):
    path.write_text(csv_text(table.assign(**columns)))
    return path


def kept(survey):
    return sorted(
        str(path.relative_to(survey.path))
        for path in survey.path.rglob("*")
        if path.is_file() and path.name != ".lock"
    )


def test_each_table_is_one_line_in_provenance_and_status(survey, tmp_path):
    (said,) = give(survey, gaia=[gaia_file(tmp_path / "gaia.csv", TRUTH.iloc[:4])])
    assert said.startswith("gaia.csv: 4 rows; 4 spectra matched (4 by obsid), 2 not")
    entry = survey.provenance[-1]
    assert (entry["step"], entry["line"], entry["rows"]) == ("table", said, 4)
    assert any(said in line for line in status(survey).lines())
    assert said in survey.export_header("all").values()


def test_parts_add_up_in_one_command_and_in_several(survey, tmp_path):
    parts = [gaia_file(tmp_path / f"{k}.csv", TRUTH.iloc[2 * k : 2 * k + 2]) for k in range(3)]
    give(survey, gaia=parts[:2])
    (said,) = give(survey, gaia=parts[2:])
    assert "adds to 4 rows given before" in said
    assert sorted(gaia_table(survey)["obsid"]) == sorted(TRUTH["obsid"])
    run(survey, ["place"], workers=1)
    assert survey.table()["g_mag"].tolist() == TRUTH["g_mag"].tolist()


def test_of_a_source_given_twice_the_last_row_counts_and_the_difference_is_said(survey, tmp_path):
    give(survey, gaia=[gaia_file(tmp_path / "a.csv")])
    brighter = TRUTH.iloc[:2].assign(g_mag=12.5)
    (said,) = give(survey, gaia=[gaia_file(tmp_path / "b.csv", brighter)])
    assert "replaces 2 of them, 2 with other values" in said
    run(survey, ["place"], workers=1)
    table = survey.table()
    assert table["g_mag"].tolist() == [12.5, 12.5, *TRUTH["g_mag"][2:]]
    assert not (table["cmd_flags"] & int(CmdFlag.DUPLICATED)).any()
    (again,) = give(survey, gaia=[gaia_file(tmp_path / "b.csv", TRUTH.iloc[:1])])
    assert "replaces the table given before from the same file" in again
    assert len(gaia_table(survey)) == 6


def test_a_part_that_knows_a_neighbour_only_takes_nobody_elses_place(survey, tmp_path):
    give(survey, gaia=[gaia_file(tmp_path / "a.csv", TRUTH.drop(columns="obsid"))])
    near = TRUTH.iloc[:1].drop(columns="obsid")
    near = near.assign(dec=near["dec"] + 2.5 / 3600, gaia_source_id=77, g_mag=9.9)
    give(survey, gaia=[gaia_file(tmp_path / "b.csv", near)])
    run(survey, ["place"], workers=1)
    assert survey.table()["g_mag"][0] == TRUTH["g_mag"][0]


BAD = {
    "other stars": lambda t: csv_text(t.drop(columns="obsid").assign(ra=(t["ra"] + 90) % 360)),
    "words": lambda t: csv_text(t).replace(repr(float(t["dec"][0])), "north").replace(
        repr(float(t["dec"][1])), "south"
    ),
    "no magnitude": lambda t: csv_text(t.drop(columns="g_mag")),
    "ragged": lambda t: csv_text(t) + "1,2,3\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_refused_table_leaves_the_survey_as_it_was(survey, tmp_path, kind):
    good = gaia_file(tmp_path / "good.csv")
    bad = tmp_path / "bad.csv"
    bad.write_text(BAD[kind](TRUTH))
    before = kept(survey), survey.provenance
    with pytest.raises(CatalogueError, match=r"bad\.csv"):
        run(survey, ["place"], gaia=[good, bad], known=[good], workers=1)
    assert (kept(survey), survey.provenance) == before
    run(survey, ["place"], workers=1)


def test_nothing_matched_is_an_error_with_examples_of_both_sides(survey, tmp_path):
    other = TRUTH.assign(gaia_source_id=TRUTH["gaia_source_id"] + 1, ra=(TRUTH["ra"] + 90) % 360)
    table = gaia_file(tmp_path / "gaia.csv", other.drop(columns="obsid"))
    with pytest.raises(CatalogueError, match=r"none of the 6 spectra.*gaia_source_id.*obsid 600"):
        give(survey, gaia=[table])


def test_a_list_of_known_stars_that_knows_none_of_these_is_kept_and_says_so(survey, tmp_path):
    """It is an answer: all stars are new to it; those to come may not be."""
    (tmp_path / "known.csv").write_text("obsid\n11\n12\n")
    (said,) = give(survey, known=[tmp_path / "known.csv"])
    assert "0 spectra matched, 6 not" in said
    assert "none of the 6 spectra is in it" in said
    assert "obsid 11, 12; the survey has obsid 600000000" in said
    assert list(known_tables(survey)) == ["known"]


def test_a_list_whose_places_deny_its_identifiers_or_are_too_coarse_is_refused(survey, tmp_path):
    wrong = TRUTH[["obsid", "ra", "dec"]].assign(ra=(TRUTH["ra"] + 90) % 360)
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(CatalogueError, match="6 rows are far from the star"):
        give(survey, known=[tmp_path / "wrong.csv"])
    TRUTH[["ra", "dec"]].round(1).assign(g_mag=15.0).to_csv(tmp_path / "coarse.csv", index=False)
    with pytest.raises(CatalogueError, match="too coarse"):
        give(survey, known=[tmp_path / "coarse.csv"])
    assert not known_tables(survey)


# --- a key is not a place ----------------------------------------------------------------------
@pytest.mark.parametrize("slipped", [["obsid"], ["ra", "dec"], ["gaia_source_id"]])
def test_a_slipped_column_refuses_itself(survey, tmp_path, slipped):
    # Whether the identifiers slipped or the places, and with which the values went: nobody can tell
    ids = TRUTH[["obsid", "gaia_source_id"]].rename(columns=str.lower)
    ids.to_csv(tmp_path / "ids.csv", index=False)
    ingest(survey, [], [tmp_path / "ids.csv"])
    table = TRUTH.assign(**{one: np.roll(TRUTH[one].to_numpy(), 1) for one in slipped})
    lacking = ["obsid"] if slipped == ["gaia_source_id"] else ["gaia_source_id"]
    with pytest.raises(CatalogueError, match="6 rows are far from the star"):
        give(survey, gaia=[gaia_file(tmp_path / "gaia.csv", table.drop(columns=lacking))])
    assert gaia_table(survey) is None


def test_a_row_that_contradicts_itself_serves_no_star_and_is_flagged(survey, tmp_path):
    swapped = TRUTH["obsid"].to_numpy(np.int64)[[1, 0, 2, 3, 4, 5]]
    (said,) = give(survey, gaia=[gaia_file(tmp_path / "gaia.csv", TRUTH.assign(obsid=swapped))])
    assert "4 spectra matched (4 by obsid), 2 not" in said
    assert "2 rows refused (far from the star that their identifier names: obsid" in said
    run(survey, ["place"], workers=1)
    table = survey.table()
    assert table["g_mag"].isna().tolist() == [True, True, *[False] * 4]
    flagged = (table["cmd_flags"] & int(CmdFlag.MISPLACED)).astype(bool).tolist()
    assert flagged == [True, True, *[False] * 4]


def test_a_neighbour_of_a_cone_search_keeps_its_own_star(survey, tmp_path):
    # Rows within an arcminute of each target, all under the target's obsid
    near = TRUTH.iloc[:1].assign(dec=TRUTH["dec"][0] + 50 / 3600, g_mag=19.0)
    both = pd.concat([near, TRUTH], ignore_index=True).drop(columns="gaia_source_id")
    (said,) = give(survey, gaia=[gaia_file(tmp_path / "gaia.csv", both)])
    assert "6 spectra matched (6 by obsid), 0 not" in said


def test_of_several_rows_of_one_key_the_nearest_counts(survey, tmp_path):
    far = TRUTH.iloc[:1].assign(dec=TRUTH["dec"][0] + 8 / 3600, g_mag=10.0, gaia_source_id=99)
    both = pd.concat([far, TRUTH], ignore_index=True)
    (said,) = give(survey, gaia=[gaia_file(tmp_path / "gaia.csv", both)])
    assert "listed more than once with different values" in said
    run(survey, ["place"], workers=1)
    table = survey.table()
    assert table["g_mag"][0] == TRUTH["g_mag"][0]
    assert table["cmd_flags"][0] & int(CmdFlag.DUPLICATED)


def test_a_fast_star_is_where_its_motion_takes_it(survey, tmp_path):
    moved = TRUTH.assign(pmra=0.0, pmdec=3000.0, dec=TRUTH["dec"] + 3.0 * 16 / 3600)
    text = csv_text(moved.assign(ref_epoch=2016.0), names={**_names(), "ref_epoch": "ref_epoch"})
    (tmp_path / "gaia.csv").write_text(text)
    (said,) = give(survey, gaia=[tmp_path / "gaia.csv"])  # 48 arcsec, in 16 years
    assert "6 spectra matched (6 by obsid)" in said
    (tmp_path / "gaia.csv").write_text(text.replace("3000.0", "30.0"))
    with pytest.raises(CatalogueError, match="6 rows are far from the star"):
        give(survey, gaia=[tmp_path / "gaia.csv"])


def _names():
    from outside_tables import NAMES

    return NAMES


def test_hours_without_a_unit_are_told_by_where_the_survey_is(survey, tmp_path):
    text = csv_text(TRUTH.drop(columns="obsid").assign(ra=TRUTH["ra"] / 15))
    (tmp_path / "gaia.csv").write_text(text)
    (said,) = give(survey, gaia=[tmp_path / "gaia.csv"])
    assert "ra hourangle → deg, for only so do they meet the survey's" in said
    known = tmp_path / "known.csv"
    radians = TRUTH[["ra", "dec"]].apply(np.radians).round(9)
    radians.to_csv(known, index=False)
    (said,) = give(survey, known=[known])
    assert "rad → deg" in said


def test_hours_are_told_where_some_stars_near_ra_0_meet_the_survey_in_degrees_too(tmp_path):
    stars = truth(6)
    stars["ra"] = [0.0001, 120.5, 180.25, 45.125, 300.75, 210.5]
    spectra = stars[["obsid", "ra", "dec"]]
    table = of_frame(stars[["ra", "dec"]].assign(ra=stars["ra"] / 15), PLACE_USE)
    found = settled(table, spectra, 3.0)
    assert found.table["ra"].tolist() == pytest.approx(stars["ra"].tolist())
    assert "so do more of them" in found.columns["ra"].how


def test_places_that_meet_no_spectrum_as_degrees_nor_as_hours_are_refused(survey, tmp_path):
    elsewhere = TRUTH[["ra", "dec"]].assign(ra=(TRUTH["ra"] + 7.0) % 360 / 15)
    elsewhere.to_csv(tmp_path / "known.csv", index=False)
    with pytest.raises(CatalogueError, match="in degrees or in hours: give its unit"):
        give(survey, known=[tmp_path / "known.csv"])
    elsewhere.rename(columns={"ra": "ra_hours"}).to_csv(tmp_path / "known.csv", index=False)
    assert "0 spectra matched" in give(survey, known=[tmp_path / "known.csv"])[0]


def test_hours_of_a_catalogue_are_no_places_of_spectra_that_have_none(survey):
    spectra = TRUTH[["obsid"]].assign(ra=np.nan, dec=np.nan)
    rows = TRUTH[["obsid", "ra", "dec", "g_mag"]].assign(ra=TRUTH["ra"] / 15)
    found = settled(of_frame(rows, CATALOGUE_USE), spectra, 3.0)
    assert not found.has("ra")
    assert found.has("obsid", "g_mag")
    assert "ra_hours" in found.left_out["ra"]
    assert settled(of_frame(TRUTH[["obsid", "ra", "dec"]], CATALOGUE_USE), spectra, 3.0).has("ra")


def test_a_column_of_identifiers_that_slipped_refuses_the_table(survey, tmp_path):
    slipped = TRUTH.assign(obsid=TRUTH["obsid"].iloc[[0, 2, 3, 4, 5, 1]].array)
    path = gaia_file(tmp_path / "t.csv", slipped.drop(columns="gaia_source_id"))
    with pytest.raises(CatalogueError, match="5 of 6 identifiers name a star far.*slipped"):
        give(survey, gaia=[path])
    with pytest.raises(CatalogueError, match="5 of 6 identifiers.*slipped"):
        ingest(survey, [], [path])
    with pytest.raises(CatalogueError, match="5 of 6 identifiers.*slipped"):
        give(survey, known=[path])


# --- known stars -------------------------------------------------------------------------------
def test_lists_keep_their_names_and_meet_no_other(survey, tmp_path):
    paths = []
    for folder, name, k in (
        ("a", "J.ApJ.901.csv", 0), ("a", "J.AA.654.csv", 1), ("b", "J.AA.654.csv", 2),
        ("b", "x;y_v3.0.csv.gz", 3),
    ):  # fmt: skip
        (tmp_path / folder).mkdir(exist_ok=True)
        paths.append(tmp_path / folder / name)
        paths[-1].write_text(f"obsid\n{TRUTH['obsid'][k]}\n")
    said = give(survey, known=paths)
    assert len(said) == 4
    assert set(known_tables(survey)) == {"J.ApJ.901", "J.AA.654", "J.AA.654 (b)", "x,y_v3.0"}
    give(survey, known=paths[:1])
    assert len(known_tables(survey)) == 4


def test_tables_of_older_surveys_are_still_there(survey, tmp_path):
    (survey.path / "known").mkdir()
    TRUTH[["obsid"]].iloc[:1].to_parquet(survey.path / "known" / "xue2011.csv.parquet")
    TRUTH.iloc[:3].to_parquet(survey.path / "gaia.parquet")
    assert list(known_tables(survey)) == ["xue2011"]
    give(survey, gaia=[gaia_file(tmp_path / "new.csv", TRUTH.iloc[2:].assign(g_mag=11.0))])
    run(survey, ["place"], workers=1)
    assert survey.table()["g_mag"].tolist() == [*TRUTH["g_mag"][:2], 11, 11, 11, 11]


# --- catalogues --------------------------------------------------------------------------------
def catalogue(path, teff, rows=slice(None)):
    path.parent.mkdir(exist_ok=True)
    lines = [f"{obsid}|{teff}|3.1" for obsid in TRUTH["obsid"][rows]]
    path.write_text("obsid|teff|logg\n" + "\n".join(lines) + "\n")
    return path


def test_the_catalogue_given_last_counts_and_what_differs_is_counted(survey, tmp_path):
    ingest(survey, [], [catalogue(tmp_path / "v1.csv", 8000)])
    report = ingest(survey, [], [catalogue(tmp_path / "a_v2.csv", 8600)])
    assert "values differ from v1.csv: teff 6; the catalogue given last counts" in report.tables[0]
    assert (survey.table()["teff"] == 8600).all()
    report = ingest(survey, [], [catalogue(tmp_path / "v1.csv", 8100)])
    assert "replaces what was joined before from the same file" in report.tables[0]
    assert (survey.table()["teff"] == 8100).all()


def test_catalogues_of_one_name_are_two(survey, tmp_path):
    first = catalogue(tmp_path / "dr7" / "stellar.csv", 8000, slice(0, 2))
    second = catalogue(tmp_path / "dr8" / "stellar.csv", 9000, slice(2, 6))
    report = ingest(survey, [], [first, second])
    assert report.joined == {"dr7/stellar.csv": 2, "dr8/stellar.csv": 4}
    assert survey.table()["teff"].tolist() == [8000] * 2 + [9000] * 4


def test_of_two_catalogues_one_of_which_is_refused_none_is_kept(survey, tmp_path):
    good = catalogue(tmp_path / "good.csv", 8000)
    (tmp_path / "bad.csv").write_text("obsid|teff\n1|8000\n")
    with pytest.raises(CatalogueError, match=r"bad\.csv"):
        ingest(survey, [], [good, tmp_path / "bad.csv"])
    assert survey.table()["teff"].isna().all()
    assert not any("catalogues/" in path for path in kept(survey))


# --- spectra -----------------------------------------------------------------------------------
def test_a_spectrum_is_replaced_and_its_neighbours_stay(survey):
    old = [survey.archive.original(int(obsid)) for obsid in TRUTH["obsid"]]
    new = replace(old[2], flux=np.full(50, 2.0, np.float32), z=0.001)
    names = [shard.name for shard in survey.archive.shards]
    survey.archive.replace([new])
    assert [shard.name for shard in survey.archive.shards] != names
    assert sorted(survey.archive.obsid) == sorted(TRUTH["obsid"])
    assert survey.archive.original(new.obsid).z == 0.001
    for one in (*old[:2], *old[3:]):
        again = survey.archive.original(one.obsid)
        assert np.array_equal(again.flux, one.flux) and again.meta["layout"] == "lamost-table"


def test_a_replacement_that_was_interrupted_is_finished_by_the_next_writer(survey, monkeypatch):
    new = replace(survey.archive.original(int(TRUTH["obsid"][0])), z=0.002)
    with monkeypatch.context() as patch:
        patch.setattr(type(survey.archive), "_remove", _killed)
        with pytest.raises(KeyboardInterrupt):
            survey.archive.replace([new])
    opened = Survey(survey.path)
    assert len(opened.archive) == 6  # the old shard is not read any more
    with opened.lock():
        pass
    assert len(list((survey.path / "archive").iterdir())) == 1
    assert opened.archive.original(new.obsid).z == 0.002


def _killed(*_):
    raise KeyboardInterrupt


def test_only_files_with_another_content_are_other_spectra(survey):
    one = survey.archive.original(int(TRUTH["obsid"][0]))
    made = replace(one, obsid=2**52 + 5, file="/a/spectrum.fits")
    store = Storing(survey, no_progress, 0)
    store.kept, store.obsid_of = {made.obsid: made.file}, {made.file: made.obsid}
    store.pending = {"x": [made]}
    copy = replace(made, file="/b/spectrum.fits")
    assert store._numbered(copy).obsid == made.obsid
    for other in (
        replace(copy, ra=made.ra + 0.1),
        replace(copy, flux=made.flux * 2),
        replace(copy, meta={**made.meta, "date_obs": "2015-01-01T00:00:00"}),
    ):
        assert store._numbered(other).obsid != made.obsid
        assert store._numbered(other).obsid == store._numbered(other).obsid > 2**52
    named = replace(made, file="/a/spec-55860-B6001_sp05-006.fits")
    store.kept, store.pending = {named.obsid: named.file}, {"x": [named]}
    release = replace(named, file="/b/spec-55860-B6001_sp05-006.fits", flux=made.flux * 2)
    assert store._numbered(release).obsid == named.obsid


def test_provenance_is_json(survey, tmp_path):
    give(survey, gaia=[gaia_file(tmp_path / "gaia.csv")])
    json.loads((survey.path / "provenance.json").read_text())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("by", ["obsid", "file"])
def test_a_long_catalogue_is_joined_piece_by_piece_like_a_short_one(
    survey, tmp_path, monkeypatch, packed, by
):
    import gzip

    from msfa_core.tables import large, pieces

    names = [f"spec-{k}.fits" for k in range(6)]
    keys = TRUTH["obsid"].astype(str).tolist() if by == "obsid" else names
    rows = [f"{key}|{8000 + k}|-9999|STAR" for k, key in enumerate(keys)]
    others = [f"{'x' if by == 'file' else ''}{10**9 + k}|7000|3.1|STAR" for k in range(500)]
    header = "obsid" if by == "obsid" else "filename"
    text = "\n".join([f"{header}|teff|logg|class", *others[:300], *rows, *others[300:]]) + "\n"
    path = tmp_path / "dr12.csv.gz"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    monkeypatch.setattr(large, "LARGE", 0)
    monkeypatch.setattr(pieces, "_PIECE", 4096)
    report = ingest(survey, [], [path])
    assert report.tables[0].startswith(
        f"dr12.csv.gz: 506 rows; 6 spectra matched (6 by {by}), 0 not"
    )
    table = survey.table()
    assert table["teff"].tolist() == [8000 + k for k in range(6)]
    assert table["logg"].isna().all()
    (tmp_path / "none.csv").write_text("obsid|teff\n1|8000\n")
    with pytest.raises(CatalogueError, match="none of the 6"):
        ingest(survey, [], [tmp_path / "none.csv"])


def test_of_a_catalogue_in_hats_only_the_partitions_of_the_survey_are_read(survey, tmp_path):
    import astropy.units as u
    from astropy_healpix import lonlat_to_healpix

    order = 2
    rng = np.random.default_rng(4)
    others = pd.concat([truth(40, seed=k) for k in range(5)], ignore_index=True)
    others = others.assign(ra=rng.uniform(0, 360, 200), dec=rng.uniform(-88, 88, 200))
    rows = pd.concat([others, TRUTH], ignore_index=True).drop(columns="obsid")
    pixel = lonlat_to_healpix(
        rows["ra"].to_numpy() * u.deg, rows["dec"].to_numpy() * u.deg, 2**order, order="nested"
    )
    folder = tmp_path / "gaia_dr3"
    for number, part in rows.rename(columns=_names()).groupby(pixel):
        place = folder / "dataset" / f"Norder={order}" / "Dir=0"
        place.mkdir(parents=True, exist_ok=True)
        part.to_parquet(place / f"Npix={number}.parquet", index=False)
    (folder / "hats.properties").write_text("hats_col_ra=ra\n")
    own = {
        int(one)
        for one in lonlat_to_healpix(
            TRUTH["ra"].to_numpy() * u.deg, TRUTH["dec"].to_numpy() * u.deg, 2**order,
            order="nested",
        )
    }  # fmt: skip
    (said,) = give(survey, gaia=[folder])
    assert said.startswith("gaia_dr3: 6 rows; 6 spectra matched (6 by position), 0 not")
    assert f"HATS: {len(own)} of {len(set(pixel))} partitions read" in said
    run(survey, ["place"], workers=1)
    assert survey.table()["g_mag"].tolist() == TRUTH["g_mag"].tolist()
    with pytest.raises(CatalogueError, match="is a folder"):
        give(survey, gaia=[tmp_path])


def test_a_comparison_is_one_line_in_provenance_too(survey, tmp_path, capsys):
    from msfa_core.cli import run_cli

    text = "obsid,rv,u,g,r,i,z\n" + "".join(
        f"{obsid},{1000 * k},15,14,13,12,11\n" for k, obsid in enumerate(TRUTH["obsid"])
    )
    (tmp_path / "ref.csv").write_text(text)
    reference = str(tmp_path / "ref.csv")
    assert run_cli(
        ["validate", str(survey.path), "--reference", reference, "--out", str(tmp_path / "v")]
    ) == 0  # fmt: skip
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("ref.csv: 6 rows; 6 spectra matched (6 by obsid), 0 not")
    assert "rv m / s → km / s, by its range" in said
    assert "it is a magnitude and no Doppler shift" in said
    assert survey.provenance[-1]["line"] == said


# --- labels ------------------------------------------------------------------------------------
def labels_file(path, **columns):
    table = TRUTH[["obsid", "ra", "dec"]].assign(
        teff=8000.0 + 100 * np.arange(6), logg=3.0, feh=-1.5, **columns
    )
    table.to_csv(path, index=False)
    return path


def test_labels_are_found_like_every_table_and_kept_in_provenance_and_status(survey, tmp_path):
    both = pd.concat([TRUTH["obsid"][:3] + 1, TRUTH["obsid"][3:]])  # three of other observations
    found = labels_of(survey, labels_file(tmp_path / "l.csv", obsid=both))
    assert found.table["obsid"].tolist() == TRUTH["obsid"].tolist()
    assert found.table["teff"].tolist() == [8000, 8100, 8200, 8300, 8400, 8500]
    assert keep_record(survey, found) == ""
    said = "l.csv: 6 rows; 6 spectra matched (3 by obsid, 3 by position), 0 not"
    assert survey.provenance[-1]["line"] == said
    assert any(said in line for line in status(survey).lines())


def test_labels_of_a_slipped_column_or_of_other_stars_are_refused(survey, tmp_path):
    slipped = np.roll(TRUTH["obsid"], 1)
    with pytest.raises(CatalogueError, match="6 rows are far from the star"):
        labels_of(survey, labels_file(tmp_path / "l.csv", obsid=slipped))
    with pytest.raises(CatalogueError, match=r"none of the 6 spectra.*obsid 1, 2"):
        labels_of(survey, labels_file(tmp_path / "l.csv", obsid=np.arange(1, 7), ra=5.0))
    (tmp_path / "l.csv").write_text("obsid,teff,Plx\n1,9000,3\n")
    with pytest.raises(CatalogueError, match=r"needs obsid, teff, logg.*has obsid, teff, Plx"):
        labels_of(survey, tmp_path / "l.csv")


# --- refused means unchanged -------------------------------------------------------------------
def test_a_refused_catalogue_leaves_the_survey_as_it_was(survey, tmp_path):
    survey.refresh_table()
    other = csv_text(TRUTH.assign(obsid=TRUTH["obsid"] + 1))
    (tmp_path / "c.csv").write_text(other)
    before = kept(survey), survey.provenance, (survey.path / "candidates.parquet").read_bytes()
    with pytest.raises(CatalogueError, match=r"c\.csv"):
        ingest(survey, [], [tmp_path / "c.csv"])
    after = kept(survey), survey.provenance, (survey.path / "candidates.parquet").read_bytes()
    assert after == before


def test_a_message_names_every_column_of_the_file(survey, tmp_path):
    (tmp_path / "k.csv").write_text("X_pix,Y_pix\n1,2\n")
    with pytest.raises(CatalogueError, match="it has X_pix, Y_pix"):
        give(survey, known=[tmp_path / "k.csv"])


def test_a_table_of_a_file_is_named_in_every_command(survey, tmp_path):
    from msfa_core.cli import run_cli

    tables = [TRUTH[["obsid", "ra", "dec"]].assign(teff=k, logg=3.0, feh=-1.0) for k in (8e3, 9e3)]
    units = [fits.BinTableHDU(Table.from_pandas(one), name=f"T{k}") for k, one in enumerate(tables)]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "two.fits")
    named = f"{tmp_path}/two.fits#T1"
    assert labels_of(survey, named).table["teff"].unique() == [9000.0]
    ingest(survey, [], [labels_file(tmp_path / "l.csv")])
    assert run_cli(
        ["validate", str(survey.path), "--reference", named, "--out", str(tmp_path / "v")]
    ) == 0  # fmt: skip
    ingest(survey, [], [named])
    assert survey.base_table()["teff"].unique() == [9000.0]


def said_of(survey, **tables):
    """What is said of a table, whether it is taken or refused."""
    try:
        return "; ".join(give(survey, **tables))
    except CatalogueError as error:
        return str(error)


@pytest.mark.parametrize(("decimals", "step"), [(2, "36"), (1, "360"), (3, ""), (5, "")])
def test_places_rounded_to_more_than_the_radius_are_told(survey, tmp_path, decimals, step):
    places = TRUTH.assign(ra=TRUTH["ra"].round(decimals), dec=TRUTH["dec"].round(decimals))
    gaia = places.drop(columns="obsid")
    in_seconds = gaia.assign(ra=(gaia["ra"] * 240).round() / 240)
    places[["ra", "dec"]].to_csv(tmp_path / "places.csv", index=False)
    told = [said_of(survey, known=[tmp_path / "places.csv"])]
    told.append(said_of(survey, gaia=[gaia_file(tmp_path / "gaia.csv", gaia)]))
    words = f"places are rounded to {step} arcsec, too coarse for matches within 3 arcsec"
    assert [words in one if step else "rounded" not in one for one in told] == [True, True]
    assert "rounded to" in said_of(survey, gaia=[gaia_file(tmp_path / "gaia.csv", in_seconds)])
