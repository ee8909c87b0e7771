import errno
import gzip
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from msfa_core.errors import CatalogueError, ReadError, SurveyError
from msfa_core.simulate.filling import simulate
from msfa_core.simulate.survey import SurveyPlan
from msfa_core.spectra import files as module_of_files
from msfa_core.spectra import shards, unpacking
from msfa_core.spectra.readers import read_spectrum
from msfa_core.spectra.writers import write_lamost
from msfa_core.survey import storing as module
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import find_files, ingest
from msfa_core.survey.sameness import are_equal
from msfa_core.survey.status import status
from msfa_core.typing import no_progress

PLAN = SurveyPlan(12, seed=4, chunk=6)


@pytest.fixture
def files(lamost_files, tmp_path):
    """The simulated files, in a folder of the test's own."""
    return shutil.copytree(lamost_files, tmp_path / "files")


@pytest.fixture
def survey(tmp_path):
    return Survey.create(tmp_path / "survey", shard_size=5)


def same(one, other):
    pd.testing.assert_frame_equal(one.table(), other.table())
    assert [s.name for s in one.archive.shards] == [s.name for s in other.archive.shards]


def test_every_file_of_a_folder_is_stored_with_what_it_says(survey, files):
    report = ingest(survey, [files])
    assert (report.n_files, report.n_stored, report.n_unchanged) == (24, 24, 0)
    assert report.duplicates == report.rejected == ()
    assert [len(shard) for shard in survey.archive.shards] == [5, 5, 5, 5, 4]
    table = survey.table().set_index("obsid")
    for path in find_files([files]):
        given = read_spectrum(path)
        row = table.loc[given.obsid]
        assert row["file"] == str(path)
        assert row["class"] == given.meta["class"]
        assert row["subclass"] == given.meta["subclass"]
        assert (row["ra"], row["z"]) == (given.ra, given.z)
        assert np.array_equal(survey.archive.original(given.obsid).flux, given.flux)
    assert survey.provenance[-1]["stored"] == 24


def test_files_stored_before_are_not_read_again(survey, files, monkeypatch):
    ingest(survey, [files])
    before = survey.table()
    monkeypatch.setattr(module, "read_files", lambda chunk: pytest.fail("read again"))
    report = ingest(survey, [files])
    assert (report.n_stored, report.n_unchanged) == (0, 24)
    pd.testing.assert_frame_equal(survey.table(), before)
    assert len(survey.archive.shards) == 5


def test_a_file_that_was_touched_or_new_files_are_read(survey, files):
    paths = find_files([files])
    ingest(survey, paths[:20])
    os.utime(paths[0], (1, 1))
    report = ingest(survey, [files])
    assert (report.n_stored, report.n_unchanged, report.duplicates) == (4, 20, ())


def test_of_files_with_one_obsid_the_first_is_kept_and_the_others_are_named(survey, files):
    first = find_files([files])[0]
    copy = shutil.copy(first, files / "zzz-copy.fits.gz")
    report = ingest(survey, [files])
    assert report.n_stored == 24
    obsid = read_spectrum(first).obsid
    assert report.duplicates == ((str(copy), obsid, str(first)),)
    assert survey.table().set_index("obsid").loc[obsid, "file"] == str(first)
    assert len(ingest(survey, [files]).duplicates) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [({}, ""), ({"SNRG": 3.0}, "they differ"), ({"RA": 10.0}, "not of one place on the sky")],
)
def test_what_else_a_file_of_the_same_obsid_holds_is_said(survey, files, change, words):
    first = find_files([files])[0]
    copy = shutil.copy(first, files / "zzz-copy.fits.gz")
    with fits.open(copy) as units:
        units[0].header.update(change)
        units.writeto(copy, overwrite=True)
    report = ingest(survey, [first, copy])
    assert len(report.duplicates) == 1
    assert words in report.differing.get(str(copy), "")
    assert bool(words) == bool(report.differing)


def test_a_newer_release_takes_the_place_of_a_spectrum_as_the_words_say(survey, files):
    first = find_files([files])[0]
    newer = shutil.copy(first, files.parent / "newer.fits.gz")
    with fits.open(newer) as units:
        units[0].header["SNRG"] = 3.0
        units.writeto(newer, overwrite=True)
    report = ingest(survey, [first, newer])
    assert "put it in that one's place, by its name" in report.differing[str(newer)]
    shutil.copy(newer, first)
    again = ingest(survey, [first])
    obsid = read_spectrum(newer).obsid
    assert again.changed == ((str(first), obsid),)
    row = survey.table().set_index("obsid").loc[obsid]
    assert (row["snr_g"], row["file"]) == (3.0, str(first))


def test_bad_files_are_listed_with_the_reason_and_the_rest_goes_on(survey, files):
    (files / "empty.fits").write_bytes(b"")
    (files / "page.fits").write_text("<!doctype html><html>Please log in</html>")
    good = find_files([files])[2]
    (files / "cut.fits.gz").write_bytes(good.read_bytes()[:2000])
    report = ingest(survey, [files])
    assert report.n_stored == 24
    assert sorted(file for file, _ in report.rejected) == [
        str(files / name) for name in ("cut.fits.gz", "empty.fits", "page.fits")
    ]
    listed = survey.rejected.set_index("file")["reason"]
    for name in ("cut.fits.gz", "empty.fits", "page.fits"):
        reason = listed[str(files / name)]
        assert name in reason
        assert "\n" not in reason
    (files / "empty.fits").unlink()
    shutil.copy(good, files / "page.fits.gz")
    (files / "page.fits").write_bytes(gzip.decompress(good.read_bytes()))
    ingest(survey, [files])
    assert str(files / "page.fits") not in set(survey.rejected["file"])


def test_a_strange_failure_of_the_reader_costs_one_file(survey, files, monkeypatch):
    strange = find_files([files])[3]

    def failing(path):
        if path == strange:
            raise RuntimeError("never\nseen")
        return read_spectrum(path)

    monkeypatch.setattr(module_of_files, "read_spectrum", failing)
    report = ingest(survey, [files])
    assert report.n_stored == 23
    assert report.rejected == (
        (str(strange), f"{strange}: cannot be read (RuntimeError: never seen)."),
    )


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_the_spectra_of_an_archive_in_a_folder_are_read(survey, files, tmp_path, kind):
    whole = Survey.create(tmp_path / "whole")
    ingest(whole, [files])
    inside = tmp_path / "folder"
    inside.mkdir()
    (files / "notes.txt").write_text("x")
    (files / "page.fits").write_text("<html></html>")
    packed = Path(shutil.make_archive(str(inside / "night"), kind, files))
    report = ingest(survey, [inside])
    assert (report.n_files, report.n_stored) == (25, 24)
    ((file, reason),) = report.rejected
    assert file == str(packed / "page.fits") and "web page" in reason
    for obsid in whole.archive.obsid:
        one, other = (kept.archive.original(int(obsid)) for kept in (whole, survey))
        assert are_equal(one, other)
    names = survey.base_table()["file"]
    assert names.str.startswith(str(packed)).all()
    again = ingest(survey, [inside])
    assert (again.n_files, again.n_stored, again.n_unchanged) == (25, 0, 24)


def test_archives_that_cannot_be_read_are_named_and_the_rest_goes_on(survey, files, tmp_path):
    packed = Path(shutil.make_archive(str(tmp_path / "night"), "gztar", files))
    content = packed.read_bytes()
    (files / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    (files / "none.tar").write_bytes(b"no archive")
    (files / "other.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    with zipfile.ZipFile(files / "nested.zip", "w") as outer:
        outer.write(packed, "night.tar.gz")
    with zipfile.ZipFile(files / "words.zip", "w") as outer:
        outer.writestr("readme.txt", "x")
    report = ingest(survey, [files])
    assert report.n_stored == 24
    reasons = dict(report.rejected)
    # the spectrum within which the archive ends is named as well
    assert {one for one in reasons if "cut.tar.gz/" not in one} == {
        str(files / name)
        for name in ("cut.tar.gz", "none.tar", "other.7z", "words.zip", "nested.zip/night.tar.gz")
    }
    for name, word in (
        ("cut.tar.gz", "unpack it, or download it again"), ("other.7z", "archive"),
        ("words.zip", "holds no spectra"), ("nested.zip/night.tar.gz", "archive of files"),
    ):  # fmt: skip
        assert word in reasons[str(files / name)]


def test_names_that_are_no_utf_8_stop_nothing_and_pipes_are_not_waited_for(survey, files):
    first, second = find_files([files])[:2]
    odd = files / "odd"
    odd.mkdir()
    first.rename(odd / os.fsdecode(b"a\xe9.fits.gz"))
    (odd / os.fsdecode(b"b\xff.fits")).write_bytes(b"SIMPLE")
    os.mkfifo(odd / "c.fits")
    (odd / "d.fits").symlink_to(odd / "nowhere")
    report = ingest(survey, [files])
    assert report.n_stored == 24
    reasons = dict(report.rejected)
    assert [name.rpartition("/")[2] for name in sorted(reasons)] == [
        "b\\xff.fits",
        "c.fits",
        "d.fits",
    ]
    assert "is a pipe" in reasons[str(odd / "c.fits")]
    assert "what it leads to is gone" in reasons[str(odd / "d.fits")]
    assert survey.table()["file"].str.endswith("a\\xe9.fits.gz").sum() == 1
    assert ingest(survey, [files]).n_unchanged == 24
    given = read_spectrum(second).obsid
    catalogue = odd / os.fsdecode(b"my\xff.csv")
    for name in (catalogue, odd / f"{'n' * 240}.csv"):
        name.write_text(f"obsid,teff,logg,feh\n{given},8123,3.4,-1.2\n")
        ingest(survey, (), [name])
        row = survey.table().set_index("obsid").loc[given]
        assert row["teff"] == 8123.0
        name.write_text(f"obsid,teff,logg,feh\n{given},8124,3.4,-1.2\n")
    ingest(survey, (), [catalogue])
    assert survey.table().set_index("obsid").loc[given, "teff"] == 8124.0
    Survey(survey.path).provenance  # noqa: B018 (it is read)


def test_a_survey_whose_name_is_no_utf_8_is_refused_before_anything_is_made(tmp_path):
    name = tmp_path / os.fsdecode(b"s\xff")
    with pytest.raises(SurveyError, match="no UTF-8"):
        Survey.create(name)
    assert not name.exists()
    Survey.create(tmp_path / "ok").path.rename(name)
    with pytest.raises(SurveyError, match="rename the folder"):
        Survey(name)


def test_only_spectra_are_looked_at_and_links_in_circles_end(files):
    (files / "readme.txt").write_text("x")
    (files / "._hidden.fits").write_bytes(b"x")
    (files / "UPPER.FIT").write_bytes(b"x")
    (files / "again").symlink_to(files, target_is_directory=True)
    found = find_files([files])
    assert len(found) == 25
    assert found == sorted(set(found), key=found.index)
    assert files / "UPPER.FIT" in found
    assert find_files([files / "readme.txt"]) == [files / "readme.txt"]


def test_files_of_a_folder_that_are_no_spectra_by_their_names_are_counted(survey, files):
    for name in ("a.csv", "b.csv", "c.fits.Z", ".hidden"):
        (files / name).write_text("x")
    report = ingest(survey, [files])
    assert (report.n_stored, report.passed_over) == (24, {".csv": 2, ".z": 1})


def test_a_folder_without_spectra_and_a_missing_path_are_named(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ReadError, match="nothing: no spectra found"):
        find_files([tmp_path / "nothing"])
    with pytest.raises(ReadError, match=r"absent.fits: no such file"):
        find_files([tmp_path / "absent.fits"])


def test_many_files_are_read_by_processes_with_the_same_result(
    survey, files, tmp_path, monkeypatch
):
    (files / "empty.fits").write_bytes(b"")
    ingest(survey, [files], workers=1)
    monkeypatch.setattr(module, "MANY_FILES", 10)
    monkeypatch.setattr(module, "CHUNK", 4)
    other = Survey.create(tmp_path / "other", shard_size=5)
    report = ingest(other, [files], workers=2)
    assert (report.n_stored, len(report.rejected)) == (24, 1)
    same(survey, other)


def test_a_disk_that_fills_keeps_what_was_stored_and_the_next_call_goes_on(
    survey, files, tmp_path, monkeypatch
):
    write, calls = shards._write_array, []

    def full(path, array):
        calls.append(path)
        if len(calls) > 14:  # in the middle of the third shard
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, array)

    monkeypatch.setattr(shards, "_write_array", full)
    with pytest.raises(SurveyError, match="the disk is full") as said:
        ingest(survey, [files])
    assert "\n" not in str(said.value)
    assert [len(shard) for shard in survey.archive.shards] == [5, 5]
    assert len(survey.table()) == 10
    assert not list(survey.path.rglob(".writing*"))
    monkeypatch.undo()
    assert ingest(survey, [files]).n_stored == 14
    ingest(other := Survey.create(tmp_path / "other", shard_size=5), [files])
    same(survey, other)


@pytest.mark.slow
def test_an_ingest_killed_at_any_moment_is_resumed_to_the_same_table(survey, files, tmp_path):
    (files / "empty.fits").write_bytes(b"")
    command = [sys.executable, "-m", "msfa_core.cli", "ingest", str(survey.path), str(files)]
    for lines in (1, 2):
        process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.PIPE, text=True)
        for _ in range(lines):
            assert process.stdout.readline().startswith("ingest 00000")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        stored = Survey(survey.path)
        assert stored.table()["obsid"].tolist() == stored.archive.obsid.tolist()
        assert len(stored.archive) >= 5 * lines
    subprocess.run(command, check=True, capture_output=True)
    ingest(other := Survey.create(tmp_path / "other", shard_size=5), [files])
    same(survey, other)
    assert survey.rejected["file"].tolist() == other.rejected["file"].tolist()


# --- catalogues ------------------------------------------------------------------------------
def catalogue(path, survey, text="obsid|teff|logg|feh|gaia_source_id|hdelta_d02"):
    rows = [text]
    for k, obsid in enumerate(survey.archive.obsid[::2].tolist()):
        feh = "-9999" if k == 0 else "-1.5"
        rows.append(f"{obsid}|{8000 + k}|3.2|{feh}|{2**60 + k}|25.5")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_catalogue_is_joined_on_obsid_and_its_sentinels_are_missing(survey, files, tmp_path):
    ingest(survey, [files])
    path = catalogue(tmp_path / "dr12.csv", survey)
    report = ingest(survey, [], [path])
    assert report.joined == {"dr12.csv": 12}
    table = survey.table()
    assert table["teff"][::2].tolist() == [8000.0 + k for k in range(12)]
    assert table["teff"][1::2].isna().all()
    assert np.isnan(table["feh"][0])
    assert table["gaia_source_id"][2] == 2**60 + 1
    assert table["hdelta_d02"][0] == 25.5


def test_a_catalogue_counts_for_spectra_that_come_later_in_the_same_survey(survey, files, tmp_path):
    paths = find_files([files])
    everything = Survey.create(tmp_path / "all")
    ingest(everything, [files])
    path = catalogue(tmp_path / "dr12.csv", everything)
    ingest(survey, paths[:10], [path])
    ingest(survey, paths[10:], [path])
    assert survey.table()["teff"].notna().sum() == 12


def lacks_error(folder):
    """Take the error of the Doppler shift out of headers."""
    for path in find_files([folder]):
        with fits.open(path) as units:
            units[0].header.pop("Z_ERR", None)
            units.writeto(path, overwrite=True)


def test_what_the_file_says_stays_and_what_it_lacks_comes_from_the_catalogue(
    survey, files, tmp_path
):
    ingest(survey, [files])
    header = survey.table()["subclass"][0]
    obsid = survey.archive.obsid[0]
    path = tmp_path / "classes.csv"
    path.write_text(f"obsid,subclass,parallax\n{obsid},O9,1.25\n")
    ingest(survey, [], [path])
    row = survey.base_table().iloc[0]
    assert row["subclass"] == header
    assert row["parallax_mas"] == 1.25


def test_an_error_completes_the_shift_that_it_belongs_to_and_no_other(survey, files, tmp_path):
    lacks_error(files)
    ingest(survey, [files])
    table = survey.base_table()
    obsid, z = table["obsid"].tolist(), table["z"].tolist()
    path = tmp_path / "shifts.csv"
    path.write_text(
        f"obsid,z,z_err\n{obsid[0]},{z[0]:.6f},2e-5\n{obsid[1]},{z[1] + 3e-4},3e-5\n"
        f"{obsid[2]},-9999,4e-5\n"
    )
    ingest(survey, [], [path])
    errors = survey.base_table()["z_err"]
    assert errors[0] == 2e-5
    assert errors[1:].isna().all()


def test_a_catalogue_is_joined_by_file_name(survey, files, tmp_path):
    ingest(survey, [files])
    names = survey.table()["file"].str.split("/").str[-1]
    path = tmp_path / "labels.csv"
    pd.DataFrame({"filename": names[:7], "teff": 7777.0}).to_csv(path, index=False)
    assert ingest(survey, [], [path]).joined == {"labels.csv": 7}
    assert (survey.table()["teff"] == 7777.0).sum() == 7


def test_a_catalogue_with_none_of_the_obsids_is_refused_with_examples_of_both(
    survey, files, tmp_path
):
    path = tmp_path / "other.csv"
    path.write_text("obsid,teff\n11,8000\n12,8100\n")
    with pytest.raises(CatalogueError, match=r"other.csv.*3000000000.*11") as said:
        ingest(survey, [files], [path])
    assert "\n" not in str(said.value)
    assert len(survey.table()) == 24  # the spectra are stored all the same
    assert "teff" in survey.table()
    assert not list((survey.path / "catalogues").glob("*"))


def test_a_catalogue_that_cannot_be_read_stops_before_anything_is_stored(survey, files, tmp_path):
    path = tmp_path / "broken.fits"
    path.write_bytes(b"SIMPLE  = not really")
    with pytest.raises(CatalogueError, match=r"broken.fits"):
        ingest(survey, [files], [path])
    assert len(survey.archive) == 0


# --- simulated spectra -----------------------------------------------------------------------
def test_a_simulated_survey_knows_the_truth_and_takes_no_real_files(tmp_path, files):
    survey = Survey.create(tmp_path / "demo", simulated=True)
    assert simulate(survey, PLAN) == len(survey.archive)
    table = survey.table()
    assert table["true_class"].notna().all()
    assert table["true_teff"].between(4000, 1e5).all()
    assert table["gaia_source_id"].notna().all()
    with pytest.raises(SurveyError, match="simulated"):
        ingest(survey, [files])
    with pytest.raises(SurveyError, match="survey of real spectra"):
        simulate(Survey.create(tmp_path / "real"), PLAN)


def test_a_simulation_that_was_stopped_goes_on_and_another_one_is_refused(tmp_path, monkeypatch):
    whole = Survey.create(tmp_path / "whole", simulated=True, shard_size=5)
    simulate(whole, PLAN, workers=1)
    stopped = Survey.create(tmp_path / "stopped", simulated=True, shard_size=5)
    commit, shards_written = module.Storing._commit, []

    def stop(self, layout):
        if len(shards_written) == 1:
            raise KeyboardInterrupt
        shards_written.append(layout)
        commit(self, layout)

    with monkeypatch.context() as patch:
        patch.setattr(module.Storing, "_commit", stop)
        with pytest.raises(KeyboardInterrupt):
            simulate(stopped, PLAN, workers=1)
    assert len(stopped.archive) == 5
    assert simulate(stopped, PLAN, workers=1) == len(whole.archive) - 5
    same(whole, stopped)
    with pytest.raises(SurveyError, match="with other numbers"):
        simulate(stopped, SurveyPlan(13, seed=4, chunk=6))


@pytest.mark.parametrize("layout", ["lamost-table", "lamost-image"])
def test_written_files_are_the_simulated_spectra(tmp_path, layout):
    made = Survey.create(tmp_path / "made", simulated=True)
    simulate(made, PLAN, tmp_path / "fits", workers=1, layout=layout)
    read = Survey.create(tmp_path / "read")
    report = ingest(read, [tmp_path / "fits"], [tmp_path / "fits" / "truth.csv"])
    assert report.n_stored == len(made.archive)
    assert report.rejected == ()
    for obsid in made.archive.obsid.tolist():
        one, other = made.archive.original(obsid), read.archive.original(obsid)
        assert np.array_equal(one.flux, other.flux)
        assert np.array_equal(one.ivar, other.ivar)
        assert np.array_equal(one.mask, other.mask)
        assert np.allclose(one.wavelength, other.wavelength, rtol=1e-7)
        assert one.z == other.z
        assert read_spectrum(other.file).meta["layout"] == layout
    truth = made.table().set_index("obsid")["true_class"]
    back = read.table().set_index("obsid")["true_class"]
    pd.testing.assert_series_equal(truth, back.loc[truth.index])
    assert len(pd.read_csv(tmp_path / "fits" / "gaia.csv")) == len(made.archive)


# --- what was made of something else -------------------------------------------------------------
MADE = {"p_class_bhb": 0.9, "d02_hdelta": 25.0, "template_class": "STAR", "teff": 8200.0}
STAYS = {"g_mag": 15.5, "uid": "G123"}


def with_results(survey):
    """Give every spectrum results, as if the steps had run."""
    survey.write_table(survey.table().assign(**MADE, **STAYS))
    return survey.table().set_index("obsid")


def test_a_spectrum_that_was_replaced_has_no_results_of_the_old_one(survey, files):
    ingest(survey, [files])
    before = with_results(survey)
    path = find_files([files])[3]
    spectrum = read_spectrum(path)
    obsid = spectrum.obsid
    write_lamost(replace(spectrum, flux=spectrum.flux[::-1].copy(), z=0.0007), path)
    report = ingest(survey, [files])
    assert report.changed == ((str(path), obsid),)
    after = survey.table().set_index("obsid")
    assert after.loc[obsid, list(MADE)].isna().all()
    assert after.loc[obsid, list(STAYS)].to_dict() == STAYS
    assert after.loc[obsid, "z"] == 0.0007
    rest = after.index.drop(obsid)
    pd.testing.assert_frame_equal(after.loc[rest], before.loc[rest])


def test_results_at_another_redshift_go_when_a_catalogue_gives_one(survey, files, tmp_path):
    path = find_files([files])[0]
    obsid = read_spectrum(path).obsid
    write_lamost(replace(read_spectrum(path), z=np.nan), path)
    ingest(survey, [files])
    with_results(survey)
    catalogue = tmp_path / "c.csv"
    catalogue.write_text(f"obsid,z,z_err\n{obsid},0.0003,0.00001\n")
    ingest(survey, [], [catalogue])
    row = survey.table().set_index("obsid").loc[obsid]
    assert row["z"] == 0.0003
    assert row[list(MADE)].isna().all()
    with_results(survey)
    ingest(survey, [], [catalogue])  # the same again changes nothing
    assert survey.table().set_index("obsid").loc[obsid, list(MADE)].to_dict() == MADE


def test_status_counts_no_results_of_shards_that_are_gone(survey, files):
    ingest(survey, [files])
    folder = survey.path / "steps" / "measure"
    folder.mkdir(parents=True)
    for name in (survey.shard_names[0], "000099-gone"):
        pd.DataFrame({"obsid": range(5)}).to_parquet(folder / f"{name}.parquet")
    done = {one.step: one.n_done for one in status(survey).steps}
    assert done["measure"] == 5


def outdated(survey, obsids=None):
    """Have spectra been read by an earlier version, of which the archive keeps no number."""
    known = survey.archive.housekeeping().assign(reader_version=0)
    said = dict(zip(survey.archive.obsid.tolist(), known.to_numpy(int).tolist(), strict=True))
    survey.archive.note({obsid: said[obsid] for obsid in obsids or said})


def of_another_reader(survey):
    return [line for line in status(survey).missing if "read by another version" in line]


def test_what_another_version_read_is_told_and_read_anew(survey, files):
    ingest(survey, [files])
    before = with_results(survey)
    assert not of_another_reader(survey)
    one, other = survey.archive.obsid[[3, 11]].tolist()
    stored = survey.archive.original(one)
    mask = np.where(np.arange(len(stored.mask)) < 7, ~stored.mask, stored.mask)
    survey.archive.replace([replace(stored, mask=mask)])
    stored = survey.archive.original(other)
    survey.archive.replace([replace(stored, meta={**stored.meta, "planid": "as it was"})])
    assert ingest(survey, [files]).n_unchanged == 24  # by size and time alone
    outdated(survey)
    assert of_another_reader(survey)[0].startswith("24 spectra were read by another version")
    report = ingest(survey, [files])
    assert {obsid for _, obsid in report.changed} == {one, other}
    assert (report.n_stored, report.n_unchanged) == (0, 22)
    assert not of_another_reader(survey)
    path = Path(survey.archive.original(one).file)
    assert are_equal(survey.archive.original(one), read_spectrum(path))
    after = survey.table().set_index("obsid").loc[before.index]
    assert after.loc[[one, other], list(MADE)].isna().all(axis=None)
    rest = before.index.drop([one, other])
    pd.testing.assert_frame_equal(after.loc[rest], before.loc[rest])
    assert (ingest(survey, [files]).n_unchanged, of_another_reader(survey)) == (24, [])


def test_one_spectrum_of_another_version_is_told_of_in_the_singular(survey, files):
    ingest(survey, [files])
    outdated(survey, survey.archive.obsid[:1].tolist())
    assert of_another_reader(survey)[0].startswith("1 spectrum was read by another version")


def test_many_read_anew_are_put_in_their_places_a_few_at_a_time(survey, files, monkeypatch):
    ingest(survey, [files])
    mine = survey.archive.obsid[::2].tolist()
    survey.archive.replace([replace(one, z=0.5) for one in map(survey.archive.original, mine)])
    outdated(survey)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    report = ingest(survey, [files])
    assert sorted(obsid for _, obsid in report.changed) == sorted(mine)
    assert not (survey.table()["z"] == 0.5).any()
    assert not of_another_reader(survey)


def test_what_another_version_took_and_this_one_refuses_counts_as_bad(survey, files, monkeypatch):
    ingest(survey, [files])
    with_results(survey)
    path = find_files([files])[5]
    obsid, n = read_spectrum(path).obsid, len(survey.obsid)
    outdated(survey)

    def refused(file):
        if file == path:
            raise ReadError(f"{file}: its wavelengths are none.")
        return read_spectrum(file)

    monkeypatch.setattr(module_of_files, "read_spectrum", refused)
    for _ in range(2):  # again: it is read again, and refused again
        report = ingest(survey, [files])
        assert [file for file, _ in report.rejected] == [str(path)]
        assert survey.archive.original(obsid).mask.all()
        assert survey.table().set_index("obsid").loc[obsid, list(MADE)].isna().all()
        assert (len(survey.obsid), of_another_reader(survey)) == (n, [])
    assert "with all its pixels bad" in ingest_words(survey, path)
    monkeypatch.setattr(module_of_files, "read_spectrum", read_spectrum)
    assert ingest(survey, [files]).changed == ((str(path), obsid),)
    assert are_equal(survey.archive.original(obsid), read_spectrum(path))


def renamed_or_packed(files, name, is_packed):
    """Give a folder another name, or pack it under that name; return where it is."""
    folder = files.with_name(name)
    if not is_packed:
        return files.rename(folder)
    return Path(shutil.make_archive(str(folder), "zip", files)).absolute()


@pytest.mark.parametrize("is_packed", [False, True])
def test_what_was_moved_since_and_is_refused_counts_as_bad(survey, files, monkeypatch, is_packed):
    here = renamed_or_packed(files, "here", is_packed)
    ingest(survey, [here])
    outdated(survey)
    there = here.rename(here.with_name(f"there{here.suffix}"))
    obsid = int(survey.archive.obsid[5])
    name = Path(survey.archive.original(obsid).file).name

    def refusing(read):
        def refused(file, *more):
            if Path(file).name == name:
                raise ReadError(f"{file}: its wavelengths are none.")
            return read(file, *more)

        return refused

    for read in ("read_spectrum", "spectrum_of"):
        monkeypatch.setattr(module_of_files, read, refusing(getattr(module_of_files, read)))
    for _ in range(2):
        ((file, reason),) = ingest(survey, [there]).rejected
        assert Path(file).name == name
        assert "with all its pixels bad" in reason
        assert survey.archive.original(obsid).mask.all()
        assert survey.archive.original(obsid).file == file
        assert (len(survey.obsid), of_another_reader(survey)) == (24, [])
    monkeypatch.undo()
    assert ingest(survey, [there]).changed == ((file, obsid),)
    assert not survey.archive.original(obsid).mask.all()


def test_where_the_archive_may_only_be_read_nothing_is_changed(survey, files, monkeypatch):
    ingest(survey, [files])
    obsid = int(survey.archive.obsid[3])
    survey.archive.replace([replace(survey.archive.original(obsid), z=0.5)])
    outdated(survey)
    before = with_results(survey)
    monkeypatch.setattr("os.access", lambda path, _: path != survey.archive.path)
    with pytest.raises(SurveyError, match="archive: it may only be read.*copy it to where you"):
        ingest(survey, [files])
    monkeypatch.undo()
    pd.testing.assert_frame_equal(survey.table().set_index("obsid"), before)
    assert of_another_reader(survey)
    assert survey.archive.original(obsid).z == 0.5


def ingest_words(survey, path):
    """Why a file was rejected, when it was first."""
    rejected = survey.rejected.set_index("file")
    return rejected.loc[str(path), "reason"]


def test_a_file_that_was_broken_since_leaves_what_was_read_of_it(survey, files):
    ingest(survey, [files])
    path = find_files([files])[5]
    obsid = read_spectrum(path).obsid
    stored = survey.archive.original(obsid)
    outdated(survey)
    path.write_bytes(path.read_bytes()[:500])
    report = ingest(survey, [files])
    assert [file for file, _ in report.rejected] == [str(path)]
    assert are_equal(survey.archive.original(obsid), stored)
    assert of_another_reader(survey)[0].startswith("1 spectrum was read by another version")


@pytest.mark.parametrize("what", ["disk", "memory"])
def test_what_could_not_be_read_for_once_is_not_refused_and_keeps_its_results(
    survey, files, monkeypatch, what
):
    ingest(survey, [files])
    before = with_results(survey)
    path = find_files([files])[5]
    stored = survey.archive.original(obsid := read_spectrum(path).obsid)
    outdated(survey)
    opened = unpacking.FileIO

    def failing(file):
        if file != path:
            return opened(file)
        raise OSError(errno.EIO, "Input/output error") if what == "disk" else MemoryError

    monkeypatch.setattr(unpacking, "FileIO", failing)
    assert [file for file, _ in ingest(survey, [files]).rejected] == [str(path)]
    assert are_equal(survey.archive.original(obsid), stored)
    pd.testing.assert_frame_equal(survey.table().set_index("obsid").loc[before.index], before)
    assert of_another_reader(survey)[0].startswith("1 spectrum was read by another version")


def test_what_several_versions_refuse_is_told_of_once(survey, files, monkeypatch):
    ingest(survey, [files])
    outdated(survey)

    def refused(file):
        raise ReadError(f"{file}: its wavelengths are none.")

    monkeypatch.setattr(module_of_files, "read_spectrum", refused)
    for _ in range(2):
        assert len(ingest(survey, [files]).rejected) == 24
        assert not of_another_reader(survey)
        outdated(survey)


@pytest.mark.parametrize("is_packed", [False, True])
def test_files_that_were_moved_are_read_anew_where_they_are(survey, files, is_packed):
    here = renamed_or_packed(files, "here", is_packed)
    ingest(survey, [here])
    before = with_results(survey)
    obsid = survey.archive.obsid[3]
    survey.archive.replace([replace(survey.archive.original(obsid), z=0.5)])
    outdated(survey)
    there = here.rename(here.with_name(f"there{here.suffix}"))
    report = ingest(survey, [there])
    assert (len(report.changed), report.n_unchanged, report.duplicates) == (1, 23, ())
    assert not of_another_reader(survey)
    assert survey.archive.original(obsid).z != 0.5
    assert survey.archive.original(obsid).file.startswith(str(there))
    after = survey.table().set_index("obsid").loc[before.index].drop(index=obsid)
    pd.testing.assert_frame_equal(after, before.drop(index=obsid))


def test_a_copy_of_a_file_that_is_still_there_is_a_duplicate_whatever_read_it(survey, files):
    ingest(survey, [files])
    outdated(survey)
    copy = shutil.copytree(files, files.with_name("copy"))
    assert len(ingest(survey, [copy]).duplicates) == 24
    assert of_another_reader(survey)[0].startswith("24 spectra")


def test_what_came_without_a_file_of_ours_is_read_anew_from_one_that_is_given(survey, files):
    """As LAMOST's archive on the network gives it: under a name, without size and time."""
    path = find_files([files])[5]
    one = read_spectrum(path)
    given = replace(one, file=path.name, z=0.5, meta={**one.meta, "reader_version": 0})
    storing = module.Storing(survey, no_progress, 1)
    storing.add([given])
    storing.finish()
    assert of_another_reader(survey)
    assert ingest(survey, [path]).changed == ((str(path), one.obsid),)
    assert survey.archive.original(one.obsid).z == one.z
    assert not of_another_reader(survey)


KILLED_AT = """
import os, sys
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest

tests, files, survey, *moments = sys.argv[1:]
sys.path.insert(0, tests)
from killed import die_at

for moment in moments:
    if os.fork() == 0:
        die_at(int(moment))
        ingest(Survey(survey + moment), [files], workers=1)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_an_ingest_that_reads_anew_and_is_killed_is_resumed_to_the_same(survey, files, tmp_path):
    """At some of the calls by which something is kept, renamed or removed on the disk."""
    paths = find_files([files])
    for path in paths[9:]:
        path.unlink()
    ingest(survey, [files])
    with_results(survey)
    stored = survey.archive.original(read_spectrum(paths[0]).obsid)
    survey.archive.replace([replace(stored, z=0.5)])  # as an earlier version had read it
    one = read_spectrum(paths[2])  # no float32 holds it: it goes into a shard of its own
    double = replace(one, flux=one.flux.astype(float) * 1.1)
    write_lamost(double, paths[2], layout="lamost-image")
    paths[7].write_bytes(gzip.compress(b"none any more"))
    outdated(survey)
    size, time = (said := paths[7].stat()).st_size, said.st_mtime_ns
    refused = survey.table().set_index("file").loc[str(paths[7]), "obsid"]
    survey.archive.note({int(refused): (size, time, 0)})
    moments = (2, 12, 24, 35, 40, 55)
    for moment in moments:
        shutil.copytree(survey.path, f"{survey.path}{moment}")
    said = [str(Path(__file__).parents[1]), str(files), str(survey.path), *map(str, moments)]
    subprocess.run([sys.executable, "-c", KILLED_AT, *said], check=True)
    ingest(survey, [files])
    obsids = sorted(survey.archive.obsid.tolist())
    for moment in moments:
        killed = Survey(f"{survey.path}{moment}")
        assert sorted(killed.archive.obsid.tolist()) == obsids, moment
        assert sorted(killed.table()["obsid"]) == obsids, moment
        assert of_another_reader(killed), "it was at its end already"
        ingest(killed, [files])
        assert not of_another_reader(killed)
        pd.testing.assert_frame_equal(killed.table(), survey.table())
        for obsid in obsids:
            assert are_equal(killed.archive.original(obsid), survey.archive.original(obsid))
        assert killed.rejected["file"].tolist() == survey.rejected["file"].tolist()
        assert not list(killed.path.rglob("*.writing*"))


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_file_read_at_last_by_a_call_that_was_killed_is_rejected_no_more(
    survey, files, monkeypatch, is_packed
):
    def given():
        return shutil.make_archive(str(files), "zip", files) if is_packed else files

    first, last = find_files([files])[2:4]
    contents = [path.read_bytes() for path in (first, last)]
    for path in (first, last):
        path.write_bytes(b"")
    ingest(survey, [given()])
    assert len(survey.rejected) == 2
    first.write_bytes(contents[0])
    source = given()
    with monkeypatch.context() as killed:  # stored by then, but not said
        killed.setattr(Survey, "reject", lambda *_, **__: None)
        assert ingest(survey, [source]).n_stored == 1
    report = ingest(survey, [source])
    assert (report.n_stored, len(report.rejected)) == (0, 1)
    (name,) = survey.rejected["file"]
    assert Path(name).name == last.name
