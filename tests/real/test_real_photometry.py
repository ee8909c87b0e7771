"""Real Gaia photometry: what others derived from the same columns comes out again."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.config import Settings
from msfa_core.photometry.cmd import cmd_position, corrected_excess_factor, excess_factor_sigma
from msfa_core.photometry.counterparts import counterparts
from msfa_core.photometry.gaia import house_gaia
from msfa_core.photometry.motion import galactic_latitude
from msfa_core.spine.place import place
from msfa_core.stars.crossmatch import match_sky
from msfa_core.tables.read import read_table

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def crossmatch(real_data):
    """Gaia and LAMOST columns of the same stars, with velocities that their author derived."""
    folder = real_data / "catalogues" / "gaia_lamost_xmatch_liorlinho"
    return read_table(folder / "gaia_lamost_larger_velocity_features.csv")


def test_magnitudes_and_velocities_are_those_of_the_catalogue(crossmatch):
    placed = cmd_position(house_gaia(crossmatch))
    theirs = crossmatch["tangential_velocity_kms"].to_numpy(float)
    ours = placed["tangential_velocity"].to_numpy(float)
    print(f"\n{len(placed):,} stars; v_t of ours over theirs {np.nanmedian(ours / theirs):.5f}")
    assert placed["abs_mag_g"].to_numpy() == approx(
        crossmatch["absolute_g_mag"].to_numpy(float), abs=1e-4, nan_ok=True
    )
    assert ours == approx(theirs, rel=1e-3, nan_ok=True)
    assert placed["reduced_proper_motion"].to_numpy() == approx(
        crossmatch["reduced_pm_g"].to_numpy(float), abs=1e-3, nan_ok=True
    )
    place = crossmatch["ra_gaia"].to_numpy(float), crossmatch["dec_gaia"].to_numpy(float)
    assert galactic_latitude(*place) == approx(crossmatch["gal_b"].to_numpy(float), abs=1e-3)


def test_lamost_stars_find_their_gaia_source_by_position_and_date(crossmatch):
    spectra = pd.DataFrame(
        {
            "obsid": np.arange(len(crossmatch)),
            "ra": crossmatch["ra_lamost"],
            "dec": crossmatch["dec_lamost"],
            "lmjd": crossmatch["combined_lmjd"],
        }
    )
    sources = house_gaia(crossmatch)
    once = ~sources["gaia_source_id"].duplicated().to_numpy()
    sources = sources[once].reset_index(drop=True)
    result = place(spectra, {"table": sources}, Settings(dust_map="none"))
    own = result["gaia_source_id"].to_numpy() == crossmatch["source_id"].to_numpy()
    still = counterparts(spectra.drop(columns="lmjd"), sources, 3.0, match_sky)
    moved = result["gaia_separation"].median()
    print(f"\n{own.mean():.2%} of {len(own):,} matched to their own source; median separation "
          f"{moved:.3f} arcsec with proper motion, {np.median(still[2]):.3f} without")  # fmt: skip
    assert own.mean() > 0.995


def test_the_corrected_excess_factor_of_gaia_stars_scatters_about_zero(real_data):
    path = real_data / "catalogues" / "gaia_dr3_cmd_sample" / "gaia_dr3_initial_5000.ecsv"
    stars = house_gaia(read_table(path))
    corrected = corrected_excess_factor(stars["bp_rp"], stars["excess_factor"])
    bright = (stars["g_mag"] < 16).to_numpy()
    pull = corrected[bright] / excess_factor_sigma(stars["g_mag"])[bright]
    print(f"\nC*/σ of {bright.sum():,} stars: median {np.nanmedian(pull):.2f}, "
          f"68 % within {np.nanpercentile(np.abs(pull), 68):.2f}")  # fmt: skip
    assert abs(np.nanmedian(pull)) < 1.0
    assert np.nanpercentile(np.abs(pull), 68) < 2.0
