"""Columns of a table that slipped against the others, and magnitudes that were exchanged."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.photometry.panstarrs import PANSTARRS_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import of_frame, open_table


def stars(n=120, seed=3):
    """Stars of the main sequence with errors and motions as Gaia has them."""
    rng = np.random.default_rng(seed)
    bp_rp = rng.uniform(0.0, 1.5, n)
    parallax = 10 ** rng.uniform(-0.5, 1.0, n)
    g = 0.8 + 4 * bp_rp - 5 * np.log10(parallax) + 10 + rng.normal(0, 0.2, n)
    error = 0.02 * 10 ** (0.2 * (g - 14)) * rng.uniform(0.8, 1.2, n)
    speed, way = 8 * parallax * rng.uniform(0.5, 1.5, n), rng.uniform(0, 2 * np.pi, n)
    table = pd.DataFrame(
        {
            "source_id": 0, "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-10, 60, n),
            "phot_g_mean_mag": g, "bp_rp": bp_rp, "parallax": parallax, "parallax_error": error,
            "pmra": speed * np.cos(way), "pmdec": speed * np.sin(way),
        }
    )  # fmt: skip
    return table.drop(columns="source_id").round(4)


def opened(tmp_path, table, use=GAIA_USE):
    table.to_csv(tmp_path / "t.csv", index=False)
    return open_table(tmp_path / "t.csv", use)


@pytest.mark.parametrize("names", [["phot_g_mean_mag", "bp_rp"], ["parallax"], ["parallax_error"]])
@pytest.mark.parametrize("step", [1, -2])
def test_columns_that_slipped_against_the_others_refuse_the_table(tmp_path, names, step):
    table = stars()
    assert opened(tmp_path, table).left_out == {}
    assert opened(tmp_path, table.sort_values("phot_g_mean_mag")).left_out == {}
    where = "before|after"
    with pytest.raises(CatalogueError, match=f"goes with .* of the .*rows? (?:{where}) .*slipped"):
        opened(tmp_path, table.assign(**{one: np.roll(table[one], step) for one in names}))


def test_a_part_that_slipped_is_named(tmp_path):
    table = stars(400)
    error = table["parallax_error"].to_numpy()
    table["parallax_error"] = np.concatenate([error[:250], error[249:-1]])
    with pytest.raises(CatalogueError, match="parallax_error of the row after .*rows 257 to 320"):
        opened(tmp_path, table)


def test_temperatures_that_slipped_against_types_or_colours_refuse_the_catalogue(tmp_path):
    table = stars()
    teff = 9700 - 3000 * table["bp_rp"] + np.random.default_rng(1).normal(0, 100, len(table))
    types = [f"{'AFGK'[int(k // 10)]}{int(k % 10)}V" for k in 1 + table["bp_rp"] * 24]
    more = pd.DataFrame({"obsid": np.arange(1, 1 + len(table)), "teff": teff.round(1)})
    for name, beside in (("subclass", types), ("bp_rp", table["bp_rp"])):
        more[name] = beside
        assert opened(tmp_path, more, CATALOGUE_USE).has("teff", name)
        with pytest.raises(CatalogueError, match=f"{name}.*slipped"):
            opened(tmp_path, more.assign(teff=np.roll(more["teff"], 1)), CATALOGUE_USE)
        more = more.drop(columns=name)


@pytest.mark.parametrize("n", [6, 120])
@pytest.mark.parametrize("exchanged", ["phot_bp_mean_mag", "phot_rp_mean_mag"])
def test_g_that_was_exchanged_with_another_band_is_left_out_with_it(tmp_path, n, exchanged):
    table = stars(n)
    table["phot_bp_mean_mag"] = (table["phot_g_mean_mag"] + 0.4 * table["bp_rp"]).round(4)
    table["phot_rp_mean_mag"] = (table["phot_bp_mean_mag"] - table["bp_rp"]).round(4)
    assert opened(tmp_path, table).left_out == {}
    wrong = table.rename(columns={"phot_g_mean_mag": exchanged, exchanged: "phot_g_mean_mag"})
    left_out = opened(tmp_path, wrong).left_out
    assert set(left_out) == {"phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "bp_rp"}
    assert any("exchanged" in why for why in left_out.values())


def bands(noise, n=60, seed=5):
    """Magnitudes of Pan-STARRS of stars of types A to K behind some dust."""
    rng = np.random.default_rng(seed)
    bp_rp, ebv = rng.uniform(-0.1, 1.3, n), rng.exponential(0.05, n)
    steps = [
        a + b * bp_rp + c * ebv
        for a, b, c in (
            (-0.24, 0.75, 0.9),
            (-0.23, 0.43, 0.6),
            (-0.14, 0.2, 0.36),
            (-0.06, 0.1, 0.2),
        )
    ]
    g = rng.uniform(15.5, 19.0, n)
    magnitudes = [g - sum(steps[:k], np.zeros(n)) for k in range(5)]
    return pd.DataFrame(
        {"raMean": rng.uniform(0, 360, n), "decMean": rng.uniform(-20, 60, n)}
        | {
            f"{band}MeanPSFMag": (one + rng.normal(0, noise, n)).round(4)
            for band, one in zip("grizy", magnitudes, strict=True)
        }
    )


@pytest.mark.parametrize("pair", ["gr", "ri", "iz", "gi"])
def test_bands_of_pan_starrs_that_were_exchanged_are_left_out(tmp_path, pair):
    for noise in (0.005, 0.02, 0.3):
        assert opened(tmp_path, bands(noise), PANSTARRS_USE).left_out == {}
    one, other = (f"{band}MeanPSFMag" for band in pair)
    wrong = bands(0.01).rename(columns={one: other, other: one})
    left_out = opened(tmp_path, wrong, PANSTARRS_USE).left_out
    assert len(left_out) == 5
    assert f"only if {one} and {other} are exchanged" in left_out[one]


def test_a_band_of_pan_starrs_that_slipped_refuses_the_table(tmp_path):
    table = bands(0.01)
    with pytest.raises(CatalogueError, match="slipped"):
        opened(tmp_path, table.assign(rMeanPSFMag=np.roll(table["rMeanPSFMag"], 1)), PANSTARRS_USE)


@pytest.mark.parametrize(("n", "seeds"), [(30, 60), (2000, 12)])
def test_rare_values_that_stand_side_by_side_by_chance_are_no_slip(n, seeds):
    """Of errors that come in two sizes: a single row made a correlation of 1."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rare = rng.random((2, n)) < 1 / min(n, 64)
        table = pd.DataFrame(
            {
                "obsid": 600_000_000 + np.arange(n),
                "teff": rng.normal(8600.0, 700.0, n),
                "logg": rng.normal(3.3, 0.3, n),
                "teff_err": np.where(rare[0], 300.0, 100.0),
                "logg_err": np.where(rare[1], 0.5, 0.2),
            }
        )
        assert of_frame(table, CATALOGUE_USE).has("teff_err", "logg_err")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", [None, "phot_g_mean_mag", "bp_rp", "parallax", "ra"])
@pytest.mark.parametrize("twice", [False, True])
def test_what_goes_with_any_other_row_as_well_is_no_slip(tmp_path, seed, order, twice):
    """Of stars of one branch behind dust their magnitudes tell colours, whatever the parallax."""
    rng, n = np.random.default_rng(seed), 2000
    blue, distance = rng.uniform(-0.15, 0.25, n), 10 ** rng.uniform(-0.3, 1.2, n)
    ebv = 0.08 * distance
    g = 0.7 - 3 * blue + 5 * np.log10(100 * distance) + 2.3 * ebv + rng.normal(0, 0.05, n)
    error = np.maximum(0.02, 0.02 * 10 ** (0.25 * (g - 14)))
    table = pd.DataFrame(
        {
            "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-10, 60, n), "phot_g_mean_mag": g,
            "bp_rp": 0.3 * blue + 1.3 * ebv, "parallax": rng.normal(1 / distance, error),
            "parallax_error": error,
        }
    ).round(4)  # fmt: skip
    table = table if order is None else table.sort_values(order)
    table = table.loc[table.index.repeat(2)] if twice else table
    assert opened(tmp_path, table).left_out == {}
