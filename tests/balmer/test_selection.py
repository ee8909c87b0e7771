"""Selections of the user's own, written in one line, and what is wrong with those that fail."""

import numpy as np
import pytest

from msfa_core.balmer.selection import (
    SELECTIONS,
    Selection,
    get_selection,
    parse_selection,
    selection_text,
)
from msfa_core.errors import ConfigError

MINE = "mine: hdelta d02 17..28, fm 0.1..0.3; hgamma b 7..10.8, c 0.75..1.25"


def test_a_selection_written_in_one_line_is_used_like_a_published_one():
    mine = get_selection(MINE)
    assert mine.name == "mine"
    assert mine.lines == ("hdelta", "hgamma")
    assert mine.provenance == "set by the user"
    assert mine.contains("hdelta", [17, 28, 16.9, 20], [0.1, 0.3, 0.2, 0.31]).tolist() == [
        True, True, False, False,
    ]  # fmt: skip
    anything = np.full(3, 0.2)
    inside = mine.contains("hgamma", anything, anything, [8.0, 6.9, 8.0], [1.0, 1.0, 1.26])
    assert inside.tolist() == [True, False, False]
    assert (
        mine.describe()
        == "Hδ: 17 ≤ D0.2 ≤ 28 Å, 0.1 ≤ fm ≤ 0.3; Hγ: 7 ≤ b ≤ 10.8 Å, 0.75 ≤ c ≤ 1.25."
    )


def test_either_limit_may_be_left_out():
    one = parse_selection("wide:hgamma d02 17.., fm ..0.3")
    assert one.box("hgamma") == (17, np.inf, -np.inf, 0.3)
    assert one.lines == ("hgamma",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (": hdelta d02 17..28", "is no name"),
        ("my box: hdelta d02 17..28", "is no name"),
        ("ju2024: hdelta d02 17..28", "name of a published selection"),
        ("mine:", "there are no limits"),
        ("mine: hbeta d02 17..28", "not a line that is measured"),
        ("mine: hdelta", "not a quantity"),
        ("mine: hdelta width 7..10", r"not a quantity \(d02, fm, b, c\)"),
        ("mine: hdelta d02 17-28", "no limits such as 17..28"),
        ("mine: hdelta d02 ..", "no limits such as"),
        ("mine: hdelta d02 a..b", "are not numbers"),
        ("mine: hdelta d02 nan..28", "the lower limit comes first"),
        ("mine: hdelta d02 28..17", "the lower limit comes first"),
        ("mine: hdelta d02 17..28, d02 18..20", "quantity of hdelta comes twice"),
        ("mine: hdelta d02 17..28; hdelta fm 0.1..0.3", "hdelta comes twice"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason_and_an_example(text, why):
    with pytest.raises(ConfigError, match=why) as refused:
        get_selection(text)
    assert ", ".join(SELECTIONS) in str(refused.value)
    assert "mine: hdelta d02 17..28" in str(refused.value)


@pytest.mark.parametrize("text", [MINE, "wide: hgamma d02 17.., fm ..0.3", *SELECTIONS])
def test_a_selection_is_written_as_the_settings_take_it(text):
    assert selection_text(get_selection(text)) == text
    assert get_selection(selection_text(get_selection(text))) == get_selection(text)


def test_a_curved_limit_has_no_words_in_settings():
    with pytest.raises(ConfigError, match="curved limit"):
        selection_text(Selection("other", SELECTIONS["xue2011"].cuts, ""))
