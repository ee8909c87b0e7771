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

from msfa_core.durable import write_whole
from msfa_core.errors import ExportError
from msfa_core.products.report.drawn import MOST_CLOUD, page_data
from msfa_core.products.report.gather import Report
from msfa_core.products.report.star_by_star import COLUMNS, catalogue_html, stars_html
from msfa_core.survey.figures.judged import Agreement, Pair
from msfa_core.survey.funnel import BY_THE_STAR, STAR_SENTENCE

FOLDER: Final = Path(__file__).parent
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
        page_data(report, [name for name, *_ in COLUMNS]),
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    title = f"{'SIMULATED: ' if report.simulated else ''}{report.words} of {report.name}"
    body = [
        _head(report),
        _summary(report),
        _figures(report),
        catalogue_html(report),
        stars_html(report),
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
        '<section id="summary"><p class="kicker">'
        f"{escape(report.header['title'])}</p><h1>{escape(report.name)}</h1>"
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
        by_star = step["step"] in BY_THE_STAR
        cells = [_count(None if by_star else step["spectra"]), _count(step["stars"])]
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
        f'<p class="note">{escape(STAR_SENTENCE)}. '
        "A dash: not done here, or not given by the paper. The paper counts "
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
