"""Subsets: named, kept with the survey, combined."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msfa_core.errors import SurveyError
from msfa_core.survey.subsets import (
    SUBSETS_FOLDER,
    Subset,
    forget_subset,
    name_subset,
    quoted,
    subset_filter,
    subsets,
)

TABLE = pd.DataFrame({"obsid": np.arange(2**62, 2**62 + 12)})


def chosen(combination, known):
    held = subset_filter(combination, known).predicate(TABLE)
    return set(np.flatnonzero(held).tolist())


def known(**members):
    return {
        name: Subset(name, np.sort(TABLE["obsid"].to_numpy()[sorted(rows)]), "", "anna", "")
        for name, rows in members.items()
    }


def test_a_subset_is_read_back_by_a_colleague_with_every_digit(tmp_path):
    name = "<b>halo</b> & Ж/../x"
    made = name_subset(tmp_path, f"  {name} ", [2**62 + 1, 2**62], "2 spectra brushed", "anna")
    read = subsets(tmp_path)
    assert list(read) == [name]
    assert read[name].obsids.tolist() == made.obsids.tolist() == [2**62, 2**62 + 1]
    assert (read[name].author, read[name].sentence) == ("anna", "2 spectra brushed")
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / SUBSETS_FOLDER]
    assert chosen(quoted(name), read) == {0, 1}


def test_a_name_that_is_taken_is_refused_and_the_first_one_stays(tmp_path):
    name_subset(tmp_path, "halo", [1], "", "anna")
    with pytest.raises(SurveyError, match="'halo' already by anna"):
        name_subset(tmp_path, "halo", [2], "", "bert")
    assert subsets(tmp_path)["halo"].obsids.tolist() == [1]
    assert len(list((tmp_path / SUBSETS_FOLDER).iterdir())) == 1  # nothing half written is left


@pytest.mark.parametrize("name", ["", "  ", "and", "NOT", 'a "b"', "x" * 61, "a\x00b"])
def test_a_name_that_could_be_mistaken_is_refused(tmp_path, name):
    with pytest.raises(SurveyError):
        name_subset(tmp_path, name, [1], "", "anna")


def test_nothing_has_no_name(tmp_path):
    with pytest.raises(SurveyError, match="brush some stars"):
        name_subset(tmp_path, "none", [], "", "anna")


def test_only_who_named_a_subset_forgets_it(tmp_path):
    name_subset(tmp_path, "halo", [1], "", "anna")
    with pytest.raises(SurveyError, match="named by anna"):
        forget_subset(tmp_path, "halo", "bert")
    forget_subset(tmp_path, "halo", "anna")
    assert subsets(tmp_path) == {}


def test_a_damaged_file_is_named(tmp_path):
    name_subset(tmp_path, "halo", [1], "", "anna")
    path = next((tmp_path / SUBSETS_FOLDER).iterdir())
    path.write_text("{")
    with pytest.raises(SurveyError, match=path.name):
        subsets(tmp_path)


def test_and_binds_closer_than_or_and_not_closest():
    sets = known(a={0, 1, 2}, b={2, 3}, **{"two words": {3, 4}})
    assert chosen("a or b and not a", sets) == {0, 1, 2, 3}
    assert chosen("(a or b) and not a", sets) == {3}
    assert chosen('a AND b or "two words"', sets) == {2, 3, 4}
    assert chosen("not not a", sets) == {0, 1, 2}


@pytest.mark.parametrize(
    ("combination", "why"),
    [
        ("", "empty"),
        ("a b", "'b' stands where"),
        ("a and", "missing at its end"),
        ("and a", "missing before 'and'"),
        ("(a", "bracket is not closed"),
        ("a)", "stands where"),
        ('"a', "double quote"),
        ("c", "no subset 'c'; there are: a, b"),
        ("(" * 99 + "a" + ")" * 99, "within each other"),
    ],
)
def test_what_cannot_be_read_is_refused_and_says_why(combination, why):
    with pytest.raises(SurveyError, match=why.replace("(", r"\(")):
        subset_filter(combination, known(a={0}, b={1}))


combinations = st.recursive(
    st.sampled_from(["a", "b", '"two words"']),
    lambda inner: st.one_of(
        inner.map(lambda one: f"not {one}"),
        inner.map(lambda one: f"({one})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
    ),
    max_leaves=12,
)


@given(combinations)
def test_a_combination_means_what_python_means_by_it(combination):
    sets = known(a={0, 1, 2, 3}, b={2, 3, 4, 5}, **{"two words": {0, 3, 5, 7}})
    python = combination.replace('"two words"', "w")
    wanted = {
        row
        for row in range(len(TABLE))
        if eval(python, {}, {"a": row in {0, 1, 2, 3}, "b": row in {2, 3, 4, 5},
                             "w": row in {0, 3, 5, 7}})
    }  # fmt: skip
    assert chosen(combination, sets) == wanted
