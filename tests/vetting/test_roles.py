"""Roles of a survey, from a file in its folder."""

import pytest

from msfa_core.errors import ConfigError, RightsError, StoreError
from msfa_core.vetting.decision import reviewer_name
from msfa_core.vetting.roles import MAY, Act, Role, load_roles

TEAM = """
blind = true
[roles]
anna = "adjudicator"
bert = "reviewer"
"*" = "reader"
root = "admin"
"""


def roles(folder, text=TEAM):
    (folder / "roles.toml").write_text(text)
    return load_roles(folder)


def allowed(said, name, is_login=True):
    found = set()
    for act in Act:
        try:
            said.check(act, name, is_login=is_login)
            found.add(act)
        except RightsError:
            pass
    return found


def test_without_a_file_everybody_may_do_everything(tmp_path):
    said = load_roles(tmp_path)
    assert allowed(said, "", is_login=False) == set(Act)
    assert not said.must_be_blind("anybody", is_login=False)


def test_each_role_may_do_what_the_one_before_may_and_more(tmp_path):
    assert all(MAY[a] < MAY[b] for a, b in zip(list(Role), list(Role)[1:], strict=False))
    said = roles(tmp_path)
    assert {name: allowed(said, name) for name in ("anna", "bert", "cleo", "root", "*")} == {
        "anna": {Act.DECIDE, Act.SETTLE, Act.REVEAL},
        "bert": {Act.DECIDE},
        "cleo": set(),
        "root": set(Act),
        "*": set(),
    }


def test_a_name_that_is_typed_proves_nothing_unless_the_file_says_so(tmp_path):
    said = roles(tmp_path)
    assert allowed(said, "root", is_login=False) == set()
    with pytest.raises(RightsError, match="log in"):
        said.check(Act.DECIDE, "bert", is_login=False)
    trusting = roles(tmp_path, "typed_names = true\n" + TEAM)
    assert allowed(trusting, "bert", is_login=False) == {Act.DECIDE}


def test_a_refusal_says_who_one_is_who_may_and_how(tmp_path):
    with pytest.raises(
        RightsError,
        match=r"bert is a reviewer .* to give final verdicts takes an adjudicator: ask an admin",
    ):
        roles(tmp_path).check(Act.SETTLE, "bert", is_login=True)


def test_who_may_not_reveal_works_blind_where_the_file_says_so(tmp_path):
    said = roles(tmp_path)
    assert said.must_be_blind("bert", is_login=True)
    assert not said.must_be_blind("anna", is_login=True)
    assert said.must_be_blind("anna", is_login=False)
    assert not roles(tmp_path, '[roles]\nbert = "reviewer"').must_be_blind("bert", is_login=True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[roles]\nanna = "boss"', "'boss' is none of reader, reviewer"),
        ("[roles\n", "not valid TOML"),
        ('roles = "admin"', "none of blind"),
        ("owner = 3", "owner is none of"),
        ('blind = "yes"', "neither true nor false"),
        ('[roles]\n"a\\nb" = "admin"', "line end"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path, text, word):
    with pytest.raises(ConfigError, match=word) as caught:
        roles(tmp_path, text)
    assert "roles.toml" in str(caught.value)


def test_a_file_that_cannot_be_read_gives_nobody_rights(tmp_path):
    (tmp_path / "roles.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="nothing is saved"):
        load_roles(tmp_path)


@pytest.mark.parametrize(
    ("name", "word"),
    [("anna\nroot", "line end"), ("anna\x00", "control"), ("a" * 300, "300 characters")],
)
def test_what_is_no_name_is_refused_in_clear_words(name, word):
    with pytest.raises(StoreError, match=word):
        reviewer_name(name)


def test_a_name_is_tidied():
    assert reviewer_name("  Zoë   O'Neil\t") == "Zoë O'Neil"
