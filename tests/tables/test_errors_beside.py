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
