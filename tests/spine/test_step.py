"""A step is an object: a new version is done again, and what a table follows from is recorded."""

import importlib
from dataclasses import fields, replace

import pytest

from msfa_core.config import OF_RESULTS, OF_SESSIONS, Settings
from msfa_core.constants import STEPS
from msfa_core.durable import write_whole
from msfa_core.spine.run import SPINE, run
from msfa_core.survey.folder import SETTINGS_FILE, Survey
from msfa_core.survey.funnel import funnel_lines
from msfa_core.survey.ingest import ingest
from msfa_core.survey.status import status

MINE = "mine: hdelta d02 2..90, fm 0.01..0.9"
MODULE = importlib.import_module("msfa_core.spine.run")
QUICK = ("measure", "place", "identify")


@pytest.fixture
def survey(lamost_files, tmp_path):
    made = Survey.create(tmp_path / "survey", shard_size=12)
    ingest(made, [lamost_files])
    return made


def with_new_version(name):
    return tuple(replace(s, version=s.version + 1) if s.name == name else s for s in SPINE)


def test_the_steps_stand_in_their_order_and_after_what_they_need():
    names = [step.name for step in SPINE]
    assert tuple(names) == STEPS
    for step in SPINE:
        assert all(names.index(needed) < names.index(step.name) for needed in step.needs)


def test_every_setting_is_known_to_change_results_or_not():
    assert sorted(OF_RESULTS + OF_SESSIONS) == sorted(field.name for field in fields(Settings))


@pytest.mark.parametrize("name", QUICK)
def test_a_step_of_a_new_version_is_done_again_and_no_other(survey, monkeypatch, name):
    run(survey, QUICK, workers=1)
    monkeypatch.setattr(MODULE, "SPINE", with_new_version(name))
    done = {step.step for step in run(survey, QUICK, workers=1).steps if step.n_done}
    assert done == {name}
    said = [entry for entry in survey.provenance if entry["step"] == name]
    assert said[-1]["version"] == said[0]["version"] + 1


def test_a_new_version_of_the_software_alone_does_nothing_again(survey, monkeypatch):
    run(survey, QUICK, workers=1)
    monkeypatch.setattr("msfa_core.survey.provenance.__version__", "99.0")
    assert not run(survey, QUICK, workers=1).did_work


def test_a_selection_of_the_command_line_is_what_header_status_and_funnel_say(survey):
    run(survey, QUICK, workers=1)
    before = survey.table()["in_bhb_region"].fillna(False)
    report = run(survey, QUICK, workers=1, selection=MINE)
    table = survey.table()
    inside = table["in_bhb_region"].fillna(False)
    assert inside.sum() > before.sum()
    assert report.selection == MINE
    assert survey.settings.selection != MINE
    assert f"selection = {MINE}" in survey.export_header("all")["settings"]
    last = survey.provenance[-1]
    assert (last["step"], last["settings"]["selection"]) == ("run", MINE)
    assert [e["selection"] for e in survey.provenance if e["step"] == "derive"] == [
        survey.settings.selection,
        MINE,
    ]
    assert any(MINE in line for line in funnel_lines(survey))
    assert any("selection" in line and MINE in line for line in status(survey).lines())


def test_the_settings_used_stay_with_the_table_until_it_is_made_anew(survey):
    run(survey, QUICK, workers=1, selection=MINE)
    survey.write_table(survey.table())  # as joining a catalogue does
    assert survey.settings_used.selection == MINE
    text = (survey.path / SETTINGS_FILE).read_text(encoding="utf-8")
    write_whole(survey.path / SETTINGS_FILE, (text + '\nselection = "xue2011"\n').encode())
    assert survey.settings_used.selection == MINE
    assert any("xue2011" in line and "msfa run" in line for line in status(survey).missing)
    run(survey, QUICK, workers=1)
    assert survey.settings_used.selection == "xue2011"
    assert not any("xue2011" in line for line in status(survey).missing)


def test_a_table_without_a_note_follows_from_the_settings_in_force(survey):
    assert survey.settings_used == survey.settings
