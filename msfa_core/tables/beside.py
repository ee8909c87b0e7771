"""Columns beside those of the contract that go out with them, and what flags mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from msfa_core.columns import BY_NAME, Column
from msfa_core.constants import LABELS
from msfa_core.flags import FLAGS_OF

_RV: Final = "spect.dopplerVeloc.opt"
_KNOWN: Final[dict[str, tuple[str, str, str]]] = {  # name -> unit, UCD, description
    "z_err": ("", "stat.error;src.redshift", "Error of z: of the header, else of the catalogue"),
    "rv": ("km / s", _RV, "Radial velocity of a catalogue"),
    "rv_err": ("km / s", f"stat.error;{_RV}", "Error of the radial velocity of a catalogue"),
    "mjd": ("d", "time.epoch", "Modified Julian day of the observation"),
    "lmjd": ("d", "time.epoch", "Local modified Julian day of the observation"),
    "date_obs": ("", "time.epoch", "Date of the observation in the header (UTC, ISO 8601)"),
    "planid": ("", "meta.id", "Plan of the observation"),
    "spid": ("", "meta.id;instr", "Spectrograph"),
    "fiberid": ("", "meta.id;instr", "Fibre"),
    "designation": ("", "meta.id", "Designation of the object in the header"),
    "layout": ("", "meta.code", "Layout of the file"),
    "resolution": ("", "meta.code;spect.resolution", "Resolution of the spectrum: low or medium"),
    "hdelta_d02": ("Angstrom", "spect.line.width", "D0.2 of Hdelta of a catalogue"),
    "hgamma_d02": ("Angstrom", "spect.line.width", "D0.2 of Hgamma of a catalogue"),
    "parallax_error_mas": ("mas", "stat.error;pos.parallax", "Error of the parallax (Gaia)"),
    "pmra_error": ("mas / yr", "stat.error;pos.pm;pos.eq.ra", "Error of pmra (Gaia)"),
    "pmdec_error": ("mas / yr", "stat.error;pos.pm;pos.eq.dec", "Error of pmdec (Gaia)"),
    "bp_flux_over_error": ("", "stat.snr;phot.flux;em.opt.B", "Flux in BP over its error (Gaia)"),
    "rp_flux_over_error": ("", "stat.snr;phot.flux;em.opt.R", "Flux in RP over its error (Gaia)"),
    "excess_factor": ("", "arith.factor;phot.flux;em.opt", "Excess factor of BP and RP (Gaia)"),
    "nu_eff_used_in_astrometry": (
        "um-1",
        "em.wavenumber",
        "Effective wave number used in the astrometry (Gaia)",
    ),
    "pseudocolour": ("um-1", "em.wavenumber", "Wave number fitted in the astrometry (Gaia)"),
    "ecl_lat": ("deg", "pos.ecliptic.lat", "Ecliptic latitude (Gaia)"),
    "astrometric_params_solved": (
        "",
        "meta.code",
        "Which parameters the astrometry solved for (Gaia)",
    ),
    "bp_g": ("mag", "phot.color;em.opt.B;em.opt", "Colour BP-G"),
    "g_rp": ("mag", "phot.color;em.opt;em.opt.R", "Colour G-RP"),
    "j_h": ("mag", "phot.color;em.IR.J;em.IR.H", "Colour J-H"),
    **{
        f"{band}_mag_err": (
            "mag",
            f"stat.error;{BY_NAME[f'{band}_mag'].ucd}",
            f"Error of {band}_mag (2MASS)",
        )
        for band in ("j", "h", "ks")
    },
}
_FLAGGED: Final = {  # columns of flags -> values that they speak of
    "uid_flags": ("uid", "n_epochs"),
    "balmer_flags_hdelta": ("d02_hdelta", "fm_hdelta"),
    "balmer_flags_hgamma": ("d02_hgamma", "fm_hgamma"),
    "template_flags": ("template_class", "template_subclass", "template_z"),
    "label_flags": LABELS,
    "cmd_flags": ("bp_rp", "abs_mag_g"),
    "ps_flags": ("ps_id", "ps_g_mag", "ps_r_mag", "ps_i_mag", "ps_z_mag", "ps_y_mag"),
    "flux_calibration_flags": ("flux_calibration",),
}
_OF_TRUTH: Final = {
    **{"vsini": "km / s", "rv": "km / s", "mass": "solMass", "distance_kpc": "kpc"},
    **{"parallax_mas": "mas", "ebv": "mag", "abs_mag_g": "mag", "bp_rp": "mag"},
}


def own_column(name: str, values: pd.Series) -> Column:
    """Describe a column outside the contract: one that we know, else by its type."""
    if pd.api.types.is_bool_dtype(values.dtype):
        kind = "bool"
    elif pd.api.types.is_integer_dtype(values.dtype):
        kind = "int"
    else:
        kind = "float" if pd.api.types.is_float_dtype(values.dtype) else "str"
    unit, ucd, words = _known(name)
    unit = unit if kind in ("int", "float") else ""
    return Column(name, kind, "user", words, unit, "d" if kind == "int" else "", ucd)


def _known(name: str) -> tuple[str, str, str]:
    """Return unit, UCD and description of a column."""
    base = name.removesuffix("_catalogue")
    if base != name and base in BY_NAME:
        one, value = BY_NAME[base], base.removesuffix("_err")  # whose errors are not made as ours
        words = f"Error of {value}" if value != base else one.description
        return one.unit, one.ucd, f"{words}: of the catalogue"
    base = name.removeprefix("true_")
    if base != name:
        unit = _OF_TRUTH.get(base) or (BY_NAME[base].unit if base in BY_NAME else "")
        return unit, "", "Truth of the simulation"
    return _KNOWN.get(name, ("", "", "Column of the user"))


def flags_in_words(columns: Sequence[Column], table: pd.DataFrame) -> dict[str, str]:
    """Return what the bits mean that occur in columns of flags, for the header of an export.

    Parameters
    ----------
    columns : sequence of Column
    table : (n,) DataFrame
    """
    said = {}
    for name in (column.name for column in columns if column.name in FLAGS_OF):
        flags = table[name].dropna().unique()
        bits = [one for one in FLAGS_OF[name] if any(int(value) & one for value in flags)]
        if bits:
            words = (f"{int(one)} = {one.sentence.removesuffix('.')}" for one in bits)
            said[f"bits of {name}"] = "; ".join(words)
    return said


def flags_left_out(columns: Sequence[Column], table: pd.DataFrame) -> dict[str, str]:
    """Return how many rows are flagged where values go out without the column of their flags.

    Rows of several verdicts without the column that tells them apart are counted by verdict.

    Parameters
    ----------
    columns : sequence of Column
        What goes out.
    table : (n,) DataFrame
        With the columns of flags and ``verdict``, as far as there are any.
    """
    names, said = {column.name for column in columns}, {}
    for name, kind in FLAGS_OF.items():
        if name in names or name not in table or not names & set(_FLAGGED.get(name, ())):
            continue
        flags = table[name].dropna().astype("int64").to_numpy()
        counts = {one: int(((flags & int(one)) != 0).sum()) for one in kind}
        if any(counts.values()):
            words = (f"{one.sentence.removesuffix('.')}: {n}" for one, n in counts.items() if n)
            said[f"without its column {name}"] = (
                f"{int((flags != 0).sum())} of {len(table)} rows carry one of these flags; "
                f"{'; '.join(words)}"
            )
    return said | _verdicts_left_out(names, table)


def _verdicts_left_out(names: set[str], table: pd.DataFrame) -> dict[str, str]:
    """Return how the verdicts are spread where rows of several go out without their column."""
    if "verdict" in names or "verdict" not in table or not table["verdict"].notna().any():
        return {}
    counts = table["verdict"].astype("object").fillna("no verdict").value_counts()
    if len(counts) == 1:
        return {}
    words = (f"{word}: {n}" for word, n in sorted(counts.items()))
    return {"without its column verdict": f"rows of several verdicts, {'; '.join(words)}"}
