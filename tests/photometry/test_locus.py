"""Sequences of the CMD: drawn through known ones, and the models' beside real clusters."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import CatalogueError, ModelError
from msfa_core.photometry.locus import above_locus, reference_locus, zahb_locus
from msfa_core.workshop.zahb_locus import zahb_table


def test_a_sequence_drawn_through_scattered_stars_is_the_one_they_scatter_about():
    rng = np.random.default_rng(2)
    colour = rng.uniform(-0.09, 0.5, 6000)
    magnitude = 0.4 + 1.2 * (0.5 - colour) ** 2 + rng.normal(0, 0.1, 6000)
    field = np.array([[0.2, 4.0], [1.0, 0.5], [np.nan, 0.5]])  # outside the trapezoid
    locus = reference_locus(np.r_[colour, field[:, 0]], np.r_[magnitude, field[:, 1]])
    assert locus.abs_mag_g == approx(0.4 + 1.2 * (0.5 - locus.bp_rp) ** 2, abs=0.03)
    assert np.median(locus.faint - locus.bright) == approx(0.2, abs=0.02)
    assert (np.diff(locus.bp_rp) > 0).all() and (locus.n_stars >= 8).all()


def test_too_few_stars_are_named():
    with pytest.raises(CatalogueError, match="only 2 of the reference stars"):
        reference_locus([0.1, 0.2, 3.0], [0.5, 0.6, 0.5])


def test_the_shipped_branch_is_that_of_the_simulated_stars_and_gets_fainter_to_the_blue():
    locus, table = zahb_locus(), zahb_table().sort_values("bp_rp")
    assert locus.bp_rp == approx(table["bp_rp"].to_numpy(), abs=1e-4)
    assert locus.abs_mag_g == approx(table["abs_mag_g"].to_numpy(), abs=1e-4)
    blue = locus.bp_rp < 0.3
    assert (np.diff(locus.abs_mag_g[blue]) < 0).all()
    assert np.interp(0.15, locus.bp_rp, locus.abs_mag_g) == approx(0.6, abs=0.15)


def test_stars_above_the_branch_are_brighter_and_beyond_its_ends_unknown():
    found = above_locus(zahb_locus(), [0.15, 0.15, 5.0], [0.0, 1.0, 0.0])
    assert found[0] > 0 > found[1]
    assert found[0] - found[1] == approx(1.0)
    assert np.isnan(found[2])


def test_a_missing_branch_is_named(tmp_path):
    with pytest.raises(ModelError, match="restore the file"):
        zahb_locus(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ModelError, match="lacks teff"):
        zahb_locus(tmp_path / "other.csv")


@pytest.mark.real
def test_the_branch_of_14_clusters_lies_along_the_models(real_data):
    members = pd.read_csv(real_data / "catalogues" / "derived" / "gc_members_gaia_cmd.csv")
    locus = reference_locus(members["bp_rp0"], members["M_G0"])
    offset = above_locus(zahb_locus(), locus.bp_rp, locus.abs_mag_g)
    print(f"\n{len(locus.bp_rp)} points: clusters brighter by {np.median(offset):+.3f} mag, "
          f"from {offset.min():+.3f} to {offset.max():+.3f}")  # fmt: skip
    assert locus.n_stars.sum() > 705
    assert abs(np.median(offset)) < 0.1
    assert np.abs(offset).max() < 0.35
