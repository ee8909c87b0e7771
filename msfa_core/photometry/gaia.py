"""Gaia DR3 rows from a local table: house names, and joined to the candidates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import CatalogueError
from msfa_core.photometry.counterparts import Pairs, separations

# house name -> names under which tables of the archive and of others carry it (lower case)
GAIA_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "gaia_source_id": (
        *("gaia_source_id", "source_id", "gaia_id", "gaiadr3", "gaia_dr3_source_id", "source"),
    ),
    "obsid": ("obsid",),
    "ra": ("ra", "ra_icrs", "raj2000", "ra_gaia"),
    "dec": ("dec", "de_icrs", "dej2000", "dec_gaia", "decj2000"),
    "g_mag": ("g_mag", "phot_g_mean_mag", "gmag", "gaia_g_mean_mag", "phot_g_mag"),
    "bp_mag": ("bp_mag", "phot_bp_mean_mag", "bpmag"),
    "rp_mag": ("rp_mag", "phot_rp_mean_mag", "rpmag"),
    "bp_rp": ("bp_rp", "bp-rp"),
    "j_mag": ("j_mag", "j_m", "jmag", "tmass_j"),
    "h_mag": ("h_mag", "h_m", "hmag", "tmass_h"),
    "ks_mag": ("ks_mag", "ks_m", "k_m", "k_mag", "kmag", "ksmag"),
    "j_mag_err": ("j_mag_err", "j_msigcom", "e_jmag", "j_mag_error"),
    "h_mag_err": ("h_mag_err", "h_msigcom", "e_hmag", "h_mag_error"),
    "ks_mag_err": ("ks_mag_err", "ks_msigcom", "k_msigcom", "e_kmag", "ks_mag_error"),
    "parallax_mas": ("parallax_mas", "parallax", "plx"),
    "parallax_error_mas": ("parallax_error_mas", "parallax_error", "e_plx", "parallax_err"),
    "parallax_over_error": ("parallax_over_error", "rplx"),
    "pmra": ("pmra",),
    "pmdec": ("pmdec", "pmde"),
    "pmra_error": ("pmra_error", "e_pmra", "pmra_err"),
    "pmdec_error": ("pmdec_error", "e_pmde", "pmdec_err"),
    "ref_epoch": ("ref_epoch",),
    "ebv": ("ebv", "e_bv", "e(b-v)", "ebv_sfd"),
    "excess_factor": ("excess_factor", "phot_bp_rp_excess_factor", "e(br/rp)"),
    "bp_flux_over_error": ("bp_flux_over_error", "phot_bp_mean_flux_over_error"),
    "rp_flux_over_error": ("rp_flux_over_error", "phot_rp_mean_flux_over_error"),
    "nu_eff_used_in_astrometry": ("nu_eff_used_in_astrometry", "nueff"),
    "pseudocolour": ("pseudocolour", "pscol"),
    "ecl_lat": ("ecl_lat", "elat"),
    "astrometric_params_solved": ("astrometric_params_solved", "solved"),
}
GAIA_COLUMNS: Final = (  # what a join brings, in this order
    "gaia_source_id", "g_mag", "bp_rp", "parallax_mas", "parallax_error_mas",
    "parallax_over_error", "pmra", "pmdec", "ebv", "excess_factor", "bp_flux_over_error",
    "rp_flux_over_error", "bp_mag", "rp_mag", "j_mag", "h_mag", "ks_mag", "j_mag_err",
    "h_mag_err", "ks_mag_err", "pmra_error", "pmdec_error", "nu_eff_used_in_astrometry",
    "pseudocolour", "ecl_lat", "astrometric_params_solved",
)  # fmt: skip
_J2000_NAMES: Final = ("raj2000",)  # of positions that VizieR moved to the epoch 2000
# Rows of one source_id that differ in these are not the same row twice
_TELLING: Final = ("g_mag", "bp_rp", "parallax_mas", "pmra", "pmdec")
_SAME: Final = 6  # decimals to which they agree


def house_gaia(table: pd.DataFrame) -> pd.DataFrame:
    """Give a Gaia table the names of the house.

    Parameters
    ----------
    table : n rows
        As downloaded from the archive, VizieR or a survey's own match.

    Returns
    -------
    n rows
        Identity, position and ``GAIA_COLUMNS``, absent ones as missing; ``bp_rp`` is computed from
        BP and RP where the table has only these.

    Raises
    ------
    CatalogueError
        When the table has nothing to join on, or no photometry.
    """
    lower = {str(name).lower(): name for name in table.columns}
    found = {
        house: lower[alias]
        for house, aliases in GAIA_ALIASES.items()
        for alias in reversed(aliases)
        if alias in lower
    }
    has_position = {"ra", "dec"} <= found.keys()
    if not ({"gaia_source_id", "obsid"} & found.keys() or has_position):
        raise CatalogueError(
            "the Gaia table has no source_id, obsid or ra/dec column to join on; it has "
            f"{', '.join(map(str, table.columns))}."
        )
    if "g_mag" not in found:
        raise CatalogueError(
            "the Gaia table has no G magnitude (phot_g_mean_mag or g_mag); it has "
            f"{', '.join(map(str, table.columns))}."
        )
    house = pd.DataFrame(index=table.index)
    for name in GAIA_ALIASES:
        is_id = name in ("gaia_source_id", "obsid")
        if name in found:
            house[name] = _as_id(table[found[name]]) if is_id else _as_float(table[found[name]])
        else:
            house[name] = pd.array([pd.NA] * len(table), dtype="Int64") if is_id else np.nan
    if found.get("ra") is not None and str(found["ra"]).lower() in _J2000_NAMES:
        house["ref_epoch"] = house["ref_epoch"].fillna(2000.0)
    house["bp_rp"] = house["bp_rp"].fillna(house["bp_mag"] - house["rp_mag"])
    house["parallax_over_error"] = house["parallax_over_error"].fillna(
        house["parallax_mas"] / house["parallax_error_mas"]
    )
    return house


def join_gaia(
    candidates: pd.DataFrame, gaia: pd.DataFrame, pairs: Pairs | None = None
) -> pd.DataFrame:
    """Find each candidate's Gaia row: by source_id, else by obsid, else by position.

    Parameters
    ----------
    candidates : n rows
        ``obsid`` and, where known, ``gaia_source_id``; ``ra``, ``dec`` [deg] and ``mjd`` or
        ``lmjd`` [d] for the separation.
    gaia : m rows from :func:`house_gaia`
    pairs : (i, j, separation [arcsec]), optional
        Candidate and Gaia row numbers that lie within the match radius on the sky.

    Returns
    -------
    n rows, index of ``candidates``
        ``GAIA_COLUMNS``, missing where no row was found, and

        - ``gaia_separation`` [arcsec], at the time of the spectrum;
        - ``gaia_ambiguous``: several sources within the radius; the nearest was taken, and
          ``gaia_candidates`` names all of them with their separations;
        - ``gaia_duplicated``: the table lists the source more than once with different values;
          the first row was taken.
    """
    if not len(gaia):
        gaia = gaia.reindex([0])  # a row that says nothing and matches nothing
    row = np.full(len(candidates), -1, dtype=np.int64)
    for key in ("gaia_source_id", "obsid"):
        _match_on(row, candidates, gaia, key)
    named = np.full(len(candidates), None, dtype=object)
    if pairs is not None:
        _match_on_sky(row, named, gaia, pairs)
    found = row >= 0
    joined = gaia.loc[:, list(GAIA_COLUMNS)].iloc[np.where(found, row, 0)]
    joined = joined.set_axis(candidates.index).where(pd.Series(found, index=candidates.index))
    joined["gaia_source_id"] = joined["gaia_source_id"].astype("Int64")
    separation = np.full(len(candidates), np.nan)
    rows = np.flatnonzero(found)
    separation[rows] = separations(candidates, gaia, rows, row[rows])
    joined["gaia_separation"] = separation
    joined["gaia_candidates"] = pd.Series(named, index=candidates.index, dtype="str")
    joined["gaia_ambiguous"] = joined["gaia_candidates"].notna()
    joined["gaia_duplicated"] = _contradicted(gaia)[np.where(found, row, 0)] & found
    return joined


def _contradicted(gaia: pd.DataFrame) -> NDArray[np.bool_]:
    """(m,) True where the rows of one source_id differ."""
    twice = gaia["gaia_source_id"].notna() & gaia["gaia_source_id"].duplicated(keep=False)
    differs = np.zeros(len(gaia), dtype=bool)
    rows = gaia.loc[twice, ["gaia_source_id", *_TELLING]].round(dict.fromkeys(_TELLING, _SAME))
    if len(rows):
        n_kinds = rows.drop_duplicates().groupby("gaia_source_id")["gaia_source_id"].size()
        several = n_kinds.index[n_kinds > 1]
        differs[:] = (gaia["gaia_source_id"].isin(several) & twice).to_numpy(dtype=bool)
    return differs


def _match_on(
    row: NDArray[np.int64], candidates: pd.DataFrame, gaia: pd.DataFrame, key: str
) -> None:
    """Fill ``row`` where an identifier agrees."""
    if key not in candidates.columns or gaia[key].isna().all():
        return
    listed = gaia[key].dropna().drop_duplicates()
    place = pd.Series(gaia.index.get_indexer(listed.index), index=listed.to_numpy(dtype=np.int64))
    open_rows = np.flatnonzero((row < 0) & candidates[key].notna().to_numpy(dtype=bool))
    wanted = candidates[key].iloc[open_rows].to_numpy(dtype=np.int64)
    row[open_rows] = place.reindex(wanted).fillna(-1).to_numpy(dtype=np.int64)


def _match_on_sky(
    row: NDArray[np.int64], named: NDArray[np.object_], gaia: pd.DataFrame, pairs: Pairs
) -> None:
    """Fill ``row`` with the nearest counterpart of the rows still open; name rivals."""
    i, j, separation = pairs
    still = row[i] < 0
    frame = pd.DataFrame({"i": i[still], "j": j[still], "separation": separation[still]})
    ids = gaia["gaia_source_id"].iloc[frame["j"]].reset_index(drop=True)
    frame["star"] = ids.fillna(-1 - frame["j"]).astype("int64")  # without an id: by its row
    frame = frame.sort_values(["i", "separation", "j"], kind="stable")
    frame = frame.drop_duplicates(["i", "star"])
    nearest = frame.drop_duplicates("i")
    row[nearest["i"].to_numpy()] = nearest["j"].to_numpy()
    rivals = frame[frame["i"].duplicated(keep=False)]
    names = [
        f"{star if star >= 0 else f'row {-star}'} at {apart:.2f} arcsec"
        for star, apart in zip(rivals["star"], rivals["separation"], strict=True)
    ]
    for star, texts in pd.Series(names, index=rivals["i"], dtype="str").groupby(level=0):
        named[star] = "; ".join(texts)


def _as_float(values: pd.Series) -> pd.Series:
    """Return a column as float64, unreadable cells as missing."""
    return pd.to_numeric(values, errors="coerce").astype("float64")


def _as_id(values: pd.Series) -> pd.Series:
    """Return identifiers as nullable integers, never through float.

    Raises
    ------
    CatalogueError
        When a column of floats may have lost digits.
    """
    if pd.api.types.is_float_dtype(values) and _lost_digits(values.dropna()):
        raise CatalogueError(
            f"column {values.name}: identifiers are stored as floats and have lost digits; "
            "export the table again with integers or text."
        )
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("Int64")
    text = values.astype("str").str.strip()
    digits = text.str.extract(r"^(?:Gaia\s*E?DR\d\s*)?(\d{1,19})$", expand=False)
    whole: Iterable[object] = [int(d) if isinstance(d, str) else pd.NA for d in digits]
    return pd.Series(pd.array(list(whole), dtype="Int64"), index=values.index)


def _lost_digits(values: pd.Series) -> bool:
    """Tell whether floats are too large to be exact integers."""
    return bool((values.abs() > 2**53).any())
