"""Gaia DR3 rows from a table: house names, and joined to the spectra."""

from __future__ import annotations

from typing import Final

import pandas as pd

from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.photometry.counterparts import Pairs
from msfa_core.photometry.joining import SkySurvey, house_rows, joined_rows
from msfa_core.tables.door import Use, of_frame
from msfa_core.tables.report import OutsideTable
from msfa_core.tables.row_keys import DEC_SPELLED, RA_SPELLED

# house name -> names under which tables of the archive and of others carry it, the first counts;
# a name with capitals is another survey's in lower case
GAIA_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "gaia_source_id": (
        *("gaia_source_id", "source_id", "gaia_dr3_source_id", "gaia_edr3_source_id"),
        *("gaiadr3", "gaiaedr3", "gaia_dr3_id", "gaia_edr3_id", "gaia_dr3", "gaia_edr3"),
        *("dr3_source_id", "edr3_source_id", "source_id_dr3", "source_id_edr3", "dr3_id"),
        *("gaiadr3_source_id", "gaiaedr3_source_id", "gaia_sourceid", "gaiasourceid"),
        *("gaia_id", "gaiaid", "sourceid", "source", "dr3name", "edr3name", "gaia_name"),
        *("gaia", "edr3_id", "designation"),
    ),
    "obsid": ("obsid", "lamost_obsid", "obs_id"),
    "ra": (
        *("ra_icrs", "ra_gaia", "gaia_ra", "ra", "raj2000", "radeg", "_raj2000", "ra_deg"),
        *("_ra", "_ra.icrs", "ra_epoch2000", "alpha", *RA_SPELLED),
    ),
    "dec": (
        *("de_icrs", "dec_icrs", "dec_gaia", "gaia_dec", "dec", "dej2000", "decj2000", "dedeg"),
        *("decdeg", "_dej2000", "dec_deg", "_de", "_de.icrs", "dec_epoch2000", "delta"),
        *DEC_SPELLED,
    ),
    "g_mag": (
        *("phot_g_mean_mag", "Gmag", "gaia_g_mean_mag", "phot_g_mag", "g_mag", "gaia_g"),
        *("gaia_gmag", "gaia_g_mag", "g_gaia", "gmag_gaia", "gaiag", "mag_g_gaia", "G"),
    ),
    "bp_mag": ("phot_bp_mean_mag", "bp_mag", "BPmag", "bpmag", "BP", "G_BP", "GBP", "gbpmag"),
    "rp_mag": ("phot_rp_mean_mag", "rp_mag", "RPmag", "rpmag", "RP", "G_RP", "GRP", "grpmag"),
    "bp_rp": ("bp_rp", "bp-rp", "(bp-rp)", "bprp", "g_bp-g_rp", "bp_minus_rp", "bpmag-rpmag"),
    "j_mag": ("j_mag", "j_m", "jmag", "tmass_j"),
    "h_mag": ("h_mag", "h_m", "hmag", "tmass_h"),
    "ks_mag": ("ks_mag", "ks_m", "k_m", "k_mag", "kmag", "ksmag"),
    "j_mag_err": ("j_mag_err", "j_msigcom", "e_jmag", "j_mag_error"),
    "h_mag_err": ("h_mag_err", "h_msigcom", "e_hmag", "h_mag_error"),
    "ks_mag_err": ("ks_mag_err", "ks_msigcom", "k_msigcom", "e_kmag", "ks_mag_error"),
    "parallax_mas": ("parallax_mas", "parallax", "plx", "varpi"),
    "parallax_error_mas": (
        *("parallax_error_mas", "parallax_error", "e_plx", "parallax_err", "e_parallax"),
        *("plx_error", "plx_err", "parallax_unc", "sigma_parallax"),
    ),
    "parallax_over_error": ("parallax_over_error", "rplx"),
    "pmra": (
        *("pmra", "pm_ra", "pmra*", "pmra_cosdec", "pm_ra_cosdec", "pmracosdec", "pmracosde"),
        *("pmra_cosde", "pmracosd", "mu_alpha*", "mu_alpha_star", "mu_alpha_cosdec"),
    ),
    "pmdec": ("pmdec", "pmde", "pm_dec", "mu_delta", "mu_dec"),
    "pmra_error": ("pmra_error", "e_pmra", "pmra_err", "pm_ra_error"),
    "pmdec_error": ("pmdec_error", "e_pmde", "pmdec_err", "pm_dec_error"),
    "ref_epoch": ("ref_epoch", "refepoch", "pos_epoch", "coord_epoch", "epoch"),
    "ebv": ("ebv", "e_bv", "e(b-v)", "ebv_sfd", "ebmv", "e_b_v", "e(b-v)_sfd", "e_bv_sfd"),
    "excess_factor": ("excess_factor", "phot_bp_rp_excess_factor", "e(br/rp)", "e(bp/rp)"),
    "bp_flux_over_error": ("bp_flux_over_error", "phot_bp_mean_flux_over_error", "rfbp"),
    "rp_flux_over_error": ("rp_flux_over_error", "phot_rp_mean_flux_over_error", "rfrp"),
    "nu_eff_used_in_astrometry": ("nu_eff_used_in_astrometry", "nueff"),
    "pseudocolour": ("pseudocolour", "pscol"),
    "ecl_lat": ("ecl_lat", "elat"),
    "astrometric_params_solved": ("astrometric_params_solved", "solved"),
}
_OF_GAIA: Final = (  # of which joined tables say that they are Gaia's: gaia_parallax
    *("g_mag", "bp_mag", "rp_mag", "bp_rp", "parallax_mas", "parallax_error_mas", "pmra", "pmdec"),
    *("parallax_over_error", "pmra_error", "pmdec_error", "ref_epoch", "excess_factor"),
)
_RELEASES: Final = ("gaia", "gaiadr3", "gaiaedr3", "gaia_dr3", "gaia_edr3")  # before their names
for _name in _OF_GAIA:
    GAIA_ALIASES[_name] += tuple(
        f"{said}_{alias}" for said in _RELEASES for alias in GAIA_ALIASES[_name]
    )
GAIA_USE: Final = Use(
    "a Gaia table",
    GAIA_ALIASES,
    tuple((key, "g_mag") for key in ("gaia_source_id", "obsid")) + (("ra", "dec", "g_mag"),),
    beside=("gaia_source_id", "g_mag"),
    says_unused=True,
)
GAIA_COLUMNS: Final = (  # what a join brings, in this order
    "gaia_source_id", "g_mag", "bp_rp", "parallax_mas", "parallax_error_mas",
    "parallax_over_error", "pmra", "pmdec", "ebv", "excess_factor", "bp_flux_over_error",
    "rp_flux_over_error", "bp_mag", "rp_mag", "j_mag", "h_mag", "ks_mag", "j_mag_err",
    "h_mag_err", "ks_mag_err", "pmra_error", "pmdec_error", "nu_eff_used_in_astrometry",
    "pseudocolour", "ecl_lat", "astrometric_params_solved",
)  # fmt: skip
GAIA: Final = SkySurvey(
    name="Gaia",
    key="gaia_source_id",
    prefix="gaia",
    columns=GAIA_COLUMNS,
    telling=("g_mag", "bp_rp", "parallax_mas", "pmra", "pmdec"),
    needed=("g_mag",),
    called=("source_id, obsid or ra/dec column", "G magnitude (phot_g_mean_mag or g_mag)"),
)


def house_gaia(table: pd.DataFrame) -> pd.DataFrame:
    """Give a Gaia table that is in memory the names of the house.

    Parameters
    ----------
    table : n rows
        As from the archive or a survey's own match: in the units of the archive, unless
        ``table.attrs["units"]`` says otherwise.

    Returns
    -------
    n rows
        As from `gaia_rows`.

    Raises
    ------
    CatalogueError
        When the table has nothing to join on, or no photometry.
    """
    return gaia_rows(of_frame(table, GAIA_USE, "the Gaia table", trusted=True))


def gaia_rows(opened: OutsideTable) -> pd.DataFrame:
    """Return the rows of a Gaia table that came through the door.

    Parameters
    ----------
    opened : OutsideTable
        Opened for `GAIA_USE`.

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
    house = house_rows(opened, GAIA, GAIA_ALIASES)
    house["bp_rp"] = house["bp_rp"].fillna(house["bp_mag"] - house["rp_mag"])
    house["parallax_over_error"] = house["parallax_over_error"].fillna(
        house["parallax_mas"] / house["parallax_error_mas"]
    )
    return house


def join_gaia(
    candidates: pd.DataFrame,
    gaia: pd.DataFrame,
    pairs: Pairs | None = None,
    radius_arcsec: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.DataFrame:
    """Find each candidate's Gaia row: by source_id, else by obsid, else by position.

    Where both positions are known, what an identifier says is checked: of several rows the
    nearest at the time of the spectrum is taken, and one far away is refused, for the star at its
    place too.

    Parameters
    ----------
    candidates : n rows
        ``obsid`` and, where known, ``gaia_source_id``; ``ra``, ``dec`` [deg] and ``mjd`` or
        ``lmjd`` [d] for the separation.
    gaia : m rows from :func:`house_gaia`
    pairs : (i, j, separation [arcsec]), optional
        Candidate and Gaia row numbers that lie within the match radius on the sky.
    radius_arcsec : float
        An identifier may name a row up to `FAR` times as far.

    Returns
    -------
    n rows, index of ``candidates``
        ``GAIA_COLUMNS``, missing where no row was found, and

        - ``gaia_separation`` [arcsec], at the time of the spectrum;
        - ``gaia_found_by``: ``source_id``, ``obsid`` or ``position``;
        - ``gaia_ambiguous``: several sources within the radius; the nearest was taken, and
          ``gaia_candidates`` names all of them with their separations;
        - ``gaia_duplicated``: the table lists the source, or the obsid, more than once with
          different values; the nearest row was taken, else the first;
        - ``gaia_refused`` [arcsec]: how far the row lies that an identifier named, and that was
          refused.
    """
    return joined_rows(candidates, gaia, GAIA, pairs, radius_arcsec)
