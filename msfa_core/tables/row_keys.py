"""What identifies a row of any catalogue: its obsid, its file, its place on the sky."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.typing import FloatArray

EXACT_FLOAT_LIMIT: Final = 2**53  # whole numbers beyond it lose digits in a float
_OBSID_NAMES: Final = ("obsid", "lamost_obsid", "obs_id")
_FILE_NAMES: Final = ("file", "filename", "file_name", "fits_name", "spectrum")
_RA_NAMES: Final = (
    *("ra", "radeg", "raj2000", "_raj2000", "_ra", "ra_icrs", "ra_deg", "ura", "ra_obs"),
)
_DEC_NAMES: Final = (
    *("dec", "dedeg", "decdeg", "dej2000", "decj2000", "_dej2000", "_de"),
    *("dec_icrs", "de_icrs", "dec_deg", "udec", "dec_obs"),
)
_SEXAGESIMAL: Final = ("rah", "ram", "ras", "de-", "ded", "dem", "des")  # of CDS and AAS tables
_OBSERVATION: Final = ("lmjd", "planid", "spid", "fiberid")


def as_ids(values: pd.Series, name: str) -> pd.Series:
    """Return identifiers as exact 64-bit integers, missing where there is none.

    Parameters
    ----------
    values : (n,) Series
        Integers, or text of digits (with a prefix such as ``Gaia DR3`` allowed).
    name : str
        For messages.

    Returns
    -------
    (n,) Series of Int64
        Zero and negative numbers count as missing.

    Raises
    ------
    CatalogueError
        When a float has lost digits already, or the text is no number.
    """
    if pd.api.types.is_float_dtype(values.dtype):
        numbers = values.astype("float64")
        if (numbers.abs() >= EXACT_FLOAT_LIMIT).any():
            raise CatalogueError(
                f"{name} was read as floating point and has lost digits; read it as text."
            )
        if (numbers.dropna() % 1 != 0).any():
            raise CatalogueError(f"{name} holds fractions; identifiers are whole numbers.")
        ids = numbers.astype("Int64")
    elif pd.api.types.is_integer_dtype(values.dtype):
        ids = values.astype("Int64")
    else:
        text = values.astype("str").str.strip().str.replace(r"^Gaia\s+E?DR\d\s+", "", regex=True)
        text = text.str.replace(r"\.0+$", "", regex=True)
        empty = text.isna() | text.str.lower().isin(("", "nan", "null", "none", "--", "<na>"))
        text = text.where(~empty)
        wrong = text[~empty & ~text.str.fullmatch(r"[+-]?\d{1,19}").fillna(False).astype(bool)]
        if len(wrong):
            raise CatalogueError(f"{name} has {wrong.iloc[0]!r} where a whole number belongs.")
        ids = pd.Series(
            pd.array([None if skip else int(one) for one, skip in zip(text, empty, strict=True)]),
            index=values.index,
        ).astype("Int64")
    return ids.where(ids > 0)


def obsids(table: pd.DataFrame, what: str) -> pd.Series | None:
    """Return the obsids of a table, or None when it has no such column."""
    name = _first(table, _OBSID_NAMES)
    return None if name is None else as_ids(table[name], f"{name} of {what}")


def positions(table: pd.DataFrame, what: str) -> tuple[FloatArray, FloatArray] | None:
    """Return the positions of a table whatever it calls them, or None when it has none.

    Parameters
    ----------
    table : (n,) DataFrame
        With degrees (``ra``, ``RAdeg``, ``RAJ2000`` …), text such as ``12:34:56.7``, or the
        seven columns ``RAh … DEs`` of machine-readable tables.
    what : str
        Name of the table, for messages.

    Returns
    -------
    ra, dec : (n,) arrays [deg]

    Raises
    ------
    CatalogueError
        When the columns cannot be read as positions.
    """
    lower = {str(name).lower(): name for name in table.columns}
    ra, dec = _first(table, _RA_NAMES), _first(table, _DEC_NAMES)
    if ra is not None and dec is not None:
        return _degrees(table[ra], what, hours=True), _degrees(table[dec], what, hours=False)
    if set(_SEXAGESIMAL) - {"de-"} <= set(lower):
        part = {
            name: pd.to_numeric(table[lower[name]], errors="coerce").to_numpy(np.float64)
            for name in _SEXAGESIMAL
            if name != "de-"
        }
        south = np.signbit(part["ded"])
        if "de-" in lower:
            south |= (table[lower["de-"]].astype("str").str.strip() == "-").to_numpy()
        size = np.abs(part["ded"]) + part["dem"] / 60.0 + part["des"] / 3600.0
        hours = part["rah"] + part["ram"] / 60.0 + part["ras"] / 3600.0
        return 15.0 * hours, np.where(south, -size, size)
    return None


def _degrees(values: pd.Series, what: str, *, hours: bool) -> FloatArray:
    """Return an angle column in degrees; text with colons or blanks is sexagesimal."""
    numbers = pd.to_numeric(values, errors="coerce")
    text = values.astype("str").str.strip()
    rest = numbers.isna() & values.notna() & ~text.str.lower().isin(("", "nan", "--", "null"))
    degrees = numbers.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    if rest.any():
        from astropy.coordinates import Angle  # noqa: PLC0415  # rarely needed, slow to import

        unit = "hourangle" if hours else "deg"
        try:
            degrees = degrees.copy()
            degrees[rest.to_numpy()] = Angle(text[rest].tolist(), unit=unit).deg
        except ValueError as error:
            raise CatalogueError(
                f"{what}: {text[rest].iloc[0]!r} in {values.name} is not an angle."
            ) from error
    return degrees


def _first(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """Return the first column that goes by one of these names, whatever its case."""
    lower = {str(name).lower(): name for name in table.columns}
    return next((lower[name] for name in names if name in lower), None)


def file_key(names: pd.Series) -> pd.Series:
    """Return file names without folder, case and ``.fits``, ``.fit``, ``.gz``."""
    base = names.astype("str").str.strip().str.replace("\\", "/", regex=False)
    base = base.str.replace(r"^.*/", "", regex=True).str.lower()
    return base.str.replace(r"(\.fits?)?(\.gz)?$", "", regex=True)


def keys(table: pd.DataFrame, key: str) -> pd.Series | None:
    """Return the column that identifies rows, in comparable form."""
    if key == "obsid":
        return obsids(table, "the catalogue")
    name = _first(table, _FILE_NAMES)
    if name is not None:
        return file_key(table[name])
    lower = {str(column).lower(): column for column in table.columns}
    if not set(_OBSERVATION) <= set(lower):
        return None
    lmjd, planid, spid, fiberid = (table[lower[part]] for part in _OBSERVATION)
    numbers = [
        pd.to_numeric(part, errors="coerce").astype("Int64") for part in (lmjd, spid, fiberid)
    ]
    day, spectrograph, fibre = (part.astype("str") for part in numbers)
    text = "spec-" + day + "-" + planid.astype("str").str.strip()
    return file_key(text + "_sp" + spectrograph.str.zfill(2) + "-" + fibre.str.zfill(3))
