"""Two releases of one field side by side."""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.cli import run_cli
from msfa_core.columns import conform
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.errors import CatalogueError, ConfigError
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.tables.export import export
from msfa_core.validation.releases import Release, compare_releases, read_limits
from msfa_core.validation.releases_page import page_text, verdict, write_comparison

ARCSEC = 1 / 3600
OLDER = Path(__file__).parents[1] / "survey" / "made_before" / "0.1.0.tar.xz"
LIMITS = Path(__file__).parent / "releases_limits.toml"


def table(n=8, **columns):
    k = np.arange(n)
    base = {
        "obsid": 3_000_000_000 + k, "ra": 10.0 + k // 2, "dec": 20.0, "lmjd": 57_000 + k,
        "uid": [f"G{1000 + one // 2}" for one in k], "class": "STAR", "template_class": "STAR",
        "template_subclass": "A1V", "template_z": 1e-4, "template_z_err": 1e-5,
        "template_confidence": 95.0, "teff": 8000.0, "teff_err": 50.0, "logg": 3.3,
        "logg_err": 0.05, "feh": -1.5, "feh_err": 0.1, "is_candidate": True,
        "in_bhb_region": True, "predicted_class": "BHB",
    }  # fmt: skip
    return conform(pd.DataFrame({**base, **columns}))


def compared(a, b, limits=None):
    return compare_releases(Release("DR10", a), Release("DR11", b), limits)


def changed_in(found):
    summary = found.summary
    return {
        name: summary.loc[name, "value"] for name in summary.index if summary.loc[name, "value"]
    }


def test_a_release_beside_itself_has_not_changed():
    found = compared(table(), table())
    assert (found.by_obsid, found.by_place, len(found.lost), len(found.new)) == (8, 0, 0, 0)
    assert changed_in(found) == {}
    assert (found.spectra["changed"] == "").all()
    assert found.summary.loc["class_changed", "n"] == 8


def test_each_change_is_counted_once_and_told_of_its_spectrum():
    n = np.arange(8)
    fast = 1e-4 + np.where(n == 2, 60.0, 1.0) / SPEED_OF_LIGHT
    now = table(
        template_class=np.where(n == 0, "QSO", "STAR"),
        template_subclass=np.where(n == 1, "F9V", "A1V"),
        template_z=fast,
        teff=np.where(n == 3, 9000.0, 8010.0),
        template_confidence=np.where(n == 4, 60.0, 96.0),
        is_candidate=n != 5,
    )
    found = compared(table(), now)
    values = found.summary["value"]
    for name in ("template_class_changed", "subtype_shifted", "velocity_changed", "teff_changed",
                 "confidence_crossed", "candidate_changed"):  # fmt: skip
        assert values[name] == approx(1 / 8), name
    assert values["velocity_median"] == approx(1.0, abs=1e-3)
    assert values["teff_median"] == approx(10.0)
    assert values["confidence_median"] == approx(1.0)
    assert [words for words in found.spectra["changed"] if words] == [
        "template class", "subtype shifted", "velocity", "teff", "confidence crossed", "candidate",
    ]  # fmt: skip


def test_differences_within_the_errors_are_no_changes():
    rng = np.random.default_rng(2)
    n = 2000
    first, second = (
        table(
            n,
            template_z=1e-4 + rng.normal(0, 1e-4, n), template_z_err=1e-4,
            teff=8000 + rng.normal(0, 150, n), teff_err=150.0,
        )
        for _ in range(2)
    )  # fmt: skip
    values = compared(first, second).summary["value"]
    assert values["velocity_changed"] == values["teff_changed"] == 0
    assert values["velocity_scatter"] == approx(np.sqrt(2) * 1e-4 * SPEED_OF_LIGHT, rel=0.1)


def test_without_common_obsids_place_and_night_join():
    moved = table(obsid=9_000_000_000 + np.arange(8), dec=20.0 + 1.5 * ARCSEC)
    found = compared(table(), moved)
    assert (found.by_obsid, found.by_place) == (0, 8)  # the two nights of a star are kept apart
    assert set(found.spectra["obsid_b"] - found.spectra["obsid_a"]) == {6_000_000_000}
    another_night = moved.assign(lmjd=moved["lmjd"] + 400)
    with pytest.raises(CatalogueError, match=r"no spectrum in common: DR10 has 8 spectra.*ra 10"):
        compared(table(), another_night)


def test_lost_and_new_spectra_are_named():
    found = compared(table(8), table(10).iloc[2:])
    assert found.lost["obsid"].tolist() == [3_000_000_000, 3_000_000_001]
    assert found.new["obsid"].tolist() == [3_000_000_008, 3_000_000_009]
    assert found.summary.loc["lost", "value"] == approx(0.25)


def test_a_star_with_another_name_and_a_star_of_other_spectra_are_told_apart():
    named = table(uid=[f"P{5 + k // 2}" for k in range(8)])
    values = compared(table(), named).summary["value"]
    assert (values["uid_changed"], values["stars_regrouped"]) == (1.0, 0.0)
    split = table(uid=["G1000", "G7", *[f"G{1000 + k // 2}" for k in range(2, 8)]])
    values = compared(table(), split).summary["value"]
    assert (values["uid_changed"], values["stars_regrouped"]) == (1 / 8, 2 / 8)


def test_limits_decide_and_what_cannot_be_held_against_one_has_not_passed():
    now = table(template_class=["QSO", *["STAR"] * 7])
    assert compared(table(), now).failed == []
    limits = {"template_class_changed": 0.125, "velocity_median": 1.0}
    kept = compared(table(), now, limits)
    assert kept.failed == []
    assert verdict(kept) == "passed: all 2 limits are kept"
    failed = compared(table(), now, {"template_class_changed": 0.1})
    assert failed.failed == ["template_class_changed"]
    unknown = compared(table(teff=np.nan), now, {"teff_median": 10.0})
    assert unknown.failed == ["teff_median"]
    assert "has no value" in verdict(unknown)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", r"no table \[limits\]"), ("[limits]\nclasses = 1", "'classes' is not compared"),
     ("[limits]\nlost = -1", "from 0 up"), ("[limits]\nlost = nan", "from 0 up"),
     ("[limits", "no file of limits")],
)  # fmt: skip
def test_a_file_of_limits_is_read_whole_or_refused(tmp_path, text, words):
    (tmp_path / "limits.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_limits(tmp_path / "limits.toml")


def test_the_page_stands_alone_and_runs_nothing(tmp_path):
    bad = "<script>alert(1)</script>"
    now = table(template_class=[bad, "=1+1", *["STAR"] * 6])
    found = compare_releases(Release(bad, table()), Release("b", now))
    page = page_text(found)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http" not in page
    paths = write_comparison(found, tmp_path / "out")
    assert [path.name for path in paths] == [
        "releases.html", "summary.csv", "spectra.csv", "lost.csv", "new.csv",
    ]  # fmt: skip
    cells = pd.read_csv(tmp_path / "out" / "spectra.csv")["template_class_b"]
    assert cells.tolist()[:2] == [bad, "'=1+1"]


def test_the_command_compares_exports_and_its_exit_code_is_the_verdict(tmp_path, capsys):
    now = table(template_class=["QSO", *["STAR"] * 7])
    for name, one in (("a", table()), ("b", now)):
        export(one, tmp_path / f"{name}.parquet", columns="full", header={})
    (tmp_path / "limits.toml").write_text("[limits]\ntemplate_class_changed = 0.05\n")
    both = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert run_cli(["compare-releases", *both, "--out", str(tmp_path / "out")]) == 0
    assert "8 spectra in common" in capsys.readouterr().out
    limited = [*both, "--limits", str(tmp_path / "limits.toml")]
    assert run_cli(["compare-releases", *limited]) == 1
    assert "failed: template_class_changed 0.125 (limit 0.05)" in capsys.readouterr().out
    assert run_cli(["compare-releases", both[0], str(tmp_path / "none.parquet")]) == 1


def test_what_an_older_version_found_is_found_today(tmp_path):
    """The check between releases of this software, on a small survey that does not change."""
    with tarfile.open(OLDER) as made:
        made.extractall(tmp_path, filter="data")
    before = Release("0.1.0", pd.read_parquet(tmp_path / "survey" / "candidates.parquet"))
    run(Survey(tmp_path / "survey"), ["match", "place", "identify"], workers=1)
    found = compare_releases(before, Release.read(tmp_path / "survey"), read_limits(LIMITS))
    assert (found.by_obsid, len(found.lost), len(found.new)) == (5, 0, 0)
    assert found.failed == [], verdict(found)
