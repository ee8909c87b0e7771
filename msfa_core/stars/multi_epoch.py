"""The multiple-epoch catalogue: one row per star that was observed more than once.

Column names and lists are those of LAMOST's own catalogue (LRS MEC): the values of the epochs are
joined by ``-``, so that ``12.0--8.5-3.0`` holds 12.0, −8.5 and 3.0, and −9999 stands for a value
that is not known. The time of an epoch is the local (UTC + 8 h) modified Julian minute in the
middle of the observation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import Column, check_columns
from msfa_core.errors import CatalogueError
from msfa_core.rules import are_low_resolution
from msfa_core.tables.read import read_table
from msfa_core.tables.row_keys import as_ids

SEPARATOR: Final = "-"
MISSING: Final = -9999
LOCAL_HOURS: Final = 8.0  # of LAMOST's local time ahead of UTC
_MJD_OF_1970: Final = 40_587  # days
_MINUTES: Final = 1_440  # per day
_NUMBER: Final = re.compile(r"(?:^|-)(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_LEAST_EPOCHS: Final = 2

# list of the catalogue -> (column of the survey, format of a value)
LISTS: Final[dict[str, tuple[str, str]]] = {
    "obsid_list": ("obsid", "%d"),
    "midmjm_list": ("midmjm", "%d"),
    "z_list": ("z", "%.8f"),
    "teff_list": ("teff", "%.2f"),
    "logg_list": ("logg", "%.3f"),
    "feh_list": ("feh", "%.3f"),
    "rv_list": ("epoch_rv", "%.2f"),
}
EPOCH_NAMES: Final = {"rv_list": "rv"} | {
    name: source for name, (source, _) in LISTS.items() if name != "rv_list"
}
_WHOLE: Final = ("obsid", "midmjm")


def _list_column(name: str, what: str, ucd: str) -> Column:
    return Column(name, "str", "identify", f"{what} of each epoch, joined by -", "", "s", ucd)


MEC_COLUMNS: Final = (
    Column(
        "uid", "str", "identify", "Star: G+Gaia, P+PS1 or L+HEALPix", "", "s", "meta.id;meta.main"
    ),
    Column(
        "ura",
        "float",
        "identify",
        "Mean right ascension (ICRS)",
        "deg",
        ".6f",
        "pos.eq.ra;meta.main",
    ),
    Column(
        "udec", "float", "identify", "Mean declination (ICRS)", "deg", ".6f", "pos.eq.dec;meta.main"
    ),
    Column(
        "gp_id", "int", "identify", "Gaia source_id, else Pan-STARRS id", "", "d", "meta.id.cross"
    ),
    Column("ps_id", "int", "identify", "Pan-STARRS objID", "", "d", "meta.id.cross"),
    *(
        Column(
            f"ps_{band}_mag",
            "float",
            "identify",
            f"Pan-STARRS {band} magnitude (AB)",
            "mag",
            ".4f",
            "phot.mag;em.opt",
        )
        for band in "grizy"
    ),
    Column("obs_number", "int", "identify", "Number of epochs", "", "d", "meta.number"),
    _list_column("obsid_list", "Observation identifier", "meta.id"),
    _list_column("midmjm_list", "Local modified Julian minute of the middle", "time.epoch"),
    _list_column("z_list", "Doppler shift of the header", "src.redshift"),
    _list_column("teff_list", "Effective temperature [K]", "phys.temperature.effective"),
    _list_column("logg_list", "Surface gravity log g [cm/s2]", "phys.gravity"),
    _list_column("feh_list", "Iron abundance [Fe/H] [dex]", "phys.abund.Fe"),
    _list_column("rv_list", "Heliocentric radial velocity cz [km/s]", "spect.dopplerVeloc.opt"),
)


def multi_epoch_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the multiple-epoch catalogue of a survey.

    Parameters
    ----------
    table : (n,) DataFrame
        Spectra, with ``uid`` and, where known, the columns of `LISTS` and ``date_obs`` (UTC,
        middle of the observation). Spectra of medium resolution are left out.

    Returns
    -------
    (star,) DataFrame
        `MEC_COLUMNS`, the epochs of a star in the order of time.

    Raises
    ------
    CatalogueError
        When ``uid`` is not there, or no star has two spectra.
    """
    check_columns(table, ("obsid", "uid", "ra", "dec"), "the survey")
    rows = table[table["uid"].notna() & are_low_resolution(table)]
    rows = rows[rows.groupby("uid")["obsid"].transform("size") >= _LEAST_EPOCHS]
    if rows.empty:
        raise CatalogueError(
            "no star has two low-resolution spectra, so there is no multiple-epoch catalogue: "
            "do the step identify (`msfa run SURVEY --steps identify`), or choose more stars "
            "with --all."
        )
    rows = rows.assign(midmjm=middle_minutes(rows))
    rows = rows.sort_values(["uid", "midmjm", "obsid"], kind="stable", na_position="last")
    texts = {name: _texts(rows, source, form) for name, (source, form) in LISTS.items()}
    star = rows["uid"].astype("str").to_numpy(object)
    first = np.flatnonzero(np.append(True, star[1:] != star[:-1]))
    last = np.append(first[1:], len(star))
    uid = pd.Series(star[first], dtype="str")
    ra, dec = _mean_positions(rows, first)
    result = {
        "uid": uid,
        "ura": ra,
        "udec": dec,
        "gp_id": as_ids(uid.where(uid.str.match(r"[GP]\d+$")).str[1:], "uid"),
        **_photometry(rows, first, last),
        "obs_number": pd.array(last - first, dtype="Int64"),
        **{
            name: pd.Series(
                [SEPARATOR.join(text[a:b]) for a, b in zip(first, last, strict=True)], dtype="str"
            )
            for name, text in texts.items()
        },
    }
    return pd.DataFrame(result)


def middle_minutes(table: pd.DataFrame) -> pd.Series:
    """Return the local modified Julian minute in the middle of each observation.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``date_obs``, text as in the header card DATE-OBS; without it all are missing.

    Returns
    -------
    (n,) Series of Int64
        Missing for a date without a time of the day.
    """
    if "date_obs" not in table.columns:
        return pd.Series(pd.NA, index=table.index, dtype="Int64")
    timed = table["date_obs"].where(table["date_obs"].astype("str").str.contains(":", na=False))
    time = pd.to_datetime(timed, format="ISO8601", errors="coerce", utc=True)
    seconds = (time - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    days = seconds / 86_400.0 + _MJD_OF_1970 + LOCAL_HOURS / 24.0
    return (days * _MINUTES).round().astype("Int64")


def read_multi_epoch(path: str | Path) -> pd.DataFrame:
    """Read a multiple-epoch catalogue, LAMOST's or ours, in any format of `read_table`.

    Returns
    -------
    (n,) DataFrame
        One row per epoch, see `explode_epochs`.
    """
    return explode_epochs(read_table(path))


def explode_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per epoch of a multiple-epoch catalogue.

    Parameters
    ----------
    table : (star,) DataFrame
        With ``uid``, ``obsid_list`` and other lists of `LISTS`; the names in any case.

    Returns
    -------
    (n,) DataFrame
        The columns that are no lists, repeated, and ``obsid, midmjm, z, teff, logg, feh, rv``
        as far as the catalogue has them; missing where it says −9999.

    Raises
    ------
    CatalogueError
        When there is no ``obsid_list``, or a list is no list of numbers or of another length.
    """
    table = table.rename(columns={name: str(name).lower() for name in table.columns})
    check_columns(table, ("obsid_list",), "the multiple-epoch catalogue")
    lists = {name: [_values(text, name) for text in table[name]] for name in LISTS if name in table}
    length = np.array([len(values) for values in lists["obsid_list"]])
    for name, values in lists.items():
        wrong = [k for k, one in enumerate(values) if one and len(one) != length[k]]
        if wrong:
            k = wrong[0]
            raise CatalogueError(
                f"row {k + 1}: {name} has {len(values[k])} values, obsid_list {length[k]}; "
                "correct or remove the row."
            )
    rows = np.repeat(np.arange(len(table)), length)
    others = [name for name in table.columns if name not in LISTS]
    result = table[others].iloc[rows].reset_index(drop=True)
    for name, values in lists.items():
        flat = [one for k, part in enumerate(values) for one in (part or [""] * length[k])]
        epoch = EPOCH_NAMES[name]
        if epoch in _WHOLE:  # no float on the way: identifiers have more digits
            result[epoch] = as_ids(pd.Series(flat, dtype="str"), epoch)
        else:
            numbers = pd.to_numeric(pd.Series(flat, dtype="str").replace("", None))
            result[epoch] = numbers.astype("float64").mask(numbers == MISSING)
    return result


def _values(text: object, name: str) -> list[str]:
    """Return the numbers of a list; none where it is missing."""
    if text is None or pd.isna(text) or text == "":
        return []
    word = str(text).strip()
    found = _NUMBER.findall(word)
    if SEPARATOR.join(found) != word:
        raise CatalogueError(
            f"{name} holds {word[:40]!r}, which is no list of numbers joined by {SEPARATOR!r}."
        )
    return [str(number) for number in found]


def _texts(rows: pd.DataFrame, source: str, form: str) -> list[str]:
    """Return each value as the catalogue writes it."""
    if source not in rows.columns:
        return [str(MISSING)] * len(rows)
    values = rows[source]
    missing = values.isna().to_numpy(bool)
    numbers: Iterable[object] = values.fillna(0).tolist()
    return [
        str(MISSING) if skip else form % number
        for number, skip in zip(numbers, missing.tolist(), strict=True)
    ]


def _photometry(rows: pd.DataFrame, first: np.ndarray, last: np.ndarray) -> dict[str, pd.Series]:
    """Return identifier and magnitudes of Pan-STARRS of each star: of its first epoch with any."""
    star = np.repeat(np.arange(len(first)), last - first)
    found = rows.reindex(columns=["ps_id", *(f"ps_{band}_mag" for band in "grizy")])
    known = found.notna().any(axis=1).to_numpy(bool)
    of_star = found[known].assign(star=star[known]).drop_duplicates("star").set_index("star")
    of_star = of_star.reindex(np.arange(len(first)))
    return {name: of_star[name].astype("Int64" if name == "ps_id" else "float64") for name in found}


def _mean_positions(rows: pd.DataFrame, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean position [deg] of each star; NaN where no epoch has one."""
    ra = np.radians(rows["ra"].to_numpy(np.float64, na_value=np.nan))
    dec = np.radians(rows["dec"].to_numpy(np.float64, na_value=np.nan))
    axes = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    axes[~np.isfinite(axes).all(axis=1)] = 0.0
    total = np.add.reduceat(axes, first, axis=0)
    lon = np.degrees(np.arctan2(total[:, 1], total[:, 0])) % 360.0
    lat = np.degrees(np.arctan2(total[:, 2], np.hypot(total[:, 0], total[:, 1])))
    placed = np.abs(total).sum(axis=1) > 0
    return np.where(placed, lon, np.nan), np.where(placed, lat, np.nan)
