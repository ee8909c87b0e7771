"""Tables that were cut, shuffled or hit by stray bytes: no traceback, no wrong value."""

import os
from dataclasses import replace

import numpy as np
import pytest
from outside_tables import NAMES, csv_text, differences, truth, written

from msfa_core.errors import CatalogueError
from msfa_core.photometry.gaia import GAIA_USE
from msfa_core.tables.door import open_table

N = int(os.environ.get("MSFA_MUTATIONS", "1500"))
NO_DIGITS = b"xO\x00\xff;|#\"'?\xe9"


def cut(rng, content):
    """Cut a text behind its second row: of a single one nobody can tell whether it is whole."""
    return cut_anywhere(rng, content, least=len(b"\n".join(content.split(b"\n")[:3])) + 1)


def cut_anywhere(rng, content, least=1):
    return content[: rng.integers(least, len(content))]


def stray_bytes(rng, content):
    """Flip bytes to what is no digit: a digit for a digit nobody can see."""
    out = bytearray(content)
    for at in rng.integers(0, len(out), rng.integers(1, 4)):
        out[at] = NO_DIGITS[rng.integers(len(NO_DIGITS))]
    return bytes(out)


def lost_line(rng, content):
    lines = content.split(b"\n")
    del lines[rng.integers(1, len(lines))]
    return b"\n".join(lines)


def one_field_more(rng, content):
    lines = content.split(b"\n")
    at = rng.integers(1, len(lines) - 1)
    lines[at] += b",1.5"
    return b"\n".join(lines)


def shuffled_columns(rng, content):
    """Put the columns in another order, each under its own name."""
    rows = [line.split(b",") for line in content.rstrip(b"\n").split(b"\n")]
    order = rng.permutation(len(rows[0]))
    return b"\n".join(b",".join(row[k] for k in order) for row in rows) + b"\n"


WRONG = {  # what a name may say falsely of values in house units
    b"parallax": (b"arcsec", b"uas", b"deg", b"mag", b"km/s", b"kpc"),
    b"pmra": (b"arcsec/yr", b"uas/yr", b"deg/yr", b"mas", b"km/s"),
    b"pmdec": (b"arcsec/yr", b"uas/yr", b"deg/yr", b"mas", b"km/s"),
    b"phot_g_mean_mag": (b"mmag", b"Jy", b"mas", b"K"),
    b"ra": (b"rad", b"mas", b"mag", b"K"),
    b"dec": (b"rad", b"hourangle", b"mag", b"K"),
}


def wrong_unit(rng, content):
    """Let the name of a column say a unit that its values are not in."""
    header, _, rows = content.partition(b"\n")
    names = header.split(b",")
    said = dict(zip(names, names, strict=True))
    for name in rng.choice(list(WRONG), rng.integers(1, 3), replace=False).tolist():
        said[name] = name + b" [" + WRONG[name][rng.integers(len(WRONG[name]))] + b"]"
    return b",".join(said[name] for name in names) + b"\n" + rows


def by_obsid(table, found):
    """Put the rows that were read beside the true ones: rows may be lost, never changed."""
    if "obsid" not in found.table:
        return table.iloc[:0], replace(found, table=found.table.iloc[:0])
    rows = found.table.dropna(subset="obsid")
    own = table.set_index("obsid").reindex(rows["obsid"]).reset_index()
    known = own["ra"].notna().to_numpy() | own["g_mag"].notna().to_numpy()
    kept = rows[known].reset_index(drop=True)
    return own[known].reset_index(drop=True), replace(found, table=kept)


@pytest.mark.parametrize(
    "mutation",
    [cut, stray_bytes, lost_line, one_field_more, shuffled_columns, wrong_unit],
)
def test_a_damaged_text_is_refused_or_gives_no_wrong_value(tmp_path, mutation):
    rng = np.random.default_rng(5)
    table = truth(9)
    content = csv_text(table).encode()
    for k in range(N // 6):
        path = tmp_path / "t.csv"
        path.write_bytes(mutation(rng, content))
        try:
            found = open_table(path, GAIA_USE)
        except CatalogueError as error:
            assert "\n" not in str(error)
            continue
        wrong = differences(*by_obsid(table, found), rel=1e-4)
        assert wrong == [], (k, wrong, path.read_bytes())


@pytest.mark.parametrize("kind", ["fits", "votable", "parquet", "gaia bulk", "json"])
def test_a_damaged_binary_gives_no_traceback(tmp_path, kind):
    rng = np.random.default_rng(6)
    content = written(truth(5), tmp_path / "whole", kind).read_bytes()
    for _ in range(N // 50):
        path = tmp_path / "t"
        path.write_bytes((cut_anywhere if rng.random() < 0.5 else stray_bytes)(rng, content))
        try:
            open_table(path, GAIA_USE)
        except CatalogueError as error:
            assert "\n" not in str(error)


def test_columns_in_any_order_give_the_same(tmp_path):
    rng = np.random.default_rng(7)
    table = truth()
    for _ in range(20):
        order = rng.permutation(list(NAMES))
        (tmp_path / "t.csv").write_text(csv_text(table[order]))
        assert differences(table, open_table(tmp_path / "t.csv", GAIA_USE)) == []
