"""Every column of the contract, typed and in order, whatever a table brings."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.columns import COLUMNS, conform, conform_lightly

NAMES = [column.name for column in COLUMNS]


@pytest.fixture(params=[conform, conform_lightly])
def whole_of(request):
    return request.param


@pytest.fixture
def kept():
    """A table as a survey keeps it: decisions are elsewhere, and a column of its own follows."""
    whole = conform(pd.DataFrame({"obsid": [3, 1, 2], "ra": [1.0, np.nan, 2.0]}))
    return whole.drop(columns=["verdict", "reviewer"]).assign(own=["a", "b", "c"])


@pytest.mark.parametrize("lacking", [["ra"], ["obsid", "uid"], NAMES[:30], []])
def test_what_a_table_lacks_is_missing_and_all_is_typed_and_in_order(whole_of, kept, lacking):
    whole = whole_of(kept.drop(columns=lacking))
    assert list(whole.columns) == [*NAMES, "own"]
    assert [str(kind) for kind in whole.dtypes[:-1]] == [column.dtype for column in COLUMNS]
    assert whole[[*lacking, "verdict"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(whole, conform(kept.drop(columns=lacking)[::-1].iloc[::-1]))
    mixed = kept.drop(columns=lacking)[list(reversed(kept.columns.drop(lacking)))]
    pd.testing.assert_frame_equal(whole, conform(mixed))


def test_types_that_differ_are_put_right(whole_of, kept):
    told = kept.assign(obsid=kept["obsid"].astype("int64"), ra=["1.5", None, "2"])
    whole = whole_of(told)
    assert whole["obsid"].dtype == "Int64"
    assert whole["ra"].tolist()[::2] == [1.5, 2.0]
    assert np.isnan(whole["ra"][1])
    assert told["obsid"].dtype == "int64"  # what was given is as it was


@pytest.mark.parametrize("lacking", [[], NAMES[:25]])
def test_a_change_of_the_whole_table_leaves_what_it_was_made_from(whole_of, kept, lacking):
    given = kept.drop(columns=lacking)
    whole = whole_of(given)
    whole.loc[0, "feh"] = 4.0
    whole["own"] = "changed"
    assert np.isnan(given["feh"][0])
    assert given["own"].tolist() == ["a", "b", "c"]


def test_a_large_table_that_a_survey_keeps_is_not_copied(kept):
    assert np.shares_memory(kept["dec"].to_numpy(), conform_lightly(kept)["dec"].to_numpy())


def test_an_obsid_is_not_said_to_be_of_lamost_where_it_may_be_of_sdss():
    told = {column.name: column.description for column in COLUMNS}["obsid"]
    assert told == "LAMOST obsid; else a number made of plate, date and fibre"
