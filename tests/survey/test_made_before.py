"""A survey that an older version made opens, runs and vets as before.

``made_before/0.1.0.tar.xz`` was made by the commit 35a64be: five simulated spectra of four stars
as LAMOST files, a catalogue with z and truth, a Gaia table and a catalogue of known stars, all
steps, and decisions of two reviewers (one final, one withdrawn).
"""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.state import Session
from msfa_core.balmer.indices import EW_BANDS
from msfa_core.columns import COLUMNS, columns_of
from msfa_core.constants import (
    D02_REPEAT_ERROR,
    EW_REPEAT_ERROR,
    FIT_LINES,
    FM_REPEAT_ERROR,
    KP_REPEAT_ERROR,
    SHAPE_REPEAT_ERROR,
    WIDTH_REPEAT_ERROR,
)
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.survey.funnel import funnel
from msfa_core.survey.status import status
from msfa_core.vetting.decision import Decision, Verdict

MADE = Path(__file__).parent / "made_before" / "0.1.0.tar.xz"
ERRORS = (  # those that have another meaning since
    *(f"{name}_{line}_err" for name in ("d02", "fm", "width", "shape") for line in FIT_LINES),
    "d02_fm_correlation",
    "p_in_bhb_region",
)
OBSID = [4000000000, 4000000008, 4000000016, 4000000024, 4000000009]


@pytest.fixture
def survey(tmp_path):
    with tarfile.open(MADE) as made:
        made.extractall(tmp_path, filter="data")
    return Survey(tmp_path / "survey")


@pytest.fixture
def as_it_was(survey):
    """The table as the older version wrote it."""
    return pd.read_parquet(survey.path / "candidates.parquet").set_index("obsid")


def test_its_table_reads_with_every_column_of_today(survey, as_it_was):
    table = survey.table()
    assert table["obsid"].tolist() == OBSID
    assert {column.name for column in COLUMNS} <= set(table.columns)
    table = table.set_index("obsid")
    for name in as_it_was.columns:
        assert table[name].equals(as_it_was[name].astype(table[name].dtype)), name


def test_its_spectra_are_there(survey):
    batch = survey.spectra(OBSID)
    assert batch.obsid.tolist() == OBSID
    assert np.isfinite(batch.flux).sum(axis=1).min() > 3700
    assert np.array_equal(batch.z, survey.table()["z"].to_numpy())
    assert survey.spectrum(OBSID[0]).meta["class"] == "STAR"


def test_its_verdicts_of_record_stand(survey):
    table = survey.table_with_verdicts().set_index("obsid")
    assert table["verdict"].fillna("").tolist() == ["reject", "", "unsure", "", ""]
    assert table.loc[OBSID[0], ["reviewer", "n_reviews", "agreement"]].tolist() == ["Bob", 2, 0.5]
    store = survey.store()
    history = sorted(store.decisions(), key=lambda one: one.decision_id)
    store.close()
    assert [(d.reviewer, str(d.verdict), d.is_final, d.is_withdrawal) for d in history] == [
        ("Ann", "accept", False, False),
        ("Bob", "reject", True, False),
        ("Ann", "unsure", False, False),
        ("Bob", "accept", False, False),
        ("Bob", "accept", False, True),
    ]


def test_new_decisions_follow_the_old_ones(survey):
    store = survey.store()
    uid = survey.table()["uid"][1]
    last = store.last_decision_id()
    made = store.append_decision(Decision(OBSID[1], uid, Verdict.ACCEPT, "Cid"))
    store.close()
    assert made.decision_id > last
    table = survey.table_with_verdicts().set_index("obsid")
    assert table.loc[[OBSID[1], OBSID[4]], "verdict"].tolist() == ["accept", "accept"]
    assert table.loc[OBSID[0], "verdict"] == "reject"


def test_a_reviewer_goes_on_vetting_it_on_screen(survey):
    state = Session(survey, "Ann")
    state.screen.select(OBSID[2])
    assert state.screen.star.row["verdict"] == "unsure"
    assert [decision.reviewer for decision in state.screen.star.decisions] == ["Ann"]
    fits = state.screen.star.fits
    row = survey.table().set_index("obsid").loc[OBSID[2]]
    assert fits.d02[0] == pytest.approx([row["d02_hdelta"], row["d02_hgamma"]], rel=1e-4)


def test_status_and_funnel_count_it(survey):
    said = status(survey)
    assert (said.n_spectra, said.n_stars) == (5, 4)
    assert said.verdicts == {"reject": 1, "unsure": 1}
    steps = [step for step in said.steps if step.step not in ("know", "check")]  # came later
    assert all(step.n_done == 5 and step.time for step in steps)
    counts = funnel(survey).set_index("step")["spectra"]
    assert counts[["A/B spectra", "stage 2", "new", "both lines"]].tolist() == [4, 1, 1, 1]


def test_it_runs_to_the_same_measures_and_stars_and_a_second_time_not_at_all(survey, as_it_was):
    steps = ["measure", "place", "identify"]
    run(survey, steps, workers=1)
    table = survey.table_with_verdicts().set_index("obsid")
    for column in columns_of("measure"):
        if column.kind == "float" and column.name in as_it_was:  # else it came later
            expected = as_it_was[column.name].to_numpy()
            if column.name == "kp_err":  # since then repeats of real stars have a say in it
                expected = np.hypot(expected, float(KP_REPEAT_ERROR) * as_it_was["kp"].to_numpy())
            elif (line := column.name.removesuffix("_err")) in EW_BANDS and line != column.name:
                width = EW_BANDS[line].high - EW_BANDS[line].low
                expected = np.hypot(expected, float(EW_REPEAT_ERROR) * width)  # likewise
            elif column.name.startswith(ERRORS):
                continue  # the test of the errors of lines
            assert table[column.name].to_numpy() == pytest.approx(
                expected, rel=1e-4, nan_ok=True
            ), column.name
    assert table["uid"].tolist() == as_it_was["uid"].tolist()
    assert table["known_in"].fillna("").tolist() == as_it_was["known_in"].fillna("").tolist()
    assert table["verdict"].fillna("").tolist() == ["reject", "", "unsure", "", ""]
    assert not run(survey, steps, workers=1).did_work


def test_errors_of_lines_hold_repeats_and_no_more_of_the_misfit(survey, as_it_was):
    run(survey, ["measure"], workers=1)
    table = survey.table().set_index("obsid")
    for line in FIT_LINES:
        for name, floor in (
            ("d02", float(D02_REPEAT_ERROR[line]) * as_it_was[f"d02_{line}"]),
            ("fm", float(FM_REPEAT_ERROR[line])),
            ("width", float(WIDTH_REPEAT_ERROR[line]) * as_it_was[f"width_{line}"]),
            ("shape", float(SHAPE_REPEAT_ERROR[line]) * as_it_was[f"shape_{line}"]),
        ):
            error = table[f"{name}_{line}_err"].dropna()
            assert (error.index == as_it_was[f"{name}_{line}_err"].dropna().index).all()
            most = np.hypot(as_it_was[f"{name}_{line}_err"], floor)[error.index]
            assert (error <= 1.0001 * most).all()
            assert (error**2 > (most * 0 + floor) ** 2).all()
    assert (table["in_bhb_region"].fillna(False) == as_it_was["in_bhb_region"].fillna(False)).all()
