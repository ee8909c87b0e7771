"""What identifies a row of any catalogue: its obsid, its file, its place on the sky."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import OBSERVATION
from msfa_core.errors import CatalogueError
from msfa_core.tables.door import Use, of_frame
from msfa_core.tables.identifiers import read_identifiers
from msfa_core.typing import FloatArray

OBSID_NAMES: Final = ("obsid", "lamost_obsid", "obs_id")
FILE_NAMES: Final = ("file", "filename", "file_name", "fits_name", "spectrum")
RA_SPELLED: Final = (  # by SExtractor, SDSS, DESI, the virtual observatory, and by hand
    *("alpha_j2000", "plug_ra", "target_ra", "s_ra", "gaia_ra", "ra2000", "ra_2000", "r.a."),
    *("right_ascension", "rightascension", "α", "ra_d"),
)
DEC_SPELLED: Final = (
    *("delta_j2000", "plug_dec", "target_dec", "s_dec", "gaia_dec", "dec2000", "dec_2000"),
    *("decl.", "dec.", "decl", "declination", "δ", "dec_d", "de", "de_deg"),
)
RA_NAMES: Final = (
    *("ra", "radeg", "raj2000", "_raj2000", "_ra", "ra_icrs", "ra_deg", "ura", "ra_obs"),
    *("ra_j2000", "_ra.icrs", "alpha", *RA_SPELLED),
)
DEC_NAMES: Final = (
    *("dec", "dedeg", "decdeg", "dej2000", "decj2000", "_dej2000", "_de"),
    *("dec_icrs", "de_icrs", "dec_deg", "udec", "dec_obs", "dec_j2000", "_de.icrs", "delta"),
    *DEC_SPELLED,
)
PLACE_USE: Final = Use(
    "a table of stars",
    {"obsid": OBSID_NAMES, "ra": RA_NAMES, "dec": DEC_NAMES},
    (("obsid",), ("ra", "dec")),
)


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
    read = read_identifiers(values, trusted=True)
    if read.rounded.any():
        raise CatalogueError(
            f"{name} was read as floating point and has lost digits; read it as text."
        )
    if read.unreadable.any():
        wrong = values[read.unreadable].iloc[0]
        if pd.api.types.is_float_dtype(values.dtype):
            raise CatalogueError(f"{name} holds fractions; identifiers are whole numbers.")
        raise CatalogueError(f"{name} has {wrong!r} where a whole number belongs.")
    return read.values


def obsids(table: pd.DataFrame, what: str) -> pd.Series | None:
    """Return the obsids of a table, or None when it has no such column."""
    opened = of_frame(table, PLACE_USE, what)
    return opened.table["obsid"] if opened.has("obsid") else None


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
    opened = of_frame(table, PLACE_USE, what)
    if not opened.has("ra", "dec"):
        return None
    return opened.table["ra"].to_numpy(np.float64), opened.table["dec"].to_numpy(np.float64)


def file_key(names: pd.Series) -> pd.Series:
    """Return file names without folder, case and ``.fits``, ``.fit``, ``.gz``."""
    base = names.astype("str").str.strip().str.replace("\\", "/", regex=False)
    base = base.str.replace(r"^.*/", "", regex=True).str.lower()
    return base.str.replace(r"(\.(fits?|fts))?(\.(gz|bz2|xz|fz))?$", "", regex=True)


def observation_key(table: pd.DataFrame) -> pd.Series | None:
    """Return what identifies a spectrum by its file: the name, else the parts of the name.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``file``, or with ``lmjd, planid, spid, fiberid``; decided for each row.
    """
    key = file_key(table["file"]).where(table["file"].notna()) if "file" in table else None
    if not set(OBSERVATION) <= set(table.columns):
        return key
    day, spectrograph, fibre = (
        table[part].round().astype("Int64").astype("str") for part in ("lmjd", "spid", "fiberid")
    )
    known = table[list(OBSERVATION)].notna().all(axis=1)
    text = "spec-" + day + "-" + table["planid"].astype("str").str.strip()
    made = file_key(text + "_sp" + spectrograph.str.zfill(2) + "-" + fibre.str.zfill(3))
    made = made.where(known)
    return made if key is None else key.where(key.notna(), made)
