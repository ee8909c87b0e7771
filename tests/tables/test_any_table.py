"""A random true table in any format, unit and convention: read back equal, or refused."""

import os

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside_tables import IDS, KINDS, NAMES, differences, written

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.tables.door import open_table

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


def decimals(low, high, digits):
    scale = 10**digits
    whole = st.integers(int(low * scale), int(high * scale))
    return whole.map(lambda k: k / scale) | st.just(float("nan"))


@st.composite
def tables(draw):
    n = draw(st.integers(1, 8))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    ids = column(st.integers(10**9, 2**63 - 1) | st.none())
    places = column(st.tuples(decimals(0, 359.99, 6), decimals(-89.9, 89.9, 6)))
    table = pd.DataFrame(
        {
            "obsid": pd.array(column(st.integers(1, 2_000_000_000)), dtype="Int64"),
            "gaia_source_id": pd.array(ids, dtype="Int64"),
            "ra": [place[0] for place in places],
            "dec": [place[1] for place in places],
            "g_mag": column(decimals(3, 21, 3)),
            "bp_rp": column(decimals(-1, 5, 4)),
            "parallax_mas": column(decimals(0.05, 50, 4) | decimals(-5, -0.05, 4)),
            "parallax_error_mas": column(decimals(0.01, 2, 4)),
            "pmra": column(decimals(0.2, 500, 3) | decimals(-500, -0.2, 3)),
            "pmdec": column(decimals(0.2, 500, 3) | decimals(-500, -0.2, 3)),
        }
    )
    half = table["ra"].isna() | table["dec"].isna()  # half a position is none
    return table.assign(ra=table["ra"].mask(half), dec=table["dec"].mask(half))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(table=tables(), kind=st.sampled_from(QUICK), data=st.data())
def test_any_table_is_read_back_equal_or_refused_and_never_different(tmp_path, table, kind, data):
    names, values = dict(NAMES), table.copy()
    for house, ways in UNITS.items():
        names[house], factor = data.draw(st.sampled_from(ways))
        if house not in IDS:
            values[house] = table[house] * factor
    order = data.draw(st.permutations(list(table.columns)))
    renamed = dict.fromkeys(order)
    saved = NAMES.copy()
    NAMES.update(names)
    try:
        path = written(values[list(renamed)], tmp_path / "t", kind)
    finally:
        NAMES.update(saved)
    try:
        found = open_table(path, GAIA_USE)
    except CatalogueError:
        return
    assert differences(table, found, rel=1e-6) == []
