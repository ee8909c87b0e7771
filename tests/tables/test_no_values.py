"""Numbers that stand for none where a star could have them, and columns that no stars have."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.tables.door import of_frame

N = 60
RNG = np.random.default_rng(8)
SOME = np.arange(N) % 6 == 0
LABELS = pd.DataFrame(
    {
        "obsid": 600_000_000 + np.arange(N),
        "teff": RNG.normal(8600.0, 700.0, N).round(1),
        "logg": RNG.normal(3.3, 0.2, N).round(3),
        "feh": RNG.normal(-1.7, 0.4, N).round(3),
        "rv": RNG.normal(0.0, 120.0, N).round(2),
    }
)
J_MAG = RNG.uniform(9.0, 15.0, N).round(3)
STARS = pd.DataFrame(
    {
        "source_id": 600_000_000_000_000_001 + 1_000_003 * np.arange(N),
        "phot_g_mean_mag": J_MAG + 0.15,
        "j_m": J_MAG,
        "h_m": J_MAG - RNG.normal(0.03, 0.03, N).round(3),
        "ks_m": J_MAG - RNG.normal(0.05, 0.03, N).round(3),
        "phot_bp_rp_excess_factor": RNG.normal(1.18, 0.01, N),
    }
)


@pytest.mark.parametrize(
    ("column", "number"), [("rv", 99.99), ("rv", -999.9), ("teff", 32767.0), ("teff", 9999.0)]
)
def test_nines_and_last_numbers_of_a_type_that_recur_are_no_values(column, number):
    found = of_frame(LABELS.assign(**{column: LABELS[column].mask(SOME, number)}), CATALOGUE_USE)
    assert found.table[column].isna().tolist() == SOME.tolist()
    assert found.no_values[column] == SOME.sum()


def test_magnitudes_of_nines_are_stars_where_others_recur_as_often():
    for some, n_gone in ((SOME, 10), (np.arange(N) < 2, 0)):
        found = of_frame(STARS.assign(j_m=STARS["j_m"].mask(some, 9.999)), GAIA_USE)
        assert found.table["j_mag"].isna().sum() == n_gone
    coarse = STARS.assign(j_m=np.tile([9.97, 9.98, 9.99, 10.0, 10.01, 10.02], N // 6))
    assert of_frame(coarse.drop(columns=["h_m", "ks_m"]), GAIA_USE).table["j_mag"].notna().all()


@pytest.mark.parametrize("number", [-1.0, 0.0, 1.0])
def test_a_number_that_another_column_of_the_row_cannot_have_is_none(number):
    table = LABELS.assign(teff=LABELS["teff"].mask(SOME, number))
    table = table.assign(feh=LABELS["feh"].mask(SOME, number), rv=LABELS["rv"].mask(~SOME, number))
    found = of_frame(table, CATALOGUE_USE)
    assert found.table["feh"].isna().tolist() == SOME.tolist()
    assert found.table["rv"].notna().all()  # in other rows


def test_metals_with_their_sign_turned_are_left_out():
    turned = -LABELS["feh"].mask(np.arange(N) == 0, 0.2)
    found = of_frame(LABELS.assign(feh=turned), CATALOGUE_USE)
    assert "its sign can be turned" in found.left_out["feh"]
    rich = of_frame(LABELS.assign(feh=LABELS["feh"] + 2.1), CATALOGUE_USE)  # 0.4 in the middle
    assert rich.has("feh")


def test_magnitudes_of_2mass_in_ab_or_exchanged_are_left_out():
    assert of_frame(STARS, GAIA_USE).has("j_mag", "h_mag", "ks_mag")
    ab = STARS.assign(j_m=STARS["j_m"] + 0.91, h_m=STARS["h_m"] + 1.39, ks_m=STARS["ks_m"] + 1.85)
    found = of_frame(ab, GAIA_USE)
    assert "can be AB magnitudes, or exchanged" in found.left_out["j_m"]
    assert not {"j_mag", "h_mag", "ks_mag"} & set(found.table)


def test_the_corrected_excess_is_no_excess_factor():
    assert of_frame(STARS, GAIA_USE).has("excess_factor")
    corrected = STARS.assign(phot_bp_rp_excess_factor=RNG.normal(0.02, 0.02, N).clip(0.001))
    found = of_frame(corrected, GAIA_USE)
    assert "is it the corrected one, C*?" in found.left_out["phot_bp_rp_excess_factor"]


@pytest.mark.parametrize(
    ("name", "value"), [("feh", 0.0), ("feh", -2.5), ("logg", 5.0), ("teff", 12_000.0)]
)
def test_labels_at_the_edge_of_a_grid_are_no_measurements(name, value):
    limit = {"feh": -2.49, "logg": 4.99, "teff": 11_990.0}[name]
    honest = LABELS.assign(
        **{name: LABELS[name].clip(*((limit, 9) if name == "feh" else (0, limit)))}
    )
    wrong = honest.assign(**{name: honest[name].mask(SOME, value)})
    found = of_frame(wrong, CATALOGUE_USE)
    assert found.table[name].isna().tolist() == SOME.tolist()
    assert any("edge of a grid" in cells.why for cells in found.implausible)
    others = [one for one in ("teff", "logg", "feh") if one != name]
    assert found.table[others].notna().all().all()


def test_one_star_of_many_rows_and_rounded_labels_keep_theirs():
    coarse = LABELS.assign(logg=LABELS["logg"].round(1), feh=(LABELS["feh"] * 2).round() / 2)
    assert of_frame(coarse, CATALOGUE_USE).table[["logg", "feh"]].notna().all().all()
    star = LABELS.assign(ra=np.where(SOME, 10.0, 20.0 + np.arange(N)), dec=30.0)
    for name, value in (("teff", 12_000.0), ("logg", 4.6), ("feh", 0.0)):
        star[name] = star[name].mask(SOME, value)
    assert of_frame(star, CATALOGUE_USE).table[["teff", "logg", "feh"]].notna().all().all()


@pytest.mark.parametrize("feh", [-2.31, 0.14])
@pytest.mark.parametrize("field", [180.0, 2.5])
def test_stars_of_a_cluster_keep_its_metals_where_no_other_star_is_poorer_or_richer(feh, field):
    sky = {"ra": 150.0, "dec": 20.0}
    beside = LABELS.assign(
        feh=LABELS["feh"].clip(-2.3, 0.1) + RNG.uniform(0, 0.01, N),
        **{
            one: mid + RNG.uniform(-field, field, N) / (1 + (one == "dec"))
            for one, mid in sky.items()
        },
    )
    members = {
        one: np.where(SOME, mid + RNG.normal(0, 0.1, N), beside[one]) for one, mid in sky.items()
    }
    table = beside.assign(feh=beside["feh"].mask(SOME, feh), **members)
    assert of_frame(table, CATALOGUE_USE).table["feh"].notna().all()
    apart = table.assign(ra=beside["ra"], dec=beside["dec"])
    assert of_frame(apart, CATALOGUE_USE).table["feh"].isna().tolist() == SOME.tolist()
