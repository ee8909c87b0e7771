"""Model stars in the D0.2–fm plane: BHB stars apart from the main sequence, as published."""

import numpy as np
import pytest

from msfa_core.balmer.selection import SELECTIONS
from msfa_core.errors import ExportError
from msfa_core.workshop.d02_fm_plane import draw, main, measured_models


@pytest.fixture(scope="module")
def stars():
    return measured_models()


def test_every_model_is_measured(stars):
    assert len(stars) > 80
    assert np.isfinite(stars.filter(regex="d02|fm|width|shape")).all(axis=None)


@pytest.mark.parametrize("line", ["hdelta", "hgamma"])
@pytest.mark.parametrize("teff", [8500, 9000, 9500])
def test_bhb_stars_have_narrower_lines_than_dwarfs_of_their_temperature(stars, line, teff):
    warm = stars[stars["teff"] == teff]
    bhb, dwarfs = (
        warm.loc[warm["group"] == group, f"d02_{line}"] for group in ("BHB", "main sequence")
    )
    assert bhb.max() < dwarfs.min()
    assert dwarfs.mean() - bhb.mean() > 4


def test_at_8000_k_the_shape_of_hdelta_separates_what_d02_does_not(stars):
    cool = stars[stars["teff"] == 8000]
    bhb, dwarfs = (cool[cool["group"] == group] for group in ("BHB", "main sequence"))
    assert bhb["d02_hdelta"].max() > dwarfs["d02_hdelta"].min()
    assert bhb["shape_hdelta"].min() > dwarfs["shape_hdelta"].max() + 0.05


def test_the_warm_dwarfs_lie_outside_the_published_selections_and_most_bhb_stars_inside(stars):
    warm = stars[stars["teff"] >= 8500]
    for name in ("xue2011", "ju2024"):
        inside = np.ones(len(warm), dtype=bool)
        for line in SELECTIONS[name].lines:
            values = [warm[f"{q}_{line}"].to_numpy() for q in ("d02", "fm", "width", "shape")]
            inside &= SELECTIONS[name].contains(line, *values)
        assert not inside[warm["group"] == "main sequence"].any()
        assert inside[warm["group"] == "BHB"].mean() > 0.7


def test_the_picture_is_written(stars, tmp_path):
    path = draw(stars, tmp_path / "plane.png")
    assert path.stat().st_size > 20_000
    with pytest.raises(ExportError, match="cannot be written"):
        draw(stars, tmp_path / "nowhere" / "plane.png")


def test_the_command_says_where_the_models_lie(tmp_path, caplog):
    caplog.set_level("INFO")
    assert main([str(tmp_path / "plane.png")]) == 0
    assert "BHB, Hδ: D0.2" in caplog.text
