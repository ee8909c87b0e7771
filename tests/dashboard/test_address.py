"""What was chosen is kept in the address: filters, order, tab, blind."""

import pytest

import dashboard.app
from dashboard.app import VettingApp

# bokeh fills the queue table in a way that pandas is giving up
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")


def opened(survey, monkeypatch, **address):
    """The page as it is opened at an address."""
    monkeypatch.setattr(dashboard.app, "asked_for", lambda name: address.get(name, ""))
    return VettingApp(survey, reviewer="anna")


def test_a_page_opened_at_its_own_address_is_the_page_that_was_left(survey, monkeypatch):
    page = opened(survey, monkeypatch)
    assert not any(page.verdict.address.values())
    page.queue.scope.value = "all"
    page.queue.verdict.value = "without verdict"
    page.queue.order.value = "faint"
    page.places["lower"].choose("Sky")
    page.state.screen.next()
    address = page.verdict.address | {"obj": page.state.screen.selected}
    again = opened(survey, monkeypatch, **address)
    assert list(again.state.queue.obsids) == list(page.state.queue.obsids)
    assert again.state.queue.sentences == page.state.queue.sentences
    assert again.queue.order.value == "faint"
    assert again.state.screen.selected == page.state.screen.selected
    assert again.verdict.address == page.verdict.address
    assert [place.chosen for place in again.places.values() if place.is_open] == ["D0.2–fm", "Sky"]


def test_an_address_without_a_star_begins_at_the_head_of_its_queue(survey, monkeypatch):
    page = opened(survey, monkeypatch, order="faint", show="all")
    assert page.state.screen.selected == str(page.state.queue.obsids[0])


def test_what_an_address_asks_for_in_vain_is_left_and_told(survey, monkeypatch):
    page = opened(survey, monkeypatch, order="by magic", show="<script>", labels="x", upper="None")
    assert page.queue.order.value == "p_bhb"
    assert page.queue.scope.value == "candidates"
    assert page.places["upper"].chosen == "D0.2–fm"
    assert "upper=None, which is not offered: D0.2–fm, CMD" in page.state.status.message
    page = opened(survey, monkeypatch, order="by magic")
    assert "order=by magic, which is not offered: p_bhb" in page.state.status.message
    page = opened(survey, monkeypatch, obj="9" * 3000)
    assert "is not an obsid" in page.state.status.message
    assert len(page.state.status.message) < 120


def test_a_blind_page_keeps_no_choice_that_tells(survey, monkeypatch):
    page = opened(survey, monkeypatch, blind="1", show="disagreement", verdict="accept")
    assert page.state.verdicts.blind
    assert page.queue.scope.value == "all"
    assert page.queue.verdict.value == ""
    page.state.verdicts.blind = False
    page.queue.scope.value = "template disagrees"
    page.state.verdicts.blind = True
    assert page.queue.scope.value == "all"
    assert {name for name, value in page.verdict.address.items() if value} == {"blind"}


def test_a_combination_of_subsets_is_shared_by_the_address(survey, monkeypatch):
    page = opened(survey, monkeypatch)
    obsid = page.state.data.obsid
    for name, rows in (("a & b", obsid[:9]), ("c", obsid[3:5])):
        page.state.queue.brush(rows, "brushed")
        page.state.queue.name_brush(name)
    page.state.queue.brush((), "")
    page.queue.scope.value = "all"
    page.queue.named.subset.value = '"a & b" and not c'
    address = page.verdict.address
    assert address["subset"] == '"a & b" and not c'
    again = opened(survey, monkeypatch, **address)
    assert sorted(again.state.queue.obsids) == sorted({*obsid[:9]} - {*obsid[3:5]})
    gone = opened(survey, monkeypatch, subset="<script>")
    assert gone.state.status.tone == "error" and "no subset '<script>'" in gone.state.status.message
    assert gone.state.queue.sentences == page.state.queue.sentences[:0] + [
        page.state.verdicts.presets["candidates"].sentence
    ]


def test_an_address_names_the_page_that_is_shown(survey, monkeypatch):
    page = opened(survey, monkeypatch, page="Export")
    shown = [name for name, column in page.header._columns.items() if column.visible]
    assert shown == ["Export"]
    page = opened(survey, monkeypatch, page="Import")
    assert "page=Import, which is not offered: Vet, Compare, Export" in page.state.status.message
    assert not opened(survey, monkeypatch, page="Vet").state.status.message


def test_all_that_an_address_asks_for_in_vain_is_told(survey, monkeypatch):
    in_vain = {"page": "Import", "obj": "77", "show": "nobody", "upper": "Moon"}
    status = opened(survey, monkeypatch, **in_vain).state.status
    assert status.tone == "error"
    for name, value in in_vain.items():
        assert (value if name == "obj" else f"{name}={value}") in status.message
    star = str(survey.table()["obsid"].iloc[0])
    status = opened(survey, monkeypatch, show="nobody", obj=star).state.status
    assert "show=nobody" in status.message
