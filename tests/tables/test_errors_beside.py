"""Errors beside their quantities: those of something else do not stand as if they were theirs."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import of_frame

N = 30
RNG = np.random.default_rng(4)
TRUE = pd.DataFrame(
    {
        "obsid": 600_000_000 + np.arange(N),
        "teff": RNG.normal(8600.0, 700.0, N),
        "teff_err": RNG.uniform(40.0, 160.0, N),
        "logg": RNG.normal(3.3, 0.2, N),
        "logg_err": RNG.uniform(0.05, 0.2, N),
        "feh": RNG.normal(-1.7, 0.4, N),
        "feh_err": RNG.uniform(0.05, 0.2, N),
        "rv": RNG.normal(0.0, 120.0, N),
        "rv_err": RNG.uniform(1.0, 9.0, N),
    }
)
QUANTITIES = ("teff", "logg", "feh", "rv")


def opened(**columns):
    return of_frame(TRUE.assign(**columns), CATALOGUE_USE)


def test_errors_of_honest_tables_stay():
    assert opened().has(*TRUE.columns)
    floor = opened(feh=-1.5 + RNG.normal(0.0, 0.02, N), feh_err=0.15)  # one cluster, one error
    assert floor.has("feh", "feh_err")
    lower = opened(teff_err=-TRUE["teff_err"], feh=TRUE["feh"] + 2.2, feh_err=-TRUE["feh_err"])
    assert lower.has("teff", "feh")  # the lower error has a sign in some tables
    few = of_frame(TRUE.head(4).assign(rv=[1.0, 1.1, 1.0, 1.2]), CATALOGUE_USE)
    assert few.has("rv", "rv_err")


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_and_its_error_that_were_exchanged_are_left_out(name):
    exchanged = {name: TRUE[f"{name}_err"], f"{name}_err": TRUE[name]}
    found = opened(**exchanged)
    assert not found.has(name)
    assert not found.has(f"{name}_err")
    assert found.has(*(set(QUANTITIES) - {name}))


@pytest.mark.parametrize("name", ["feh", "rv"])
def test_that_they_were_exchanged_is_said(name):
    found = opened(**{name: TRUE[f"{name}_err"], f"{name}_err": TRUE[name]})
    assert "exchange their names" in found.left_out[name]


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        ("teff_err", TRUE["teff_err"] ** 2),
        ("rv_err", 1e3 * TRUE["rv_err"]),
        ("feh_err", 9.9),
    ],
)
def test_errors_farther_than_all_values_are_those_of_something_else(error, stored):
    found = opened(**{error: stored})
    assert "can be a variance, or in another unit" in found.left_out[error]
    assert found.has(error.removesuffix("_err"))


def test_the_error_of_what_is_left_out_is_left_out_with_it():
    found = opened(teff=np.log10(TRUE["teff"]), teff_err=300.0)
    assert "name the unit" in found.left_out["teff"]
    assert found.left_out["teff_err"] == "as teff, whose error it is"


def together(n=60, seed=2):
    """Labels with errors of one fit, which grow together."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(0.0, 0.4, n))
    columns = {
        "obsid": 600_000_000 + np.arange(n), "teff": rng.normal(8600.0, 700.0, n),
        "logg": rng.normal(3.3, 0.4, n), "feh": rng.normal(-1.7, 0.4, n),
        "rv": rng.normal(0.0, 120.0, n),
    }  # fmt: skip
    for name, unit in (("teff", 60.0), ("logg", 0.1), ("feh", 0.08), ("rv", 5.0)):
        columns[f"{name}_err"] = unit * size * np.exp(rng.normal(0.0, 0.05, n))
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", ["teff_err", "logg_err", "feh_err", "rv_err"])
def test_a_variance_or_an_inverse_among_errors_of_one_fit_is_left_out(name):
    honest = together()
    assert of_frame(honest, CATALOGUE_USE).left_out == {}
    assert of_frame(honest[["obsid", "teff", "teff_err", "rv", "rv_err"]], CATALOGUE_USE).has(
        "teff_err", "rv_err"
    )
    inverse = honest.assign(**{name: honest[name].median() ** 3 / honest[name] ** 2})
    for wrong, words in (
        (honest.assign(**{name: honest[name] ** 2}), "variance|as the square"),
        (inverse, "inverse variance"),
    ):
        found = of_frame(wrong, CATALOGUE_USE)
        assert list(found.left_out) == [name]
        assert pd.Series(found.left_out[name]).str.contains(words).all()


def test_two_errors_that_go_against_each_other_are_left_out_both():
    table = together()[["obsid", "logg", "logg_err", "rv", "rv_err"]]
    found = of_frame(table.assign(rv_err=1 / table["rv_err"] ** 2), CATALOGUE_USE)
    assert set(found.left_out) == {"logg_err", "rv_err"}


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("least", ["teff_err", "logg_err", "feh_err", "rv_err"])
def test_an_error_without_a_least_value_beside_some_with_one_is_no_variance(n, least):
    table, rng = together(n), np.random.default_rng(n)
    noise = 10 / 10 ** rng.uniform(0.0, 1.0, n)
    for name, unit in (("teff_err", 60.0), ("logg_err", 0.1), ("feh_err", 0.1), ("rv_err", 3.0)):
        floor = 0.0 if name == least else 3.0
        table[name] = unit / 3 * np.hypot(floor, noise)
    assert of_frame(table, CATALOGUE_USE).left_out == {}


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("names", [["teff_err", "logg_err"], ["teff_err", "logg_err", "feh_err"]])
def test_errors_that_go_against_each_other_with_the_temperature_stay(n, names):
    table, rng = together(n), np.random.default_rng(n)
    table["teff"] = rng.uniform(7000.0, 12_000.0, n)
    for name, unit, power in (("teff_err", 50, 3), ("logg_err", 0.1, -2), ("feh_err", 0.1, 4)):
        scatter = np.exp(rng.normal(0.0, 0.05, n))
        table[name] = unit * (table["teff"] / 8000.0) ** power * scatter
    columns = ["obsid", "teff", "logg", "feh", *names]
    assert of_frame(table[columns], CATALOGUE_USE).left_out == {}
