"""Gaia rows fetched from an archive: what is asked, kept, asked again, and said when it fails."""

import numpy as np
import pandas as pd
import pytest
from local_tap import recorded_rows, start_archive
from pytest import approx

from msfa_core.errors import CatalogueError
from msfa_core.photometry.tap import Patience, _said, fetch, fetched, query_by_id, query_by_position

QUICK = Patience(tries=3, first_wait=0.01, answer_seconds=20, job_seconds=20, first_poll=0.01)


@pytest.fixture(scope="module")
def server():
    archive, url, stop = start_archive()
    yield archive, url
    stop()


@pytest.fixture
def archive(server):
    known, url = server
    known.questions, known.failures, known.jobs = [], [], {}
    known.refusal, known.most_rows, known.broken, known.polls = "", 10_000, 0, 0
    yield known, url
    assert not known.problems


def no_progress(*_):
    pass


def stars(rows=slice(None), with_id=(), mjd=57388.0):
    """Return stars of the recorded archive, at its epoch."""
    sky = recorded_rows()[rows]
    ids = [int(sky["source_id"][k]) if k in with_id else None for k in range(len(sky))]
    return pd.DataFrame(
        {
            "obsid": np.arange(len(sky)) + 100,
            "ra": np.asarray(sky["ra"]),
            "dec": np.asarray(sky["dec"]),
            "gaia_source_id": pd.array(ids, "Int64"),
            "mjd": mjd,
        }
    )


@pytest.mark.parametrize("why", ["[Errno -2] Name or service not known", "Connection refused"])
def test_a_service_that_cannot_be_reached_is_told_in_the_words_of_the_system(why):
    said = (
        "HTTPSConnectionPool(host='gea.example', port=443): Max retries exceeded with url: /tap "
        f'(Caused by NewConnectionError("HTTPSConnection(host=x): Failed to connect: ({why})"))'
    )
    assert _said(OSError(said)) == f"cannot be reached: {why.removeprefix('[Errno -2] ')}"


def test_stars_are_found_by_id_and_by_place_with_their_2mass_magnitudes(archive, tmp_path):
    known, url = archive
    report = fetch(stars(with_id=(0, 1, 2)), tmp_path, 3.0, no_progress, url, patience=QUICK)
    rows = fetched(tmp_path)
    sky = recorded_rows()
    assert (report.n_before, report.n_rows, len(rows)) == (0, 14, 14)
    rows = rows.set_index("gaia_source_id").loc[list(sky["source_id"])]
    assert rows["g_mag"].to_numpy() == approx(np.asarray(sky["phot_g_mean_mag"]))
    assert rows["j_mag"].isna().tolist() == sky["j_m"].mask.tolist()
    assert rows["parallax_mas"].to_numpy()[3] == approx(-0.21)
    assert np.isnan(rows["pmra"].to_numpy()[8])
    assert [len(table) for _, table in known.questions] == [3, 11]
    assert "gaiadr3.gaia_source" in known.questions[0][0]


def test_what_was_asked_is_not_asked_again_and_a_new_star_is(archive, tmp_path):
    known, url = archive
    fetch(stars(slice(0, 6)), tmp_path, 3.0, no_progress, url, batch=4, patience=QUICK)
    assert [len(table) for _, table in known.questions] == [4, 2]
    again = fetch(stars(slice(0, 8)), tmp_path, 3.0, no_progress, url, batch=4, patience=QUICK)
    assert [len(table) for _, table in known.questions] == [4, 2, 2]
    assert (again.n_stars, again.n_before) == (8, 6)


def test_a_star_in_no_catalogue_is_remembered_as_asked(archive, tmp_path):
    known, url = archive
    nowhere = stars(slice(0, 1)).assign(ra=200.0, dec=-60.0)
    assert fetch(nowhere, tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 0
    assert fetch(nowhere, tmp_path, 3.0, no_progress, url, patience=QUICK).n_before == 1
    assert len(known.questions) == 1
    assert len(fetched(tmp_path)) == 0


def test_an_identifier_of_an_older_release_falls_back_on_the_position(archive, tmp_path):
    known, url = archive
    old = stars(slice(1, 2))
    old["gaia_source_id"] = pd.array([4_000_000_000_000_000_001], "Int64")
    assert fetch(old, tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 1
    assert ["CONTAINS" in query for query, _ in known.questions] == [False, True]


def test_a_star_that_moved_13_arcsec_since_is_found(archive, tmp_path):
    _, url = archive
    sky = recorded_rows()[2]
    moved = stars(slice(2, 3), mjd=57388.0 - 9 * 365.25)
    moved["ra"] -= 9 * 0.9 / 3600 / np.cos(np.radians(sky["dec"]))
    moved["dec"] += 9 * 1.2 / 3600
    assert fetch(moved, tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 1
    still = moved.assign(mjd=57388.0)
    assert fetch(still, tmp_path / "still", 3.0, no_progress, url, patience=QUICK).n_rows == 0


def test_answers_that_are_cut_short_are_asked_for_in_halves(archive, tmp_path):
    known, url = archive
    known.most_rows = 4
    assert fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 14
    assert len(known.questions) > 3


@pytest.mark.parametrize("failures", [[503, 500], [0, 429]])
def test_a_server_that_fails_twice_is_tried_again(archive, tmp_path, failures):
    known, url = archive
    known.failures = list(failures)
    assert fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 14


def test_an_answer_that_is_no_table_is_asked_for_again(archive, tmp_path):
    known, url = archive
    known.broken = 2
    assert fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 14


def test_a_job_that_takes_its_time_is_waited_for_but_not_for_ever(archive, tmp_path):
    known, url = archive
    known.polls = 6
    assert fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK).n_rows == 14
    known.polls = 10_000
    hasty = Patience(1, 0.01, 5.0, 0.2, 0.01)
    with pytest.raises(CatalogueError, match=r"no answer from .*not answered in 0 s"):
        fetch(stars(), tmp_path / "two", 3.0, no_progress, url, patience=hasty)


def test_a_fetch_that_breaks_off_keeps_what_it_has_and_goes_on_there(archive, tmp_path):
    known, url = archive
    seen = []

    def progress(_step, done, total, batch):
        seen.append((done, total))
        if batch == "batch 2":
            known.failures = [503] * 3

    with pytest.raises(CatalogueError, match=r"3 tries .* kept \(8 stars\)"):
        fetch(stars(), tmp_path, 3.0, progress, url, batch=4, patience=QUICK)
    assert seen == [(0, 14), (4, 14), (8, 14)]
    assert len(fetched(tmp_path)) == 9  # one of the eight has a neighbour
    known.questions = []
    report = fetch(stars(), tmp_path, 3.0, no_progress, url, batch=4, patience=QUICK)
    assert (report.n_before, report.n_rows) == (8, 14)
    assert [len(table) for _, table in known.questions] == [4, 2]


def test_a_question_that_the_archive_cannot_read_is_not_repeated(archive, tmp_path):
    known, url = archive
    known.refusal = "unknown table gaiadr3.gaia_source"
    with pytest.raises(CatalogueError, match=r"unknown table .* Name another --server"):
        fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK)
    assert len(known.questions) == 1


def test_an_address_that_is_no_archive_is_named(archive, tmp_path):
    _, url = archive
    with pytest.raises(CatalogueError, match="refused the question .* TAP service"):
        fetch(stars(), tmp_path, 3.0, no_progress, url + "/nothing", patience=QUICK)


def test_without_a_network_the_remedy_is_named_and_nothing_is_kept(tmp_path):
    with pytest.raises(CatalogueError, match=r"no answer .* check the network .* --gaia"):
        fetch(stars(), tmp_path, 3.0, no_progress, "http://127.0.0.1:9/tap", patience=QUICK)
    assert fetched(tmp_path) is None


def test_a_damaged_answer_on_disk_is_named(archive, tmp_path):
    _, url = archive
    fetch(stars(), tmp_path, 3.0, no_progress, url, patience=QUICK)
    next(tmp_path.glob("batch-*")).write_bytes(b"PAR1 and no more")
    with pytest.raises(CatalogueError, match="remove it and fetch again"):
        fetched(tmp_path)


def test_questions_join_2mass_once_and_look_farther_for_fast_stars():
    for query in (query_by_id(), query_by_position(3.0, 8.0)):
        assert query.count("LEFT OUTER JOIN") == 2
        assert "x.original_ext_source_id" in query
    assert "g.pm * 0.00800" in query_by_position(3.0, 8.0)
    assert f"< {3 / 3600:.9f}" in query_by_position(3.0, 8.0)
