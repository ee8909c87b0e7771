"""The simulated stars: who they are, where they lie in the diagrams, what Gaia says of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from msfa_core.constants import KIEL_BAND, PAPER_COUNTS
from msfa_core.errors import ConfigError
from msfa_core.photometry.cmd import in_trapezoid
from msfa_core.photometry.motion import galactic_latitude
from msfa_core.photometry.zahb import zahb_logg
from msfa_core.simulate.atmospheres import model_flux
from msfa_core.simulate.groups import BORDER_SHARES, GROUPS, SKY_SHARES
from msfa_core.simulate.photometry import parallax_error, passbands
from msfa_core.simulate.population import (
    CLASSES,
    DEMO_COUNTS,
    class_counts,
    draw_population,
)
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk


@pytest.fixture(scope="module")
def stars():
    return draw_population(6000, np.random.default_rng(8))


@pytest.fixture(scope="module")
def bhb(stars):
    return stars[stars["true_class"] == "BHB"]


def test_counts_are_shared_out_exactly():
    assert class_counts(sum(PAPER_COUNTS.values()))["HSD"] == 3431
    shared = class_counts(1000)
    assert sum(shared.values()) == 1000
    assert shared["F"] == shared["RRL"] == 0
    assert class_counts(1500, DEMO_COUNTS) == {name: DEMO_COUNTS[name] for name in CLASSES}
    assert sum(DEMO_COUNTS.values()) == 1500
    assert class_counts(7, {"A": 1, "B": 1}) == {**dict.fromkeys(CLASSES, 0), "A": 4, "B": 3}


@pytest.mark.parametrize("counts", [{"M": 5}, {"A": -1, "B": 3}, {"A": 0}, {}])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ConfigError, match="counts"):
        class_counts(10, counts)


def test_shares_of_the_groups_sum_to_one():
    for groups in GROUPS.values():
        assert sum(group.share for group in groups) == pytest.approx(1.0)


def test_every_star_has_a_model(stars):
    flux = model_flux(
        stars["true_kind"].to_numpy(str),
        *(stars[f"true_{name}"].to_numpy(float) for name in ("teff", "logg", "feh", "he")),
    )
    assert np.isfinite(flux).all()
    assert np.isfinite(stars[["g_mag", "bp_rp", "parallax_mas", "pmra", "j_h"]].to_numpy()).all()


def test_bhb_stars_lie_in_the_kiel_band(bhb):
    log_teff = np.log10(bhb["true_teff"])
    (low_slope, low), (high_slope, high) = KIEL_BAND
    inside = bhb["true_logg"].between(low_slope * log_teff + low, high_slope * log_teff + high)
    assert inside.mean() > 0.8  # the most evolved lie below it
    assert zahb_logg(8000.0) == pytest.approx(3.14, abs=0.05)
    assert bhb["true_feh"][bhb["true_teff"] < 11_500].between(-3, -0.8).all()


def test_bhb_stars_lie_in_the_trapezoid_of_culpan(bhb):
    inside = in_trapezoid(bhb["true_bp_rp"], bhb["true_abs_mag_g"])
    assert inside.mean() > 0.8
    assert inside[bhb["true_teff"] < 11_500].mean() > 0.9


def test_hot_bhb_stars_are_iron_rich_helium_poor_and_slow(bhb):
    hot = bhb[bhb["true_teff"] > 11_500]
    assert 0.01 < len(hot) / len(bhb) < 0.05
    assert (hot["true_feh"] >= 0).all()
    assert (hot["true_he"] < -1.8).all()
    assert (hot["true_vsini"] <= 10).all()
    assert (bhb["true_vsini"] <= 40).all()


def test_negatives_hold_solar_metallicity_stars_of_the_gravity_of_bhb_stars(stars):
    negatives = stars[stars["true_class"].isin(["A", "B"])]
    confusers = negatives[
        negatives["true_teff"].between(9000, 12_000)
        & (np.abs(negatives["true_logg"] - zahb_logg(negatives["true_teff"])) < 0.3)
        & (negatives["true_feh"] > -0.6)
    ]
    assert len(confusers) > 0.08 * len(negatives)
    assert negatives["true_logg"].min() < 2.5
    assert negatives["true_vsini"].max() > 300
    assert {"metallic line", "lambda Boo", "blue straggler"} <= set(negatives["true_group"])


def test_metal_poor_a_stars_keep_clear_of_the_horizontal_branch(stars):
    poor = stars[(stars["true_class"] == "A") & (stars["true_feh"] < -0.8)]
    above = poor["true_logg"] - zahb_logg(poor["true_teff"])
    rotates = poor["true_group"] == "lambda Boo"
    assert above[~rotates].min() > 0.25
    assert above[rotates].min() > 0.2
    assert poor["true_vsini"][rotates].min() >= 40


def test_no_temperature_belongs_to_bhb_stars_alone(stars):
    """Every 400 K from 7200 to 12,000 K holds stars of class A or B."""
    others = stars[stars["true_class"].isin(["A", "B"])]["true_teff"]
    assert np.histogram(others, np.arange(7200, 12_001, 400))[0].min() > 10


def test_the_horizontal_branch_is_that_of_published_tracks():
    """First points of tracks of Bertelli et al. (2008), Z 0.0004: mean of Y 0.23 and 0.26."""
    teff = np.array([16_990.4, 11_952.3, 7939.6])
    np.testing.assert_allclose(zahb_logg(teff), [4.6442, 3.9241, 3.1462], atol=0.03)


def test_absolute_magnitudes_are_those_of_the_classes(stars):
    median = stars.groupby("true_class")["true_abs_mag_g"].median()
    assert 0.3 < median["BHB"] < 1.2
    assert 10 < median["WD"] < 13
    assert 3 < median["HSD"] < 5.5
    assert median["B"] < median["A"] < 2.5


def test_gaia_identifiers_break_floats_and_are_unique(stars):
    ids = stars["gaia_source_id"].to_numpy()
    assert ids.dtype == np.int64
    assert ids.min() > 2**53
    assert len(np.unique(ids)) == len(ids)
    assert np.any(ids.astype(np.float64).astype(np.int64) != ids)


def test_parallaxes_scatter_about_the_truth_by_their_errors(stars):
    pull = (stars["parallax_mas"] - stars["true_parallax_mas"]) / stars["parallax_error"]
    assert pull.std() == pytest.approx(1.0, abs=0.05)
    assert abs(pull.mean()) < 0.05
    assert parallax_error(np.array([15.0]))[0] == pytest.approx(0.027, abs=0.003)


def test_distances_magnitudes_and_reddening_agree(stars):
    modulus = 5 * np.log10(100 * stars["true_distance_kpc"])
    extinction = 2.364 * stars["true_ebv"] / 0.86
    np.testing.assert_allclose(
        stars["g_mag"], stars["true_abs_mag_g"] + modulus + extinction, atol=1e-9
    )


def test_halo_stars_are_fast_and_disc_stars_slow(stars):
    ordinary = stars[stars["true_class"] != "WD"]
    halo = ordinary["true_halo"].astype(bool)
    assert 90 < ordinary["true_rv"][halo].std() < 190
    assert 20 < ordinary["true_rv"][~halo].std() < 40
    tangential = 4.74 * np.hypot(stars["pmra"], stars["pmdec"]) * stars["true_distance_kpc"]
    good = stars["parallax_mas"] / stars["parallax_error"] > 5
    is_bhb = stars["true_class"] == "BHB"
    assert (tangential[good & is_bhb] > 145).mean() > 0.5


def test_the_survey_stays_off_the_galactic_plane_and_within_its_declinations(stars):
    latitude = np.abs(galactic_latitude(stars["ra"].to_numpy(), stars["dec"].to_numpy()))
    assert np.mean(latitude < 10) < 0.05
    assert stars["dec"].between(-10, 60).all()
    centre = galactic_latitude(np.array([266.405]), np.array([-28.936]))
    assert centre[0] == pytest.approx(0.0, abs=0.01)


@pytest.mark.real
def test_colours_agree_with_the_published_passbands(real_data):
    """BP−RP and G of black bodies, against a 9550 K one, in our passbands and in Gaia's."""
    path = real_data / "catalogues" / "gaia_dr3_passbands" / "passbands.dat"
    table = np.loadtxt(path)
    wavelength, real = table[:, 0] * 10, table[:, [1, 3, 5]].T
    real[real > 90] = 0

    def magnitudes(response, teff):
        flux = wavelength**-5 / np.expm1(1.43877e8 / (wavelength * teff))
        return -2.5 * np.log10(
            np.trapezoid(response * flux * wavelength, wavelength)
            / np.trapezoid(response * wavelength, wavelength)
        )

    for teff in (6000.0, 7500.0, 12_000.0, 20_000.0, 35_000.0):
        difference = [
            magnitudes(bands, teff) - magnitudes(bands, 9550.0)
            for bands in (passbands(wavelength), real)
        ]
        ours, theirs = ((bp - rp, g - bp) for g, bp, rp in difference)
        assert ours == pytest.approx(theirs, abs=0.03)


def test_shares_for_training_are_of_the_same_groups_and_crowd_the_border():
    for name, shares in BORDER_SHARES.items():
        assert len(shares) == len(GROUPS[name])
        assert sum(shares) == pytest.approx(1.0)
    counts = {"BHB": 2000, "B": 1000}
    usual = draw_population(3000, np.random.default_rng(3), counts)
    crowded = draw_population(3000, np.random.default_rng(3), counts, shares="border")
    counted = []
    for each in (usual, crowded):
        border = (each["true_class"] == "BHB") & each["true_teff"].between(9800, 11_500)
        counted.append(border.sum())
    assert counted[1] > 1.4 * counted[0] > 0
    hot = crowded[crowded["true_group"] == "hot BHB"]
    assert hot["true_teff"].max() > 18_000
    assert (hot["true_feh"] >= 0).all()  # levitated


def test_signal_and_kinds_as_on_the_sky():
    counts = {"BHB": 500, "A": 2000}
    options = {"shares": "sky", "snr": "lamost", "snr_range": (10.0, 1000.0)}
    sky = draw_population(2500, np.random.default_rng(4), counts, **options)
    quantiles = np.quantile(sky["true_snr_g"], [0.1, 0.5, 0.9])
    assert quantiles == pytest.approx([21.3, 70.5, 281], rel=0.12)
    assert sky["true_snr_g"].min() >= 10
    kinds = sky[sky["true_class"] == "A"]["true_group"].value_counts(normalize=True)
    assert kinds["dwarf"] == pytest.approx(0.62, abs=0.04)
    for shares in SKY_SHARES.values():
        assert sum(shares) == pytest.approx(1)
    with pytest.raises(ConfigError, match="snr"):
        SurveyPlan(40, 3, snr="odd")


def test_a_survey_of_pairs_gives_each_star_twice_in_a_row():
    plan = SurveyPlan(40, 3, {"BHB": 20, "A": 20}, epochs=1.0, most_epochs=2)
    _, truth = simulate_chunk(plan, 0)
    star = truth["true_star"].to_numpy()
    assert len(star) == 80
    assert (star[0::2] == star[1::2]).all()
    with pytest.raises(ConfigError, match="most_epochs"):
        SurveyPlan(40, 3, most_epochs=1)
    with pytest.raises(ConfigError, match="shares"):
        SurveyPlan(40, 3, shares="all")


def test_stars_on_the_scale_of_real_ones_look_like_somewhat_hotter_models():
    plan = SurveyPlan(60, 3, {"BHB": 30, "WD": 30}, snr_range=(1e4, 1e4))
    own, truth = simulate_chunk(plan, 0)
    moved, same = simulate_chunk(replace(plan, scale="stars"), 0)
    pd.testing.assert_frame_equal(truth.filter(like="true_"), same.filter(like="true_"))
    change = np.abs(moved.flux / own.flux - 1).max(axis=1)
    is_bhb = (truth["true_class"] == "BHB").to_numpy()
    assert np.median(change[is_bhb]) > 0.01
    assert np.median(change[~is_bhb]) < 0.01  # only where it was measured: normal stars
    again, _ = simulate_chunk(replace(plan, scale="stars"), 0)
    assert np.array_equal(again.flux, moved.flux)
    with pytest.raises(ConfigError, match="scale"):
        replace(plan, scale="mine")
