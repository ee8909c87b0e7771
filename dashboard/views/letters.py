"""Pages of a few words: what is wrong and what to do, or that the demo survey is being made."""

from __future__ import annotations

import threading
from html import escape
from time import monotonic
from typing import Final, Protocol

import panel as pn

from dashboard.planes.linked import sentence_html
from dashboard.theme import css_variables, palette, stylesheet
from msfa_core.survey.demo import FIRST_STARS, STARS_AT_ONCE

AT_WORK: Final = {  # what is done in each step, in words
    "starting": "starting, and computing the first spectra",
    "simulate": "computing spectra",
    "ingest": "reading spectra",
    "match": "matching them with templates",
    "classify": "asking the networks what they are",
    "know": "looking for known stars",
    "measure": "fitting their lines",
    "place": "placing them in the colour–magnitude diagram",
    "check": "comparing their colours",
    "label": "finding temperatures, gravities and metallicities",
    "identify": "finding which spectra are of one star",
}


class Maker(Protocol):
    """Whoever makes the demo survey: how far it is, in a share and in words."""

    error: str
    share: float
    words: str
    can_open: threading.Event
    began: float


def making_html(maker: Maker) -> str:
    """Return how far the demo survey is: what is being done, and that time goes by."""
    share, seconds = f"{100 * maker.share:.0f}", monotonic() - maker.began
    words = AT_WORK.get(maker.words, maker.words)
    return (
        f'<div class="msfa-progress-track"><i style="width:{share}%"></i></div>'
        f"<p>{escape(words)} … {share} %, {seconds:.0f} s so far</p>"
    )


def error_page(title: str, words: str) -> pn.Column:
    """Return a page that says what is wrong and what to do."""
    return letter(f"<h1>{escape(title)}</h1><p>{sentence_html(words)}</p>")


def letter(html: str, *more: pn.viewable.Viewable) -> pn.Column:
    """Return a page of a few words in its middle."""
    css = [stylesheet(), css_variables(palette())]
    return pn.Column(
        pn.pane.HTML(
            html, css_classes=["msfa-letter"], stylesheets=css, sizing_mode="stretch_width"
        ),
        *more,
        css_classes=["msfa-letter-page"],
        stylesheets=css,
        sizing_mode="stretch_both",
    )


def demo_page(maker: Maker) -> pn.Column:
    """Return the page that is shown while the demo survey is being made; it reloads itself."""
    words = pn.pane.HTML(
        "",
        stylesheets=[stylesheet()],
        css_classes=["msfa-letter"],
        sizing_mode="stretch_width",
    )

    def look() -> None:
        if maker.error:
            words.object = f"<p>It could not be made: {escape(maker.error)}</p>"
        elif maker.can_open.is_set() and pn.state.location is not None:
            pn.state.location.reload = True
        else:
            words.object = making_html(maker)

    look()

    def keep_looking() -> None:
        pn.state.add_periodic_callback(look, period=500)

    pn.state.onload(keep_looking)
    return letter(
        f"<h1>Making the demo survey</h1><p>{FIRST_STARS} simulated stars: spectra that were "
        "computed, not observed, to try everything on. They are run through every step, once; the "
        f"page opens by itself when the first {STARS_AT_ONCE} are ready, in a quarter of a minute "
        "(the first time in a whole one: programs are compiled; on a busy computer in two).</p>",
        words,
    )
