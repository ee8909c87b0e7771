"""Products of a survey beside the same files written with astropy; co-adding of epochs."""

import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from small_survey import star_spectrum

from msfa_core.products import write_products
from msfa_core.spectra import coadd
from msfa_core.survey.folder import Survey

pytestmark = pytest.mark.benchmark
N = 1500


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    rng = np.random.default_rng(0)
    made = [star_spectrum(1, 9, 0.7, rng.normal(0, 100), 40, rng) for _ in range(20)]
    result = Survey.create(tmp_path_factory.mktemp("bench") / "S", simulated=True)
    result.archive.append(
        [replace(made[k % 20], obsid=10**8 + k, file=f"spec-{k:05d}.fits") for k in range(N)]
    )
    result.write_table(result.table())
    return result


@pytest.mark.peer
def test_products_are_written_by_the_thousand_per_minute(survey, tmp_path, beside):
    clock, wall = time.process_time(), time.perf_counter()
    report = write_products(survey, tmp_path / "ours")
    ours, ours_wall = time.process_time() - clock, time.perf_counter() - wall
    assert report.n_written == N
    clock = time.process_time()
    again = write_products(survey, tmp_path / "ours")
    resumed = time.process_time() - clock
    assert again.n_unchanged == N
    some = sorted((tmp_path / "ours").glob("spec-*.fits"))[:100]
    theirs = 0.0
    for path in some:  # the same content, header cards and all
        with fits.open(path, memmap=False) as units:
            columns = [
                [
                    fits.Column(c.name, c.format, c.unit, array=units[k].data[c.name])
                    for c in units[k].columns
                ]
                for k in (1, 2, 3)
            ]
            clock = time.process_time()
            new = fits.HDUList([fits.PrimaryHDU(header=units[0].header)])
            for k, parts in enumerate(columns, start=1):
                new.append(fits.BinTableHDU.from_columns(parts, header=units[k].header))
            new.writeto(tmp_path / path.name, checksum=True)
            theirs += time.process_time() - clock
    theirs *= N / len(some)
    shutil.rmtree(tmp_path / "ours")
    beside("FITS files of products", "astropy", N / theirs, N / ours, "files/s", goal=3)
    print(
        f"products: {N / ours * 60:,.0f} per CPU minute ({N / ours_wall * 60:,.0f} by the clock), "
        f"astropy {N / theirs * 60:,.0f}; ratio {theirs / ours:.1f}; "
        f"unchanged ones passed at {N / resumed * 60:,.0f} per minute"
    )
    assert N / ours * 60 > 6000
    assert theirs / ours > 3


def test_epochs_are_added_up_by_the_thousand_per_minute():
    rng = np.random.default_rng(1)
    for n in (2, 4, 10):
        epochs = [star_spectrum(k, 9, 0.7, rng.normal(0, 100), 40, rng) for k in range(n)]
        coadd(epochs)
        clock, rounds = time.process_time(), 10
        for _ in range(rounds):
            coadd(epochs)
        spent = (time.process_time() - clock) / rounds
        print(f"co-adding {n} epochs: {60 / spent:,.0f} stars per minute")
        assert 60 / spent > 1000 / n
