"""Catalogues in HATS format: whole, of objects, and with each star once."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy_healpix import lonlat_to_healpix

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.tables.hats import open_hats

N = 600
ORDER = 2


def stars():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"source_id": 10**18 + rng.choice(10**9, N, replace=False)})
    table["ra"] = rng.uniform(0.0, 360.0, N)
    table["dec"] = np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, N)))
    return table.assign(phot_g_mean_mag=rng.uniform(11.0, 18.0, N))


def pixels(table):
    ra, dec = (table[name].to_numpy() * u.deg for name in ("ra", "dec"))
    return lonlat_to_healpix(ra, dec, 2**ORDER, order="nested")


def write(folder, table, kind="object", without=()):
    cells = pixels(table)
    place = folder / "dataset" / f"Norder={ORDER}" / "Dir=0"
    place.mkdir(parents=True)
    for pixel, part in table.groupby(cells):
        if pixel not in without:
            part.to_parquet(place / f"Npix={pixel}.parquet", index=False)
    listed = pd.DataFrame({"Norder": ORDER, "Npix": np.unique(cells)})
    listed.to_csv(folder / "partition_info.csv", index=False)
    (folder / "hats.properties").write_text(f"# HATS\ndataproduct_type = {kind}\n")
    return place


def opened(folder, own):
    return open_hats(folder, GAIA_USE, own["ra"].to_numpy(), own["dec"].to_numpy()).table


def test_a_collection_gives_its_objects_and_not_those_of_its_margin_again(tmp_path):
    table = stars()
    write(tmp_path / "gaia", table)
    write(tmp_path / "gaia_margin", table, "margin")
    said = "hats_primary_table_url = gaia\nall_margins = gaia_margin\n"
    (tmp_path / "collection.properties").write_text(said)
    own = table.iloc[:6]
    assert sorted(opened(tmp_path, own)["gaia_source_id"]) == sorted(own["source_id"])
    with pytest.raises(CatalogueError, match="is no catalogue of objects but its margin"):
        opened(tmp_path / "gaia_margin", own)
    (tmp_path / "collection.properties").write_text("hats_primary_table_url = other\n")
    with pytest.raises(CatalogueError, match="its table other is not there"):
        opened(tmp_path, own)


def test_a_partition_that_is_listed_and_not_there_is_named(tmp_path):
    table = stars()
    own = table.iloc[:6]
    lacking = int(pixels(own)[0])
    write(tmp_path / "a", table, without=(lacking,))
    with pytest.raises(CatalogueError, match=rf"lacks 1 of its partitions .*Npix={lacking}\)"):
        opened(tmp_path / "a", own)
    elsewhere = own[pixels(own) != lacking]
    assert len(opened(tmp_path / "a", elsewhere)) == len(elsewhere)


def test_a_damaged_partition_is_named(tmp_path):
    table = stars()
    own = table.iloc[:1]
    file = write(tmp_path / "a", table) / f"Npix={pixels(own)[0]}.parquet"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(CatalogueError, match=rf"{file.name} cannot be read"):
        opened(tmp_path / "a", own)


def test_partitions_may_differ_in_precision(tmp_path):
    table = stars()
    own = table.iloc[:6]
    place = write(tmp_path / "a", table)
    file = place / f"Npix={pixels(own)[0]}.parquet"
    pd.read_parquet(file).astype({"phot_g_mean_mag": "float32"}).to_parquet(file, index=False)
    found = opened(tmp_path / "a", own).set_index("gaia_source_id")["g_mag"]
    expected = own["phot_g_mean_mag"].to_numpy()
    assert found[own["source_id"]].to_numpy() == pytest.approx(expected, rel=1e-6)
