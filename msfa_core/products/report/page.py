"""One page that holds everything: no server, no network, nothing that text can break out of.

Words of files, reviewers and catalogues are escaped where they enter the page and are set as
text where the script writes them; a content security policy names the one script that may run
(by its checksum) and allows no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.constants import FIT_LINES, LINE_SYMBOLS, SPEED_OF_LIGHT
from msfa_core.counting import counted_of
from msfa_core.durable import write_whole
from msfa_core.errors import ExportError
from msfa_core.flags import FitFlag
from msfa_core.products.report.drawn import MOST_CLOUD, page_data
from msfa_core.products.report.gather import Report, StarStory
from msfa_core.survey.figures.judged import Agreement, Pair

FOLDER: Final = Path(__file__).parent
_STANCES: Final = {1: ("for", "✓"), -1: ("against", "✕"), 0: ("silent", "–")}
FIGURES: Final = (  # key, width on the page
    ("d02_fm_hdelta", ""),
    ("d02_fm_hgamma", ""),
    ("kiel", ""),
    ("metals", ""),
    ("cmd", ""),
    ("feh", ""),
    ("sky", "wide"),
    ("reliability", ""),
)
SMALL: Final = ("d02_fm_hdelta", "cmd", "kiel")  # planes of a star's own section
_COLUMNS: Final = (  # of the catalogue: column, heading, unit, format
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
    ("p_bhb", "p_bhb", "", ".4f"),
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
        ("p_bhb", "p_bhb", "", ".5f"), ("p_class_bhb", "class BHB", "", ".4f"),
        ("p_class_a", "class A", "", ".4f"), ("p_class_b", "class B", "", ".4f"),
        ("novelty", "novelty", "", ".2f"), ("template_confidence", "template", "%", ".0f"),
    )),
    ("Gaia", (
        ("g_mag", "G", "mag", ".3f"), ("bp_rp", "BP−RP", "mag", ".3f"),
        ("abs_mag_g", "M_G", "mag", ".2f"), ("parallax_over_error", "ϖ/σ", "", ".1f"),
        ("ebv", "E(B−V)", "mag", ".3f"), ("tangential_velocity", "v_t", "km/s", ".0f"),
    )),
)  # fmt: skip


def write_page(report: Report, out: str | Path, overwrite: bool = False) -> Path:
    """Write the page of a report.

    Parameters
    ----------
    report : Report
    out : str or Path
        Ends in ``.html``.
    overwrite : bool
        Replace the file if it is there.

    Raises
    ------
    ExportError
        When the name has another ending, or the file is there already.
    """
    path = checked(out, ".html", overwrite)
    write_whole(path, page_html(report).encode())
    return path


def checked(out: str | Path, ending: str, overwrite: bool) -> Path:
    """Return a path that may be written.

    Raises
    ------
    ExportError
        When it has another ending, lies in no folder, or is there already.
    """
    path = Path(out)
    if path.suffix.lower() != ending:
        raise ExportError(f"{path} does not end in {ending}: name the file so.")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}: make it, or name another place.")
    if path.exists() and not overwrite:
        raise ExportError(f"{path} is there already: give --overwrite to replace it.")
    return path


def page_html(report: Report) -> str:
    """Return the whole page as text."""
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    css = (FOLDER / "page.css").read_text(encoding="utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{checksum}'; style-src 'unsafe-inline'; "
        "img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(
        page_data(report, [name for name, *_ in _COLUMNS]),
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    title = f"{'SIMULATED: ' if report.simulated else ''}BHB stars of {report.name}"
    body = [
        _head(report),
        _summary(report),
        _figures(report),
        _catalogue(report),
        _stars(report),
        _provenance(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style></head>\n"
        f"<body{' class=simulated' if report.simulated else ''}>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="data">{data}</script>\n'
        f"<script>{script}</script>\n</body></html>\n"
    )


# --- parts of the page -------------------------------------------------------------------------
def _head(report: Report) -> str:
    loud = (
        '<p class="loud" role="note"><b>SIMULATED</b> These stars do not exist: their spectra were '
        "computed. Nothing on this page is a measurement of the sky.</p>"
        if report.simulated
        else ""
    )
    links = (
        ("summary", "Summary"), ("figures", "Figures"), ("catalogue", "Catalogue"),
        ("stars", "Stars"), ("provenance", "Provenance"),
    )  # fmt: skip
    nav = "".join(f'<a href="#{key}">{name}</a>' for key, name in links)
    return (
        f"{loud}<nav><strong>{escape(report.name)}</strong>{nav}"
        '<label class="find"><span>find</span><input id="find" type="search" '
        'placeholder="name, words, or feh&lt;-2 teff&gt;9000" autocomplete="off" '
        'aria-describedby="found"></label><span id="found" role="status"></span>'
        '<button id="theme" type="button">dark</button></nav>\n<main>'
    )


def _summary(report: Report) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in report.facts
    )
    said = " ".join(escape(sentence) for sentence in report.summary)
    rules = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in report.rules
    )
    return (
        '<section id="summary"><p class="kicker">Blue horizontal-branch stars from LAMOST spectra'
        f"</p><h1>{escape(report.name)}</h1>"
        f'<p class="byline">{escape(report.software)}, {escape(report.made_at)}. '
        f"Reviewers: {escape(report.header.get('reviewers', 'nobody'))}.</p>"
        f'<dl class="facts">{facts}</dl><p class="lead">{said}</p>'
        f'<h2>The selection, in words</h2><dl class="rules">{rules}</dl>'
        f"<h2>What each step leaves</h2>{_funnel(report.funnel)}</section>"
    )


def _funnel(funnel: pd.DataFrame) -> str:
    rows = []
    top = funnel["spectra"].max()
    for step in funnel.to_dict("records"):
        cells = [_count(step[name]) for name in ("spectra", "stars")]
        cells.append(_share(step["share"]))
        cells += [_count(step[name]) for name in ("paper_spectra", "paper_stars")]
        cells.append(_share(step["paper_share"]))
        width = 0.0 if pd.isna(step["spectra"]) or not top else 100 * step["spectra"] / top
        rows.append(
            f'<tr><th scope="row">{escape(step["step"])}<small>{escape(step["what"])}</small></th>'
            f'<td class="bar"><i style="width:{width:.2f}%"></i></td>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f"<td class=of>{escape(step['of'])}</td></tr>"
        )
    return (
        '<div class="scroll"><table class="funnel"><thead><tr><th rowspan="2" scope="col">step</th>'
        '<th rowspan="2" aria-label="bar"></th><th colspan="3" scope="colgroup">this survey</th>'
        '<th colspan="3" scope="colgroup">the paper (LAMOST DR12)</th>'
        '<th rowspan="2" scope="col">share of</th></tr><tr>'
        + "<th scope=col>spectra</th><th scope=col>stars</th><th scope=col>share</th>"
        * 2
        + f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note">A dash: not done here, or not given by the paper. The paper counts '
        "another sample, so shares compare and counts do not.</p>"
    )


def _count(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"


def _share(value: Any) -> str:
    return "–" if pd.isna(value) else f"{100 * value:.1f} %"


def _figures(report: Report) -> str:
    made = []
    for number, (key, width) in enumerate(FIGURES, 1):
        panel = report.panels[key]
        told = panel.missing or panel.sentence
        body = (
            f'<p class="missing">{escape(panel.missing)}</p>'
            if panel.missing
            else f'<div class="plot" data-panel="{key}" role="img" '
            f'aria-label="{escape(panel.title, quote=True)}: {escape(told, quote=True)}"></div>'
        )
        caption = "Nothing to draw." if panel.missing else escape(panel.sentence)
        made.append(
            f'<figure id="figure-{key}" class="{width}">{body}<figcaption><b>Figure {number}. '
            f"{escape(panel.title)}.</b> {caption}</figcaption></figure>"
        )
    made.append(_agreement(report.agreement))
    many = max(len(panel.cloud) for panel in report.panels.values())
    thinned = (
        f'<p class="note">Of clouds larger than {MOST_CLOUD:,} points every k-th is drawn '
        f"(the largest has {many:,}); counts are of all.</p>"
        if many > MOST_CLOUD
        else ""
    )
    return (
        '<section id="figures"><h2>Figures</h2><p class="note">Point at a star for its name, click '
        f'to go to its section.</p><div class="figures">{"".join(made)}</div>{thinned}'
        "<noscript><p>Figures are drawn by the script of this page, which is switched off here; "
        "all numbers stand in the tables.</p></noscript></section>"
    )


def _agreement(agreed: Agreement) -> str:
    who = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{n:,}</td></tr>"
        for name, n in agreed.n_by_reviewer.items()
    )
    table = (
        f"<table class=plain><thead><tr><th>reviewer</th><th>stars</th></tr></thead>{who}</table>"
        if who
        else '<p class="missing">Nobody has decided yet: vet stars with `msfa serve`.</p>'
    )
    pairs = "".join(_pair(pair) for pair in agreed.pairs[:3])
    more = len(agreed.pairs) - 3
    rest = f"<p class=note>{more:,} more pairs.</p>" if more > 0 else ""
    return (
        f'<figure id="figure-agreement"><div class="agreement">{table}{pairs}{rest}</div>'
        f"<figcaption><b>Figure {len(FIGURES) + 1}. Agreement of reviewers.</b> "
        f"{escape(agreed.sentence)} {agreed.n_decisions:,} decisions on record, withdrawals "
        "included.</figcaption></figure>"
    )


def _pair(pair: Pair) -> str:
    kinds = list(pair.matrix.columns)
    heads = "".join(f"<th scope=col>{escape(str(kind))}</th>" for kind in kinds)
    most = max(int(pair.matrix.to_numpy().max()), 1)
    rows = ""
    for kind in kinds:
        cells = "".join(
            f'<td style="--share:{int(pair.matrix.loc[kind, other]) / most:.2f}"'
            f"{' class=same' if kind == other else ''}>{int(pair.matrix.loc[kind, other]):,}</td>"
            for other in kinds
        )
        rows += f"<tr><th scope=row>{escape(str(kind))}</th>{cells}</tr>"
    kappa = "undefined" if not np.isfinite(pair.kappa) else f"{pair.kappa:.2f}".replace("-", "−")
    return (
        f"<table class=matrix><caption>{escape(pair.first)} (rows) and {escape(pair.second)}: "
        f"{pair.n:,} stars, κ {kappa}</caption><thead><tr><td></td>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


# --- stars -------------------------------------------------------------------------------------
def _number(row: pd.Series, name: str) -> float:
    value = row.get(name)
    if value is None or pd.isna(value):
        return float("nan")
    return float(value)


def _cell(row: pd.Series, name: str, form: str) -> str:
    """Return a number as people write it; a dash where there is none."""
    value = _number(row, name)
    return f"{value:{form}}".replace("-", "−") if np.isfinite(value) else "–"


def _catalogue(report: Report) -> str:
    if report.why_none:
        body = f'<p class="missing">{escape(report.why_none)}</p>'
    else:
        heads = "".join(
            f'<th scope="col" aria-sort="none"><button type="button" data-sort="{k}">'
            f"{escape(name)}<small>{escape(unit)}</small></button></th>"
            for k, (_, name, unit, _) in enumerate(_COLUMNS)
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
    for name, _, _, form in _COLUMNS[1:]:
        cells.append(f"<td>{_cell(star.row, name, form)}</td>")
    return f'<tr data-star="{star.obsid}">{"".join(cells)}</tr>'


def _stars(report: Report) -> str:
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
            spread = f" ± {error}" if error != "–" else ""
            lines.append(
                f"<tr><th scope=row>{escape(words)}</th><td>{_cell(row, name, form)}{spread}</td>"
                f"<td>{escape(unit)}</td></tr>"
            )
        if lines:
            body = "".join(lines)
            tables.append(f"<table class=values><caption>{title}</caption>{body}</table>")
    return "".join(tables)


def _epochs(star: StarStory) -> str:
    rows = []
    for _, row in star.epochs.iterrows():
        velocity = _number(row, "epoch_rv")
        if not np.isfinite(velocity):
            velocity = _number(row, "z") * SPEED_OF_LIGHT
        said = f"{velocity:+.0f}".replace("-", "−") if np.isfinite(velocity) else "–"
        file = row.get("file")
        name = str(file).replace("\\", "/").rsplit("/", 1)[-1] if isinstance(file, str) else ""
        rows.append(
            f"<tr><th scope=row>{int(row['obsid'])}</th><td>{_cell(row, 'snr_g', '.0f')}</td>"
            f"<td>{said}</td><td>{_cell(row, 'p_bhb', '.3f')}</td>"
            f'<td class="text">{escape(name)}</td></tr>'
        )
    return (
        "<table class=list><caption>Epochs</caption><thead><tr><th>obsid</th><th>S/N</th>"
        "<th>RV, km/s</th><th>p_bhb</th><th class=text>file</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _decisions(star: StarStory) -> str:
    if not len(star.decisions):
        return ""
    rows = []
    for said in star.decisions.to_dict("records"):
        kind = str(said["verdict_class"] or "")
        verdict = f"{said['verdict']}{f' as {kind}' if kind else ''}"
        sure = "" if pd.isna(said["confidence"]) else f"{int(said['confidence'])} of 4"
        rows.append(
            f"<tr><th scope=row>{escape(str(said['reviewer']))}</th><td>{escape(verdict)}</td>"
            f"<td>{sure}</td><td class=text>{escape(str(said['comment'] or ''))}</td>"
            f"<td>{escape(str(said['decided_at'])[:16].replace('T', ' '))}</td></tr>"
        )
    return (
        "<table class=list><caption>Verdicts</caption><thead><tr><th>reviewer</th><th>verdict</th>"
        "<th>confidence</th><th class=text>comment</th><th>when (UTC)</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _provenance(report: Report) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(str(words))}</td></tr>"
        for name, words in report.header.items()
    )
    return (
        '<section id="provenance"><h2>Provenance</h2><div class="scroll">'
        f'<table class="provenance">{rows}</table></div><p class="note">Written by '
        f"{escape(report.software)} at {escape(report.made_at)} from the survey folder alone. The "
        "page makes no request: it can be kept, mailed and printed.</p></section></main>"
        '<div id="tip" role="status" hidden></div>'
    )
