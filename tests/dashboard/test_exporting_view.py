"""The export panel: what it promises is what the file holds; nothing in it runs in a browser."""

import io
import json
import re

import numpy as np
import pandas as pd
import param
import pytest
from astropy.io import ascii as text_tables
from astropy.table import Table

from dashboard.state import Session
from dashboard.views.exporting import ExportView, cell_text, preview_html, verdict_counts
from msfa_core.columns import PAPER_COLUMNS
from msfa_core.flags import LabelFlag

FIRST = 1_230_412_000
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def view(state):
    return ExportView(state=state)


def accept(state, *rows, **more):
    for row in rows:
        state.screen.select(FIRST + row)
        state.decide("accept", painted_obsid=FIRST + row, **more)


def test_columns_of_ones_own_go_out_and_nobody_is_named(state):
    state.decide("accept", painted_obsid=state.screen.selected, comment="anna was here")
    view = ExportView(state=state)
    view.param.update(chosen_columns="obsid, vet", suffix="csv", anonymous=True)
    text = view._file().getvalue().decode()
    assert text.startswith("obsid,verdict,")
    assert "R1: accept" in text
    assert "anna" not in text
    assert "anna" not in json.dumps(json.loads(view._provenance().getvalue())["header"])
    view.chosen_columns = "obsid, nosuch"
    assert view._button.disabled
    assert "nosuch is no set" in view._words.object


def test_with_nothing_accepted_the_button_is_off_and_the_reason_is_said(view):
    assert view._button.disabled
    assert "Nothing is accepted yet" in view._words.object


def test_an_accepted_star_opens_the_download(state, view):
    accept(state, 3)
    assert not view._button.disabled
    assert "1 spectrum of 1 star<" in view._words.object


def test_flags_whose_column_does_not_go_out_are_told_on_the_page_as_in_the_file(survey):
    at_edge = survey.table().assign(label_flags=int(LabelFlag.AT_EDGE))
    survey.write_table(at_edge)
    state = Session(survey, "anna")
    view = ExportView(state=state)
    accept(state, 3)
    told = "without its column label_flags: 1 of 1 rows carry one of these flags"
    assert told in view._words.object
    assert told in re.sub(r"\s+", " ", view._file().getvalue().decode())
    view.columns = "full"  # with the column
    assert "label_flags" not in view._words.object


def test_vetted_stars_of_several_verdicts_are_not_mixed_without_a_word(state, view):
    accept(state, 3)
    view.rows = "every vetted star"
    assert "several verdicts" not in view._words.object
    state.screen.select(FIRST + 6)
    state.decide("reject", painted_obsid=FIRST + 6)
    told = "without its column verdict: rows of several verdicts, accept: 1; reject: 1"
    assert told in view._words.object
    view.columns = "full"
    assert "several verdicts" not in view._words.object


def test_the_first_rows_are_shown_as_they_go_out_and_counted(state, view):
    accept(state, 3)
    view.columns = "full"
    assert "<td>anna</td>" in view._preview.object
    view.anonymous = True
    assert "anna" not in view._preview.object
    assert "<td>R1</td>" in view._preview.object
    assert "the first" not in view._preview.object
    view.rows = "every spectrum"
    assert "the first 8 of 60 rows" in view._preview.object


def test_a_table_that_was_rewritten_meanwhile_does_not_go_out_as_it_was_read(state, view):
    """Its head would tell of the new run, its rows of the old one."""
    accept(state, 3)
    assert state.data.is_current
    survey = state.survey
    survey.write_table(survey.table().assign(teff=7777.0))
    assert not state.data.is_current
    with pytest.raises(param.Skip):
        view._file()
    assert "press reload" in state.status.message
    view.refresh()
    assert view._button.disabled
    state.reload()
    assert state.data.is_current
    view.refresh()
    assert not view._button.disabled


def test_stars_that_nobody_identified_are_counted_with_a_word_of_doubt(survey):
    survey.write_table(survey.table().assign(uid=pd.NA))
    view = ExportView(state=Session(survey, "anna"))
    view.rows = "every spectrum"
    n = len(view.outgoing())
    assert f"{n} spectra not identified yet, each counted as a star" in view._words.object


def test_the_mrt_holds_the_accepted_stars_with_units_and_reads_back(state, view):
    accept(state, 0, 6, 12)
    table = text_tables.read(view._file().read().decode(), format="mrt")
    assert set(table["obsid"]) == {FIRST, FIRST + 6, FIRST + 12}
    assert tuple(table.colnames) == PAPER_COLUMNS
    assert str(table["teff"].unit) == "K"


@pytest.mark.parametrize(
    ("suffix", "read"),
    [
        ("fits", lambda data: Table.read(data, format="fits")),
        ("vot", lambda data: Table.read(data, format="votable")),
        ("csv", lambda data: Table.read(data, format="ascii.csv")),
        ("parquet", lambda data: Table.from_pandas(pd.read_parquet(data))),
    ],
)
def test_every_format_reads_back_to_the_rows_that_were_promised(state, view, suffix, read):
    accept(state, 0, 6)
    view.suffix = suffix
    assert view._button.filename == f"bhb.{suffix}"
    table = read(io.BytesIO(view._file().read()))
    assert sorted(int(value) for value in table["obsid"]) == [FIRST, FIRST + 6]


def test_the_rows_follow_the_choice(state, view):
    accept(state, 0)
    state.screen.select(FIRST + 1)
    state.decide("reject", painted_obsid=FIRST + 1)
    expected = {"accepted stars": 1, "rejected stars": 1, "every vetted star": 2,
                "unsure stars": 0, "every spectrum": 60}  # fmt: skip
    found = {}
    for name in expected:
        view.rows = name
        found[name] = len(view.outgoing())
    assert found == expected
    view.rows = "the queue"
    assert set(view.outgoing()["obsid"]) == set(state.queue.obsids)


def test_every_epoch_of_an_accepted_star_goes_out_unless_one_per_star_is_asked_for(state, view):
    accept(state, 58)
    assert len(view.outgoing()) == 4
    view.one_per_star = True
    assert list(view.outgoing()["obsid"]) == [FIRST + 56]
    assert view.sentence.endswith("one spectrum per star")


def test_the_header_of_the_file_names_title_authors_and_selection(state, view):
    accept(state, 0)
    view.table_title, view.authors = "My stars", "A. Uthor"
    head = view._file().read().decode()[:3000]
    assert "My stars" in head
    assert "A. Uthor" in head
    assert "verdict accept" in head


def test_the_page_offers_the_title_that_goes_out_and_it_is_true_of_the_rows(state, view):
    accept(state, 0)
    for rows, title in (
        ("accepted stars", "Blue horizontal-branch stars"),
        ("every spectrum", "Spectra searched for blue horizontal-branch stars"),
    ):
        view.rows = rows
        assert view.header["title"].endswith(title)
        assert view._title.placeholder == title


def test_the_full_table_has_the_verdicts(state, view):
    accept(state, 0, comment="clean lines")
    view.suffix, view.columns = "fits", "full"
    table = Table.read(io.BytesIO(view._file().read()), format="fits")
    assert table["comment"][0] == "clean lines"
    assert table["reviewer"][0] == "anna"


def test_nothing_in_the_preview_is_read_as_html(state, view):
    state.screen.select(FIRST + 3)
    accept(state, 3, comment=NASTY)
    view.columns = "full"
    for pane in (view._preview, view._words):
        assert NASTY not in pane.object
        assert "<img" not in pane.object
    assert "&lt;script&gt;" in view._preview.object


def test_the_preview_shows_numbers_as_they_go_out():
    values = {"obsid": 2**60 + 1, "ra": 175.6952203, "teff": 8982.6, "feh": np.nan}
    assert [cell_text(value, name) for name, value in values.items()] == [
        str(2**60 + 1),
        "175.695220",
        "8982.60",
        "",
    ]


def test_long_identifiers_keep_every_digit_in_the_preview():
    table = pd.DataFrame({"obsid": [2**60 + 1], "ra": [1.0], "feh": [-1.5]})
    told = preview_html(table, "paper")
    assert str(2**60 + 1) in told
    assert "<small>dex</small>" in told


def test_the_preview_is_as_long_as_its_table(state):
    assert preview_html(state.verdicts.table.head(3), "paper").count("<tr>") == 4


def test_a_table_too_large_for_a_browser_names_the_command(state, view, monkeypatch):
    monkeypatch.setattr("dashboard.views.exporting.CELLS_LIMIT", 100)
    view.rows = "every spectrum"
    assert view._button.disabled
    assert "msfa export survey bhb.mrt --all" in view._words.object


def test_what_the_export_refuses_becomes_the_status_line(state, view, monkeypatch):
    accept(state, 0)
    monkeypatch.setattr(view, "outgoing", lambda: state.verdicts.table.drop(columns=["ra"]))
    with pytest.raises(param.Skip):
        view._file()
    assert state.status.tone == "error"
    assert "ra" in state.status.message


def test_the_verdicts_are_counted_in_words():
    table = pd.DataFrame({"verdict": ["accept", "accept", None, "unsure"]})
    assert verdict_counts(table) == "2 accept, 1 unsure, 1 undecided"


def test_a_simulated_survey_is_said_to_be_one(view):
    assert "simulated" in view._words.object


def test_a_hidden_page_does_no_work_and_is_true_when_it_is_shown(state, view, monkeypatch):
    calls = []
    real = ExportView.outgoing
    monkeypatch.setattr(ExportView, "outgoing", lambda self: calls.append(1) or real(self))
    view.in_sight = False
    accept(state, 0, 3)
    assert not calls
    view.in_sight = True
    assert len(calls) == 1
    assert "2 spectra of 2 stars" in view._words.object


def test_the_header_names_who_decided_by_which_rule_and_what_the_search_left(state, view):
    accept(state, 0, 3)
    header = view.header
    assert header["reviewers"].startswith(f"{state.verdicts.reviewer}: 2 stars, 20")
    assert header["verdict rule"].startswith("agreement: ")
    assert re.search(r"A/B spectra: [\d,]+ spectra of [\d,]+ stars; ", header["funnel"])
    assert header["title"].startswith("SIMULATED stars")
    assert "do not exist" in header["simulated"]


def test_a_csv_comes_with_its_provenance_beside_it(state):
    view = ExportView(state=state)
    view.rows, view.authors = "every spectrum", "Müller, Ж"
    assert not view._beside.visible  # an MRT says it inside
    view.suffix = "csv"
    assert view._beside.visible
    assert view._beside.filename == "bhb.csv.provenance.json"
    told = view._provenance().getvalue().decode()
    assert "SIMULATED" in told and "Müller, Ж" in told and "verdict rule" in told


def test_a_named_subset_goes_out_with_its_sentence(state, view):
    state.queue.brush([FIRST, FIRST + 1, FIRST + 2], "3 spectra brushed in the CMD")
    state.queue.name_brush("three <b>stars</b>")
    view.refresh()
    view.rows = "subset three <b>stars</b>"
    assert "<b>stars" not in view._words.object
    text = view._file().read().decode()
    assert set(text_tables.read(text, format="mrt")["obsid"]) == {FIRST, FIRST + 1, FIRST + 2}
    assert 'in subset "three <b>stars</b>"' in " ".join(text.split())
