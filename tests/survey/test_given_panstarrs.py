"""Pan-STARRS tables given to a survey, and what becomes of its stars."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from astropy_healpix import lonlat_to_healpix
from pytest import approx
from small_survey import star_spectrum

from msfa_core.constants import LAMOST_GRID, MJD_J2000
from msfa_core.errors import CatalogueError
from msfa_core.flags import FluxFlag, UidFlag
from msfa_core.photometry.synthetic import synthetic_magnitudes
from msfa_core.products.writing import write_products
from msfa_core.spine.run import run
from msfa_core.stars.multi_epoch import multi_epoch_table
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import give
from msfa_core.survey.status import status
from msfa_core.tables.export import export
from msfa_core.tables.own import read_export

OBJID = 132_331_848_012_345_679
RA, DEC = np.array([10.0, 10.0, 40.0, 80.0]), np.array([20.0, 20.0, 30.0, 40.0])
MJD = 57_826.25  # five years after the epoch of the table
STEP = np.where(LAMOST_GRID.wavelength > 5850, 0.5, 1.0)  # of the red arm of the last spectrum


@pytest.fixture
def survey(tmp_path):
    """Three stars, the first with two spectra; the red arm of the last one is too faint."""
    rng = np.random.default_rng(3)
    made = [star_spectrum(700 + k, 9.0, 0.7, 0.0, 60.0, rng, f"{k}.fits") for k in range(4)]
    for k, spectrum in enumerate(made):
        object.__setattr__(spectrum, "ra", RA[k])
        object.__setattr__(spectrum, "dec", DEC[k])
        spectrum.meta["lmjd"] = str(int(MJD))
    object.__setattr__(made[3], "flux", (made[3].flux * STEP).astype(np.float32))
    survey = Survey.create(tmp_path / "s", dust_map="none")
    survey.archive.append(made)
    return survey


def pan_starrs(survey, rows=(0, 2, 3), **columns):
    """Rows of Pan-STARRS with the colours of the star, in the words of the archive."""
    rows = list(rows)
    spectra = survey.spectra(np.array([700, 700, 702, 702])[rows])  # all are alike
    mags, _ = synthetic_magnitudes(spectra.wavelength, spectra.flux, ~spectra.mask)
    base = {
        "objID": OBJID + 3 * np.arange(len(rows)), "raMean": RA[rows], "decMean": DEC[rows],
        "epochMean": 56_000.0, "qualityFlag": 52,
    }  # fmt: skip
    for k, band in enumerate("grizy"):
        own = mags[:, min(k, 2)] - mags[:, 1] + 16.0
        base |= {f"{band}MeanPSFMag": own, f"{band}MeanPSFMagErr": 0.01}
    return pd.DataFrame({**base, **columns})


def written(path, table):
    """Write a table in the format of the ending of its name."""
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        kind = {".fits": "fits", ".vot": "votable"}[path.suffix]
        Table.from_pandas(table).write(path, format=kind)
    return path


def kept(survey):
    return sorted(str(path) for path in survey.path.rglob("*.parquet"))


@pytest.mark.parametrize("name", ["ps.csv", "ps.fits", "ps.vot"])
def test_a_table_of_every_kind_is_kept_and_joined(survey, tmp_path, name):
    table = pan_starrs(survey)
    (said,) = give(survey, panstarrs=[written(tmp_path / name, table)])
    assert said.startswith(f"{name}: 3 rows; 4 spectra matched (4 by position)")
    assert survey.provenance[-1]["use"] == "panstarrs"
    run(survey, ["place"], workers=1)
    found = survey.table()
    assert found["ps_id"].tolist() == [OBJID, OBJID, OBJID + 3, OBJID + 6]
    assert (found["ps_flags"] == 0).all()
    assert found["ps_y_mag_err"].tolist() == [0.01] * 4


def test_a_catalogue_in_hats_format_is_read_where_the_stars_are(survey, tmp_path):
    folder, rows = tmp_path / "ps1_hats", pan_starrs(survey)
    pixel = lonlat_to_healpix(
        rows["raMean"].to_numpy() * u.deg, rows["decMean"].to_numpy() * u.deg, 4, order="nested"
    )
    for number, part in rows.groupby(pixel):
        file = folder / "dataset" / "Norder=2" / "Dir=0" / f"Npix={number}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(file, index=False)
    (folder / "hats.properties").write_text("hats_col_ra=raMean\n")
    (said,) = give(survey, panstarrs=[folder])
    assert "4 spectra matched (4 by position)" in said


def test_a_table_of_another_hemisphere_says_so_and_is_not_kept(survey, tmp_path):
    before = kept(survey)
    south = pan_starrs(survey, decMean=[-80.0, -70.0, -60.0])
    words = r"ps\.csv: none of the 4 spectra.*declinations are -80\.0 to -60\.0.*another part"
    with pytest.raises(CatalogueError, match=words):
        run(survey, ["place"], panstarrs=written(tmp_path / "ps.csv", south), workers=1)
    assert kept(survey) == before


def test_of_identifiers_that_lost_digits_the_line_names_the_column(survey, tmp_path):
    table = pan_starrs(survey)
    table["objID"] = [f"{float(one):.8e}" for one in table["objID"]]
    (said,) = give(survey, panstarrs=[written(tmp_path / "ps.csv", table)])
    assert "objID" in said and "lost digits" in said
    run(survey, ["place"], workers=1)
    assert survey.table()["ps_id"].isna().all()  # no identifier rather than a wrong one
    assert survey.table()["ps_r_mag"].tolist() == approx([16.0] * 4)


def test_parts_add_up_and_of_a_source_given_twice_the_last_row_counts(survey, tmp_path):
    give(survey, panstarrs=[written(tmp_path / "a.csv", pan_starrs(survey))])
    again = pan_starrs(survey).iloc[:1].assign(gMeanPSFMag=15.25)
    (said,) = give(survey, panstarrs=[written(tmp_path / "b.csv", again)])
    assert "replaces 1 of them, 1 with other values" in said
    run(survey, ["place"], workers=1)
    found = survey.table()
    assert found["ps_g_mag"].tolist()[:2] == [15.25] * 2
    assert not (found["ps_g_mag"].iloc[2:] == 15.25).any()


def test_a_star_that_gaia_saw_move_is_found_where_pan_starrs_saw_it(survey, tmp_path):
    years = (MJD - MJD_J2000) / 365.25 + 2000.0 - 2016.0
    gaia = pd.DataFrame(
        {
            "source_id": [4_611_686_018_427_387_905], "ra": RA[2], "phot_g_mean_mag": 15.0,
            "dec": DEC[2] - 3.0 * years / 3600, "pmra": 0.0, "pmdec": 3000.0,
        }
    )  # fmt: skip
    table = pan_starrs(survey)
    table.loc[1, "decMean"] = DEC[2] - 15.0 / 3600
    files = {
        "gaia": written(tmp_path / "gaia.csv", gaia),
        "panstarrs": written(tmp_path / "ps.csv", table),
    }
    run(survey, ["place"], workers=1, **files)
    assert survey.table()["ps_id"].tolist()[2] == OBJID + 3
    assert survey.table()["ps_separation"].tolist()[2] == approx(0.0, abs=0.02)


def test_a_star_is_named_by_gaia_then_by_pan_starrs_then_by_its_place(survey, tmp_path):
    gaia = pd.DataFrame({"source_id": [77], "ra": RA[3:], "dec": DEC[3:], "phot_g_mean_mag": 15.0})
    table = pan_starrs(survey, (0, 3))
    second = table.iloc[:1].assign(objID=OBJID + 99, decMean=DEC[0] + 2.5 / 3600)
    files = {
        "gaia": written(tmp_path / "gaia.csv", gaia),
        "panstarrs": written(tmp_path / "ps.csv", pd.concat([table, second])),
    }
    run(survey, ["place", "identify"], workers=1, **files)
    found = survey.table()
    assert found["uid"].tolist()[:2] == [f"P{OBJID}"] * 2
    assert found["uid"].str[0].tolist() == ["P", "P", "L", "G"]
    doubt = int(UidFlag.SEVERAL_PANSTARRS)
    assert ((found["uid_flags"] & doubt) != 0).tolist() == [True, True, False, False]


def test_a_faint_red_arm_is_found_flagged_and_written_everywhere(survey, tmp_path):
    path = written(tmp_path / "ps.csv", pan_starrs(survey))
    run(survey, ["place", "check", "identify"], panstarrs=path, workers=1)
    found = survey.table()
    tilt, flags = found["flux_calibration"].to_numpy(), found["flux_calibration_flags"].to_numpy()
    assert tilt[:3] == approx(np.zeros(3), abs=0.02)
    assert tilt[3] == approx(0.75, abs=0.15)
    assert flags.tolist()[:3] == [0, 0, 0]
    assert FluxFlag.sentences(flags[3]) == [
        FluxFlag.TILTED.sentence, FluxFlag.ARMS_DISAGREE.sentence,
    ]  # fmt: skip
    assert any("step at their joint" in line for line in status(survey).lines())
    export(found, tmp_path / "out.fits", columns="full", header={})
    again = read_export(tmp_path / "out.fits")
    assert again["ps_id"].tolist() == found["ps_id"].tolist()
    assert again["flux_calibration"].to_numpy() == approx(tilt)
    write_products(survey, tmp_path / "products")
    with_results = Table.read(next((tmp_path / "products").glob("*.fits")), hdu="RESULTS")
    assert {"ps_id", "ps_g_mag", "flux_calibration"} <= set(with_results.colnames)
    star = multi_epoch_table(found).iloc[0]
    assert (star["ps_id"], star["obs_number"]) == (OBJID, 2)
    assert star["ps_r_mag"] == approx(16.0)


def test_without_pan_starrs_nothing_is_read_and_status_is_silent_about_it(survey, monkeypatch):
    def refuse(*_):
        raise AssertionError("a spectrum was read")

    monkeypatch.setattr("msfa_core.survey.completing.SurveyShard.spectra", refuse)
    run(survey, ["place", "check"], workers=1)
    found = survey.table()
    assert found["flux_calibration"].isna().all()
    assert set(found["flux_calibration_flags"]) == {int(FluxFlag.NO_PHOTOMETRY)}
    assert not any("Pan-STARRS" in line for line in status(survey).lines())
