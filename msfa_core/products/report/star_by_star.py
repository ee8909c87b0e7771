"""The stars of a report: the catalogue, a row each, and the section of each one."""

from __future__ import annotations

from html import escape
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import FIT_LINES, LABELS, LINE_SYMBOLS, SPEED_OF_LIGHT
from msfa_core.counting import counted_of
from msfa_core.flags import FitFlag, LabelFlag
from msfa_core.products.report.gather import Report, StarStory
from msfa_core.spine.witnesses import probability_words

PROBABILITY: Final = "probability"  # in place of a format
_STANCES: Final = {1: ("for", "✓"), -1: ("against", "✕"), 0: ("silent", "–")}
SMALL: Final = ("d02_fm_hdelta", "cmd", "kiel")  # planes of a star's own section
COLUMNS: Final = (  # of the catalogue: column, heading, unit, format
    ("uid", "star", "", ""),
    ("ra", "RA", "deg", ".5f"),
    ("dec", "Dec", "deg", "+.5f"),
    ("g_mag", "G", "mag", ".2f"),
    ("snr_g", "S/N", "", ".0f"),
    ("d02_hdelta", "D0.2", "Hδ, Å", ".1f"),
    ("fm_hdelta", "fm", "Hδ", ".3f"),
    ("bp_rp", "BP−RP", "mag", ".3f"),
    ("abs_mag_g", "M_G", "mag", ".2f"),
    ("teff", "Teff", "K", ".0f"),
    ("logg", "log g", "dex", ".2f"),
    ("feh", "[Fe/H]", "dex", ".2f"),
    ("p_bhb", "p_bhb", "", PROBABILITY),
    ("n_epochs", "epochs", "", ".0f"),
    ("n_reviews", "reviews", "", ".0f"),
)
_MEASURED: Final = (  # of a star's section: column, name, unit, format
    ("Lines", (
        ("d02_hdelta", "D0.2 Hδ", "Å", ".2f"), ("fm_hdelta", "fm Hδ", "", ".3f"),
        ("d02_hgamma", "D0.2 Hγ", "Å", ".2f"), ("fm_hgamma", "fm Hγ", "", ".3f"),
        ("kp", "Ca II K index KP", "Å", ".2f"),
        ("ew_mgii4481", "Mg II 4481", "Å", ".2f"),
    )),
    ("Labels", (
        ("teff", "Teff", "K", ".0f"), ("logg", "log g", "dex(cm/s²)", ".2f"),
        ("feh", "[Fe/H]", "dex", ".2f"), ("label_chi2", "χ² of the fit", "", ".2f"),
    )),
    ("Search", (
        ("p_bhb", "p_bhb", "", PROBABILITY), ("p_class_bhb", "class BHB", "", PROBABILITY),
        ("p_class_a", "class A", "", PROBABILITY), ("p_class_b", "class B", "", PROBABILITY),
        ("novelty", "novelty", "", ".2f"), ("template_confidence", "template", "%", ".0f"),
    )),
    ("Gaia", (
        ("g_mag", "G", "mag", ".3f"), ("bp_rp", "BP−RP", "mag", ".3f"),
        ("abs_mag_g", "M_G", "mag", ".2f"), ("parallax_over_error", "ϖ/σ", "", ".1f"),
        ("ebv", "E(B−V)", "mag", ".3f"), ("tangential_velocity", "v_t", "km/s", ".0f"),
    )),
)  # fmt: skip


def _number(row: pd.Series, name: str) -> float:
    value = row.get(name)
    if value is None or pd.isna(value):
        return float("nan")
    return float(value)


def _cell(row: pd.Series, name: str, form: str) -> str:
    """Return a number as people write it; a dash where there is none."""
    value = _number(row, name)
    return escape(in_form(value, form)) if np.isfinite(value) else "–"


def in_form(value: float, form: str) -> str:
    """Return a number in a format, or as probabilities are written."""
    if form == PROBABILITY:
        return probability_words(value)
    return f"{value:{form}}".replace("-", "−")


def catalogue_html(report: Report) -> str:
    """Return the table of all stars of a report; why there is none, where there is none."""
    if report.why_none:
        body = f'<p class="missing">{escape(report.why_none)}</p>'
    else:
        heads = "".join(
            f'<th scope="col" aria-sort="none"><button type="button" data-sort="{k}">'
            f"{escape(name)}<small>{escape(unit)}</small></button></th>"
            for k, (_, name, unit, _) in enumerate(COLUMNS)
        )
        rows = "".join(_catalogue_row(star) for star in report.stars)
        body = (
            '<div class="scroll"><table id="table" class="catalogue"><thead><tr>'
            f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    count = (
        "" if report.why_none else f" <small>{counted_of(len(report.stars), report.words)}</small>"
    )
    return (
        f'<section id="catalogue"><h2>Catalogue{count}</h2>'
        '<p class="note">A click on a heading sorts; the field <i>find</i> above keeps the stars '
        "that hold every word, and understands limits such as feh&lt;-2, teff&gt;9000, snr_g&gt;30 "
        f"(the names of the columns of the full table).</p>{body}</section>"
    )


def _catalogue_row(star: StarStory) -> str:
    link = f'<a href="#s{star.obsid}">{escape(star.name)}</a>'
    cells = [f'<th scope="row">{link}</th>']
    for name, _, _, form in COLUMNS[1:]:
        cells.append(f"<td>{_cell(star.row, name, form)}</td>")
    return f'<tr data-star="{star.obsid}">{"".join(cells)}</tr>'


def stars_html(report: Report) -> str:
    """Return the sections of the stars of a report, one each."""
    if report.why_none:
        return ""
    lost = sum(star.picture is None for star in report.stars)
    note = (
        f'<p class="note">The {lost:,} last of them carry no spectra here, to keep the page '
        "small.</p>"
        if lost
        else ""
    )
    told = "\n".join(_star(star, report) for star in report.stars)
    return f'<section id="stars"><h2>Star by star</h2>{note}</section>\n{told}'


def _star(star: StarStory, report: Report) -> str:
    row = star.row
    verdict = row.get("verdict")
    verdict = str(verdict) if isinstance(verdict, str) else "not decided"
    says = f"RA {_cell(row, 'ra', '.5f')}° Dec {_cell(row, 'dec', '+.5f')}°"
    says += f" · G {_cell(row, 'g_mag', '.2f')} · S/N(g) {_cell(row, 'snr_g', '.0f')}"
    says += f" · obsid {star.obsid}"
    simulated = '<b class="tag">SIMULATED</b>' if report.simulated else ""
    chips = "".join(
        f'<li class="{_STANCES[int(one.stance)][0]}" title="{escape(one.sentence, quote=True)}">'
        f"<b>{_STANCES[int(one.stance)][1]} {escape(one.name)}</b> {escape(one.words)}</li>"
        for one in star.witnesses
    )
    plots = ""
    if star.picture is not None:
        frame = "" if star.picture.at_rest else " Its z is unknown: observed wavelengths."
        parts = ["spectrum", *(f"line-{window.line}" for window in star.picture.windows)]
        parts += [key for key in SMALL if not report.panels[key].missing]
        plots = "".join(f'<div class="plot {part}" data-part="{part}"></div>' for part in parts)
        plots = (
            f'<div class="plots" role="img" aria-label="Spectrum, line fits and places of '
            f'{escape(star.name, quote=True)}.{frame}">{plots}</div>'
        )
    flags = [
        f"{LINE_SYMBOLS[line]}: {sentence}"
        for line in FIT_LINES
        if np.isfinite(_number(row, f"balmer_flags_{line}"))
        for sentence in FitFlag.sentences(int(_number(row, f"balmer_flags_{line}")))
    ]
    doubts = (
        f'<p class="note">{escape("; ".join(one.rstrip(".") for one in flags))}.</p>'
        if flags
        else ""
    )
    return (
        f'<article class="star" id="s{star.obsid}" data-star="{star.obsid}" '
        f'data-find="{escape(_found_by(star), quote=True)}"><header><h3>{escape(star.name)}</h3>'
        f'{simulated}<b class="verdict {escape(verdict, quote=True)}">{escape(verdict)}</b>'
        f'<span>{escape(says)}</span><a href="#catalogue">catalogue ↑</a></header>'
        f'<ul class="witnesses">{chips}</ul>{plots}{doubts}'
        f'<div class="tables">{_values(row)}{_epochs(star)}{_decisions(star)}</div></article>'
    )


def _found_by(star: StarStory) -> str:
    """Return the words that a search finds a star by."""
    row = star.row
    words = [star.name, str(star.obsid)]
    for name in ("gaia_source_id", "predicted_class", "template_subclass", "file", "verdict"):
        value = row.get(name)
        words += [] if value is None or pd.isna(value) else [str(value)]
    words += [str(obsid) for obsid in star.epochs["obsid"]]
    for name in ("reviewer", "comment", "verdict_class"):
        if len(star.decisions):
            words += [str(text) for text in star.decisions[name].dropna() if str(text)]
    return " ".join(words).lower()


def _values(row: pd.Series) -> str:
    tables = []
    for title, columns in _MEASURED:
        lines = []
        for name, words, unit, form in columns:
            if not np.isfinite(_number(row, name)):
                continue
            error = _cell(row, f"{name}_err", form)
            spread = f" ± {error}" if error != "–" else limit_words(row, name)
            lines.append(
                f"<tr><th scope=row>{escape(words)}</th><td>{_cell(row, name, form)}{spread}</td>"
                f"<td>{escape(unit)}</td></tr>"
            )
        if lines:
            body = "".join(lines)
            tables.append(f"<table class=values><caption>{title}</caption>{body}</table>")
    return "".join(tables)


def limit_words(row: pd.Series, name: str) -> str:
    """Return what stands in place of the error of a label on the edge of the training set."""
    flags, error = _number(row, "label_flags"), _number(row, f"{name}_err")
    at_edge = np.isfinite(flags) and bool(LabelFlag(int(flags)) & LabelFlag.AT_EDGE)
    is_limit = at_edge and name in LABELS and not np.isfinite(error)
    return " (a limit)" if is_limit else ""


def _epochs(star: StarStory) -> str:
    rows, known = [], pd.to_numeric(star.epochs.get("epoch_rv", pd.Series(dtype=float)))
    of_headers = not known.notna().any()  # never mixed: the two may differ in zero point
    for _, row in star.epochs.iterrows():
        velocity = _number(row, "epoch_rv")
        if of_headers:
            velocity = _number(row, "z") * SPEED_OF_LIGHT
        said = f"{velocity:+.0f}".replace("-", "−") if np.isfinite(velocity) else "–"
        file = row.get("file")
        name = str(file).replace("\\", "/").rsplit("/", 1)[-1] if isinstance(file, str) else ""
        rows.append(
            f"<tr><th scope=row>{int(row['obsid'])}</th><td>{_cell(row, 'snr_g', '.0f')}</td>"
            f"<td>{said}</td><td>{_cell(row, 'p_bhb', PROBABILITY)}</td>"
            f'<td class="text">{escape(name)}</td></tr>'
        )
    return (
        "<table class=list><caption>Epochs</caption><thead><tr><th>obsid</th><th>S/N</th>"
        f"<th>RV{' of headers' if of_headers else ''}, km/s</th><th>p_bhb</th>"
        "<th class=text>file</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _decisions(star: StarStory) -> str:
    if not len(star.decisions):
        return ""
    rows = []
    for said in star.decisions.to_dict("records"):
        sure = "" if pd.isna(said["confidence"]) else f"{int(said['confidence'])} of 4"
        rows.append(
            f"<tr><th scope=row>{escape(str(said['reviewer']))}</th><td>{escape(said['said'])}</td>"
            f"<td>{sure}</td><td class=text>{escape(said['issues'])}</td>"
            f"<td class=text>{escape(str(said['comment'] or ''))}</td>"
            f"<td>{escape(str(said['decided_at'])[:16].replace('T', ' '))}</td></tr>"
        )
    return (
        "<table class=list><caption>Verdicts</caption><thead><tr><th>reviewer</th><th>verdict</th>"
        "<th>confidence</th><th class=text>issues</th><th class=text>comment</th>"
        "<th>when (UTC)</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
