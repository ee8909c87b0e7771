"""A random true table in any format, unit and convention: read back equal, or refused."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside_tables import IDS, KINDS, NAMES, differences, written

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.tables.door import open_table

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MSFA_TABLE_EXAMPLES", "2000"))
QUICK = [kind for kind in KINDS if kind not in ("votable", "ecsv", "fits")]
UNITS = {  # name of the column that says it, factor from house units
    "ra": [("ra", 1), ("ra_deg", 1), ("ra_hours", 1 / 15), ("ra [rad]", np.pi / 180)],
    "dec": [("dec", 1), ("dec (deg)", 1), ("DE_ICRS", 1)],
    "parallax_mas": [
        ("parallax", 1),
        ("Plx", 1),
        ("parallax_arcsec", 1e-3),
        ("parallax [uas]", 1e3),
    ],
    "pmra": [("pmra", 1), ("pmRA", 1), ("pmra_arcsec_yr", 1e-3)],
    "g_mag": [("phot_g_mean_mag", 1), ("Gmag", 1)],
    "gaia_source_id": [("source_id", 1), ("Source", 1), ("gaia_source_id", 1)],
}


def decimals(rng, n, digits, *ranges):
    """Return n numbers with that many decimals out of the ranges, their ends and none included."""
    low, high = np.array(ranges)[rng.integers(len(ranges), size=n)].T
    share = np.where(rng.random(n) < 0.2, rng.integers(2, size=n), rng.random(n))
    values = np.round(low + share * (high - low), digits)
    return np.where(rng.random(n) < 0.15, np.nan, values)


def random_table(rng):
    """Return a true table: of one to eight rows, ids of ten to nineteen digits.

    Its numbers come from one seed, for drawing each of them took longer than reading them.
    """
    n = int(rng.integers(1, 9))
    ids = [int(rng.integers(10**9, 10 ** int(k))) for k in rng.integers(10, 19, n)]
    ids = [2**63 - 1 if rng.random() < 0.05 else one for one in ids]
    table = pd.DataFrame(
        {
            "obsid": pd.array(rng.integers(1, 2_000_000_000, n), dtype="Int64"),
            "gaia_source_id": pd.array(
                [None if rng.random() < 0.15 else one for one in ids], dtype="Int64"
            ),
            "ra": decimals(rng, n, 6, (0, 359.99)),
            "dec": decimals(rng, n, 6, (-89.9, 89.9)),
            "g_mag": decimals(rng, n, 3, (3, 21)),
            "bp_rp": decimals(rng, n, 4, (-1, 5)),
            "parallax_mas": decimals(rng, n, 4, (0.05, 50), (-5, -0.05)),
            "parallax_error_mas": decimals(rng, n, 4, (0.01, 2)),
            "pmra": decimals(rng, n, 3, (0.2, 500), (-500, -0.2)),
            "pmdec": decimals(rng, n, 3, (0.2, 500), (-500, -0.2)),
        }
    )
    half = table["ra"].isna() | table["dec"].isna()  # half a position is none
    return table.assign(ra=table["ra"].mask(half), dec=table["dec"].mask(half))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(QUICK))
def test_any_table_is_read_back_equal_or_refused_and_never_different(tmp_path, seed, kind):
    rng = np.random.default_rng(seed)
    table = random_table(rng)
    names, values = dict(NAMES), table.copy()
    for house, ways in UNITS.items():
        names[house], factor = ways[rng.integers(len(ways))]
        if house not in IDS:
            values[house] = table[house] * factor
    order = rng.permutation(list(table.columns))
    saved = NAMES.copy()
    NAMES.update(names)
    try:
        path = written(values[order], tmp_path / "t", kind)
    finally:
        NAMES.update(saved)
    try:
        found = open_table(path, GAIA_USE)
    except CatalogueError:
        return
    assert differences(table, found, rel=1e-6) == []
