"""The builder of the model grid: coding, taking, filling and refusing, on a small plan."""

import logging

import numpy as np
import pytest

from msfa_core.errors import ModelError
from msfa_core.simulate.atmospheres import GRID_FILE, SOLAR_HELIUM, load_grid
from msfa_core.workshop.grid_builder import STEP, build_grid, encode, main
from msfa_core.workshop.grid_helium import COPIED, line_profile, shifted
from msfa_core.workshop.grid_lattices import read_source
from msfa_core.workshop.grid_nodes import (
    FULL_PLAN,
    GRID_WAVELENGTH,
    SOURCE_WAVELENGTH,
    WIDE_WAVELENGTH,
    GridPlan,
    all_nodes,
    star_node,
)
from msfa_core.workshop.line_opacity import air_to_vacuum

PLAN = GridPlan(
    ms_teff=(9500.0, 11_000.0, 20_000.0),
    ms_logg=(2.0, 2.5, 4.0),
    ms_feh=(-1.5, -0.5, -0.1, 0.2),
    sd_teff=(25_000.0, 30_000.0),
    sd_logg=(5.0, 5.6),
    sd_helium=(-2.0, -1.0),
    wd_teff=(9000.0, 12_000.0),
    wd_logg=(7.5, 8.0),
    db_teff=(14_000.0, 18_000.0),
    he_teff=(9500.0, 11_000.0, 20_000.0),
    he_logg=(2.5, 4.0),
    he_helium=(-3.0, SOLAR_HELIUM),
    am_teff=(9500.0, 11_000.0),
    am_logg=(2.5, 4.0),
    ap_teff=(9500.0, 11_000.0),
    ap_logg=(2.5, 4.0),
    hb_teff=(11_000.0, 20_000.0),
    hb_logg=(2.5, 4.0),
)
HALF_STEP = 0.51 * STEP
RESAMPLED = 2e-5  # error of moving the reference models by 0.017 pixel
WEAK, STRONG = air_to_vacuum(4387.93), air_to_vacuum(4471.5)
PATTERN_DEPTH = {"": 0.0, "am": 0.1, "ap": 0.2, "hb": 0.3}
DIFFERENCE = 0.02  # of ln flux: reference less synthesis, times teff / 10,000 K
BRIGHTER = 0.1  # of ln continuum


def line(wavelength, centre, width, depth):
    return -depth * np.exp(-0.5 * ((wavelength - centre) / width) ** 2)


def made_up_lines(wavelength, teff, logg, feh, helium, pattern=""):
    """ln(flux/continuum) of smooth lines that follow every parameter."""
    total = line(wavelength, 4862.7, 5 + logg, 0.8)
    total += line(wavelength, 3934.8, 2.0, 0.3 * 10 ** (0.4 * feh))
    total += line(wavelength, 5170.0, 2.0, PATTERN_DEPTH[pattern])
    abundance = 10.0**helium / (10.0**helium + 0.1)
    for centre in (WEAK, STRONG):
        total += line(wavelength, centre, 1.5, 0.3 * abundance * (teff / 20_000) ** 2)
    return total


def made_up_continuum(wavelength, teff):
    return 16.0 + 4 * np.log(teff / 1e4) - 2.5 * np.log(wavelength / 5000)


def made_up(node):
    """Stand in for ``node_spectrum``."""
    wavelength = WIDE_WAVELENGTH if node.wide else GRID_WAVELENGTH
    arguments = (node.teff, node.logg, node.feh, max(node.helium, -9.0), node.pattern)
    lines = made_up_lines(wavelength, *arguments)
    continuum = np.exp(made_up_continuum(wavelength, node.teff))
    return np.array([continuum * np.exp(lines), continuum], dtype=np.float32)


def reference_lines(teff, logg, feh, helium, wavelength=GRID_WAVELENGTH):
    extra = line(wavelength, 6500.0, 40.0, DIFFERENCE * teff / 1e4)
    return made_up_lines(wavelength, teff, logg, feh, helium) + extra


SOURCE_ROWS = (
    *(("ms", t, 4.0, z, SOLAR_HELIUM) for t in PLAN.ms_teff for z in (-1.5, 0.0, 0.2)),
    ("ms", 9500.0, 2.5, -1.5, SOLAR_HELIUM),
    ("sd", 25_000.0, 5.0, 0.0, -2.02),
    ("sd", 30_000.0, 5.6, 0.0, -1.0),
    *(("wd", t, g, 0.0, -9.0) for t in PLAN.wd_teff for g in PLAN.wd_logg),
    *(("db", t, 8.0, 0.0, 3.0) for t in PLAN.db_teff),
)


def write_source(path, rows=SOURCE_ROWS, **changes):
    kind, teff, logg, feh, helium = (np.array(column) for column in zip(*rows, strict=True))
    continua = [np.exp(BRIGHTER + made_up_continuum(SOURCE_WAVELENGTH, t)) for t in teff]
    lines = [reference_lines(*row[1:], SOURCE_WAVELENGTH) for row in rows]
    tables = {
        "wave": SOURCE_WAVELENGTH,
        "flux": np.float32(np.exp(lines) * continua),
        "cont_wave": SOURCE_WAVELENGTH[::16],
        "cont": np.float32(continua)[:, ::16],
        **{"kind": kind, "teff": teff, "logg": logg, "feh": feh, "log_he_h": helium},
    }
    np.savez(path, **(tables | changes))
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    told = []
    path = build_grid(
        write_source(folder / "source.npz"),
        folder / "grid.npz",
        progress=lambda *at: told.append(at[1:]),
        plan=PLAN,
        synthesis=made_up,
    )
    n = len(all_nodes(PLAN))
    assert told == [(done, n) for done in range(1, n + 1)]
    assert sorted(p.name for p in folder.iterdir()) == ["grid.npz", "source.npz"]
    return load_grid(path)


def node(lattice, table="lines", **at):
    points = {name: np.array([value]) for name, value in at.items()}
    return (lattice.weights(points) @ lattice.tables[table])[0]


@pytest.mark.parametrize("shape", [(7,), (3, 50), (2, 3, 50), (2, 2, 3, 50)])
def test_coding_and_reading_back_changes_nothing_by_more_than_half_a_step(tmp_path, shape):
    from msfa_core.simulate.atmospheres import _decode

    lines = np.random.default_rng(5).uniform(-5.0, 0.5, shape)
    coded = encode(lines)
    assert coded.dtype == np.int16
    back = _decode(np.atleast_2d(coded), STEP).reshape(shape)
    np.testing.assert_allclose(back, lines, atol=HALF_STEP)


def test_spectra_too_deep_or_not_finite_are_not_coded():
    for bad in (-9.0, np.nan, -np.inf):
        with pytest.raises(ModelError, match="can hold"):
            encode(np.array([[0.0, bad]]))


def test_reference_models_are_taken_as_they_are(built):
    for teff, feh in ((9500.0, -1.5), (9500.0, 0.2)):
        expected = reference_lines(teff, 4.0, feh, SOLAR_HELIUM)
        own = node(built["ms"], teff=teff, logg=4.0, feh=feh)
        np.testing.assert_allclose(own, expected, atol=HALF_STEP + RESAMPLED)
    own = node(built["wd"], "continuum", teff=12_000.0, logg=8.0)
    expected = BRIGHTER + made_up_continuum(GRID_WAVELENGTH[::16], 12_000.0)
    np.testing.assert_allclose(own, expected, atol=6e-5)
    own = node(built["db"], teff=18_000.0)
    expected = reference_lines(18_000.0, 8.0, 0.0, 3.0)
    np.testing.assert_allclose(own, expected, atol=HALF_STEP + RESAMPLED)


def test_missing_nodes_are_synthetic_spectra_moved_onto_the_reference_models(built):
    """The difference of the made-up reference does not depend on [Fe/H] or log g."""
    for logg, feh in ((4.0, -0.5), (4.0, -0.1), (2.5, 0.2), (2.0, -0.5)):
        expected = reference_lines(9500.0, logg, feh, SOLAR_HELIUM)
        own = node(built["ms"], teff=9500.0, logg=logg, feh=feh)
        np.testing.assert_allclose(own, expected, atol=3e-3)  # 0.0 between −0.1 and 0.2
        smooth = node(built["ms"], "continuum", teff=9500.0, logg=logg, feh=feh)
        expected = BRIGHTER + made_up_continuum(GRID_WAVELENGTH[::16], 9500.0)
        np.testing.assert_allclose(smooth, expected, atol=7e-5)


def test_corners_without_stars_repeat_the_next_gravity(built):
    for teff, feh in ((9500.0, -1.5), (20_000.0, -0.5)):
        low, high = (node(built["ms"], teff=teff, logg=logg, feh=feh) for logg in (2.0, 2.5))
        np.testing.assert_allclose(low, high, atol=HALF_STEP)
    assert star_node(9500.0, 2.0, -1.5) not in all_nodes(PLAN)


def test_subdwarfs_lacking_in_the_source_come_from_the_nearest_one(built):
    # 25,000 K, log g 5.6, He/H −2 is nearest to 25,000 K, log g 5.0, He/H −2
    own = node(built["sd"], teff=25_000.0, logg=5.6, helium=-2.0)
    expected = made_up_lines(GRID_WAVELENGTH, 25_000.0, 5.6, 0.0, -2.0)
    expected += line(GRID_WAVELENGTH, 6500.0, 40.0, DIFFERENCE * 2.5)
    away = (GRID_WAVELENGTH > 4500) & (GRID_WAVELENGTH < 7000)
    np.testing.assert_allclose(own[away], expected[away], atol=1e-3)
    smooth = node(built["sd"], "continuum", teff=25_000.0, logg=5.6, helium=-2.0)
    np.testing.assert_allclose(
        smooth, BRIGHTER + made_up_continuum(GRID_WAVELENGTH[::16], 25_000.0), atol=7e-5
    )


def test_hot_stars_get_the_helium_lines_that_the_reference_lacks(built):
    own = node(built["ms"], teff=20_000.0, logg=4.0, feh=-0.5)
    given = line_profile(own, WEAK)
    assert given.min() == pytest.approx(-0.3 * 0.46, abs=0.01)
    for air, strength in COPIED.items():
        copied = line_profile(own, air_to_vacuum(air))
        assert copied.sum() == pytest.approx(strength * given.sum(), rel=0.03)
    cool = node(built["ms"], teff=9500.0, logg=4.0, feh=-0.5)
    assert abs(line_profile(cool, air_to_vacuum(4009.26)).min()) < 2 * STEP


def test_the_helium_change_takes_the_helium_lines_away(built):
    at = {"teff": 20_000.0, "logg": 4.0}
    star = node(built["ms"], feh=-0.5, **at)
    without = star + node(built["he"], helium=-3.0, **at)
    for centre in (WEAK, STRONG, *map(air_to_vacuum, COPIED)):
        assert line_profile(star, centre).min() < -0.08
        assert line_profile(without, centre).min() > -0.008
    assert np.abs(node(built["he"], helium=SOLAR_HELIUM, **at)).max() < HALF_STEP
    assert np.abs(node(built["he"], helium=-3.0, teff=9500.0, logg=4.0)).max() < HALF_STEP


def test_departures_from_lte_deepen_each_helium_line_by_its_share(built):
    departure = node(built["nlte"], teff=20_000.0, logg=4.0, helium=SOLAR_HELIUM)
    star = node(built["ms"], teff=20_000.0, logg=4.0, feh=-0.5)
    for centre, share in ((WEAK, 0.75), (STRONG, 0.6)):
        near = np.abs(GRID_WAVELENGTH - centre) < 3
        expected = share * line_profile(star, centre)[near].min()
        assert departure[near].min() == pytest.approx(expected, rel=0.03)
    # hardly begun at 11,000 K, none at 9500 K
    near = np.abs(GRID_WAVELENGTH - STRONG) < 3
    onset = node(built["nlte"], teff=11_000.0, logg=4.0, helium=SOLAR_HELIUM)[near].min()
    lte = -0.3 * 0.46 * (11 / 20) ** 2
    assert onset == pytest.approx(0.3 * 0.6 * lte, rel=0.1)
    assert not node(built["nlte"], teff=9500.0, logg=4.0, helium=SOLAR_HELIUM).any()


def test_abundance_patterns_are_differences_of_synthetic_spectra(built):
    for pattern in ("am", "ap", "hb"):
        own = node(built[pattern], teff=11_000.0, logg=4.0)
        expected = line(GRID_WAVELENGTH, 5170.0, 2.0, PATTERN_DEPTH[pattern])
        np.testing.assert_allclose(own, expected, atol=HALF_STEP)


def test_hotter_surfaces_are_brighter_and_vega_is_the_zero_point(built):
    surface = built["ms"].tables["surface"].reshape(3, 3, 3)
    assert np.all(np.diff(surface, axis=0) < 0)
    g, bp, rp = surface[0, 2]
    assert abs(bp - rp) < 0.05  # 9500 K, log g 4: nearly Vega
    # Vega: magnitude 0.03, 7.68 pc away, 3.24 mas across, which is 2.675 solar radii
    assert g == pytest.approx(0.03 - 5 * np.log10(0.768) + 5 * np.log10(2.675), abs=0.05)


def test_a_profile_moves_by_the_ratio_of_wavelengths():
    profile = line(GRID_WAVELENGTH, 4400.0, 3.0, 0.5)
    moved = shifted(profile, 4400.0, 4800.0)
    expected = line(GRID_WAVELENGTH, 4800.0, 3.0 * 4800 / 4400, 0.5)
    np.testing.assert_allclose(moved, expected, atol=4e-3)


def test_the_full_plan_has_the_nodes_of_the_shipped_grid():
    assert len(all_nodes(FULL_PLAN)) == 1569
    for kind, lattice in load_grid(GRID_FILE).items():
        for axis, nodes in lattice.axes.items():
            planned = getattr(FULL_PLAN, f"{'he' if kind == 'nlte' else kind}_{axis}")
            np.testing.assert_array_equal(nodes, planned)


def test_sources_that_cannot_be_used_are_refused_and_nothing_is_written(tmp_path):
    out = tmp_path / "grid.npz"

    def build(source):
        build_grid(source, out, plan=PLAN, synthesis=made_up)

    with pytest.raises(ModelError, match="no such file"):
        build(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", wave=SOURCE_WAVELENGTH)
    with pytest.raises(ModelError, match="flux"):
        build(tmp_path / "other.npz")
    with pytest.raises(ModelError, match="3909 wavelengths"):
        build(write_source(tmp_path / "shifted.npz", wave=SOURCE_WAVELENGTH + 1))
    with pytest.raises(ModelError, match="unknown kind 'xx'"):
        read_source(write_source(tmp_path / "x.npz", rows=(("xx", 9e3, 4.0, 0.0, -1.0),)))
    for kind, words in (("ms", "no star"), ("sd", "no hot subdwarf"), ("db", "lack db")):
        rows = tuple(row for row in SOURCE_ROWS if row[0] != kind)
        with pytest.raises(ModelError, match=words):
            build(write_source(tmp_path / f"no-{kind}.npz", rows=rows))
    assert not out.exists()


def test_the_command_says_in_one_line_why_it_cannot_build(tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        assert main([str(tmp_path / "none.npz"), str(tmp_path / "out.npz")]) == 1
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'none.npz'}: there is no such file of reference models."
    ]
