"""Real catalogues: published pairs are found again, repeat observations are one star."""

import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.io import ascii as astropy_ascii
from astropy.io import fits

from msfa_core.columns import PAPER_COLUMNS, conform
from msfa_core.stars.crossmatch import CATALOGUE_USE, join_catalogue, match_sky
from msfa_core.stars.epochs import assign_uids
from msfa_core.stars.known import drop_known, mark_known
from msfa_core.tables.door import open_table
from msfa_core.tables.export import FORMATS, export
from msfa_core.tables.row_keys import positions

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def catalogues(real_data):
    return real_data / "catalogues"


@pytest.fixture(scope="module")
def xue2011(catalogues):
    folder = catalogues / "xue2011_rothalo"
    readme = (folder / "ReadMe_BHB").read_text().replace("table1.dat", "BHB_Xue2011.dat")
    data = (folder / "BHB_Xue2011.dat").read_text()
    reader = astropy_ascii.get_reader(astropy_ascii.Cds, readme=readme.splitlines())
    reader.data.table_name = "BHB_Xue2011.dat"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader.read(data.splitlines()).to_pandas()


def headers(folder):
    """Identity of every LAMOST file of a folder, from its header."""
    rows = []
    for path in sorted(folder.rglob("*.fits.gz")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.getheader(path)
        rows.append((path.name, header.get("OBSID"), header.get("RA"), header.get("DEC")))
    return pd.DataFrame(rows, columns=["file", "obsid", "ra", "dec"])


def test_the_stars_that_xue_2011_and_barbosa_2022_share_are_found_again(catalogues, xue2011):
    barbosa = pd.read_csv(catalogues / "barbosa2022_bhb_dist" / "bhb_final.csv")
    shared = pd.read_csv(catalogues / "derived" / "xue11_x_barbosa22.csv")
    places = (positions(xue2011, "Xue 2011"), positions(barbosa, "Barbosa 2022"))
    i, j, separation = match_sky(*places[0], *places[1], 3.0)
    ours = pd.DataFrame(
        {
            "ra": places[0][0][i].round(6),
            "dec": places[0][1][i].round(6),
            "objid": barbosa["objid_1"].to_numpy()[j],
            "separation": separation,
        }
    )
    both = ours.merge(shared, left_on=["ra", "dec", "objid"], right_on=["RAdeg", "DEdeg", "objid"])
    print(f"\n{len(ours)} pairs here, {len(shared)} in the derived table, {len(both)} in both")
    assert len(xue2011) == 4985
    assert len(ours) == len(shared) == len(both) == 3960
    assert np.abs(both["separation"] - both["sep_arcsec"]).max() < 1e-3


def test_known_bhb_stars_are_marked_and_dropped(catalogues, xue2011):
    xue2008 = astropy_ascii.read(
        catalogues / "xue2008_BruceWillis" / "xue08_bhb.txt", format="mrt"
    ).to_pandas()  # fmt: skip
    barbosa = pd.read_csv(catalogues / "barbosa2022_bhb_dist" / "bhb_final.csv")
    candidates = barbosa[["ra", "dec"]].assign(obsid=np.arange(1, len(barbosa) + 1))
    marks = mark_known(candidates, {"Xue2008": xue2008, "Xue2011": xue2011})
    counts = {name: int(marks.str.contains(name).sum()) for name in ("Xue2008", "Xue2011")}
    print(f"\nof {len(candidates)} stars of Barbosa et al. 2022: {counts}")
    assert counts["Xue2011"] == 3960
    assert 1000 < counts["Xue2008"] < counts["Xue2011"]
    assert len(drop_known(candidates.assign(known_in=marks))) == int(marks.isna().sum())


def test_repeat_observations_of_lamost_are_one_star(real_data):
    folder = real_data / "lamost" / "JunHuiLiu2017"
    groups = pd.read_csv(folder / "repeat_observations.csv").dropna(subset=["GroupID"])
    table = headers(folder).merge(groups, on="file")
    table["obsid"] = table["obsid"].fillna(table["combined_obsid"]).astype("int64")
    found = assign_uids(table[["obsid", "ra", "dec"]])
    together = table.assign(uid=found["uid"]).groupby("GroupID")["uid"].nunique()
    apart = table.assign(uid=found["uid"]).groupby("uid")["GroupID"].nunique()
    print(f"\n{len(table)} spectra, {len(together)} groups of the authors, {len(apart)} stars here")
    assert len(table) > 50
    assert len(together) == len(apart) == 58
    assert (together == 1).all()


def test_a_real_catalogue_joins_on_obsid_and_on_file_name(real_data, catalogues):
    table = pd.read_csv(catalogues / "lamost_learninglamost" / "my_data3.csv")
    candidates = headers(real_data / "lamost")
    numbers = pd.Series(np.arange(len(candidates)) + 10**12)  # files that state no obsid
    candidates["obsid"] = candidates["obsid"].fillna(numbers).astype("int64")
    by = {
        how: join_catalogue(candidates[["obsid", "file"]], table, how=how)
        for how in ("obsid", "file")
    }
    counts = {how: int(joined["teff"].notna().sum()) for how, joined in by.items()}
    print(f"\nof {len(candidates)} spectra {counts} have labels")
    assert counts["obsid"] == 2
    assert counts["file"] == 64
    shared = by["obsid"]["teff"].notna()
    assert (by["obsid"]["teff"] == by["file"]["teff"])[shared].all()
    known = by["file"]["teff"].notna() & candidates["ra"].notna()
    offset = np.abs(by["file"]["dec"] - candidates["dec"])[known] * 3600
    assert known.sum() > 60
    assert offset.max() < 3
    assert by["file"]["catalogue_obsid"][shared].tolist() == candidates["obsid"][shared].tolist()


@pytest.mark.parametrize("suffix", FORMATS)
def test_real_stars_go_out_in_every_format(catalogues, tmp_path, suffix):
    stars = pd.read_csv(catalogues / "lamost_dr10_afg_gcbellys" / "type_A_params.csv")
    table = conform(stars.rename(columns={"snrg": "snr_g"}))
    header = {"title": "A stars", "selection": "subclass A of LAMOST DR10"}
    path = export(table, tmp_path / f"a.{suffix}", columns="full", header=header)
    assert path.stat().st_size > 50_000
    if suffix == "mrt":
        back = astropy_ascii.read(path, format="mrt")
        assert back["obsid"].tolist() == stars["obsid"].tolist()
        assert np.abs(back["ra"] - stars["ra"]).max() < 1e-6
        assert back["subclass"].tolist() == stars["subclass"].tolist()
        assert set(PAPER_COLUMNS) <= set(back.colnames)


REAL_TABLES = (  # file, names that the file has otherwise
    ("wd_montwar_bobabel/MontWarWDs.csv",
     {"RA_ICRS": "ra", "DE_ICRS": "dec", "Plx": "parallax", "pmRA": "pmra", "pmDE": "pmdec",
      "PM": "pm", "TeffH": "teff", "Gmag": "g_mag", "BPmag": "bp_mag", "RPmag": "rp_mag"}),
    ("gaia_lamost_xmatch_liorlinho/gaia_lamost_larger_velocity_features.csv",
     {"ra_gaia": "ra", "dec_gaia": "dec", "pm_total": "pm"}),
    ("derived/gc_members_gaia_cmd.csv", {"plx": "parallax"}),
    ("lamost_dr10_afg_gcbellys/type_A_params.csv", {}),
    ("lamost_dr10_afg_gcbellys/type_G_params.csv", {}),
)  # fmt: skip
JUDGED = ("ra", "dec", "parallax", "pmra", "pmdec", "pm", "teff", "logg", "feh", "g_mag", "bp_mag",
          "rp_mag", "bp_rp")  # fmt: skip


@pytest.mark.parametrize(("file", "names"), REAL_TABLES)
def test_parts_of_real_catalogues_keep_what_the_whole_keeps(catalogues, tmp_path, file, names):
    whole = pd.read_csv(catalogues / file, low_memory=False).rename(columns=names)
    whole = whole[[name for name in JUDGED if name in whole]].apply(pd.to_numeric, errors="coerce")
    rng = np.random.default_rng(8)
    for n in (5, 12, 20, 40, 300, 10_000):
        for _ in range(6):
            part = whole.iloc[rng.choice(len(whole), min(n, len(whole)), replace=False)]
            part.insert(0, "obsid", 601_000_001 + 3 * np.arange(len(part)))
            part.to_csv(tmp_path / "part.csv", index=False)
            found = open_table(tmp_path / "part.csv", CATALOGUE_USE)
            said = [why for name, why in found.left_out.items() if name in ("feh", "bp_rp", "pmra")]
            said += [why for why in found.left_out.values() if "move by" in why]
            assert not said
