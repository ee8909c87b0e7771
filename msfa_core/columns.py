"""Every column of ``candidates``: name, unit, format, UCD and description, in the order of the spine.

The names are the contract of the project (scripts rely on them): the store, the exports,
the screen and data/docs/numbers.md read them from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import FIT_LINES, LINE_SYMBOLS
from msfa_core.errors import CatalogueError
from msfa_core.typing import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the catalogue.

    Attributes
    ----------
    name : str
    kind : str
        ``int``, ``float``, ``bool`` or ``str``; the pandas type is nullable where needed.
    step : str
        Step that fills it: ``ingest``, ``classify``, ``measure``, ``match``, ``label``,
        ``place``, ``check``, ``identify`` or ``vet``.
    description : str
    unit : str
        As astropy's unit parser reads it; empty when dimensionless.
    format : str
        Python format specification of exported text.
    ucd : str
        IVOA UCD1+ word(s).
    """

    name: str
    kind: str
    step: str
    description: str
    unit: str = ""
    format: str = ""
    ucd: str = ""

    @property
    def dtype(self) -> str:
        """The pandas type: missing integers and booleans stay integers and booleans."""
        return {"int": "Int64", "float": "float64", "bool": "boolean", "str": "str"}[self.kind]


# name, what, unit, format, has an error column
_INDICES = (
    ("kp", "Ca II K index KP (Beers et al. 1999), saturation-safe"),
    ("ew_mgii4481", "Equivalent width of Mg II 4481"),
    ("ew_hei4471", "Equivalent width of He I 4471"),
    ("ew_siii4130", "Equivalent width of Si II 4128+4131"),
    ("ew_feii4233", "Equivalent width of Fe II 4233"),
)


# fmt: off
def _identity() -> list[Column]:
    return [
        Column("obsid", "int", "ingest", "LAMOST obsid; else a number made of plate, date and fibre", "", "d", "meta.id;meta.main"),
        Column("uid", "str", "identify", "Star identifier: G+Gaia, P+PS1 or L+HEALPix", "", "s", "meta.id"),
        Column("file", "str", "ingest", "File the spectrum was read from (exports: its name without folders)", "", "s", "meta.id;meta.file"),
        Column("ra", "float", "ingest", "Right ascension (ICRS)", "deg", ".6f", "pos.eq.ra;meta.main"),
        Column("dec", "float", "ingest", "Declination (ICRS)", "deg", ".6f", "pos.eq.dec;meta.main"),
        Column("snr_g", "float", "ingest", "Signal-to-noise ratio in g", "", ".2f", "stat.snr"),
        Column("z", "float", "ingest", "Doppler shift of the header", "", ".8f", "src.redshift"),
        Column("class", "str", "ingest", "Class of the header: STAR, GALAXY, QSO", "", "s", "src.class"),
        Column("subclass", "str", "ingest", "Subclass of the header", "", "s", "src.spType"),
        Column("data_release", "str", "ingest", "Data release of the file", "", "s", "meta.version"),
        Column("n_epochs", "int", "identify", "Spectra of this star in the survey", "", "d", "meta.number"),
        Column("is_representative", "bool", "identify", "Spectrum of highest S/N of its star", "", "", "meta.code"),
        Column("uid_flags", "int", "identify", "Doubts about the star of this spectrum; 0 = none", "", "d", "meta.code.qual"),
        Column("epoch_rv", "float", "identify", "Heliocentric radial velocity cz of this spectrum: of the template match, else of the header", "km/s", ".2f", "spect.dopplerVeloc.opt"),
        Column("epoch_rv_err", "float", "identify", "Total error of epoch_rv: of the fit, and what repeat spectra scatter by beyond it", "km/s", ".2f", "stat.error;spect.dopplerVeloc.opt"),
        Column("rv_range", "float", "identify", "Largest minus smallest velocity of the star", "km/s", ".2f", "spect.dopplerVeloc.opt;arith.diff"),
        Column("rv_chi2_probability", "float", "identify", "Probability that a star of constant velocity varies as much", "", ".4g", "stat.probability"),
    ]


def _classify() -> list[Column]:
    names = {"bhb": "BHB", "a": "A", "b": "B", "hsd": "hot subdwarf", "wd": "white dwarf"}
    return [
        Column("in_search_domain", "bool", "classify", "Star of subclass A or B, low resolution, S/N(g) above the cut", "", "", "meta.code"),
        *(
            Column(f"p_class_{key}", "float", "classify", f"Stage-1 probability of class {text}", "", ".4f", "stat.probability")
            for key, text in names.items()
        ),
        Column("predicted_class", "str", "classify", "Class of highest stage-1 probability", "", "s", "src.class"),
        Column("p_bhb", "float", "classify", "Stage-2 probability of BHB; missing where stage 1 rules BHB out", "", ".4f", "stat.probability"),
        Column("is_candidate", "bool", "classify", "In the domain, and kept by both stages by the rule of the settings", "", "", "meta.code"),
        Column("novelty", "float", "classify", "How unlike the training set: -log10 of the share of training spectra as strange at this noise", "", ".3f", "stat.fit.goodness"),
        Column("known_in", "str", "classify", "Catalogues that already list this star", "", "s", "meta.bib"),
    ]


def _measure() -> list[Column]:
    columns: list[Column] = [
        Column("rest_z", "float", "measure", "Doppler shift at which the spectrum was measured: z, or template_z where z is missing or contradicted", "", ".8f", "src.redshift"),
    ]
    for line in FIT_LINES:
        text = LINE_SYMBOLS[line]
        columns += [
            Column(f"d02_{line}", "float", "measure", f"Full width of {text} 20 % below the continuum; the bias that noise adds is taken off", "Angstrom", ".2f", "spect.line.width"),
            Column(f"d02_{line}_err", "float", "measure", f"Error of D0.2 of {text}: of the noise, and what repeat spectra differ by beyond it", "Angstrom", ".2f", "stat.error;spect.line.width"),
            Column(f"fm_{line}", "float", "measure", f"Core flux of {text} relative to the continuum; the bias that noise adds is taken off", "", ".3f", "phot.flux;spect.line"),
            Column(f"fm_{line}_err", "float", "measure", f"Error of fm of {text}: of the noise, and what repeat spectra differ by beyond it", "", ".3f", "stat.error;spect.line"),
            Column(f"d02_fm_correlation_{line}", "float", "measure", f"Correlation of the errors of D0.2 and fm of {text}", "", ".3f", "stat.correlation"),
            Column(f"depth_{line}", "float", "measure", f"SWS depth a of {text}", "", ".3f", "spect.line.intensity"),
            Column(f"width_{line}", "float", "measure", f"SWS width b of {text}", "Angstrom", ".2f", "spect.line.width"),
            Column(f"width_{line}_err", "float", "measure", f"Error of b of {text}", "Angstrom", ".2f", "stat.error;spect.line.width"),
            Column(f"shape_{line}", "float", "measure", f"SWS shape c of {text}", "", ".3f", "spect.line.profile"),
            Column(f"shape_{line}_err", "float", "measure", f"Error of c of {text}", "", ".3f", "stat.error;spect.line.profile"),
            Column(f"width_shape_correlation_{line}", "float", "measure", f"Correlation of the errors of b and c of {text}", "", ".3f", "stat.correlation"),
            Column(f"continuum_{line}", "float", "measure", f"Local continuum n of {text}", "", ".3f", "phot.flux;spect.continuum"),
            Column(f"rms_{line}", "float", "measure", f"Residual rms of the fit of {text}", "", ".4f", "stat.fit.residual"),
            Column(f"balmer_flags_{line}", "int", "measure", f"Caveats of the fit of {text}; 0 = good", "", "d", "meta.code.qual"),
        ]
    columns += [
        Column("in_bhb_region", "bool", "measure", "Both lines inside the chosen D0.2-fm selection; missing where not measured", "", "", "meta.code"),
        Column("p_in_bhb_region", "float", "measure", "Probability, given the errors, that both lines are inside the selection", "", ".4f", "stat.probability"),
    ]
    for name, text in _INDICES:
        columns += [
            Column(name, "float", "measure", text, "Angstrom", ".3f", "spect.line.eqWidth"),
            Column(f"{name}_err", "float", "measure", f"Error of {name}", "Angstrom", ".3f", "stat.error;spect.line.eqWidth"),
        ]
    return columns


def _match() -> list[Column]:
    return [
        Column("template_class", "str", "match", "Class of the best template", "", "s", "src.class"),
        Column("template_subclass", "str", "match", "Subclass of the best template", "", "s", "src.spType"),
        Column("template_z", "float", "match", "Doppler shift of the template match", "", ".8f", "src.redshift"),
        Column("template_z_err", "float", "match", "Error of template_z of the fit alone, of its class; none where no line tells; that of epoch_rv is total", "", ".8f", "stat.error;src.redshift"),
        Column("template_chi2", "float", "match", "Reduced chi2 of the template match", "", ".3f", "stat.fit.chi2"),
        Column("template_confidence", "float", "match", "Confidence of the template match", "percent", ".1f", "stat.confidenceLevel"),
        Column("template_probability", "float", "match", "Probability that class and subclass (within five subtypes) of the template are right, as matches of labelled spectra were", "", ".3f", "stat.probability"),
        Column("template_flags", "int", "match", "Caveats of the template match; 0 = good", "", "d", "meta.code.qual"),
        Column("template_disagrees", "bool", "match", "The template match, where trusted, is of another class than the networks say", "", "", "meta.code"),
    ]


def _label() -> list[Column]:
    return [
        Column("teff", "float", "label", "Effective temperature", "K", ".2f", "phys.temperature.effective"),
        Column("teff_err", "float", "label", "Total error of teff: of the fit, and what real stars scatter by beyond it; none for a limit", "K", ".2f", "stat.error;phys.temperature.effective"),
        Column("teff_fit_err", "float", "label", "Error of teff of the fit alone", "K", ".2f", "stat.error;phys.temperature.effective"),
        Column("logg", "float", "label", "Surface gravity", "dex(cm/s2)", ".2f", "phys.gravity"),
        Column("logg_err", "float", "label", "Total error of logg: of the fit, and what real stars scatter by beyond it; none for a limit", "dex(cm/s2)", ".2f", "stat.error;phys.gravity"),
        Column("logg_fit_err", "float", "label", "Error of logg of the fit alone", "dex(cm/s2)", ".2f", "stat.error;phys.gravity"),
        Column("feh", "float", "label", "Iron abundance [Fe/H]", "dex(1)", ".2f", "phys.abund.Fe"),
        Column("feh_err", "float", "label", "Total error of feh: of the fit, and what real stars scatter by beyond it; none for a limit", "dex(1)", ".2f", "stat.error;phys.abund.Fe"),
        Column("feh_fit_err", "float", "label", "Error of feh of the fit alone", "dex(1)", ".2f", "stat.error;phys.abund.Fe"),
        Column("label_chi2", "float", "label", "Reduced chi2 of the label fit", "", ".3f", "stat.fit.chi2"),
        Column("label_flags", "int", "label", "Caveats of the labels; 0 = good", "", "d", "meta.code.qual"),
        Column("label_colours", "str", "label", "Colours that joined the spectrum", "", "s", "meta.note"),
    ]


def _place() -> list[Column]:
    return [
        Column("gaia_source_id", "int", "place", "Gaia DR3 source_id", "", "d", "meta.id.cross"),
        Column("gaia_separation", "float", "place", "Distance of the Gaia source, moved to the date of the spectrum", "arcsec", ".3f", "pos.angDistance"),
        Column("gaia_candidates", "str", "place", "All Gaia sources within the match radius, where there are several", "", "s", "meta.note"),
        Column("g_mag", "float", "place", "Gaia G magnitude", "mag", ".4f", "phot.mag;em.opt"),
        Column("bp_mag", "float", "place", "Gaia BP magnitude", "mag", ".4f", "phot.mag;em.opt.B"),
        Column("rp_mag", "float", "place", "Gaia RP magnitude", "mag", ".4f", "phot.mag;em.opt.R"),
        Column("j_mag", "float", "place", "2MASS J magnitude", "mag", ".3f", "phot.mag;em.IR.J"),
        Column("h_mag", "float", "place", "2MASS H magnitude", "mag", ".3f", "phot.mag;em.IR.H"),
        Column("ks_mag", "float", "place", "2MASS Ks magnitude", "mag", ".3f", "phot.mag;em.IR.K"),
        Column("bp_rp", "float", "place", "Gaia BP-RP colour", "mag", ".6f", "phot.color;em.opt.B;em.opt.R"),
        Column("bp_rp0", "float", "place", "BP-RP colour without dust, where E(B-V) is known", "mag", ".6f", "phot.color;em.opt.B;em.opt.R"),
        Column("abs_mag_g", "float", "place", "Absolute G magnitude from the parallax", "mag", ".6f", "phot.mag;em.opt"),
        Column("abs_mag_g_err", "float", "place", "Error of abs_mag_g that the parallax makes", "mag", ".4f", "stat.error;phot.mag;em.opt"),
        Column("abs_mag_g0", "float", "place", "Absolute G magnitude without dust, where E(B-V) is known", "mag", ".6f", "phot.mag;em.opt"),
        Column("parallax_mas", "float", "place", "Gaia parallax", "mas", ".4f", "pos.parallax"),
        Column("parallax_over_error", "float", "place", "Parallax over its error", "", ".2f", "stat.snr;pos.parallax"),
        Column("parallax_zero_point", "float", "place", "Parallax zero point that was taken off for abs_mag_g; missing when it was not", "mas", ".4f", "pos.parallax;arith.zp"),
        Column("pmra", "float", "place", "Proper motion in RA times cos Dec", "mas/yr", ".3f", "pos.pm;pos.eq.ra"),
        Column("pmdec", "float", "place", "Proper motion in Dec", "mas/yr", ".3f", "pos.pm;pos.eq.dec"),
        Column("pm_over_error", "float", "place", "Proper motion over its error", "", ".2f", "stat.snr;pos.pm"),
        Column("reduced_proper_motion", "float", "place", "Reduced proper motion H_G = G + 5 + 5 log10(mu/arcsec/yr)", "mag", ".4f", "phot.mag;pos.pm"),
        Column("tangential_velocity", "float", "place", "Tangential velocity 4.74 mu/parallax", "km/s", ".2f", "phys.veloc.transverse"),
        Column("tangential_velocity_err", "float", "place", "Error of tangential_velocity", "km/s", ".2f", "stat.error;phys.veloc.transverse"),
        Column("ps_id", "int", "place", "Pan-STARRS1 objID", "", "d", "meta.id.cross"),
        Column("ps_separation", "float", "place", "Distance of the Pan-STARRS source, the star moved to its epoch", "arcsec", ".3f", "pos.angDistance"),
        Column("ps_candidates", "str", "place", "All Pan-STARRS sources within the match radius, where there are several", "", "s", "meta.note"),
        *_panstarrs_bands(),
        Column("ps_quality", "int", "place", "Quality flag of the Pan-STARRS archive, by bits", "", "d", "meta.code.qual"),
        Column("ps_flags", "int", "place", "Caveats of the Pan-STARRS row; 0 = good", "", "d", "meta.code.qual"),
        Column("ebv", "float", "place", "Reddening E(B-V)", "mag", ".4f", "phot.color.excess"),
        Column("ebv_source", "str", "place", "Where ebv comes from: column, bayestar (3-D map) or sfd (2-D map)", "", "s", "meta.ref"),
        Column("in_cmd_trapezoid", "bool", "place", "Inside the trapezoid of Culpan et al. (2021)", "", "", "meta.code"),
        Column("p_in_cmd_trapezoid", "float", "place", "Probability, given the errors of parallax and colour, of lying inside the trapezoid", "", ".4f", "stat.probability"),
        Column("cmd_exclusions", "int", "place", "Samples of Culpan et al. (2021) that leave the star out, by bits; 0 = none", "", "d", "meta.code"),
        Column("cmd_flags", "int", "place", "Caveats of the photometry; 0 = good", "", "d", "meta.code.qual"),
    ]


def _panstarrs_bands() -> list[Column]:
    ucds = {"g": "em.opt.B", "r": "em.opt.R", "i": "em.opt.I", "z": "em.opt.I", "y": "em.IR.NIR"}
    return [
        column
        for band, ucd in ucds.items()
        for column in (
            Column(f"ps_{band}_mag", "float", "place", f"Pan-STARRS {band} magnitude (AB)", "mag", ".4f", f"phot.mag;{ucd}"),
            Column(f"ps_{band}_mag_err", "float", "place", f"Error of ps_{band}_mag", "mag", ".4f", f"stat.error;phot.mag;{ucd}"),
        )
    ]


def _check() -> list[Column]:
    return [
        Column("flux_calibration", "float", "check", "Tilt of the spectrum against its Pan-STARRS magnitudes from g to i: positive where too faint in the red", "mag", ".3f", "phot.color;arith.diff"),
        Column("flux_calibration_err", "float", "check", "Error of flux_calibration", "mag", ".3f", "stat.error;phot.color"),
        Column("flux_calibration_flags", "int", "check", "What the colours say of the flux calibration; 0 = good", "", "d", "meta.code.qual"),
    ]


def _vet() -> list[Column]:
    return [
        Column("verdict", "str", "vet", "Verdict of record: accept, reject, unsure, disputed", "", "s", "meta.code"),
        Column("verdict_class", "str", "vet", "Class given by the reviewers; missing where they differ", "", "s", "src.class"),
        Column("confidence", "int", "vet", "Confidence of the decision of record, 1 (guess) to 4 (certain)", "", "d", "meta.code"),
        Column("comment", "str", "vet", "Comment on the decision of record", "", "s", "meta.note"),
        Column("reviewer", "str", "vet", "Who made the decision of record: the latest of those that agree; missing where disputed", "", "s", "meta.id"),
        Column("decided_at", "str", "vet", "When it was made (UTC, ISO 8601)", "", "s", "time.processing"),
        Column("n_reviews", "int", "vet", "Reviewers that decided on this star", "", "d", "meta.number"),
        Column("agreement", "float", "vet", "Share of reviewers that share the verdict of record (where disputed: the most frequent one)", "", ".2f", "stat.probability"),
        Column("verdicts_by_reviewer", "str", "vet", "Verdict of each reviewer, as `Ann: accept; Bob: reject as A`", "", "s", "meta.code"),
        Column("comments_by_reviewer", "str", "vet", "Comment of each reviewer that wrote one", "", "s", "meta.note"),
        Column("issues_by_reviewer", "str", "vet", "Issue flags of each reviewer that set some", "", "s", "meta.note"),
        Column("dates_by_reviewer", "str", "vet", "When each reviewer decided (UTC, ISO 8601)", "", "s", "time.processing"),
    ]


# fmt: on
COLUMNS: Final = tuple(
    [*_identity(), *_classify(), *_measure(), *_match(), *_label(), *_place(), *_check(), *_vet()]
)
BY_NAME: Final = {column.name: column for column in COLUMNS}
# Table 6 of the paper, in its order
FEW: Final = 20  # columns that a table of a survey lacks, those of decisions among them
PAPER_COLUMNS: Final = ("obsid", "ra", "dec", "snr_g", "bp_rp", "abs_mag_g", "teff", "logg", "feh")


def columns_of(step: str) -> tuple[Column, ...]:
    """Return the columns that a step fills."""
    return tuple(column for column in COLUMNS if column.step == step)


VET_COLUMNS: Final = tuple(column.name for column in columns_of("vet"))
TRUE_CLASS: Final = "true_class"  # beside the contract: what only a simulation knows
OBSERVATION: Final = ("lmjd", "planid", "spid", "fiberid")  # what names one of LAMOST


def check_columns(table: pd.DataFrame, needed: Iterable[str], what: str) -> None:
    """Raise when a table lacks columns that a step needs.

    Raises
    ------
    CatalogueError
        Naming the missing columns, and those the table has.
    """
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise CatalogueError(
            f"{what} lacks the column(s) {', '.join(missing)}; it has {', '.join(map(str, table.columns))}."
        )


def conform(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with every column of the contract, typed and ordered.

    Columns the table lacks are added as missing; columns outside the contract (``true_*`` of a
    simulated survey, a user's own) follow behind, unchanged.
    """
    data = {}
    for column in COLUMNS:
        if column.name in table.columns:
            data[column.name] = table[column.name].astype(column.dtype)
        else:
            data[column.name] = _missing(column, table.index)
    extra = {name: table[name] for name in table.columns if name not in data}
    return pd.DataFrame({**data, **extra}, index=table.index)


def conform_lightly(table: pd.DataFrame) -> pd.DataFrame:
    """Return what `conform` does, of a table as read from its file: nothing large is copied."""
    ordered = [column.name for column in COLUMNS if column.name in table.columns]
    n_lacking = len(COLUMNS) - len(ordered)
    if list(table.columns[: len(ordered)]) != ordered or n_lacking > FEW:
        return conform(table)
    whole = table.copy(deep=False)
    for place, column in enumerate(COLUMNS):
        if column.name not in table.columns:
            whole.insert(place, column.name, _missing(column, table.index))
        elif table[column.name].dtype != column.dtype:
            whole[column.name] = table[column.name].astype(column.dtype)
    return whole


def _missing(column: Column, index: pd.Index) -> pd.Series:
    filler = None if column.kind in ("int", "bool", "str") else np.nan
    return pd.Series([filler] * len(index), index=index, dtype=column.dtype)


def numbers(table: pd.DataFrame, name: str) -> FloatArray:
    """(n,) values of a column, NaN where missing or where there is no such column."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def is_true(table: pd.DataFrame, name: str) -> BoolArray:
    """(n,) True where a column is there, known and true."""
    if name not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return table[name].astype("boolean").to_numpy(dtype=bool, na_value=False)


def is_false(table: pd.DataFrame, name: str) -> BoolArray:
    """(n,) True where a column is there, known and false."""
    if name not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return ~table[name].astype("boolean").to_numpy(dtype=bool, na_value=True)
