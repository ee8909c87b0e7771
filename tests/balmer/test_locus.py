"""Ca II K loci: what the table says of model stars, and on which side of the line stars fall."""

import numpy as np
import pytest
from library_spectra import at_lamost, library_stars, manifest, read_miles
from pytest import approx

from msfa_core.balmer import calcium_k, fit_lines
from msfa_core.balmer.locus import (
    ABSCISSAE,
    GAP_MIN,
    above_dividing_line,
    calcium_loci,
    dividing_line,
    dividing_line_errors,
)
from msfa_core.errors import ConfigError, ModelError
from msfa_core.rules import in_kiel_band


def test_the_loci_are_those_of_bhb_stars_and_of_solar_stars():
    loci = calcium_loci()
    bhb = [locus for locus in loci if locus.sequence == "bhb"]
    solar = [locus for locus in loci if locus.sequence == "pop1"]
    assert [locus.feh for locus in bhb] == [-3, -2.5, -2, -1.5, -1, -0.8]
    assert [locus.logg[0] for locus in solar] == [3, 3.5, 4, 4.3]
    assert {locus.feh for locus in solar} == {0.0}
    for locus in loci:
        assert (locus.teff[0], locus.teff[-1]) == (7500, 11_500)
        assert (np.diff(locus.bp_rp) < 0).all()
    assert all(in_kiel_band(locus.teff, locus.logg).all() for locus in bhb)


def test_calcium_grows_with_metals_and_fades_with_temperature():
    loci = [locus for locus in calcium_loci() if locus.sequence == "bhb"]
    for poor, rich in zip(loci, loci[1:], strict=False):
        assert (rich.kp[:20] > poor.kp[:20]).all()
    assert all(locus.kp[0] > locus.kp[-1] for locus in loci)


@pytest.mark.parametrize("abscissa", ABSCISSAE)
def test_the_line_leaves_bhb_stars_below_and_cool_solar_stars_above(abscissa):
    x, kp = dividing_line(abscissa)
    assert len(x) > 50
    assert (np.diff(x) > 0).all()
    for locus in calcium_loci():
        height = above_dividing_line(locus.kp, locus.along(abscissa), abscissa)
        placed = np.isfinite(height)
        if locus.sequence == "bhb":
            assert placed.sum() > 5
            assert (height[placed] <= -0.4 * GAP_MIN).all(), locus.feh
        else:
            cool = placed & (locus.teff <= locus.teff[np.argmax(locus.d02_hdelta)])
            assert cool.sum() > 3
            assert (height[cool] >= 0.2 * GAP_MIN).all(), locus.logg[0]


def test_a_hot_solar_star_lies_below_the_line_against_hdelta_but_not_against_temperature():
    giant = next(locus for locus in calcium_loci() if locus.sequence == "pop1")
    hot = giant.teff == 9200
    assert above_dividing_line(giant.kp[hot], giant.d02_hdelta[hot], "d02_hdelta")[0] < 0
    assert above_dividing_line(giant.kp[hot], giant.teff[hot], "teff")[0] > 0


def test_beyond_the_ends_of_the_line_nothing_is_said():
    x, _ = dividing_line("teff")
    height = above_dividing_line([1.0, 1.0, np.nan], [x[0] - 1, x[-1] + 1, 9000.0], "teff")
    assert np.isnan(height).all()


def test_heights_scatter_by_the_errors_of_both_axes():
    x, kp = dividing_line("d02_hdelta")
    at, kp_err, x_err = x[len(x) // 2], 0.05, 0.7
    rng = np.random.default_rng(11)
    drawn = at + x_err * rng.standard_normal(20_000), kp_err * rng.standard_normal(20_000)
    scatter = np.nanstd(above_dividing_line(drawn[1], drawn[0], "d02_hdelta"))
    found = dividing_line_errors([kp_err], [at], [x_err], "d02_hdelta")
    assert found == approx(scatter, rel=0.1)
    assert scatter > 1.5 * kp_err
    edges = dividing_line_errors(
        [kp_err, np.nan, kp_err], [at, at, x[-1] + 1], [np.nan, x_err, x_err], "d02_hdelta"
    )
    assert edges[0] == approx(kp_err)  # an abscissa without an error counts as exact
    assert np.isnan(edges[1:]).all()  # no error of KP; beyond the line


def test_an_unknown_abscissa_and_a_foreign_table_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="d02_hdelta, bp_rp, teff"):
        dividing_line("logg")
    foreign = tmp_path / "loci.csv"
    foreign.write_text("sequence,teff\nbhb,8000\n")
    with pytest.raises(ModelError, match="logg"):
        calcium_loci(foreign)
    with pytest.raises(ModelError, match="restore"):
        calcium_loci(tmp_path / "none.csv")


@pytest.mark.real
def test_real_bhb_stars_lie_below_the_line_and_solar_a_stars_above_but_for_am_stars(real_data):
    paths = library_stars(real_data, "miles")
    table = manifest(real_data).loc[[str(path.relative_to(real_data)) for path in paths]]
    rng = np.random.default_rng(4)
    spectra = [at_lamost(read_miles(path), 200, rng) for path in paths]
    kp = calcium_k(spectra)["kp"].to_numpy()
    d02 = fit_lines(spectra, lines=("hdelta",)).d02[:, 0]
    name = table["notes"].str.replace(" ", "").to_numpy()
    bhb = (table["object_class"] == "BHB").to_numpy()
    solar = (
        (table["object_class"] == "A")
        & (table["feh"] > -0.5)
        & (table["logg"] >= 3)
        & table["teff"].between(7500, 10_000)
    ).to_numpy()
    assert (bhb.sum(), solar.sum()) == (5, 19)
    by_teff = above_dividing_line(kp, table["teff"], "teff")
    assert (by_teff[bhb] < -1.2).all(), dict(zip(name[bhb], by_teff[bhb], strict=True))
    assert np.isfinite(by_teff[solar]).all()
    below = {n: round(h, 2) for n, h in zip(name[solar], by_teff[solar], strict=True) if h < -0.2}
    # metallic-line stars: weak Ca II K is what defines them
    assert set(below) == {"HD153286", "HD028546", "HD030210"}, below
    assert (by_teff[solar] > 0).sum() >= 14
    by_hdelta = above_dividing_line(kp, d02, "d02_hdelta")
    assert (by_hdelta[bhb] < -1.2).all(), dict(zip(name[bhb], by_hdelta[bhb], strict=True))
