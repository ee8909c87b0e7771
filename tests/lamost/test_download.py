import errno
import gzip
import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from local_lamost import start_lamost

from msfa_core.cli import run_cli
from msfa_core.durable import held
from msfa_core.errors import CatalogueError, DownloadError, SurveyError
from msfa_core.lamost import arrivals
from msfa_core.lamost import service as service_module
from msfa_core.lamost.arrivals import folder_of_files, survey_for_spectra
from msfa_core.lamost.download import download, read_obsids, take_night
from msfa_core.lamost.service import Patience, Release, Service
from msfa_core.spectra.readers import read_spectrum
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import find_files

QUICK = Patience(
    tries=3, first_wait=0.01, longest_wait=0.02, answer_seconds=0.5, whole_seconds=3, per_second=1e4
)
DR11 = Release("dr11", "v2.0", True)


@pytest.fixture(scope="module")
def files(lamost_files):
    return {read_spectrum(path).obsid: path.read_bytes() for path in find_files([lamost_files])}


@pytest.fixture
def lamost(files):
    knows, url, stop = start_lamost(dict(files))
    knows.url = url
    yield knows
    stop()


@pytest.fixture(autouse=True)
def _nobody(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("nobody")))
    monkeypatch.delenv("MSFA_LAMOST_TOKEN", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetch(lamost, path, obsids, patience=QUICK, token="", release=DR11, **options):
    with folder_of_files(path) as folder:
        return download(folder, obsids, Service(lamost.url, token, patience), release, **options)


def arrived(path):
    return {read_spectrum(file).obsid: file for file in find_files([path])}


def failures(path):
    return pd.read_csv(path / "download_failed.csv").set_index("obsid")["reason"]


# --- what comes ------------------------------------------------------------------------------
def test_spectra_come_whole_under_their_names_with_checksums(lamost, files, tmp_path):
    report = fetch(lamost, tmp_path / "D", list(files))
    assert (report.n_new, report.failed) == (len(files), {})
    there = arrived(tmp_path / "D")
    manifest = pd.read_csv(tmp_path / "D" / "downloaded.csv").set_index("obsid")
    for obsid, content in files.items():
        assert there[obsid].read_bytes() == content
        assert manifest["sha256"][obsid] == hashlib.sha256(content).hexdigest()
        assert there[obsid] == tmp_path / "D" / manifest["file"][obsid]
        assert there[obsid].name.startswith("spec-")
    assert not (tmp_path / "D" / ".arriving").exists()
    assert not (tmp_path / "D" / "download_failed.csv").exists()


def test_what_is_there_is_not_asked_for_again(lamost, files, tmp_path):
    obsids = list(files)
    fetch(lamost, tmp_path, obsids[:5])
    lamost.asked.clear()
    report = fetch(lamost, tmp_path, obsids[:8])
    assert (report.n_before, report.n_new, len(lamost.asked)) == (5, 3, 3)


def test_a_file_that_was_removed_or_cut_comes_again(lamost, files, tmp_path):
    obsids = list(files)[:4]
    fetch(lamost, tmp_path, obsids)
    there = arrived(tmp_path)
    there[obsids[0]].unlink()
    there[obsids[1]].write_bytes(b"x")
    assert fetch(lamost, tmp_path, obsids).n_new == 2
    assert set(arrived(tmp_path)) == set(obsids)


def test_straight_into_the_archive_of_a_survey(lamost, files, tmp_path):
    survey = Survey.create(tmp_path / "S", shard_size=10)
    with survey_for_spectra(survey.path, survey) as place:
        report = download(place, list(files), Service(lamost.url, "", QUICK), DR11)
    assert report.n_new == len(files)
    stored = Survey(tmp_path / "S")
    assert set(stored.obsid.tolist()) == set(files)
    assert not list(stored.path.rglob("*.fits.gz"))
    table = stored.table()
    assert table["file"].str.fullmatch(r"spec-\d+-.*\.fits\.gz").all()
    assert stored.provenance[-1]["step"] == "download"
    assert stored.provenance[-1]["release"] == "dr11 v2.0"
    with survey_for_spectra(survey.path, Survey(survey.path)) as place:
        assert download(place, list(files), Service(lamost.url, "", QUICK), DR11).n_before == 24


def test_a_survey_in_use_gets_its_spectra_later(lamost, files, tmp_path):
    survey = Survey.create(tmp_path / "S", shard_size=5)
    obsids = list(files)[:12]
    service = Service(lamost.url, "", QUICK)
    busy = pytest.raises(SurveyError, match="in use")
    with survey.lock(), survey_for_spectra(survey.path, survey) as place, busy:
        download(place, obsids, service, DR11)
    lamost.asked.clear()
    with survey_for_spectra(survey.path, Survey(survey.path)) as place:
        download(place, obsids, service, DR11)
    assert lamost.asked == []  # they waited on the disk
    assert set(Survey(survey.path).obsid.tolist()) == set(obsids)


# --- moods of the service -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "mood",
    ["busy 429 0.05", "busy 503", "code 500", "truncated", "dies", "hangs 0.8", "encoded", "empty"],
)
def test_what_passes_is_waited_for(lamost, files, tmp_path, mood):
    obsids = list(files)[:3]
    lamost.moods = {obsids[0]: [mood], obsids[1]: [mood, mood]}
    report = fetch(lamost, tmp_path, obsids)
    assert report.failed == {}
    assert set(arrived(tmp_path)) == set(obsids)


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("code 404*", "not there"),
        ("json*", "NoSuchSpectrum: .* was withdrawn"),
        ("half*", "gzip"),
        ("truncated*", "no answer"),
        ("code 500*", r"failed \(500\)"),
        ("busy 429 0.01*", r"busy \(429\)"),
        ("hangs 0.8*", "no answer .*timed out"),
        ("other 3000000048*", "sent obsid 3000000048 instead"),
        ("login*", "login page"),
        ("moved*", "login page"),
        ("code 403*", r"refused \(403\)"),
    ],
)
def test_what_fails_is_listed_with_its_reason_and_the_rest_goes_on(
    lamost, files, tmp_path, mood, reason
):
    obsids = list(files)[:12]
    lamost.moods = {obsids[3]: [mood]}
    report = fetch(lamost, tmp_path, obsids)
    assert report.n_new == 11
    assert set(arrived(tmp_path)) == set(obsids) - {obsids[3]}
    assert set(failures(tmp_path).index) == {obsids[3]}
    assert failures(tmp_path).str.contains(reason).all(), failures(tmp_path).to_list()
    lamost.moods.clear()
    assert fetch(lamost, tmp_path, obsids).n_new == 1
    assert failures(tmp_path).empty


@pytest.mark.parametrize("mood", ["login*", "code 403*", "dies*", "code 500*"])
def test_what_all_spectra_share_ends_the_download(lamost, files, tmp_path, mood):
    lamost.moods = {"all": [mood]}
    with pytest.raises(DownloadError, match="gives no spectra.*same command again"):
        fetch(lamost, tmp_path, list(files), connections=1)
    assert len(lamost.asked) <= 8 * QUICK.tries  # not one question for each of 24
    lamost.moods.clear()
    assert fetch(lamost, tmp_path, list(files)).n_new == len(files)


def test_the_patience_that_the_service_asks_for_is_given_by_all(lamost, files, tmp_path):
    lamost.moods = {"all": ["busy 429 1"]}
    fetch(lamost, tmp_path, list(files)[:4], connections=1)
    assert lamost.times[1] - lamost.times[0] > 0.95


def test_retry_after_may_be_a_date_and_nonsense_is_none():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert service_module._patience_asked(later) == pytest.approx(30, abs=2)
    assert service_module._patience_asked("soon") == 0
    assert service_module._patience_asked("7") == 7


def test_no_more_questions_than_the_rate_and_the_connections_allow(lamost, files, tmp_path):
    lamost.seconds = 0.02
    patience = Patience(tries=1, per_second=20)
    began = time.monotonic()
    fetch(lamost, tmp_path, list(files)[:16], patience, connections=2)
    assert time.monotonic() - began > 15 / 20
    assert lamost.most_at_once <= 2


# --- kills, locks, disks ------------------------------------------------------------------------
def run_msfa(lamost, *arguments):
    words = [sys.executable, "-m", "msfa_core.cli", "download", *map(str, arguments)]
    words += ["--server", lamost.url, "--rate", "1000", "-q"]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(words, cwd=root, env={**os.environ, "PYTHONPATH": root})


@pytest.mark.slow
@pytest.mark.parametrize("ingest", [False, True])
def test_kill_and_resume_lose_nothing(lamost, files, tmp_path, ingest):
    (tmp_path / "ids.txt").write_text("\n".join(map(str, files)) + "\n")
    target = tmp_path / "T"
    arguments = [target, "--obsid-file", tmp_path / "ids.txt", *(["--ingest"] if ingest else [])]
    lamost.seconds = 0.1
    for n_asked in (5, 9, 14):
        process = run_msfa(lamost, *arguments)
        until = time.monotonic() + 120
        while len(lamost.asked) < n_asked + 4 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not ingest and target.exists():
            for file in target.rglob("spec-*.fits.gz"):
                assert file.read_bytes() == files[read_spectrum(file).obsid]
    lamost.seconds = 0
    assert run_msfa(lamost, *arguments).wait() == 0
    if ingest:
        assert set(Survey(target).obsid.tolist()) == set(files)
        assert not list(target.rglob("*.fits.gz"))
    else:
        assert set(arrived(target)) == set(files)
    asked = [path for path in lamost.asked if "obsid=" in path]
    assert len(asked) < 2 * len(files)  # what had arrived was not asked for again


def test_a_line_that_a_kill_cut_short_is_dropped(lamost, files, tmp_path):
    obsids = list(files)[:3]
    fetch(lamost, tmp_path, obsids)
    manifest = tmp_path / "downloaded.csv"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert fetch(lamost, tmp_path, obsids).n_new == 1
    assert len(pd.read_csv(manifest)) == 3


def test_two_downloads_into_one_place_do_not_meet(lamost, files, tmp_path):
    with held(tmp_path / ".download.lock", tmp_path), pytest.raises(SurveyError, match="in use"):
        fetch(lamost, tmp_path, list(files))


def test_a_disk_that_fills_up_keeps_what_arrived(lamost, files, tmp_path, monkeypatch):
    obsids = list(files)
    real, n = os.fsync, 0

    def full(handle):
        nonlocal n
        n += 1
        if n > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(arrivals.os, "fsync", full)
    with pytest.raises(SurveyError, match="the disk is full"):
        fetch(lamost, tmp_path, obsids, connections=1)
    monkeypatch.undo()
    n_there = len(arrived(tmp_path))
    assert n_there > 2
    assert fetch(lamost, tmp_path, obsids).n_new == len(obsids) - n_there


# --- releases, token, proxy ---------------------------------------------------------------------
def test_releases_are_those_of_the_service(lamost, capsys):
    assert run_cli(["download", "X", "--releases", "--server", lamost.url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        *("dr10 v2.0", "dr11 v1.0", "dr11 v2.0", "dr12 v1.0 (needs a token)"),
    ]


def test_the_newest_public_release_is_taken_and_others_by_name(lamost):
    service = Service(lamost.url, "t", QUICK)
    assert str(service.release()) == "dr11 v2.0"
    assert str(service.release("11", "1.0")) == "dr11 v1.0"
    assert str(service.release("DR12")) == "dr12 v1.0 (needs a token)"
    with pytest.raises(DownloadError, match=r"no dr11 v9.0: the service has dr10 v2.0, dr11 v1.0"):
        service.release("dr11", "v9.0")


def test_an_internal_release_needs_a_token_from_a_safe_place(lamost):
    with pytest.raises(DownloadError, match="MSFA_LAMOST_TOKEN.*config.toml"):
        Service(lamost.url, "", QUICK).release("dr12")
    service = Service("http://lamost.example.org/openapi", "t", QUICK)
    with pytest.raises(DownloadError, match="https only"):
        service._check_token(Release("dr12", "v1.0", False))


def test_the_token_is_sent_where_it_is_needed_and_said_nowhere(
    lamost, files, tmp_path, monkeypatch, capsys, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MSFA_LAMOST_TOKEN", lamost.token)
    obsids = list(files)[:6]
    (tmp_path / "ids").write_text("\n".join(map(str, [*obsids, 42])))
    lamost.moods = {obsids[0]: ["dies*"], obsids[1]: ["truncated*"]}
    monkeypatch.setattr(service_module, "Patience", lambda per_second: QUICK)
    for dr in ("dr12", "dr11"):
        target = tmp_path / dr
        words = ["download", target, "--obsid-file", tmp_path / "ids", "--dr", dr, "--ingest", "-q"]
        assert run_cli([*map(str, words), "--server", lamost.url]) == 1
    internal = [path for path in lamost.asked if "/dr12/" in path]
    assert internal
    assert all("token=s3cret" in path for path in internal)
    assert not any("token" in path for path in lamost.asked if "/dr11/" in path)
    said = capsys.readouterr()
    texts = [said.out, said.err, caplog.text]
    texts += [
        path.read_bytes().decode("latin-1")
        for dr in ("dr12", "dr11")
        for path in (tmp_path / dr).rglob("*")
        if path.is_file()
    ]
    assert "42: the service says: not found" in said.err
    for text in texts:
        assert "s3cret" not in text
        assert "tok%2Ben" not in text


def test_a_token_file_is_read_and_one_that_others_can_read_is_warned_of(
    tmp_path, monkeypatch, caplog
):
    from msfa_core.lamost.token import lamost_token, user_file

    assert lamost_token() == ""
    user_file().parent.mkdir(parents=True)
    user_file().write_text('lamost_token = "abc123"\n')
    user_file().chmod(0o600)
    assert lamost_token() == "abc123"
    assert not caplog.records
    user_file().chmod(0o644)
    assert lamost_token() == "abc123"
    assert "chmod 600" in caplog.text
    assert "abc123" not in caplog.text
    user_file().write_text("lamost_token = abc123\n")
    from msfa_core.errors import ConfigError

    with pytest.raises(ConfigError) as error:
        lamost_token()
    assert "abc123" not in str(error.value)


def test_there_is_no_option_for_a_token(lamost, capsys):
    assert run_cli(["download", "X", "--token=abc123"]) == 2
    assert "abc123" not in capsys.readouterr().err


def test_a_proxy_is_used_and_named_when_it_does_not_answer(lamost, files, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", lamost.url.removesuffix("/openapi"))
    lamost.url = "http://lamost.example.org/openapi"
    assert fetch(lamost, tmp_path / "a", list(files)[:2]).n_new == 2
    assert all(path.startswith("http://lamost.example.org/") for path in lamost.asked)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(DownloadError, match="proxy") as error:
        fetch(lamost, tmp_path / "b", list(files)[:2])
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["lamost.org", "ftp://lamost.org/openapi", "https://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(DownloadError, match="no address"):
        Service(url)


def test_a_service_without_a_list_of_releases_is_named(lamost):
    service = Service(f"{lamost.url}/dr11/v2.0/lrs/spectrum/fits?obsid=3000000000&", "", QUICK)
    with pytest.raises(DownloadError, match="LAMOST's OpenAPI"):
        service.releases()


# --- lists, commands ----------------------------------------------------------------------------
def test_obsids_are_read_from_lists_and_tables(tmp_path):
    (tmp_path / "a").write_text("# mine\n605006  # first\n\n605007\n605006\n")
    assert read_obsids(tmp_path / "a") == [605006, 605007]
    pd.DataFrame({"OBSID": [7, 8, 7]}).to_csv(tmp_path / "b.csv")
    assert read_obsids(tmp_path / "b.csv") == [7, 8]
    (tmp_path / "c").write_text("605006\nx12\n")
    with pytest.raises(CatalogueError, match="line 2: 'x12'"):
        read_obsids(tmp_path / "c")
    (tmp_path / "d.csv").write_text("uid,ra\nG1,2\n")
    with pytest.raises(CatalogueError, match="no column obsid; its columns are uid, ra"):
        read_obsids(tmp_path / "d.csv")
    with pytest.raises(CatalogueError, match="no such file"):
        read_obsids(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf605006007\n605006008\n",
        "605006007\n605006008\n".encode("utf-16"),
        b"605006007, 605006008",
        b"[605006007, 605006008]",
        b'"605006007",\r\n"605006008",\r\n',
        b"605006007.0\n605006008.0\n",
        gzip.compress(b"605006007\n605006008\n", mtime=0),
    ],
)
def test_a_list_is_one_however_it_was_saved(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert read_obsids(tmp_path / "a") == [605006007, 605006008]


@pytest.mark.parametrize(
    "form", [lambda number: f"{number:.2E}", lambda number: int(np.float32(number))]
)
def test_obsids_that_lost_digits_are_not_fetched(tmp_path, form):
    ids = [form(605006007 + 1001 * i) for i in range(8)]
    pd.DataFrame({"obsid": ids, "ra": 1.5}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(CatalogueError, match="lost digits"):
        read_obsids(tmp_path / "a.csv")


def test_from_catalogue_to_survey_in_two_commands(lamost, files, tmp_path, capsys):
    rows = pd.DataFrame({"obsid": list(files), "class": "STAR", "snrg": 50.0})
    rows["subclass"] = ["A7V"] * 20 + ["F5"] * 4
    rows["gaia_source_id"] = 2919533451691384871
    rows.to_csv(tmp_path / "dr11.csv", sep="|", index=False)
    out, survey = tmp_path / "chosen.csv", tmp_path / "S"
    assert run_cli(["select", str(tmp_path / "dr11.csv"), str(out), "-q"]) == 0
    words = ["download", str(survey), "--from", str(out), "--ingest", "-q", "--rate", "1000"]
    assert run_cli([*words, "--server", lamost.url]) == 0
    said = capsys.readouterr().out
    assert "20 spectra wanted: 20 new" in said
    assert "min left)" in said
    assert f"next: msfa run {survey}" in said
    table = Survey(survey).table()
    assert set(table["obsid"]) == set(rows["obsid"][:20])
    assert (table["gaia_source_id"] == 2919533451691384871).all()


def test_usage_is_checked(lamost, tmp_path, capsys):
    assert run_cli(["download", str(tmp_path / "X"), "--server", lamost.url]) == 2
    survey = Survey.create(tmp_path / "S")
    (tmp_path / "ids").write_text("3000000000\n")
    words = ["download", str(survey.path), "--obsid-file", str(tmp_path / "ids")]
    assert run_cli([*words, "--server", lamost.url]) == 1
    assert "add --ingest" in capsys.readouterr().err


# --- nightly archives --------------------------------------------------------------------------
def tar_of(files, path, extra=()):
    with tarfile.open(path, "w") as tar:
        for name, content in [*((f"n/spec-{o}.fits.gz", c) for o, c in files.items()), *extra]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_night_is_read_as_a_stream_and_its_checksum_compared(files, tmp_path):
    extra = [("n/README", b"hello"), ("../../n/spec-bad.fits.gz", b"no spectrum")]
    tar = tar_of(files, tmp_path / "20111024.tar", extra)
    Path(f"{tar}.md5").write_text(f"{hashlib.md5(tar.read_bytes()).hexdigest()}  {tar.name}\n")
    assert run_cli(["download", str(tmp_path / "D"), "--night", str(tar), "-q"]) == 1
    assert set(arrived(tmp_path / "D")) == set(files)
    assert list(pd.read_csv(tmp_path / "D" / "night_failed.csv")["file"]) == [extra[1][0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20111024.tar",
        f"{tar.name}.md5",
        "D",
    ]


def test_a_night_goes_into_a_survey_once(files, tmp_path, capsys):
    tar = tar_of(files, tmp_path / "night.tar")
    words = ["download", str(tmp_path / "S"), "--night", str(tar), "--ingest", "-q"]
    assert run_cli(words) == 0
    assert run_cli(words) == 0
    assert "24 spectra wanted: 0 new, 24 there before" in capsys.readouterr().out
    assert set(Survey(tmp_path / "S").obsid.tolist()) == set(files)


def test_a_night_cut_short_or_altered_is_said_and_what_was_whole_kept(files, tmp_path):
    tar = tar_of(files, tmp_path / "night.tar")
    content = tar.read_bytes()
    tar.write_bytes(content[: len(content) // 2])
    with folder_of_files(tmp_path / "D") as place, pytest.raises(DownloadError, match="cut short"):
        take_night(place, tar)
    assert 5 < len(arrived(tmp_path / "D")) < 20
    tar.write_bytes(content)
    Path(f"{tar}.md5").write_text("0" * 32)
    with folder_of_files(tmp_path / "D") as place, pytest.raises(DownloadError, match="MD5"):
        take_night(place, tar)
    assert set(arrived(tmp_path / "D")) == set(files)
    with folder_of_files(tmp_path / "E") as place, pytest.raises(DownloadError, match="cannot"):
        take_night(place, tmp_path / "none.tar")
