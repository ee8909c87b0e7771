import gzip
import io
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.table import Table
from local_lamost import start_lamost

from msfa_core.cli import run_cli
from msfa_core.config import Settings
from msfa_core.errors import CatalogueError, ConfigError, ExportError
from msfa_core.lamost import online as online_module
from msfa_core.lamost.select import Cuts, select
from msfa_core.rules import in_search_domain
from msfa_core.tables import pieces as module
from msfa_core.tables.pieces import open_catalogue
from msfa_core.tables.read import read_table

GAIA = 2919533451691384871  # a float would lose its last digits


def general(n=400, seed=3):
    rng = np.random.default_rng(seed)
    snr = rng.uniform(0, 40, n).round(2)
    snr[::17] = -9999.0
    return pd.DataFrame(
        {
            "obsid": 101001 + rng.permutation(n),
            "designation": [f"J{i:06d}" for i in range(n)],
            "planid": "5590601",
            "snrg": snr,
            "class": rng.choice(["STAR", "GALAXY", "Unknown"], n, p=[0.8, 0.1, 0.1]),
            "subclass": rng.choice(["A1V", "A7V", "B6", "F5", "sdB", "WD", "Non"], n),
            "z": rng.normal(0, 1e-4, n).round(8),
            "gaia_source_id": GAIA + np.arange(n),
            "ra": rng.uniform(0, 360, n),
            "dec": rng.uniform(-10, 60, n),
        }
    )


def expected(table):
    house = table.rename(columns={"snrg": "snr_g"})
    inside = in_search_domain(house, Settings()).to_numpy(bool)
    return np.sort(table["obsid"].to_numpy()[inside])


def write(table, path):
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif ".fits" in path.name:
        Table.from_pandas(table).write(path)
    else:
        text = table.to_csv(index=False, sep="|" if "pipe" in path.name else ",")
        content = text.encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    "name", ["pipe.csv", "pipe.csv.gz", "comma.csv", "a.fits", "a.fits.gz", "a.parquet"]
)
@pytest.mark.parametrize("out", ["out.csv", "out.fits", "out.parquet"])
def test_the_search_domain_comes_out_of_every_format(tmp_path, name, out, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 64)  # several pieces
    table = general()
    chosen = select(write(table, tmp_path / name), tmp_path / out)
    rows = read_table(tmp_path / out)
    wanted = table.set_index("obsid").loc[expected(table)].reset_index()
    assert list(rows["obsid"]) == list(wanted["obsid"])
    assert chosen.n_rows == len(wanted)
    assert (rows["gaia_source_id"] == wanted["gaia_source_id"]).all()
    assert (rows["snr_g"] == wanted["snrg"]).all()
    assert np.allclose(rows["ra"], wanted["ra"], rtol=0, atol=1e-12)
    assert (rows["subclass"] == wanted["subclass"]).all()
    assert (rows["planid"].astype("str") == "5590601").all()


def test_each_cut_is_counted_in_words(tmp_path):
    table = general()
    chosen = select(write(table, tmp_path / "a.csv"), tmp_path / "out.csv")
    star = table["class"] == "STAR"
    hot = star & table["subclass"].str.startswith(("A", "B"))
    assert chosen.counts == {
        "in the catalogue": 400,
        "class STAR": star.sum(),
        "subclass A or B": hot.sum(),
        "S/N(g) > 10": (hot & (table["snrg"] > 10)).sum(),
    }
    said = (tmp_path / "out.csv.provenance.json").read_text()
    assert "class STAR, subclass A or B, S/N(g) > 10" in said
    assert "sha256 of the catalogue" in said


def test_every_cut_is_an_option(tmp_path, capsys):
    table = general()
    source = write(table, tmp_path / "a.csv")
    options = ["--snr", "25", "--class", "star", "--subclass", "f,wd"]
    assert run_cli(["select", str(source), str(tmp_path / "o.csv"), "-q", *options]) == 0
    said = capsys.readouterr().out
    kept = table[(table["class"] == "STAR") & table["subclass"].isin(["F5", "WD"])]
    kept = kept[kept["snrg"] > 25]
    assert f"{len(kept)} S/N(g) > 25" in said
    assert "subclass F or WD" in said
    assert set(read_table(tmp_path / "o.csv")["obsid"]) == set(kept["obsid"])


def test_the_cut_of_the_setting_counts(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MSFA_SNR_MIN", "30")
    source = write(general(), tmp_path / "a.csv")
    assert run_cli(["select", str(source), str(tmp_path / "o.csv"), "-q"]) == 0
    assert "S/N(g) > 30" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.csv", "a.fits", "a.parquet"])
def test_missing_columns_are_named_beside_what_was_found(tmp_path, name):
    source = write(general().drop(columns=["snrg", "class"]), tmp_path / name)
    with pytest.raises(CatalogueError, match=r"no class .*no S/N in g .*snrg.*designation"):
        select(source, tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("name", ["pipe.csv.gz", "a.fits.gz", "a.fits", "a.parquet"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_a_half_written_catalogue_gives_nothing(tmp_path, name, share):
    source = write(general(4000), tmp_path / name)
    content = source.read_bytes()
    source.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CatalogueError, match=r"download it again"):
        select(source, tmp_path / "o.csv")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_row_cut_short_is_refused(tmp_path):
    source = write(general(), tmp_path / "pipe.csv")
    source.write_text(source.read_text()[:-60])
    with pytest.raises(CatalogueError, match="rows do not fit"):
        select(source, tmp_path / "o.csv")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"<!DOCTYPE html><html>log in</html>", b"\x00\x01\x02" * 99, b"one\ntwo\n"],
)
def test_what_is_no_catalogue_is_said_in_one_line(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogueError) as error:
        select(path, tmp_path / "o.csv")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_name_and_place_of_the_table_are_checked_first(tmp_path):
    out = tmp_path / "o.csv"
    out.write_text("precious")
    with pytest.raises(ExportError, match="--overwrite"):
        select(tmp_path / "none.csv", out)
    assert out.read_text() == "precious"
    with pytest.raises(ExportError, match=r"\.parquet"):
        select(tmp_path / "none.csv", tmp_path / "o.txt")
    with pytest.raises(ExportError, match="not a folder"):
        select(tmp_path / "none.csv", tmp_path / "x" / "o.csv")
    with pytest.raises(CatalogueError, match="no such file"):
        select(tmp_path / "none.csv", tmp_path / "new.csv")
    select(write(general(), tmp_path / "a.csv"), out, overwrite=True)
    assert len(read_table(out))


def test_comments_bom_trailing_delimiters_and_line_ends_do_not_matter(tmp_path):
    table = general(50)
    body = table.to_csv(index=False, sep="|").replace("\n", "|\n").replace("|\n", "\n", 1)
    text = "# made for a test\n" + body.replace("\n", "\r\n")
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    select(tmp_path / "a.csv", tmp_path / "o.csv")
    assert (read_table(tmp_path / "o.csv")["obsid"] == expected(table)).all()


@pytest.mark.parametrize("how", ["utf-16", "utf-16-be with mark", "gzip"])
def test_a_catalogue_in_utf_16_is_read_as_others_are(tmp_path, how):
    text = general().to_csv(index=False)
    content = text.encode("utf-16")
    if how == "utf-16-be with mark":
        content = b"\xfe\xff" + text.encode("utf-16-be")
    (tmp_path / "c.csv").write_bytes(gzip.compress(content) if how == "gzip" else content)
    select(tmp_path / "c.csv", tmp_path / "o.csv")
    assert (read_table(tmp_path / "o.csv")["obsid"] == expected(general())).all()


def test_blank_lines_behind_the_names_hide_no_rows(tmp_path):
    table = general(50)
    text = table.to_csv(index=False)
    (tmp_path / "a.csv").write_text(text.replace("\n", "\n\n\n", 1))
    (tmp_path / "b.csv").write_text(text)
    counts = [select(tmp_path / f"{k}.csv", tmp_path / f"{k}_out.csv").counts for k in "ab"]
    assert counts[0] == counts[1]


def test_an_obsid_that_comes_twice_is_counted_and_kept_once(tmp_path):
    table = general()
    double = pd.concat([table, table.iloc[:100]], ignore_index=True)
    chosen = select(write(double, tmp_path / "a.csv"), tmp_path / "o.csv")
    assert (read_table(tmp_path / "o.csv")["obsid"] == expected(table)).all()
    assert chosen.n_twice == len(expected(table.iloc[:100]))


def test_the_highest_snr_that_lamost_gives_is_one(tmp_path):
    table = general()
    table.loc[expected(table)[0] == table["obsid"], "snrg"] = 999.0  # as two of 3,000 in DR10
    table.to_csv(tmp_path / "c.csv", index=False)
    chosen = select(tmp_path / "c.csv", tmp_path / "o.csv")
    assert (chosen.n_rows, chosen.n_strange) == (len(expected(table)), 0)
    assert read_table(tmp_path / "o.csv")["snr_g"].max() == 999.0


@pytest.mark.parametrize("none", [9999.0, 32767.0, 65535.0, 99999.0, 1e20, np.inf])
def test_a_number_that_stands_for_no_snr_passes_no_cut(tmp_path, none):
    table = general()
    n = len(expected(table))
    row = table.index[table["obsid"] == expected(table)[0]]
    table["snrg"] = table["snrg"].astype(float)
    table.loc[row, "snrg"] = none
    selected = select(write(table, tmp_path / "general.csv"), tmp_path / "out.csv")
    assert (selected.n_rows, selected.n_strange) == (n - 1, 1)


def test_rows_without_an_obsid_are_no_table(tmp_path):
    table = general().assign(obsid=0)
    with pytest.raises(CatalogueError, match="rows that pass the cuts has an obsid"):
        select(write(table, tmp_path / "general.csv"), tmp_path / "out.csv")


def test_obsids_that_lost_digits_are_refused_by_file(tmp_path):
    table = general()
    table["obsid"] = [f"{7302035964381927 + one:.8E}" for one in table["obsid"]]
    with pytest.raises(CatalogueError, match="general.csv: obsid .*has lost digits"):
        select(write(table, tmp_path / "general.csv"), tmp_path / "out.csv")


def test_when_nothing_passes_the_counts_are_in_the_error(tmp_path):
    source = write(general(), tmp_path / "a.csv")
    with pytest.raises(CatalogueError, match=r"400 in the catalogue.* 0 S/N\(g\) > 999"):
        select(source, tmp_path / "o.csv", Cuts(snr_min=999))
    assert not (tmp_path / "o.csv").exists()


def test_a_choice_without_a_subclass_is_refused():
    with pytest.raises(ConfigError, match="subclass"):
        Cuts(searched=())
    with pytest.raises(ConfigError, match="no cut"):
        Cuts(snr_min=float("nan"))


def test_obsids_in_unsigned_integers_of_64_bits_are_read(tmp_path):
    table = general()
    columns = [fits.Column("obsid", "K", bzero=2**63, array=table["obsid"].astype("uint64"))]
    columns += [
        fits.Column(name, "D" if table[name].dtype == "float64" else "12A", array=table[name])
        for name in ("snrg", "class", "subclass", "ra", "dec")
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    select(tmp_path / "a.fits", tmp_path / "o.csv")
    assert (read_table(tmp_path / "o.csv")["obsid"] == expected(table)).all()


def test_two_columns_of_one_name_are_refused(tmp_path):
    text = general().assign(zz=1.0).to_csv(index=False)
    (tmp_path / "c.csv").write_text(text.replace(",zz\n", ",snrg\n", 1))
    with pytest.raises(CatalogueError, match="two columns snrg"):
        select(tmp_path / "c.csv", tmp_path / "o.csv")


@pytest.mark.parametrize("name", ["snrg", "ra", "SNRG", "RA", "other"])
def test_two_columns_of_one_name_in_fits_are_refused(tmp_path, name):
    table = general()
    columns = [
        fits.Column(one, {"f": "D", "i": "K"}.get(table[one].dtype.kind, "12A"), array=table[one])
        for one in ("obsid", "snrg", "class", "subclass", "ra", "dec", "planid")
    ]
    columns += [fits.Column(f"{word}_col", "D", array=table["dec"]) for word in ("one", "two")]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    for word in ("one", "two"):  # as no writer lets one name them
        content = content.replace(f"'{word}_col '".encode(), f"'{name:8}'".encode(), 1)
        if name != "other":
            break
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(CatalogueError, match="two columns|differ in case only"):
        select(tmp_path / "a.fits", tmp_path / "o.csv")


def test_scaled_and_null_integers_of_fits_are_read(tmp_path):
    columns = [
        fits.Column("obsid", "J", array=np.array([5, 6, 7]), bzero=2**31),
        fits.Column("lmjd", "J", array=np.array([1, -1, 3]), null=-1),
        fits.Column("class", "6A", array=["STAR"] * 3),
        fits.Column("subclass", "6A", array=["A1V"] * 3),
        fits.Column("snrg", "E", array=[20.0, 30.0, np.nan]),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    names = ["obsid", "lmjd"]
    (piece,) = open_catalogue(tmp_path / "a.fits").pieces(names)
    assert piece["obsid"].to_pylist() == [5, 6, 7]
    assert piece["lmjd"].to_pylist() == [1, None, 3]


def test_dictionary_columns_of_parquet_are_read(tmp_path):
    table = pa.Table.from_pandas(general())
    for name in ("class", "subclass"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.string()).dictionary_encode())
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    (tmp_path / "a.parquet").write_bytes(stream.getvalue())
    select(tmp_path / "a.parquet", tmp_path / "o.csv")
    assert (read_table(tmp_path / "o.csv")["obsid"] == expected(general())).all()


# --- the SQL service ----------------------------------------------------------------------------
@pytest.fixture
def lamost():
    knows, url, stop = start_lamost({})
    knows.url = url
    rows = general()
    rows.loc[5:9, "class"] = " star "
    rows.to_sql("catalogue", knows.database, index=False)
    knows.rows = rows
    yield knows
    stop()


def online(lamost, out, *options):
    words = ["select", str(out), "--online", "--server", lamost.url, "-q", *options]
    return run_cli(words)


def test_the_sql_service_gives_the_same_as_the_file(lamost, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(online_module, "PAGE", 30)
    lamost.most_rows = 20  # the service has a limit of its own
    lamost.moods = {"sql": ["busy"]}
    assert online(lamost, tmp_path / "o.csv") == 0
    said = capsys.readouterr().out.splitlines()
    rows = read_table(tmp_path / "o.csv")
    assert (rows["obsid"] == expected(lamost.rows)).all()
    chosen = select(write(lamost.rows, tmp_path / "a.csv"), tmp_path / "p.csv")
    counts = [f"{n:>12,} {words}" for words, n in chosen.counts.items()]
    assert [line for line in said if line in counts] == counts
    assert "catalogue of dr11 v2.0" in (tmp_path / "o.csv.provenance.json").read_text()
    there = read_table(tmp_path / "p.csv")
    assert (rows["gaia_source_id"] == there["gaia_source_id"]).all()


def test_what_the_sql_service_says_is_wrong_is_said(lamost, tmp_path, capsys):
    lamost.database.execute("drop table catalogue")
    assert online(lamost, tmp_path / "o.csv") == 1
    assert "SQLError: no such table" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_release_that_does_not_exist_lists_those_that_do(lamost, tmp_path, capsys):
    assert online(lamost, tmp_path / "o.csv", "--dr", "dr99") == 1
    assert "no dr99: the service has dr10 v2.0, dr11 v1.0" in capsys.readouterr().err


def test_no_word_of_sql_gets_into_a_question(lamost, tmp_path, capsys):
    assert online(lamost, tmp_path / "o.csv", "--subclass", "A' or '1'='1") == 1
    assert "letters and digits" in capsys.readouterr().err
    assert not any("1%27" in path for path in lamost.asked)


def test_catalogue_or_service_but_not_both(lamost, tmp_path, capsys):
    assert run_cli(["select", str(tmp_path / "a.csv")]) == 2
    assert online(lamost, tmp_path / "a.csv", str(tmp_path / "o.csv")) == 2
    assert run_cli(["select", "a.csv", "o.csv", "--dr", "dr11"]) == 2
    (tmp_path / "o.csv").write_text("precious")
    lamost.asked.clear()
    assert online(lamost, tmp_path / "o.csv") == 1
    assert lamost.asked == []


# --- numbers and words as people write them ------------------------------------------------------
WRITTEN = {
    "decimal commas": lambda text: text.replace(",", ";").replace(".", ","),
    "groups of digits": lambda text: text.replace("55.5", '"1,055.5"'),
    "bytes": lambda text: text.replace("STAR", "b'STAR'"),
    "a comment between": lambda text: text.replace("\n102", "\n# a remark\n102"),
    "names again": lambda text: text.replace("\n102", "\nobsid,class,subclass,snrg,z\n102"),
}
FEW = "obsid,class,subclass,snrg,z\n101,STAR,A1V,12.5,-0.0001\n102,STAR,A5V,55.5,0.0002\n"


@pytest.mark.parametrize("how", WRITTEN)
def test_no_spectrum_is_lost_by_the_way_in_which_numbers_are_written(tmp_path, how):
    (tmp_path / "c.csv").write_text(WRITTEN[how](FEW))
    assert select(tmp_path / "c.csv", tmp_path / "o.csv").n_rows == 2
    written = read_table(tmp_path / "o.csv")
    assert written["z"].tolist() == [-0.0001, 0.0002]
    assert written["class"].tolist() == ["STAR", "STAR"]


def test_a_column_of_other_words_is_refused_and_a_few_are_counted(tmp_path):
    (tmp_path / "c.csv").write_text(FEW.replace("12.5", "12.5dB"))
    with pytest.raises(CatalogueError, match="no number in 1 of 2 rows"):
        select(tmp_path / "c.csv", tmp_path / "o.csv")
    more = "".join(f"{i},STAR,A1V,20.5,0\n" for i in range(200, 220))
    (tmp_path / "c.csv").write_text(FEW.replace("12.5", "12.5dB") + more)
    assert select(tmp_path / "c.csv", tmp_path / "o.csv").n_strange == 1


def test_names_that_differ_in_case_only_and_names_in_another_order_are_refused(tmp_path):
    (tmp_path / "c.csv").write_text(FEW.replace(",z\n", ",SNRG\n"))
    with pytest.raises(CatalogueError, match="snrg and SNRG, which differ in case only"):
        select(tmp_path / "c.csv", tmp_path / "o.csv")
    (tmp_path / "c.csv").write_text(FEW + "obsid,subclass,class,snrg,z\n103,A1V,STAR,20,0\n")
    with pytest.raises(CatalogueError, match="names the columns anew"):
        select(tmp_path / "c.csv", tmp_path / "o.csv")


@pytest.mark.parametrize(
    ("unit", "is_ours"), [("kK", False), ("deg", False), ("K", True), ("", True)]
)
@pytest.mark.parametrize("form", ["csv", "fits", "parquet"])
def test_a_column_in_another_unit_than_lamosts_is_refused(tmp_path, unit, is_ours, form):
    path, out = tmp_path / f"c.{form}", tmp_path / "o.csv"
    made = Table({"obsid": [7, 8], "class": ["STAR"] * 2, "subclass": ["A1V"] * 2})
    made["snrg"], made["rv"], made["teff"] = [50.0, 60.0], [1.5, 2.5], [8.1, 8.2]
    if form == "csv":
        rows = "7,STAR,A1V,50,1.5,8.1\n8,STAR,A1V,60,2.5,8.2\n"
        path.write_text(f"obsid,class,subclass,snrg,rv,teff\n,,,,km/s,{unit}\n{rows}")
    elif form == "parquet":
        table = pa.table({name: made[name].tolist() for name in made.colnames})
        said = {"unit": unit}
        fields = [one.with_metadata(said if one.name == "teff" else {}) for one in table.schema]
        pa.parquet.write_table(table.cast(pa.schema(fields)), path)
    else:
        made["teff"].unit = unit or None
        made.write(path)
    if is_ours:
        assert select(path, out).n_rows == 2
    else:
        with pytest.raises(CatalogueError, match=f"column teff is in '{unit}'.*and not in K"):
            select(path, out)


# --- what a file says in words --------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("snrg", "S/N in g times 10"),
        ("snrg", "S/N in dB"),
        ("z", "velocity in km/s"),
        ("ra", "right ascension in hours"),
    ],
)
@pytest.mark.parametrize("kind", ["fits", "csv"])
def test_columns_on_another_scale_by_the_words_of_their_file_are_refused(
    tmp_path, name, words, kind
):
    table, path = general(40), tmp_path / f"a.{kind}"
    if kind == "fits":
        unit = fits.table_to_hdu(Table.from_pandas(table))
        unit.header.comments[f"TTYPE{list(table).index(name) + 1}"] = words
        unit.writeto(path)
    else:
        path.write_text(f"# {name}: {words}\n{table.to_csv(index=False)}")
    with pytest.raises(CatalogueError, match=f"column {name}.*convert it, or take it out"):
        select(path, tmp_path / "out.csv")


def test_obsids_in_single_precision_are_refused(tmp_path):
    table = general(40).assign(obsid=(600_000_001 + np.arange(40)).astype(np.float32))
    with pytest.raises(CatalogueError, match="single precision"):
        select(write(table, tmp_path / "a.fits"), tmp_path / "out.csv")


def test_a_pipe_is_refused_before_anything_of_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(CatalogueError, match="pipe, which can be read only once; give a file"):
        select(tmp_path / "pipe.csv", tmp_path / "out.csv", Cuts(10.0))
