"""Re-reading spectra from the archive, beside astropy on the gzipped files."""

import statistics
import time
import warnings

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.constants import LAMOST_GRID
from msfa_core.spectra.archive import Archive
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spectra.writers import write_lamost

pytestmark = pytest.mark.benchmark
FILES, SHARDS, PER_SHARD, ROUNDS = 60, 24, 250, 5


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """An archive of several shards, and the first spectra as gzipped LAMOST files."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(1)
    archive = Archive(folder / "archive")
    wavelength = LAMOST_GRID.wavelength[5:3850]
    files = []
    for shard in range(SHARDS):
        batch = []
        for k in range(PER_SHARD):
            flux = rng.normal(1000, 30, len(wavelength)).astype(np.float32)
            ivar = np.full(len(wavelength), 1e-3, np.float32)
            meta = {"lmjd": 58000, "planid": "B", "spid": shard, "fiberid": k, "class": "STAR"}
            number = shard * PER_SHARD + k + 1
            one = Spectrum(number, wavelength, flux, ivar, np.zeros(len(flux), bool), meta=meta)
            if len(files) < FILES:
                files.append(write_lamost(one, folder / f"{number}.fits.gz"))
            batch.append(one)
        archive.append(batch)
    return archive, files


def rate(function, n, rounds=ROUNDS):
    """Spectra per second of CPU time: the median of several rounds."""
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return n / max(statistics.median(seconds), 1e-9)


def memory_copy(n=2**27):
    """Bytes per second that the memory copies: the limit of a cached read."""
    given = np.ones(n, np.uint8)
    taken = given.copy()
    return rate(lambda: np.copyto(taken, given), n)


def with_astropy(files):
    for path in files:
        with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
            warnings.simplefilter("ignore")
            row = hdus[1].data[0]
            for name in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK"):
                np.asarray(row[name]).sum()


@pytest.mark.peer
def test_re_reading_is_a_hundred_times_faster_than_astropy_from_gz(stored, benchmark, beside):
    archive, files = stored
    names = [int(path.name.split(".")[0]) for path in files]
    peer = rate(lambda: with_astropy(files), len(files))

    def again():
        for _ in range(10):
            archive.spectra(names)

    ours = rate(again, 10 * len(names))
    shards = rate(lambda: [shard.spectra() for shard in archive.shards], len(archive))
    random = np.random.default_rng(2).permutation(archive.obsid)[:1000]
    mixed = rate(lambda: archive.spectra(random), len(random))
    benchmark.pedantic(archive.spectra, (names,), rounds=ROUNDS)
    bytes_each = LAMOST_GRID.n_pixels * 9
    limit = memory_copy() / bytes_each
    rates = (
        ("batch of 60", ours, 100),
        ("whole shards", shards, 100),
        ("random rows", mixed, None),
    )
    for of, value, goal in rates:
        given = (f"archive re-read, {of}", "astropy, gz files", peer, value, "spectra/s")
        beside(*given, goal=goal, limit=limit)


def test_one_random_row_takes_less_than_a_millisecond(stored, benchmark):
    archive, _ = stored
    order = np.random.default_rng(3).permutation(archive.obsid)[:2000].tolist()
    archive.spectra(order[:10])
    seconds = []
    for obsid in order:
        began = time.perf_counter()
        archive.spectra([obsid])
        seconds.append(time.perf_counter() - began)
    p50, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
    benchmark.pedantic(archive.spectra, ([order[0]],), rounds=ROUNDS)
    print(f"\narchive, one random row: p50 {p50:.3f} ms, p95 {p95:.3f} ms (goal: p95 < 1 ms)")
    assert p95 < 1.0


def test_a_row_of_a_shard_that_is_not_open_yet_is_quick_too(stored, benchmark):
    archive, _ = stored
    seconds = []
    for obsid in np.random.default_rng(4).permutation(archive.obsid)[:300].tolist():
        for shard in archive.shards:
            shard.close()
        began = time.perf_counter()
        archive.spectra([obsid])
        seconds.append(time.perf_counter() - began)
    p50, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
    benchmark.pedantic(archive.spectra, ([obsid],), rounds=ROUNDS)
    print(f"\narchive, one row of a closed shard: p50 {p50:.3f} ms, p95 {p95:.3f} ms")
    assert p50 < 2.0
