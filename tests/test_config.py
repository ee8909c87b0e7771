"""Settings: defaults < msfa.toml < MSFA_* variables < command line."""

import pickle

import pytest

from msfa_core.config import Settings, load_settings
from msfa_core.constants import BALMER_LINES, BHB_THRESHOLD, LAMOST_GRID, NETWORK_GRID
from msfa_core.errors import ConfigError


def test_later_origins_win(tmp_path, monkeypatch):
    (tmp_path / "msfa.toml").write_text("snr_min = 15\nbhb_threshold = 0.6\nworkers = 1\n")
    monkeypatch.setenv("MSFA_BHB_THRESHOLD", "0.7")
    monkeypatch.setenv("MSFA_WORKERS", "2")
    settings = load_settings(tmp_path, workers=3, selection=None)
    assert settings == Settings(snr_min=15.0, bhb_threshold=0.7, workers=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("snr = 3", "unknown setting 'snr'"),
        ("snr_min = 'much'", "snr_min = 'much' is not a float"),
        ("workers = true", "workers = True is not a int"),
        ("snr_min = ", "not valid TOML"),
        ("selection = 3", "selection = 3 is not a str"),
        ("deredden_cmd = 'perhaps'", "deredden_cmd = 'perhaps' is not a bool"),
        ("workers = 2.7", "workers = 2.7 is not a int"),
        ("bhb_threshold = 50", "bhb_threshold = 50 is beyond 0 … 1"),
        ("snr_min = nan", "snr_min = nan is beyond 0 … 100000"),
        ("match_radius_arcsec = -3", "match_radius_arcsec = -3 is beyond 0.01 … 600"),
        ("shard_size = 0", "shard_size = 0 is beyond 1"),
    ],
)
def test_wrong_entries_are_named_with_their_file(tmp_path, text, words):
    (tmp_path / "msfa.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"msfa\.toml") as caught:
        load_settings(tmp_path)
    assert words in str(caught.value)


def test_switches_are_read_from_files_and_from_variables(tmp_path, monkeypatch):
    (tmp_path / "msfa.toml").write_text("deredden_cmd = true\n")
    monkeypatch.setenv("MSFA_PARALLAX_ZERO_POINT", "yes")
    settings = load_settings(tmp_path)
    assert settings.deredden_cmd is settings.parallax_zero_point is True
    assert load_settings(tmp_path, parallax_zero_point=False).parallax_zero_point is False


def test_unrelated_variables_are_left_alone(monkeypatch):
    monkeypatch.setenv("MSFA_SURVEY", "/somewhere")
    assert load_settings() == Settings()


def test_sourced_numbers_keep_their_notes_when_sent_to_a_worker():
    copy = pickle.loads(pickle.dumps(BHB_THRESHOLD))
    assert copy == 0.5
    assert copy.provenance == BHB_THRESHOLD.provenance


def test_network_grid_has_the_published_step():
    assert NETWORK_GRID.n_pixels == 2430
    step = NETWORK_GRID.wavelength[1] - NETWORK_GRID.wavelength[0]
    assert step == pytest.approx(1.235076, abs=1e-6)
    assert NETWORK_GRID.wavelength[[0, -1]].tolist() == [4000.0, 7000.0]


def test_native_grid_has_2430_pixels_there_too():
    wavelength = LAMOST_GRID.wavelength
    assert wavelength[0] == pytest.approx(3699.99, abs=0.01)
    assert int(((wavelength >= 4000) & (wavelength <= 7000)).sum()) in (2430, 2431)


def test_balmer_lines_are_vacuum_wavelengths_of_the_laboratory_values():
    from astropy import units as u
    from specutils.utils.wcs_utils import air_to_vac

    air = {"hdelta": 4101.734, "hgamma": 4340.472}
    for line, wavelength in air.items():
        vacuum = air_to_vac(wavelength * u.AA).to_value(u.AA)
        assert BALMER_LINES[line] == pytest.approx(vacuum, abs=0.005)


def test_an_unknown_rule_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "msfa.toml").write_text('rule = "mine"\n')
    with pytest.raises(ConfigError, match="paper or lenient"):
        load_settings(tmp_path)
    assert load_settings(None, rule="lenient").rule == "lenient"
