"""Reference stars: columns of the literature and our own, what is refused, read once."""

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import CatalogueError
from msfa_core.stars.reference import reference_stars


def test_columns_of_xue_2011_and_of_this_catalogue_are_known(tmp_path):
    path = tmp_path / "Xue.csv"
    path.write_text("D0.2,fm,cHg,bHg\n22.86,0.25,0.86,9.17\n26.3,,0.93,9.65\n")
    stars = reference_stars(path)
    assert (stars.name, len(stars)) == ("Xue", 2)
    x, y = stars.places("d02_hdelta", "fm_hdelta")
    assert (list(x), list(y)) == ([22.86], [0.25])
    assert len(stars.places("shape_hgamma", "width_hgamma")[0]) == 2
    assert len(stars.places("d02_hgamma", "fm_hgamma")[0]) == 0
    own = tmp_path / "own.csv"
    own.write_text("obsid,d02_hdelta,kp\n1,22.0,0.9\n")
    assert reference_stars(own).places("d02_hdelta", "kp")[1] == approx([0.9])


def test_a_table_is_read_again_only_when_it_has_changed(tmp_path):
    path = tmp_path / "stars.parquet"
    frame = pd.DataFrame({"d02_hdelta": [20.0], "fm_hdelta": [0.2]})
    frame.to_parquet(path)
    first = reference_stars(path)
    assert reference_stars(str(path)) is first
    pd.concat([frame, frame]).to_parquet(path)
    assert len(reference_stars(path)) == 2


@pytest.mark.parametrize("text", ["ra,dec\n1,2\n", "fm,ra\n0.2,3\n", "d0.2,fm\n"])
def test_a_table_without_any_plane_is_refused(tmp_path, text):
    path = tmp_path / "stars.csv"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=r"stars\.csv: no reference stars"):
        reference_stars(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CatalogueError, match="no such file"):
        reference_stars(tmp_path / "none.dat")


def test_members_of_clusters_are_placed_without_dust_where_both_are_known(tmp_path):
    path = tmp_path / "members.csv"
    path.write_text("g_mag,bp_rp,bp_rp0,M_G0\n15,0.30,0.17,0.8\n15,0.4,,0.9\n")
    colour, magnitude = reference_stars(path).places("bp_rp", "abs_mag_g")
    assert (list(colour), list(magnitude)) == ([0.17], [0.8])
    exported = tmp_path / "exported.csv"
    exported.write_text("bp_rp,bp_rp0,abs_mag_g\n0.30,0.17,1.1\n")
    colour, magnitude = reference_stars(exported).places("bp_rp", "abs_mag_g")
    assert (list(colour), list(magnitude)) == ([0.30], [1.1])


@pytest.mark.real
def test_the_members_of_14_globular_clusters_are_read_without_dust(real_data):
    path = real_data / "catalogues" / "derived" / "gc_members_gaia_cmd.csv"
    stars = reference_stars(path)
    colour, magnitude = stars.places("bp_rp", "abs_mag_g")
    rows = pd.read_csv(path)
    assert len(stars) == len(rows) == 4907
    assert colour == approx(rows["bp_rp0"].dropna().to_numpy())
    assert magnitude == approx(rows["M_G0"][rows["bp_rp0"].notna()].to_numpy())


@pytest.mark.real
def test_the_stars_of_xue_2011_are_read_and_lie_within_their_limits(real_data):
    stars = reference_stars(real_data / "catalogues/xue2011_rothalo/BHB_Xue2011.dat")
    d02, fm = stars.places("d02_hdelta", "fm_hdelta")
    shape, width = stars.places("shape_hgamma", "width_hgamma")
    assert len(d02) == len(shape) == 4985
    assert ((d02 <= 29) & (fm <= 0.35)).mean() > 0.98
    assert np.median(shape) == approx(1.0, abs=0.15)
    assert np.median(width) == approx(9.0, abs=1.5)
