"""A reference table as the comparison needs it: house names, joined to the survey's spectra."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import MATCH_RADIUS_ARCSEC, SPEED_OF_LIGHT, STELLAR_CLASSES
from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import FAR, match_key
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.stars.crossmatch import FAR_AWAY, match_sky, settled
from msfa_core.tables.classes import may_be_bhb, stellar_class
from msfa_core.tables.door import Use, of_frame
from msfa_core.tables.report import Matched, OutsideTable, as_record
from msfa_core.tables.row_keys import PLACE_USE

# house name -> names in reference tables (lower case), the first found counts
REFERENCE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "class": ("class", "spectral_class", "objtype", "otype", "true_object"),
    "subclass": ("subclass", "sptype", "sp_type", "spt", "spectral_type", "subtype"),
    "z": ("z", "redshift", "z_ref", "true_z"),
    "rv": ("rv", "radial_velocity", "rv_kms", "vrad", "vlos"),
    "teff": ("teff", "teff_k", "teff_lasp", "true_teff"),
    "logg": ("logg", "log_g", "log(g)", "logg_lasp", "true_logg"),
    "feh": ("feh", "fe_h", "[fe/h]", "feh_lasp", "true_feh"),
    "label": ("label", "stellar_class", "true_class", "object_class"),
    "is_bhb": ("is_bhb", "bhb"),
}
REFERENCE_USE: Final = Use(
    "a reference table",
    {**PLACE_USE.vocabulary, **REFERENCE_NAMES},
    (("obsid",), ("ra", "dec")),
    keep_others=True,
)
_TEXT: Final = ("class", "subclass", "label")
_YES: Final = {"1", "1.0", "true", "t", "yes", "y", "bhb"}
_NO: Final = {"0", "0.0", "false", "f", "no", "n"}
_NOTHING: Final = {"", "nan", "none", "null", "--", "<na>", "non", "unknown"}


@dataclass(frozen=True, slots=True)
class Joined:
    """Spectra of a survey that a reference knows.

    Attributes
    ----------
    survey : (n,) DataFrame
        Rows of the survey, columns as there.
    reference : (n,) DataFrame
        Columns of `REFERENCE_NAMES` that the table has, the same index; missing where unknown.
    by_obsid, by_position, ambiguous : int
        How they were found; spectra with several counterparts within the radius (the nearest
        was taken).
    record : dict
        What became of the reference table, for the provenance; its ``line`` in words.
    """

    survey: pd.DataFrame
    reference: pd.DataFrame
    by_obsid: int
    by_position: int
    ambiguous: int
    record: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of spectra that can be compared."""
        return len(self.survey)


def house_reference(
    table: pd.DataFrame | OutsideTable, what: str = "the reference table"
) -> pd.DataFrame:
    """Give the columns of a reference table the names and units of the house.

    Parameters
    ----------
    table : (m,) DataFrame or OutsideTable
        ``label`` may name one of the five classes of the search; ``is_bhb`` a yes or no; ``rv``
        a velocity [km/s], used for ``z`` where there is none.
    what : str
        Name of the table, for messages.

    Returns
    -------
    (m,) DataFrame
        Those columns of `REFERENCE_NAMES` that the table has, typed.

    Raises
    ------
    CatalogueError
        When the table has nothing to compare with, or yes and no cannot be told.
    """
    opened = _opened(table, what)
    house = pd.DataFrame(index=opened.table.index)
    for name in REFERENCE_NAMES:
        if not opened.has(name):
            continue
        column = opened.table[name]
        if name in _TEXT:
            house[name] = _text(column)
        elif name == "is_bhb":
            house[name] = _truth(column, what)
        else:
            house[name] = column.astype("float64")
    if "label" not in house and "class" in house and _are_labels(house["class"]):
        house = house.rename(columns={"class": "label"})
    if "rv" in house:
        from_rv = house.pop("rv") / SPEED_OF_LIGHT
        house["z"] = house["z"].fillna(from_rv) if "z" in house else from_rv
    if "label" in house:
        house["label"] = house["label"].map(stellar_class, "ignore").astype("str")
        is_known = house["label"].isin([str(one) for one in STELLAR_CLASSES])
        if "is_bhb" not in house and is_known.any():
            said = house["label"].eq("BHB").astype("boolean")
            unsure = house["label"].isna() | (~is_known & house["label"].map(may_be_bhb, "ignore"))
            house["is_bhb"] = said.mask(unsure.astype(bool), pd.NA)
    if not len(house.columns):
        known = ", ".join(alias for aliases in REFERENCE_NAMES.values() for alias in aliases)
        raise CatalogueError(
            f"{what} has no column to compare with; it has {opened.has_words()}. "
            f"Name one or more of: {known}.{opened.reasons()}"
        )
    return house


def join_reference(
    survey: pd.DataFrame,
    table: pd.DataFrame | OutsideTable,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
    what: str = "the reference table",
) -> Joined:
    """Find the reference row of each spectrum: by obsid, else the nearest within the radius.

    A star that the reference saw in another observation is found by its position.

    Parameters
    ----------
    survey : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec`` [deg].
    table : (m,) DataFrame or OutsideTable
        With an obsid or positions under any usual name. Of rows with one obsid the nearest
        counts, else the first; one far from the spectrum is refused.
    radius_arcsec : float
    what : str
        Name of the table, for messages.

    Raises
    ------
    CatalogueError
        When the table has nothing to join on or to compare with, or no spectrum is found.
    """
    opened = settled(_opened(table, what), survey, radius_arcsec)
    if not len(opened):
        raise CatalogueError(f"{what} has no rows: name a table with the stars of the survey.")
    house = house_reference(opened, what)
    by_key, by_place = opened.has("obsid"), opened.has("ra", "dec")
    if not (by_key or by_place):
        raise CatalogueError(
            f"{what} has neither obsids nor positions (it has {opened.has_words()})"
            f"; name a column 'obsid', or two 'ra' and 'dec' in degrees.{opened.reasons()}"
        )
    row, matched, ambiguous = reference_rows(survey, opened, radius_arcsec)
    by_obsid, n_refused = matched.by["obsid"], matched.n_refused
    found = np.flatnonzero(row >= 0)
    if not len(found):
        tried = ["obsid"] if by_key else []
        tried += [f"position within {radius_arcsec:g} arcsec"] if by_place else []
        far = f", {n_refused} rows {FAR_AWAY}" if n_refused else ""
        raise CatalogueError(
            f"no spectrum of the survey is in {what} ({len(survey)} spectra, {len(opened)} rows, "
            f"sought by {' and '.join(tried)}{far}): check that it is a table of the same stars, "
            "or widen --radius."
        )
    return Joined(
        survey.iloc[found].reset_index(drop=True),
        house.iloc[row[found]].reset_index(drop=True),
        by_obsid,
        len(found) - by_obsid,
        ambiguous,
        as_record(opened, "reference", matched),
    )


def reference_rows(
    survey: pd.DataFrame, opened: OutsideTable, radius_arcsec: float
) -> tuple[NDArray[np.int64], Matched, int]:
    """Return the row of a table for each spectrum: by obsid, else the nearest within the radius.

    Parameters
    ----------
    survey : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec`` [deg].
    opened : OutsideTable
        With obsids or positions. A row whose obsid is that of a star far from its place is
        refused.
    radius_arcsec : float

    Returns
    -------
    (n,) array
        −1 where the table has none.
    Matched
    int
        Spectra with several rows within the radius, of which the nearest counts.
    """
    row = np.full(len(survey), -1, dtype=np.int64)
    n_refused, n_several, ambiguous = 0, 0, 0
    places = np.ones(len(opened), bool)
    if opened.has("obsid"):
        match = match_key(survey, opened.table, "obsid", FAR * radius_arcsec)
        row = match.row
        n_refused = int(np.isfinite(match.refused).sum())
        n_several = int(match.several.sum())
        places = places & ~match.contradicted
    by_obsid = int((row >= 0).sum())
    if opened.has("ra", "dec"):
        place = [opened.table[name].where(places).to_numpy(np.float64) for name in ("ra", "dec")]
        ambiguous = _nearest(row, survey, (place[0], place[1]), radius_arcsec)
    ways = {"obsid": by_obsid, "position": int((row >= 0).sum()) - by_obsid}
    several = counted(n_several, "key names", "keys name")
    notes = [f"{several} several rows: the nearest or first counts"]
    matched = Matched(len(survey), ways, (), n_refused, FAR_AWAY, tuple(notes if n_several else ()))
    return row, matched, ambiguous


def _opened(table: pd.DataFrame | OutsideTable, what: str) -> OutsideTable:
    return table if isinstance(table, OutsideTable) else of_frame(table, REFERENCE_USE, what)


def _nearest(
    row: NDArray[np.int64],
    survey: pd.DataFrame,
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    radius_arcsec: float,
) -> int:
    """Fill rows still open by position; return how many had several counterparts."""
    is_open = np.flatnonzero(row < 0)
    ra, dec = survey[["ra", "dec"]].to_numpy(np.float64, na_value=np.nan)[is_open].T
    i, j, _ = match_sky(ra, dec, *place, radius_arcsec)
    stars, first, counts = np.unique(i, return_index=True, return_counts=True)
    row[is_open[stars]] = j[first]
    return int((counts > 1).sum())


def _text(values: pd.Series) -> pd.Series:
    """Return names without blanks around them, missing where they say nothing."""
    text = values.astype("str").str.strip()
    return text.mask(text.str.lower().isin(_NOTHING) | values.isna(), None).astype("str")


def _truth(values: pd.Series, what: str) -> pd.Series:
    """Return a column of yes and no as booleans."""
    text = values.astype("str").str.strip().str.lower()
    missing = values.isna() | text.isin(_NOTHING)
    wrong = text[~missing & ~text.isin(_YES | _NO)]
    if len(wrong):
        raise CatalogueError(
            f"{what}: {wrong.iloc[0]!r} in {values.name} is neither yes nor no; write 1 or 0."
        )
    return text.isin(_YES).astype("boolean").mask(missing, pd.NA)


def _are_labels(values: pd.Series) -> bool:
    """Tell whether a column called ``class`` holds classes of stars, none of STAR, GALAXY, QSO."""
    said = values.dropna().str.upper()
    return bool(len(said)) and not said.isin(OBJECT_CLASSES).any()
