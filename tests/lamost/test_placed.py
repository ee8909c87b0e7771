"""Places of a general catalogue: degrees, or refused before anything is made of them."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.errors import CatalogueError
from msfa_core.lamost.select import select

N = 200


def named(ra, dec):
    """The place [deg] as in the names of stars."""
    seconds, parts = round(ra * 240, 2), round(abs(dec) * 36000)
    hours, rest = divmod(seconds, 3600)
    degrees, tenths = divmod(parts, 36000)
    sign = "-" if dec < 0 else "+"
    return (
        f"J{int(hours):02d}{int(rest // 60):02d}{rest % 60:05.2f}"
        f"{sign}{degrees:02d}{tenths // 600:02d}{tenths % 600 / 10:04.1f}"
    )


def general():
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"obsid": 101000 + np.arange(N), "snrg": 30.0, "class": "STAR"})
    table["subclass"] = "A5V"
    table["ra"], table["dec"] = rng.uniform(0.0, 360.0, N), rng.uniform(-9.0, 60.0, N)
    names = [named(*place) for place in zip(table["ra"], table["dec"], strict=True)]
    table["designation"] = names
    table["planid"] = [
        f"HD{one[1:7]}{'S' if '-' in one else 'N'}{one[-8:-2].replace('.', '0')}V01"
        for one in names
    ]
    return table


def changed(how):
    table = general()
    if how in ("hours", "radians"):
        factor = 1 / 15 if how == "hours" else np.pi / 180
        table["ra"] *= factor
        table["dec"] *= factor if how == "radians" else 1.0
    elif how == "exchanged":
        table = table.rename(columns={"ra": "dec", "dec": "ra"})
    return table


def chosen(table, tmp_path):
    table.to_csv(tmp_path / "all.csv", index=False)
    return select(tmp_path / "all.csv", tmp_path / "out.csv", overwrite=True).n_rows


@pytest.mark.parametrize("without", [[], ["designation"], ["designation", "planid"]])
@pytest.mark.parametrize(
    ("how", "words"), [("hours", "hours"), ("radians", "radians"), ("exchanged", "exchanged")]
)
def test_places_that_are_no_degrees_are_refused(tmp_path, how, words, without):
    assert chosen(general().drop(columns=without), tmp_path) == N
    with pytest.raises(CatalogueError, match=words):
        chosen(changed(how).drop(columns=without), tmp_path)


def test_a_range_tells_nothing_where_names_say_degrees_or_it_is_not_that_of_a_circle(tmp_path):
    table = changed("hours").drop(columns=["designation", "planid"])
    assert chosen(table.rename(columns={"ra": "radeg", "dec": "dedeg"}), tmp_path) == N
    assert chosen(table.assign(ra=table["ra"] * 20 / 24), tmp_path) == N  # a stripe
    assert chosen(table.head(20), tmp_path) == 20


def test_hours_are_seen_in_the_whole_catalogue_though_what_is_chosen_reaches_less_far(tmp_path):
    table = changed("hours").drop(columns=["designation", "planid"])
    table.loc[~table["ra"].between(5, 15), "subclass"] = "G5"
    with pytest.raises(CatalogueError, match="look like hours"):
        chosen(table, tmp_path)
    table["ra"] *= 15
    assert 0 < chosen(table, tmp_path) < N


def test_a_name_that_is_wrong_in_few_rows_refuses_nothing(tmp_path):
    table = general()
    table.loc[:20, "designation"] = "J000000.00+000000.0"
    assert chosen(table.assign(planid="B5591503"), tmp_path) == N
