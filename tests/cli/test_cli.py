import errno
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from msfa_core.cli import Exit, run_cli, show, stop
from msfa_core.cli.app import JOURNEY, app
from msfa_core.cli.show import pace_words
from msfa_core.spectra import shards
from msfa_core.spectra.readers import read_spectrum
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import find_files
from msfa_core.survey.subsets import name_subset
from msfa_core.vetting.decision import Decision, Verdict

COMMANDS = (
    *("select", "download", "simulate", "demo", "ingest", "run", "status", "export", "serve"),
    *("train", "experiments", "novelty", "evaluate", "place"),
    "validate",
    "products",
    "doctor",
    *("assign", "cite", "report", "compare-releases"),
)
GROUPS = ("store", "slam", "templates")


@pytest.fixture
def one_file(lamost_files):
    return find_files([lamost_files])[0]


@pytest.fixture
def ingested(lamost_files, tmp_path, tiny_models, monkeypatch):
    monkeypatch.setenv("MSFA_MODELS", str(tiny_models))
    assert run_cli(["ingest", str(tmp_path / "S"), str(lamost_files), "--quiet"]) == 0
    return tmp_path / "S"


def msfa(*arguments):
    return run_cli([str(argument) for argument in arguments])


def the_one_line(capsys):
    """The single line on standard error, which says what went wrong."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("msfa: ")
    return lines[0]


# --- the commands themselves -------------------------------------------------------------------
def test_help_names_every_command_and_needs_no_heavy_library():
    code = (
        "import sys; from msfa_core.cli import run_cli; code = run_cli(['--help']); "
        "heavy = {'torch', 'pandas', 'numba', 'astropy', 'distributed', 'panel'}; "
        "sys.exit(code or 10 * len(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f" {command} " in done.stdout for command in (*COMMANDS, *GROUPS))


def test_exactly_the_commands_that_work_are_there():
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert names == set(COMMANDS)
    assert {group.name for group in app.registered_groups} == set(GROUPS)


def test_the_help_names_the_commands_in_the_order_of_the_journey(capsys):
    assert run_cli(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[1] for line in lines if re.match(r"│ [a-z][a-z-]* ", line)]
    assert shown == [name for name in JOURNEY if name in {*COMMANDS, *GROUPS}]
    assert set(JOURNEY) >= {*COMMANDS, *GROUPS}


def test_status_needs_no_torch(ingested):
    code = (
        "import sys; from msfa_core.cli import run_cli; "
        f"code = run_cli(['status', {str(ingested)!r}]); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 spectra" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["run"],
        ["ingest", "S"],
        ["ingest", "S", "--catalog"],
        ["export", "S", "x.csv", "--all", "--verdict", "accept"],
        ["export", "S", "x.csv", "--all", "--subset", "bright"],
        ["export", "S", "x.csv", "--verdict", "maybe"],
        ["export", "S", "x.xlsx"],
        ["export", "S", "x"],
        ["select", "c.csv", "x.xlsx"],
        ["run", "S", "--workers", "2", "--scheduler", "tcp://x:1"],
        ["run", "S", "--workers", "-1"],
        ["run", "S", "--steps", "clasify"],
        ["place", "S", "--batch", "100"],
        ["place", "S", "--candidates"],
        ["store", "migrate", "S", "mysql://host/name"],
        ["store", "import", "S", "oracle://host/name"],
        ["simulate", "S", "--stars", "0"],
        ["train", "3"],
        ["train", "1", "--survey", "S"],
        ["select", "c.csv", "o.csv", "--snr", "nan"],
        ["select", "c.csv", "o.csv", "--snr", "-inf"],
        ["select", "c.csv", "o.csv", "--class", ""],
        ["select", "c.csv", "o.csv", "--subclass", ","],
        ["select", "c.csv", "c.csv", "--overwrite"],
        ["select", "o.csv", "--online", "--server", "lamost"],
        ["download", "D", "--releases", "--server", "lamost"],
        ["download", "D", "--releases", "--rate", "inf"],
        ["run", "S", "--selection", "mine"],
        ["run", "S", "--selection", "mine: hdelta d02 28..17"],
        ["run", "S", "--prior", "BHB nan, A 1"],
        ["place", "S", "--archives", "gaia"],
        ["export", "S", "x.csv", "--mec", "--columns", "teff"],
        ["evaluate", "--share", "nan"],
        ["evaluate", "--share", "-1"],
        ["train", "1", "--share", "nan"],
        ["assign", "S", "--reviewers", ","],
        ["assign", "S", "--reviewers", "anna,anna"],
        ["assign", "S", "--reviewers", "anna", "--per-star", "2"],
        ["assign", "S", "--reviewers", "anna,bert", "--overlap", "nan"],
        ["slam", "train", "m.npz", "--folds", "1"],
        ["slam", "train", "m.npz", "--survey", "S"],
        ["slam", "train", "m.npz", "--survey", "S", "--labels", "l.csv", "--grid", "g.npz"],
        ["validate", "S", "--reference", "r.csv", "--out", "O", "--radius", "nan"],
        ["compare-releases", "A", "B", "--radius", "nan"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_cli(arguments) == 2
    assert "Error" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "S", "x.csv", "--all", "--columns", ","],
        ["validate", "S", "--reference", "r.csv", "--out", "a_file"],
        ["evaluate", "S", "--labels", "r.csv", "--out", "a_file"],
        ["compare-releases", "S", "S", "--out", "a_file"],
        ["products", "S", "a_file"],
        ["report", "S", "r.html", "--figures", "a_file"],
    ],
)
def test_wrong_usage_that_only_a_survey_shows_ends_with_2(
    arguments, ingested, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("mine")
    assert run_cli(arguments) == 2
    assert "Error" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S", "a_file"]
    assert Path("a_file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "S", "S/candidates.parquet", "--all", "--overwrite"],
        ["export", "S", "S/archive/t.csv", "--all"],
        ["cite", "S", "S/msfa.toml"],
        ["cite", "S", "link/provenance.json"],
        ["products", "S", "S/archive"],
        ["report", "S", "S/steps/r.html", "--candidates"],
        ["validate", "S", "--reference", "r.csv", "--out", "S/archive"],
        ["evaluate", "S", "--out", "S/steps"],
        ["compare-releases", "S", "S", "--out", "S/archive"],
        ["store", "backup", "S", "S/archive/b.sqlite"],
        ["select", "c.csv", "S/rejected.csv", "--overwrite"],
        ["templates", "build", "S/archive/t.npz"],
        ["slam", "train", "S/archive/slam.npz"],
        ["simulate", "other", "--write-fits", "S/archive"],
    ],
)
def test_nothing_is_written_over_what_a_survey_consists_of(
    arguments, ingested, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("S")
    Path("c.csv").write_text("obsid,ra,dec,snrg,class,subclass\n1,2,3,20,STAR,A1V\n")
    Path("r.csv").write_text("obsid,label\n1,BHB\n")
    survey = Path("S")
    before = {path: path.read_bytes() for path in sorted(survey.rglob("*")) if path.is_file()}
    assert run_cli(arguments) == 2
    assert "consists of" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    now = {path: path.read_bytes() for path in sorted(survey.rglob("*")) if path.is_file()}
    assert now == before


def test_a_bibliography_is_replaced_only_when_allowed(ingested, tmp_path, capsys):
    mine = tmp_path / "refs.bib"
    mine.write_text("@article{mine}")
    assert msfa("cite", ingested, mine) == 1
    assert "--overwrite" in the_one_line(capsys)
    assert mine.read_text() == "@article{mine}"
    assert msfa("cite", ingested, mine, "--overwrite") == 0
    assert "@article{mine}" not in mine.read_text()


def test_a_place_that_cannot_be_written_is_one_line(ingested, tmp_path, capsys, monkeypatch):
    (tmp_path / "r.csv").write_text(f"obsid,label\n{Survey(ingested).obsid[0]},BHB\n")

    def refused(self, *_args, **_more):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refused)
    capsys.readouterr()
    assert msfa("compare-releases", ingested, ingested, "--out", tmp_path / "O") == 1
    assert "O: Permission denied" in capsys.readouterr().err.splitlines()[-1]


# --- bad input: one line that names the file, a non-zero exit, no half-written survey ------------
def empty(path, good):
    path.write_bytes(b"")


def truncated_gz(path, good):
    path.write_bytes(good.read_bytes()[:3000])


def web_page(path, good):
    path.write_text("<!DOCTYPE html>\n<html><body>Please log in</body></html>\n")


def random_bytes(path, good):
    path.write_bytes(np.random.default_rng(1).bytes(20_000))


def changed(path, good, **columns):
    with fits.open(good) as hdus:
        for name, change in columns.items():
            hdus[1].data[name][0] = change(hdus[1].data[name][0])
        hdus.writeto(path)


def nan_flux(path, good):
    changed(path, good, FLUX=lambda values: np.nan)


def zero_ivar(path, good):
    changed(path, good, IVAR=lambda values: 0.0)


def no_flux_column(path, good):
    with fits.open(good) as hdus:
        hdus[1].columns.change_name("FLUX", "FLOW")
        hdus.writeto(path)


def no_data(path, good):
    fits.PrimaryHDU().writeto(path)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (empty, "empty.fits"),
        (truncated_gz, "cut.fits.gz"),
        (web_page, "page.fits"),
        (random_bytes, "noise.fits"),
        (nan_flux, "nan.fits"),
        (zero_ivar, "ivar.fits"),
        (no_flux_column, "columns.fits"),
        (no_data, "nothing.fits"),
    ],
)
def test_a_bad_file_is_one_line_and_no_survey(make, name, lamost_files, tmp_path, capsys):
    table_layout = next(
        path
        for path in find_files([lamost_files])
        if read_spectrum(path).meta["layout"] == "lamost-table"
    )
    make(tmp_path / name, table_layout)
    assert msfa("ingest", tmp_path / "S", tmp_path / name) == 1
    assert name in the_one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_reversed_wavelengths_never_end_up_reversed(lamost_files, tmp_path, capsys):
    good = next(
        path
        for path in find_files([lamost_files])
        if read_spectrum(path).meta["layout"] == "lamost-table"
    )
    names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")
    changed(
        tmp_path / "back.fits", good, **dict.fromkeys(names, lambda values: values[::-1].copy())
    )
    code = msfa("ingest", tmp_path / "S", tmp_path / "back.fits")
    if code == 0:
        survey = Survey(tmp_path / "S")
        back = survey.archive.original(int(survey.archive.obsid[0]))
        assert np.array_equal(back.flux, read_spectrum(good).flux)
    else:
        assert "back.fits" in the_one_line(capsys)
        assert not (tmp_path / "S").exists()


def test_bad_files_among_good_ones_are_listed_and_the_rest_goes_on(lamost_files, tmp_path, capsys):
    folder = shutil.copytree(lamost_files, tmp_path / "files")
    (folder / "empty.fits").write_bytes(b"")
    assert msfa("ingest", tmp_path / "S", folder, "--quiet") == 0
    said = capsys.readouterr()
    assert "24 spectra stored" in said.out
    assert "1 rejected" in said.out
    assert "25 of 25 files" in said.out
    assert "empty.fits" in said.err
    assert Survey(tmp_path / "S").rejected["file"].tolist() == [str(folder / "empty.fits")]


def test_several_files_of_which_none_can_be_read_are_each_named(tmp_path, capsys):
    for name in ("a.fits", "b.fits"):
        (tmp_path / name).write_bytes(b"")
    assert msfa("ingest", tmp_path / "S", tmp_path) == 1
    said = capsys.readouterr().err
    assert "none of the 2 files could be read" in said
    assert "a.fits" in said
    assert "b.fits" in said
    listed = tmp_path / "S" / "rejected.csv"
    assert f"see {listed}" in said
    survey = Survey(tmp_path / "S")
    assert sorted(survey.rejected["file"]) == [str(tmp_path / one) for one in ("a.fits", "b.fits")]
    assert all("empty" in reason for reason in survey.rejected["reason"])


def test_a_survey_of_which_no_file_could_be_read_takes_those_that_can(
    lamost_files, tmp_path, capsys
):
    (tmp_path / "bad").mkdir()
    for name in ("a.fits", "b.fits"):
        (tmp_path / "bad" / name).write_bytes(b"")
    assert msfa("ingest", tmp_path / "S", tmp_path / "bad") == 1
    assert f"see {tmp_path / 'S' / 'rejected.csv'}" in capsys.readouterr().err
    assert msfa("status", tmp_path / "S") == 0
    assert "2 could not be read" in capsys.readouterr().out
    assert msfa("ingest", tmp_path / "S", lamost_files, "--quiet") == 0
    assert "24 spectra stored" in capsys.readouterr().out


def test_each_reason_against_files_is_told_once_with_how_often_it_holds(tmp_path, capsys):
    for n in range(30):
        (tmp_path / f"spec-{n}.fits").write_bytes(b"")
    for n in range(3):
        fits.PrimaryHDU(np.ones((4, 5 + n))).writeto(tmp_path / f"picture{n}.fits")
    assert msfa("ingest", tmp_path / "S", tmp_path) == 1
    *reasons, last = capsys.readouterr().err.strip().splitlines()
    assert len(reasons) == 2
    assert "(and 29 more like it)" in reasons[0]
    assert "(and 1 more like it)" in reasons[1]  # the last line names the first picture
    assert "none of the 33 files could be read" in last


def test_a_folder_without_spectra_is_one_line_and_no_survey(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    assert msfa("ingest", tmp_path / "S", tmp_path / "folder") == 1
    assert "folder: no spectra found" in the_one_line(capsys)
    assert not (tmp_path / "S").exists()


@pytest.mark.parametrize("target", ["absent.fits", "absent"])
def test_a_path_that_is_not_there_is_one_line(target, tmp_path, capsys):
    assert msfa("ingest", tmp_path / "S", tmp_path / target) == 1
    assert f"{target}: no such file" in the_one_line(capsys)
    assert not (tmp_path / "S").exists()


def test_a_catalogue_with_none_of_the_obsids_is_one_line(one_file, tmp_path, capsys):
    path = tmp_path / "other.csv"
    path.write_text("obsid,teff\n11,8000\n12,8100\n")
    assert msfa("ingest", tmp_path / "S", one_file, "--catalogue", path, "--quiet") == 1
    line = the_one_line(capsys)
    assert "other.csv" in line
    assert "11" in line
    assert str(read_spectrum(one_file).obsid) in line
    assert len(Survey(tmp_path / "S").table()) == 1


@pytest.mark.parametrize(
    "text", ["name,colour\nx,1\n", "", "obsid|teff\n1|2|3|4\n5\n", "\x00\x01\x02"]
)
def test_a_catalogue_of_the_wrong_columns_is_one_line(text, ingested, tmp_path, capsys):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    before = Survey(ingested).table()
    capsys.readouterr()
    assert msfa("ingest", ingested, "--catalogue", path) == 1
    assert "wrong.csv" in the_one_line(capsys)
    pd.testing.assert_frame_equal(Survey(ingested).table(), before)


def test_a_catalogue_that_is_not_there_is_one_line_before_anything_is_made(
    one_file, tmp_path, capsys
):
    assert msfa("ingest", tmp_path / "S", one_file, "--catalogue", tmp_path / "no.csv") == 1
    assert "no.csv: no such file" in the_one_line(capsys)
    assert not (tmp_path / "S").exists()


def test_a_disk_that_fills_is_one_line_and_no_half_survey(
    lamost_files, tmp_path, capsys, monkeypatch
):
    def full(path, array):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "_write_array", full)
    assert msfa("ingest", tmp_path / "S", lamost_files, "--quiet") == 1
    assert "the disk is full" in the_one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_really_fills_is_one_line(lamost_files, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        command = [sys.executable, "-m", "msfa_core.cli", "ingest", str(small / "S")]
        done = subprocess.run(
            [*command, str(lamost_files), "--quiet"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "the disk is full" in done.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("command", ["status", "run", "serve", "evaluate"])
def test_what_is_no_survey_is_one_line_with_the_remedy(command, tmp_path, capsys):
    assert msfa(command, tmp_path / "nowhere") == 1
    assert "msfa ingest" in the_one_line(capsys)
    (tmp_path / "folder").mkdir()
    assert msfa(command, tmp_path / "folder") == 1
    assert "is not a survey" in the_one_line(capsys)


def test_ingest_into_a_folder_of_other_things_is_refused(one_file, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("x")
    assert msfa("ingest", tmp_path / "thesis", one_file) == 1
    assert "not an empty folder" in the_one_line(capsys)
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "x"


def test_missing_weights_are_one_line(ingested, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MSFA_MODELS", str(tmp_path / "no-models"))
    capsys.readouterr()
    assert msfa("run", ingested, "--steps", "classify") == 1
    assert "no-models" in the_one_line(capsys)


def test_tables_that_are_not_there_are_named_before_a_run(ingested, capsys):
    capsys.readouterr()
    assert msfa("run", ingested, "--gaia", "gaia-dr4.csv") == 1
    assert "gaia-dr4.csv: no such file" in the_one_line(capsys)
    assert msfa("run", ingested, "--known", "x.csv") == 1
    assert "x.csv: no such file" in the_one_line(capsys)


def test_a_run_stops_when_its_hours_are_over_and_goes_on_with_the_same_command(ingested, capsys):
    capsys.readouterr()
    assert msfa("run", ingested, "--steps", "know", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith(" in the search domain, candidates: not known yet")  # not 0
    assert lines[-1] == f"next: msfa run {ingested}"
    run = ("run", ingested, "--steps", "classify,measure", "--workers", "1", "--quiet")
    assert msfa(*run, "--max-hours", "1e-9") == 1
    said = capsys.readouterr()
    assert "classify 000001-lamost: 24 of 24 spectra" in said.out
    assert "(100 %, " in said.out and "/s)" in said.out
    assert "measure" not in said.out
    assert "stopped after 1e-09 h as asked" in said.err
    assert f"To go on: msfa run {ingested}" in said.err
    assert msfa(*run, "--max-hours", "5") == 0
    said = capsys.readouterr().out
    assert "classify: done before" in said
    assert "measure: done (" in said and "% of the time)" in said
    assert pace_words(30, 120, 10, 2.0) == " (25 %, 5/s, 0 min left)"
    assert pace_words(0, 0, 0, 0.0) == ""


# --- the journey -------------------------------------------------------------------------------
def test_files_in_and_a_vetted_table_out(ingested, tmp_path, capsys):
    assert msfa("run", ingested, "--workers", "1", "--quiet") == 0
    said = capsys.readouterr().out
    assert "classify 000001-lamost: 24 of 24 spectra" in said
    assert "match 000001-lamost: 24 of 24 spectra" in said
    assert msfa("run", ingested, "--quiet") == 0
    said = capsys.readouterr().out
    assert "classify: done before" in said
    assert "000001-lamost" not in said

    out = tmp_path / "bhb.csv"
    assert msfa("export", ingested, out) == 1
    line = the_one_line(capsys)
    assert "no star with verdict accept" in line
    assert "--all" in line
    assert not out.exists()

    survey = Survey(ingested)
    accepted = survey.table()["obsid"].tolist()[:2]
    store = survey.store()
    for obsid in accepted:
        store.append_decision(Decision(obsid, "", Verdict.ACCEPT, "Ann"))
    store.append_decision(Decision(survey.table()["obsid"][5], "", Verdict.REJECT, "Ann"))
    store.close()
    assert msfa("export", ingested, out) == 0
    assert "2 stars" in capsys.readouterr().out
    assert sorted(pd.read_csv(out)["obsid"]) == accepted
    assert "stars with verdict accept" in (tmp_path / "bhb.csv.provenance.json").read_text()
    assert msfa("export", ingested, out) == 1
    assert "exists" in the_one_line(capsys)
    assert msfa("export", ingested, out, "--verdict", "reject", "--overwrite") == 0
    assert len(pd.read_csv(out)) == 1
    assert msfa("export", ingested, tmp_path / "all.fits", "--all", "--columns", "full") == 0
    assert len(fits.getdata(tmp_path / "all.fits", 1)) == 24
    capsys.readouterr()
    assert msfa("export", ingested, tmp_path / "all.docx", "--all") == 2
    assert ".mrt" in capsys.readouterr().err
    assert msfa("export", ingested, tmp_path / "all.csv", "--all", "--columns", "nosuch") == 2
    assert "nosuch is no set" in " ".join(capsys.readouterr().err.split())
    assert msfa("status", ingested) == 0
    said = capsys.readouterr().out
    assert "accept 2, reject 1" in said


def test_a_named_subset_goes_out(ingested, tmp_path, capsys):
    survey, out = Survey(ingested), tmp_path / "named.csv"
    obsids = survey.table()["obsid"].tolist()
    store = survey.store()
    store.append_decision(Decision(obsids[5], "", Verdict.REJECT, "Ann"))
    store.close()
    name_subset(ingested, "odd labels", obsids[1:4], "brushed in Labels", "Ann")
    name_subset(ingested, "bright", obsids[3:9], "brushed in the CMD", "Ann")

    def export(*options):
        return msfa("export", ingested, out, "--columns", "obsid", "--overwrite", *options)

    assert export("--subset", '"odd labels" or bright') == 0
    assert sorted(pd.read_csv(out)["obsid"]) == sorted(obsids[1:9])
    header = json.loads(out.with_name("named.csv.provenance.json").read_text())
    assert 'spectra in subset "odd labels" or bright' in str(header)
    assert export("--subset", "bright", "--verdict", "reject") == 0
    assert pd.read_csv(out)["obsid"].tolist() == [obsids[5]]
    capsys.readouterr()
    assert export("--subset", "brihgt") == 2
    assert 'there are: bright, "odd labels"' in capsys.readouterr().err
    assert export("--subset", "bright and") == 2
    assert "a name is missing" in capsys.readouterr().err
    assert export("--subset", "bright and not bright") == 1
    assert "no spectra in subset" in the_one_line(capsys)


def test_simulate_makes_files_that_can_be_ingested_and_evaluated(
    tmp_path, capsys, tiny_models, monkeypatch
):
    monkeypatch.setenv("MSFA_MODELS", str(tiny_models))
    demo, folder = tmp_path / "demo", tmp_path / "fits"
    few = ("--stars", "12", "--seed", "5", "--workers", "1", "--quiet")
    assert msfa("simulate", demo, *few, "--write-fits", folder, "--fits-layout", "image") == 0
    survey = Survey(demo)
    assert survey.is_simulated
    assert survey.table()["true_star"].nunique() == 12
    assert len(find_files([folder])) == len(survey.archive)
    assert read_spectrum(find_files([folder])[0]).meta["layout"] == "lamost-image"
    assert msfa("simulate", tmp_path / "dark", *few, "--sky-fibres", tmp_path / "none") == 1
    assert "no FITS file here" in the_one_line(capsys)
    assert msfa("simulate", demo, *few) == 0
    assert "0 simulated spectra" in capsys.readouterr().out
    assert msfa("evaluate", demo) == 1
    assert "both classified and of known class" in the_one_line(capsys)
    assert msfa("run", demo, "--steps", "classify,measure", "--workers", "1", "--quiet") == 0
    capsys.readouterr()
    assert msfa("evaluate", demo) == 0
    said = capsys.readouterr().out
    assert "confusion" in said
    assert "SIMULATED spectra" in said
    assert "both stages, then ju2024" in said
    recorded = pd.read_csv(demo / "evaluation" / "simulated_confusion.csv")
    monkeypatch.setattr("msfa_core.training.evaluation_report.write_figures", lambda *_: [])
    out = tmp_path / "again"
    assert msfa("evaluate", demo, "--models", tiny_models, "--out", out, "--quiet") == 0
    assert pd.read_csv(out / "simulated_confusion.csv").equals(recorded)
    assert msfa("ingest", demo, folder) == 1
    assert "simulated" in the_one_line(capsys)


def test_evaluate_refuses_the_stars_of_the_training_and_a_mixture(
    ingested, tmp_path, capsys, tiny_models, monkeypatch
):
    from msfa_core.networks.weights import (
        STAGE_FILES,
        load_weights,
        save_weights,
        write_checksums,
    )

    models = tmp_path / "models"
    for file in STAGE_FILES.values():
        model, card = load_weights(tiny_models / file)
        card["data"] = {"provenance": {"simulated": True, "seed": 7}}
        save_weights(model, models / file, card)
    write_checksums(models)
    assert msfa("evaluate", "--models", models, "--seed", "7", "--quiet") == 1
    assert "trained on simulated stars of seed 7" in the_one_line(capsys)
    table = Survey(ingested).table()
    labels = pd.DataFrame({"obsid": table["obsid"], "label": "A"})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    table.loc[table.index[:5], "data_release"] = "LAMOST DR9"
    monkeypatch.setattr(Survey, "table", lambda _: table)
    arguments = ("--labels", tmp_path / "labels.csv", "--models", tiny_models, "--quiet")
    assert msfa("evaluate", ingested, *arguments) == 1
    of_table, error = capsys.readouterr().err.splitlines()
    assert of_table == "labels.csv: 24 rows; 24 spectra matched (24 by obsid), 0 not"
    assert error.startswith("msfa: ")
    assert "never mixed" in error


@pytest.mark.slow
def test_evaluate_without_a_survey_simulates_unseen_stars(
    tmp_path, capsys, tiny_models, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("msfa_core.training.evaluation_report.write_figures", lambda *_: [])
    arguments = ("--models", tiny_models, "--share", "0.002", "--workers", "1", "--quiet")
    assert msfa("evaluate", *arguments) == 0
    said = capsys.readouterr().out
    assert "SIMULATED spectra: 43 of 43 stars" in said
    assert "unseen stars of seed 2024" in said
    first = (tmp_path / "evaluation" / "simulated_evaluation.json").read_text()
    assert msfa("evaluate", *arguments, "--out", tmp_path / "b") == 0
    assert (tmp_path / "b" / "simulated_evaluation.json").read_text() == first
    capsys.readouterr()
    like = (*arguments, "--like-the-paper", "--out", tmp_path / "c")
    assert msfa("evaluate", *like) == 0
    assert "S/N and kinds as on the sky" in capsys.readouterr().out
    assert (tmp_path / "c" / "simulated_evaluation.json").read_text() != first
    assert msfa("evaluate", tmp_path, "--like-the-paper") == 2


def test_evaluate_takes_labels_for_real_spectra(ingested, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("msfa_core.training.evaluation_report.write_figures", lambda *_: [])
    assert msfa("run", ingested, "--steps", "classify", "--workers", "1", "--quiet") == 0
    capsys.readouterr()
    assert msfa("evaluate", ingested) == 1
    assert "--labels" in the_one_line(capsys)
    obsid = Survey(ingested).archive.obsid
    labels = pd.DataFrame({"obsid": obsid, "label": ["BHB", "A"] * 12})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    assert msfa("evaluate", ingested, "--labels", tmp_path / "labels.csv") == 0
    assert "spectra: 24 of 24 stars" in capsys.readouterr().out
    labels.rename(columns={"label": "type"}).to_csv(tmp_path / "labels.csv", index=False)
    assert msfa("evaluate", ingested, "--labels", tmp_path / "labels.csv") == 1
    assert "obsid and label" in the_one_line(capsys)


@pytest.mark.slow
def test_networks_are_trained_from_the_command_line_and_then_used(tmp_path, capsys, monkeypatch):
    run = tmp_path / "training"
    small = (
        "--share",
        "0.004",
        "--epochs1",
        "1",
        "--epochs2",
        "1",
        "--width",
        "4",
        "--batch",
        "16",
    )
    options = ("--run", run, *small, "--workers", "1", "--device", "cpu", "--quiet")
    assert msfa("train", "2", *options) == 1
    assert "holds no stage 1" in the_one_line(capsys)
    assert msfa("train", "1", *options) == 0
    assert not (run / "models").exists()
    monkeypatch.setattr("msfa_core.training.model_card.write_figures", lambda *_: [])
    assert msfa("train", "both", *options) == 0
    assert "F1 of BHB" in capsys.readouterr().out
    monkeypatch.setenv("MSFA_MODELS", str(run / "models"))
    demo = tmp_path / "demo"
    assert msfa("simulate", demo, "--stars", "4", "--workers", "1", "--quiet") == 0
    assert msfa("run", demo, "--steps", "classify", "--workers", "1", "--quiet") == 0
    assert Survey(demo).table()["p_bhb"].notna().any()


# --- stopping ----------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(
    number, lamost_files, tmp_path, tiny_models, capsys
):
    survey = Survey.create(tmp_path / "S", shard_size=4, models=str(tiny_models))
    assert msfa("ingest", survey.path, lamost_files, "--quiet") == 0
    command = [sys.executable, "-m", "msfa_core.cli", "run", str(survey.path), "--quiet"]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline().startswith("match 000001")
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.count("\n") == 1
    assert "goes on from there" in said
    _expect_no_members(process.pid)
    capsys.readouterr()
    assert msfa("run", survey.path, "--quiet", "--workers", "1") == 0  # what the others did counts
    assert "match 000001" not in capsys.readouterr().out
    assert Survey(survey.path).table()["p_bhb"].notna().all()


@pytest.mark.slow
def test_no_worker_outlives_a_command_that_is_killed(lamost_files, tmp_path, tiny_models):
    survey = Survey.create(tmp_path / "S", shard_size=4, models=str(tiny_models))
    assert msfa("ingest", survey.path, lamost_files, "--quiet") == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "msfa_core.cli", "run", str(survey.path), "--workers", "2", "-q"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline().startswith("match 000001")
    process.kill()
    process.wait()
    process.stdout.close()
    _expect_no_members(process.pid)


def test_a_request_to_stop_that_a_library_swallowed_is_heeded_at_the_next_shard(monkeypatch):
    monkeypatch.setattr(stop, "_asked", threading.Event())
    show.Lines()("classify", 1, 2, "000001")
    with pytest.raises(KeyboardInterrupt):
        stop._stop(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):  # the first was lost, say in a finaliser
        show.Lines()("classify", 2, 2, "000002")


def test_work_whose_output_nobody_reads_any_more_says_that_it_stopped(ingested):
    """`msfa run S | head -1` ended with 0 and not a word, half done."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "msfa_core.cli", "run", str(ingested), "--steps", "measure"]
    done = subprocess.run(
        [*command, "--workers", "1"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.returncode == Exit.INTERRUPTED
    assert done.stderr.splitlines()[-1].startswith("msfa: stopped; what was finished is kept")


def _expect_no_members(group):
    """Wait for what ends just after its parent, such as the tracker of shared memory."""
    deadline = time.monotonic() + 20
    while _members(group) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _members(group)


def _members(group):
    """Processes of a process group that are still running."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pgid=,stat=,pid="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [row[2] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


# --- serve -------------------------------------------------------------------------------------
class Started(Exception):
    """In place of the process that the server would take over."""


@pytest.fixture
def execve(monkeypatch):
    calls = []

    def take_over(path, command, environment):
        calls.append((command, environment))
        raise Started

    monkeypatch.setattr("msfa_core.cli.surveys.os.execve", take_over)
    return calls


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def test_a_report_is_written_with_the_figures_and_is_not_replaced_unasked(
    ingested, tmp_path, capsys
):
    out, figures = tmp_path / "S.html", tmp_path / "figures"
    assert msfa("report", ingested, out, "--figures", figures, "--quiet") == 0
    told = capsys.readouterr().out
    assert "0 accepted stars" in told and "Nothing was searched yet: `msfa run S`" in told
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (figures / "figure3_d02_fm.pdf").exists()
    assert msfa("report", ingested, out) == 1
    assert "--overwrite" in the_one_line(capsys)
    assert msfa("report", ingested, out, "--verdict", "accept", "--candidates") == 2


def test_a_survey_whose_truth_is_not_known_teaches_nobody(ingested, capsys, execve):
    assert msfa("serve", ingested, "--learn") == 1
    assert "truth" in the_one_line(capsys)


def test_serve_starts_the_dashboard_on_the_survey_and_prints_the_address(ingested, capsys, execve):
    port = free_port()
    with pytest.raises(Started):
        msfa("serve", ingested, "--port", port, "--basic-auth", "users.json")
    command, environment = execve[0]
    assert command[1:4] == ["-m", "panel", "serve"]
    assert Path(command[4]).name == "dashboard"
    assert command[-2:] == ["--args", str(ingested)]
    assert command[command.index("--port") + 1] == str(port)
    assert command[command.index("--basic-auth") + 1] == "users.json"
    assert environment["BOKEH_RESOURCES"] == "server"
    assert f"http://localhost:{port}/dashboard" in capsys.readouterr().out


def test_serve_hands_reference_stars_on_and_names_a_table_that_has_none(
    ingested, tmp_path, capsys, execve
):
    stars = tmp_path / "stars.csv"
    stars.write_text("d02_hdelta,fm_hdelta\n22.0,0.2\n")
    with pytest.raises(Started):
        msfa("serve", ingested, "--port", free_port(), "--reference", stars)
    assert execve[0][0][-4:] == ["--args", str(ingested), "--reference", str(stars)]
    capsys.readouterr()
    stars.write_text("ra,dec\n1,2\n")
    assert msfa("serve", ingested, "--port", free_port(), "--reference", stars) == 1
    assert "no reference stars" in the_one_line(capsys)
    assert len(execve) == 1


def test_a_port_in_use_is_one_line(ingested, capsys, execve):
    capsys.readouterr()
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        assert msfa("serve", ingested, "--port", port) == 1
    assert "--port" in the_one_line(capsys)
    assert not execve


def test_serve_without_a_survey_opens_the_demo(tmp_path, monkeypatch, capsys, execve):
    made = Survey.create(tmp_path / "demo", simulated=True)
    monkeypatch.setenv("MSFA_DEMO", str(made.path))
    with pytest.raises(Started):
        msfa("serve", "--port", free_port())
    assert execve[0][0][-1] == str(made.path)
    assert "SIMULATED" in capsys.readouterr().out


def test_serve_starts_at_once_where_the_demo_is_yet_to_be_made(
    tmp_path, monkeypatch, capsys, execve
):
    monkeypatch.setenv("MSFA_DEMO", str(tmp_path / "demo"))
    with pytest.raises(Started):
        msfa("serve", "--port", free_port())
    assert execve[0][0][-1] == str(tmp_path / "demo")
    said = capsys.readouterr().out
    assert "SIMULATED" in said
    assert "the page opens on its first 60 simulated stars" in said
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.tex").write_text("x")
    assert msfa("serve", "--port", free_port()) == 1
    assert "is no survey" in the_one_line(capsys)


# --- products and epochs -------------------------------------------------------------------------
def test_products_and_the_multiple_epoch_catalogue_are_written(ingested, tmp_path, capsys):
    assert msfa("run", ingested, "--steps", "identify", "--quiet") == 0
    assert msfa("products", ingested, tmp_path / "P", "--quiet") == 0
    assert "24 files written, 0 there before" in capsys.readouterr().out
    assert msfa("products", ingested, tmp_path / "P", "--all", "--coadd", "--quiet") == 0
    out = capsys.readouterr().out
    stars = Survey(ingested).table().groupby("uid").size()
    n_pairs = int((stars > 1).sum())
    assert f"{n_pairs:,} co-added stars; {n_pairs:,} files written, 24 there before" in out
    for path in (tmp_path / "P").glob("spec-*.fits"):
        assert read_spectrum(path).obsid >= 3_000_000_000
    assert msfa("products", ingested, tmp_path / "Q", "--candidates", "--verdict", "accept") == 2
    capsys.readouterr()
    assert msfa("products", ingested, tmp_path / "Q", "--verdict", "accept") == 1
    assert "no spectrum for the choice" in the_one_line(capsys)
    if n_pairs:
        assert msfa("export", ingested, tmp_path / "mec.csv", "--mec", "--all") == 0
        assert f"{n_pairs:,} stars" in capsys.readouterr().out
        lines = (tmp_path / "mec.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("uid,ura,udec,gp_id,obs_number,obsid_list,midmjm_list,z_list")


def test_status_counts_what_known_catalogues_list(ingested, tmp_path, capsys):
    survey = Survey(ingested)
    table = survey.table()
    known = tmp_path / "ours2020.csv"
    table[["obsid"]].iloc[:5].to_csv(known, index=False)
    assert msfa("run", ingested, "--known", known, "--steps", "classify,identify", "--quiet") == 0
    marked = Survey(ingested).table().assign(is_candidate=True)
    survey.write_table(marked)
    capsys.readouterr()
    assert msfa("status", ingested) == 0
    out = capsys.readouterr().out
    stars = marked.iloc[:5]["uid"].nunique()
    assert f"ours2020: 5 spectra of {stars} stars" in out
    assert f"new: {len(table) - 5} spectra of" in out
    counts = [entry["known_candidates"] for entry in survey.provenance if entry["step"] == "run"]
    assert set(counts[-1]) >= {"in any known catalogue", "new"}


def test_slam_trains_on_a_grid_of_ones_own_and_is_judged_on_a_survey(ingested, tmp_path, capsys):
    from msfa_core.simulate.labelled_grid import draw_labels, labelled_grid

    made = labelled_grid(draw_labels(40, seed=1))
    names = dict(zip(("teff", "logg", "feh"), made.labels.T, strict=True))
    np.savez(tmp_path / "grid.npz", wave=made.wavelength, flux=made.flux, **names)
    model = tmp_path / "slam.npz"
    pixels = ("--bins", "4300", "4400", "10", "--degree", "2", "--folds", "0")
    assert msfa("slam", "train", model, "--grid", tmp_path / "grid.npz", *pixels) == 0
    assert "SHA-256" in capsys.readouterr().out
    obsid = Survey(ingested).archive.obsid
    truth = {"obsid": obsid, "teff": 8500.0, "logg": 3.5, "feh": -1.0}
    pd.DataFrame(truth).to_csv(tmp_path / "labels.csv", index=False)
    asked = ("--labels", tmp_path / "labels.csv", "--model", model)
    assert msfa("slam", "evaluate", ingested, *asked) == 0
    assert "spectra have labels from both" in capsys.readouterr().out
    assert msfa("slam", "train", model, "--survey", ingested) == 2
    assert "--survey needs --labels" in capsys.readouterr().err
    assert msfa("slam", "train", model, "--grid", tmp_path / "labels.csv") == 1
    assert "cannot be read as .npz" in the_one_line(capsys)


def test_the_next_command_can_be_typed_as_it_is_said(tmp_path, one_file, capsys):
    """A survey in a folder with blanks: what is said goes through a shell."""
    survey = tmp_path / "my survey (1)"
    assert msfa("ingest", survey, one_file, "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    said = next(line for line in lines if line.startswith("next: msfa run"))
    assert shlex.split(said.removeprefix("next: msfa run ")) == [str(survey)]
    assert msfa("status", survey) == 0
    assert f"`msfa run {shlex.quote(str(survey))}`" in capsys.readouterr().out


def test_an_export_tells_of_settings_that_its_table_does_not_follow(ingested, tmp_path, capsys):
    assert msfa("run", ingested, "--quiet") == 0
    assert msfa("export", ingested, tmp_path / "a.csv", "--all") == 0
    assert "the table follows" not in capsys.readouterr().out
    with (ingested / "msfa.toml").open("a") as settings:
        settings.write("snr_min = 30.0\n")
    assert msfa("export", ingested, tmp_path / "b.csv", "--all") == 0
    said = capsys.readouterr().out
    assert "the setting snr_min = 30.0: the table follows snr_min = 10.0" in said


def test_an_export_tells_of_catalogues_that_its_table_does_not_follow(ingested, tmp_path, capsys):
    obsids = [int(one) for one in Survey(ingested).obsid]
    table = tmp_path / "labels.csv"

    def said(*command):
        capsys.readouterr()
        assert msfa(*command) == 0
        return capsys.readouterr().out

    def exported(name):
        return said(
            "export", ingested, tmp_path / name, "--all", "--columns", "obsid,teff_catalogue"
        )

    for step, teff in enumerate((8000, 9000)):
        rows = "".join(f"{obsid},{teff},3.3,-1.5\n" for obsid in obsids)
        table.write_text(f"obsid,teff,logg,feh\n{rows}")
        msfa("ingest", ingested, "--catalogue", table)
        if step:
            assert "labels.csv was joined after the steps ran" in exported("a.csv")
            assert "labels.csv was joined after the steps ran" in said("status", ingested)
        assert msfa("run", ingested, "--quiet", "--steps", "measure") == 0
        assert "was joined after" not in exported(f"{teff}.csv") + said("status", ingested)
        assert (pd.read_csv(tmp_path / f"{teff}.csv")["teff_catalogue"] == teff).all()


def test_new_spectra_are_said_to_be_in_no_catalogue_that_came_before(
    lamost_files, tmp_path, capsys
):
    files = find_files([lamost_files])
    obsids = [read_spectrum(file).obsid for file in files]
    (tmp_path / "c.csv").write_text("obsid,teff\n" + "".join(f"{one},8000\n" for one in obsids))
    survey = tmp_path / "S"
    assert msfa("ingest", survey, *files[:5], "--catalogue", tmp_path / "c.csv") == 0
    assert "came before" not in capsys.readouterr().out
    assert msfa("ingest", survey, *files[:5]) == 0
    assert "came before" not in capsys.readouterr().out
    assert msfa("ingest", survey, *files) == 0
    said = capsys.readouterr().out
    assert "c.csv came before the new spectra: give it again with --catalogue" in said
    assert msfa("ingest", survey, *files, "--catalogue", tmp_path / "c.csv") == 0
    assert "came before" not in capsys.readouterr().out


def test_a_report_of_another_ending_is_wrong_usage(ingested, tmp_path, capsys):
    assert msfa("report", ingested, tmp_path / "a.doc") == Exit.USAGE
    assert "does not end in .html" in capsys.readouterr().err
