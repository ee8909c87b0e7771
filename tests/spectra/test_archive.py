import errno
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.errors import SurveyError
from msfa_core.spectra import archive as archive_module
from msfa_core.spectra import shards as shards_module
from msfa_core.spectra.archive import Archive
from msfa_core.spectra.shards import Shard, layout_of
from msfa_core.spectra.spectrum import Spectrum, on_grid


def spectrum(obsid, wavelength=LAMOST_GRID.wavelength[20:3800], dtype=np.float32, **changes):
    rng = np.random.default_rng(obsid)
    n = len(wavelength)
    ivar = rng.uniform(0, 5, n).astype(dtype)
    ivar[rng.random(n) < 0.02] = 0
    made = Spectrum(
        obsid=obsid,
        wavelength=np.asarray(wavelength),
        flux=rng.normal(100, 10, n).astype(dtype),
        ivar=ivar,
        mask=(ivar <= 0) | (rng.random(n) < 0.01),
        z=1e-4 * obsid,
        ra=10.0 + obsid,
        dec=-5.0,
        snr_g=30.0,
        file=f"/data/spec-{obsid}.fits.gz",
        meta={"class": "STAR", "subclass": "A1V", "lmjd": 58000 + obsid, "layout": "lamost-table"},
    )
    return replace(made, **changes)


def wide(obsid):
    return spectrum(obsid, LogGrid(35500, 4600).wavelength)


def medium(obsid):
    blue, red = np.arange(4950, 5350, 0.1), np.arange(6300, 6800, 0.12)
    return spectrum(obsid, np.concatenate([blue, red]))


def equal(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "mask")
        for name in ("flux", "ivar", "mask")
    )


def test_a_spectrum_comes_back_with_every_value_it_had(tmp_path):
    archive = Archive(tmp_path / "archive")
    for given in (spectrum(1), wide(2), medium(3), spectrum(4, dtype=np.float64)):
        archive.append([given])
        back = archive.original(given.obsid)
        assert equal(back, given)
        assert back.flux.dtype == given.flux.dtype
        assert np.allclose(back.wavelength, given.wavelength, rtol=1e-12, atol=0)
        assert (back.z, back.ra, back.dec, back.snr_g) == (given.z, given.ra, given.dec, 30.0)
        assert back.file == given.file
        assert back.meta["subclass"] == "A1V"
        assert back.meta["lmjd"] == 58000 + given.obsid


def test_spectra_that_float32_cannot_hold_are_kept_in_float64():
    exact = spectrum(1, dtype=np.float64)
    assert layout_of(exact).dtype == "float64"
    rounded = replace(
        exact,
        flux=exact.flux.astype(np.float32).astype(np.float64),
        ivar=exact.ivar.astype(np.float32).astype(np.float64),
    )
    assert layout_of(rounded).dtype == "float32"
    too_large = replace(rounded, flux=np.full_like(exact.flux, 1e300))
    assert layout_of(too_large).dtype == "float64"


def test_spectra_come_on_the_lamost_grid_in_the_order_asked_whatever_their_shard(tmp_path):
    archive = Archive(tmp_path / "archive")
    given = [spectrum(1), spectrum(2), wide(3), medium(4), spectrum(5)]
    archive.append(given)
    archive.append([spectrum(6)])
    asked = [6, 3, 1, 4, 3, 5]
    batch = archive.spectra(asked)
    expected = on_grid([{s.obsid: s for s in [*given, spectrum(6)]}[o] for o in asked])
    assert batch.obsid.tolist() == asked
    assert np.array_equal(batch.wavelength, LAMOST_GRID.wavelength)
    assert equal(batch, expected)
    assert np.array_equal(batch.z, expected.z)
    assert len(archive.spectra([])) == 0


def test_shards_give_their_spectra_in_stored_order(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.append([spectrum(7), wide(3), spectrum(2)])
    assert [shard.name for shard in archive.shards] == ["000001-lamost", "000002-log"]
    assert archive.shards[0].obsid.tolist() == [7, 2]
    assert archive.shards[0].spectra().obsid.tolist() == [7, 2]
    assert archive.obsid.tolist() == [7, 2, 3]
    assert archive.metadata()["obsid"].tolist() == [7, 2, 3]
    assert len(archive) == 3
    assert 7 in archive
    assert 8 not in archive
    assert "7" not in archive


def test_pixels_that_all_lie_beside_the_grid_keep_their_wavelengths(tmp_path):
    beside = 10 ** ((35682 + np.arange(3000) + 0.04) * 1e-4)
    archive = Archive(tmp_path / "archive")
    archive.append([spectrum(1, beside)])
    assert archive.shards[0].grid == LAMOST_GRID
    assert np.allclose(archive.original(1).wavelength, beside, rtol=1e-12, atol=0)


def test_what_files_say_keeps_its_type_beside_files_that_do_not_say_it(tmp_path):
    archive = Archive(tmp_path / "archive")
    says = spectrum(1, meta={"lmjd": 58000, "class": "STAR", "true_halo": True, "z_err": 1e-5})
    silent = spectrum(2, meta={})
    archive.append([says, silent])
    archive.append([spectrum(3, meta={})])
    assert archive.original(1).meta["lmjd"] == 58000
    assert isinstance(archive.original(1).meta["lmjd"], int)
    assert set(archive.original(2).meta) == {"soft_mask"}
    table = archive.metadata()
    assert table["lmjd"].dtype == "Int64"
    assert table["true_halo"].dtype == "boolean"
    assert table["lmjd"].isna().tolist() == [False, True, True]


def test_soft_warnings_and_bad_pixels_are_kept_apart(tmp_path):
    given = spectrum(1)
    ormask = np.zeros(len(given.flux), dtype=np.int32)
    ormask[[5, 90]] = 64
    archive = Archive(tmp_path / "archive")
    archive.append([replace(given, meta={**given.meta, "ormask": ormask})])
    back = archive.original(1)
    assert np.flatnonzero(back.meta["soft_mask"]).tolist() == [5, 90]
    assert np.array_equal(back.mask, given.mask)


def test_an_archive_of_originals_can_be_written_again(tmp_path):
    first, second = Archive(tmp_path / "one"), Archive(tmp_path / "two")
    first.append([medium(1), spectrum(2)])
    second.append([first.original(1), first.original(2)])
    for obsid in (1, 2):
        assert equal(second.original(obsid), first.original(obsid))
        assert np.array_equal(
            second.original(obsid).meta["soft_mask"], first.original(obsid).meta["soft_mask"]
        )


def test_negative_and_missing_inverse_variance_counts_as_bad_on_the_grid(tmp_path):
    given = spectrum(1)
    ivar = given.ivar.copy()
    ivar[:3] = [-1, np.nan, np.inf]
    archive = Archive(tmp_path / "archive")
    archive.append([replace(given, ivar=ivar)])
    batch = archive.spectra([1])
    assert batch.ivar[0, 20:22].tolist() == [0, 0]
    assert batch.mask[0, 20:22].all()
    assert archive.original(1).ivar[0] == -1
    assert equal(batch, on_grid([replace(given, ivar=ivar)]))


def test_an_obsid_is_stored_once(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.append([spectrum(1)])
    with pytest.raises(SurveyError, match="obsid 1 is stored already"):
        archive.append([spectrum(2), spectrum(1)])
    with pytest.raises(SurveyError, match="given twice"):
        archive.append([spectrum(5), spectrum(5)])
    assert archive.obsid.tolist() == [1]


def test_an_unknown_obsid_is_named(tmp_path):
    archive = Archive(tmp_path / "archive")
    with pytest.raises(SurveyError, match="no spectrum with obsid 9"):
        archive.spectra([9])
    archive.append([spectrum(1)])
    with pytest.raises(SurveyError, match="no spectrum with obsid 9"):
        archive.original(9)


def test_a_reader_sees_shards_that_are_added_while_it_is_open(tmp_path):
    reader, writer = Archive(tmp_path / "archive"), Archive(tmp_path / "archive")
    assert len(reader) == 0
    for obsid in range(1, 9):  # faster than the clock of some file systems
        writer.append([spectrum(obsid)])
        assert reader.spectra([obsid]).obsid.tolist() == [obsid]


def test_what_a_killed_writer_left_is_not_seen_and_is_swept(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.append([spectrum(1)])
    half = tmp_path / "archive" / ".writing-000002-lamost"
    half.mkdir()
    (half / "flux.npy").write_bytes(b"half")
    assert Archive(tmp_path / "archive").obsid.tolist() == [1]
    archive.append([spectrum(2)])
    assert not half.exists()
    assert archive.obsid.tolist() == [1, 2]


def test_a_full_disk_is_one_clear_error_and_leaves_the_archive_as_it_was(tmp_path, monkeypatch):
    archive = Archive(tmp_path / "archive")
    archive.append([spectrum(1)])
    write = shards_module._write_array

    def full(path, array):
        if path.name == "ivar.npy":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, array)

    monkeypatch.setattr(shards_module, "_write_array", full)
    with pytest.raises(SurveyError, match="the disk is full"):
        archive.append([spectrum(2)])
    assert [p.name for p in (tmp_path / "archive").iterdir()] == ["000001-lamost"]
    monkeypatch.undo()
    archive.append([spectrum(2)])
    assert equal(archive.original(2), spectrum(2))


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize("file", ["flux.npy", "obsid.npy", "shard.json", "meta.parquet"])
def test_a_damaged_shard_is_named(tmp_path, file, share):
    Archive(tmp_path / "archive").append([spectrum(1)])
    path = tmp_path / "archive" / "000001-lamost" / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SurveyError, match="000001-lamost is damaged"):
        Archive(tmp_path / "archive").original(1)


def test_a_shard_of_a_newer_format_is_refused(tmp_path):
    Archive(tmp_path / "archive").append([spectrum(1)])
    card = tmp_path / "archive" / "000001-lamost" / "shard.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format": 99}))
    with pytest.raises(SurveyError, match="update the software"):
        Shard(card.parent)


def test_open_shards_stay_few(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "_OPEN_SHARDS", 3)
    archive = Archive(tmp_path / "archive")
    for obsid in range(1, 9):
        archive.append([spectrum(obsid)])
    for _ in range(2):
        for obsid in range(1, 9):
            assert equal(archive.original(obsid), spectrum(obsid))
    assert sum(shard._arrays is not None for shard in archive.shards) == 3


_WRITER = """
import sys
sys.path.insert(0, {tests!r})
from test_archive import Archive, spectrum
archive = Archive({path!r})
print("go", flush=True)
obsid = max(archive.obsid, default=0)
while True:
    archive.append([spectrum(int(obsid) + k) for k in range(1, 41)])
    obsid += 40
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_whole_shards_only(tmp_path):
    script = _WRITER.format(
        tests=str(Path(__file__).parent),
        path=str(tmp_path / "archive"),
    )
    for k in range(3):
        writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "go\n"
        before = len(list((tmp_path / "archive").glob("*")))
        until = time.monotonic() + 120
        while len(list((tmp_path / "archive").glob("*"))) < before + 3:  # it is at work
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.031 * k)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        archive = Archive(tmp_path / "archive")
        obsid = archive.obsid
        assert obsid.tolist() == list(range(1, len(obsid) + 1))
        assert len(obsid) % 40 == 0
        assert len(archive.metadata()) == len(obsid)
        for last in obsid[-3:].tolist():
            assert equal(archive.original(last), spectrum(last))
    assert len(obsid)


_REPLACED_AND_KILLED = """
import os, shutil, sys
sys.path[:0] = {tests!r}
from killed import die_at
from test_archive import Archive, replace, spectrum, wide

for moment in range(200):
    path = {path!r} + str(moment)
    shutil.copytree({path!r}, path)
    if os.fork() == 0:
        die_at(moment)
        Archive(path).replace([wide(2), replace(spectrum(13), obsid=3)])
        os._exit(0)
    if os.wait()[1] == 0:
        break
"""


@pytest.mark.slow
def test_spectra_that_take_the_place_of_others_do_so_together_whenever_it_is_killed(tmp_path):
    """At every call by which something is kept, renamed or removed on the disk."""
    given = [spectrum(obsid) for obsid in range(1, 5)]
    new = [given[0], wide(2), replace(spectrum(13), obsid=3), given[3]]
    path = tmp_path / "archive"
    Archive(path).append(given)
    here = Path(__file__).parent
    script = _REPLACED_AND_KILLED.format(tests=[str(here), str(here.parent)], path=str(path))
    subprocess.run([sys.executable, "-c", script], check=True)
    n_old = 0
    for moment in range(len(list(tmp_path.iterdir())) - 1):
        archive = Archive(tmp_path / f"archive{moment}")
        assert sorted(archive.obsid) == [1, 2, 3, 4], moment
        is_old = equal(archive.original(2), given[1])
        n_old += is_old
        expected = given if is_old else new
        assert all(equal(archive.original(one.obsid), one) for one in expected), moment
        archive.sweep()
        archive.replace(new[1:3])
        assert all(equal(archive.original(one.obsid), one) for one in new), moment
        assert len(list(archive.path.iterdir())) == len(archive.shards)
    assert n_old > 10
    assert not is_old


@pytest.mark.real
def test_all_real_spectra_come_back_as_their_files_hold_them(real_data, tmp_path):
    from msfa_core.spectra.readers import read_spectrum

    files = sorted(
        path
        for folder in ("lamost", "sdss", "lamost_mrs")
        for path in (real_data / folder).rglob("*")
        if path.name.endswith((".fits", ".fits.gz"))
    )
    spectra = {}
    for path in files:
        one = read_spectrum(path)
        spectra.setdefault(one.obsid, one)
    archive = Archive(tmp_path / "archive")
    archive.append(list(spectra.values()))
    assert {shard.grid is None for shard in archive.shards} == {True, False}
    for obsid, given in spectra.items():
        back = archive.original(obsid)
        assert equal(back, given)
        assert np.allclose(back.wavelength, given.wavelength, rtol=5e-6, atol=0)
    low = [s for s in spectra.values() if s.meta["resolution"] == "low"]
    assert equal(archive.spectra([s.obsid for s in low]), on_grid(low))
