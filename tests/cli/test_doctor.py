"""The doctor says what is there, and finds what is missing or altered."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from msfa_core.cli import doctor, run_cli
from msfa_core.shipped import shipped


def tones(findings):
    return {words: tone for tone, words in findings}


def test_this_installation_is_well(capsys):
    assert run_cli(["doctor"]) == 0
    said = capsys.readouterr().out
    for title in ("packages", "files that come", "processor", "kernels", "place"):
        assert title in said
    assert "!!" not in said
    assert f"numpy {version('numpy')}" in said


def test_what_is_no_survey_is_said_and_fails(tmp_path, capsys):
    assert run_cli(["doctor", str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert "there is no survey" in said.out
    assert "must be mended" in said.err


def test_a_package_that_is_missing_or_too_old_is_named_with_the_remedy(monkeypatch):
    def found(name):
        if name == "psycopg":
            raise PackageNotFoundError
        if name == "scipy":
            raise PackageNotFoundError
        return "0.1" if name == "numpy" else version(name)

    monkeypatch.setattr(doctor, "version", found)
    said = tones(doctor.packages())
    assert [words for words in said if words.startswith("scipy is missing: pip install 'scipy")]
    assert [words for words in said if words.startswith("numpy 0.1 is not")]
    assert [tone for words, tone in said.items() if "psycopg" in words] == ["--"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("models/stage2.safetensors", "altered"),
        ("models/stage2.safetensors", "missing"),
        ("models/slam.npz", "altered"),
        ("models/slam.json", "missing"),
        ("templates/confidence.json", "missing"),
        ("reference/zahb_cmd.csv", "missing"),
    ],
)
def test_altered_and_missing_files_are_found(monkeypatch, tmp_path, name, fault):
    import msfa_core.shipped

    for folder in ("models", "reference", "templates"):
        (tmp_path / folder).mkdir()
        for path in shipped(folder).iterdir():
            (tmp_path / folder / path.name).symlink_to(path)
    one = tmp_path / name
    one.unlink()
    if fault == "altered":
        one.write_bytes(b"something else")
    monkeypatch.setattr(msfa_core.shipped, "shipped", tmp_path.joinpath)
    said = tones(doctor.shipped_files())
    bad = [words for words, tone in said.items() if tone == "!!"]
    assert len(bad) == 1
    assert str(one) in bad[0]
    assert "restore it" in bad[0]


def test_what_the_kernels_lack_is_a_finding_and_the_rest_is_looked_at(monkeypatch, capsys):
    from msfa_core.errors import ModelError

    def lack():
        raise ModelError("stage1.safetensors is missing: restore it")

    monkeypatch.setattr("msfa_core.spine.ready.compile_kernels", lack)
    assert run_cli(["doctor"]) == 1
    said = capsys.readouterr()
    assert "stage1.safetensors is missing" in said.out
    assert "GB free" in said.out
    assert "must be mended" in said.err


def test_a_folder_that_cannot_be_there_is_said(tmp_path):
    assert "!!" in tones(doctor.place(tmp_path / "a" / "b")).values()
    assert set(tones(doctor.place(tmp_path)).values()) <= {"ok", "--"}


def test_a_plan_is_measured_here():
    each, hours, room, advice = (one.words for one in doctor.costs(4_000_000, n_tried=4))
    assert each.endswith("measured on 4")
    each, hours = float(each.split()[0]), float(hours.split()[0].replace(",", ""))  # ms, h
    assert hours == pytest.approx(4e6 * each / 3.6e6, rel=0.5 / each + 0.01)
    assert 60 < float(room.split()[0]) < 400  # flux, ivar and mask of 3,900 pixels, and the table
    assert "msfa run --scheduler" in advice


def test_a_plan_of_less_than_nothing_is_refused(capsys):
    assert run_cli(["doctor", "--plan", "-5"]) == 2
    assert "number of spectra" in capsys.readouterr().err
