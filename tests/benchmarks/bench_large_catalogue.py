"""A LAMOST general catalogue of 10 million rows, made for the purpose: read and joined.

``MSFA_CATALOGUE_ROWS`` makes it shorter.
"""

import gzip
import os
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from msfa_core.constants import LAMOST_GRID
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.folder import Survey

pytestmark = pytest.mark.benchmark
ROWS = int(os.environ.get("MSFA_CATALOGUE_ROWS", "10_000_000"))
PART = 250_000  # rows written at a time
SPECTRA = 2_000
MOST_SECONDS, MOST_MEMORY = 300.0, 1e9  # on two cores
FIRST, STEP = 100_000_007, 101  # of the obsids


def rows_of(start, n):
    """Return n rows from a place on, with the columns of a general catalogue."""
    rng = np.random.default_rng(start)
    number = np.arange(start, start + n)
    ra, dec = rng.uniform(0, 360, n).round(7), rng.uniform(-10, 70, n).round(7)
    numbers = pa.array(number).cast(pa.string())
    words = {
        "obsid": FIRST + STEP * number,
        "uid": pa.compute.binary_join_element_wise("G", numbers, ""),
        "designation": pa.compute.binary_join_element_wise("J", numbers, "+"),
        "obsdate": pa.array(["2014-03-01"] * n),
        "lmjd": rng.integers(55_800, 60_000, n),
        "mjd": rng.integers(55_800, 60_000, n),
        "planid": pa.array(["F5597702"] * n),
        "spid": rng.integers(1, 17, n),
        "fiberid": rng.integers(1, 251, n),
        "ra_obs": ra,
        "dec_obs": dec,
        **{f"snr{band}": rng.uniform(0, 200, n).round(2) for band in "ugriz"},
        "class": pa.array(["STAR"] * n),
        "subclass": pa.array(np.array(["A1V", "F5", "G2", "K3", "M1"])[rng.integers(5, size=n)]),
        "z": rng.normal(0, 5e-4, n).round(8),
        "z_err": rng.uniform(1e-6, 1e-4, n).round(8),
        "gaia_source_id": rng.integers(10**18, 6 * 10**18, n),
        "gaia_g_mean_mag": rng.uniform(10, 18, n).round(4),
        "teff": rng.uniform(4000, 9000, n).round(2),
        "logg": rng.uniform(1, 5, n).round(3),
        "feh": np.where(rng.random(n) < 0.1, -9999.0, rng.uniform(-2, 0.5, n).round(3)),
    }
    return pa.table(words)


def general_catalogue(path):
    """Write the catalogue; return the rows of the spectra that a survey has of it."""
    mine = np.sort(np.random.default_rng(1).choice(ROWS, SPECTRA, replace=False))
    options = {"delimiter": "|", "quoting_style": "none"}
    kept = []
    with gzip.open(path, "wb", compresslevel=1) as file:
        for start in range(0, ROWS, PART):
            table = rows_of(start, min(PART, ROWS - start))
            here = mine[(mine >= start) & (mine < start + len(table))] - start
            kept.append(table.take(pa.array(here)))
            how = pyarrow.csv.WriteOptions(include_header=start == 0, **options)
            pyarrow.csv.write_csv(table, file, how)
    return pa.concat_tables(kept).to_pandas()


def test_a_general_catalogue_of_ten_million_rows_is_joined_in_minutes_and_a_gigabyte(tmp_path):
    began = time.monotonic()
    truth = general_catalogue(tmp_path / "dr.csv.gz")
    made = time.monotonic() - began
    wavelength = LAMOST_GRID.wavelength[:50]
    survey = Survey.create(tmp_path / "s")
    survey.archive.append(
        [
            Spectrum(
                obsid=int(row.obsid), wavelength=wavelength, flux=np.ones(50, np.float32),
                ivar=np.ones(50, np.float32), mask=np.zeros(50, bool), z=np.nan, ra=row.ra_obs,
                dec=row.dec_obs, snr_g=20.0, file=f"{row.obsid}.fits",
                meta={"layout": "lamost-table", "resolution": "low"},
            )
            for row in truth.itertuples()
        ]
    )  # fmt: skip
    command = [sys.executable, "-m", "msfa_core.cli", "ingest", str(survey.path)]
    command += ["--catalogue", str(tmp_path / "dr.csv.gz"), "--quiet"]
    began = time.monotonic()
    pid = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(pid, 0)
    spent = time.monotonic() - began
    size = (tmp_path / "dr.csv.gz").stat().st_size
    print(
        f"\n{ROWS:,} rows ({size / 1e9:.2f} GB gzipped, made in {made:.0f} s): joined in "
        f"{spent:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of processors), "
        f"{used.ru_maxrss / 1e6:.2f} GB at most"
    )
    assert os.waitstatus_to_exitcode(status) == 0
    table = survey.base_table().set_index("obsid").loc[truth["obsid"].to_numpy()]
    assert np.array_equal(table["gaia_source_id"].astype("int64"), truth["gaia_source_id"])
    assert np.allclose(table["z"], truth["z"], atol=1e-12)
    assert np.allclose(table["teff"], truth["teff"])
    assert table["feh"].isna().to_numpy().tolist() == (truth["feh"] == -9999.0).tolist()
    assert spent < MOST_SECONDS
    assert used.ru_maxrss * 1024 < MOST_MEMORY
