"""The strip above all: who the star is, what was decided so far, and what six witnesses say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.planes.cells import is_missing, number, star_name
from dashboard.state import Session, Star
from dashboard.theme import STATIC, stylesheet
from dashboard.views.classes import domain_reasons
from dashboard.views.script import Script
from msfa_core.flags import FluxFlag
from msfa_core.spine.witnesses import WITNESSES
from msfa_core.vetting.filters import TEMPLATE_DISAGREES

HIDDEN: Final = "hidden"
CLASSES: Final = "classes"  # what the browser asks for beside witnesses
WIDE, NARROW = "wide", "narrow"  # what it says of its screen
TOLD_BY_WITNESSES: Final = (  # contradictions that a witness of its own tells
    TEMPLATE_DISAGREES,
    "outside the D0.2–fm box",
    "outside the CMD trapezoid",
    "log g above the limit",
    "[Fe/H] above the limit",
)


def names_words(star: Star) -> str:
    """Return the names of a star: ``obsid = Gaia number``, or its identifier here."""
    name = star_name(star.row)
    return f"{star.obsid} = {name}" if name else f"{star.obsid} · no star identifier"


def facts_words(star: Star) -> str:
    """Return where a star is, how bright, how good its spectrum."""
    row = star.row
    ra, dec, g_mag, snr = (number(row, name) for name in ("ra", "dec", "g_mag", "snr_g"))
    placed = np.isfinite(ra) and np.isfinite(dec)
    n = len(star.epochs)
    parts = [
        f"{ra:.5f} {dec:+.5f}°" if placed else "no position",
        f"G {g_mag:.2f}" if np.isfinite(g_mag) else "G –",
        f"S/N {snr:.0f}" if np.isfinite(snr) else "S/N –",
        f"{n} spectra" if n > 1 else "",
    ]
    return " · ".join(part for part in parts if part).replace("-", "−")


def verdict_words(row: pd.Series, own: str, blind: bool) -> tuple[str, str]:
    """Return the verdict so far, and the word that colours it; blind, one's own alone."""
    if blind:
        return (f"my verdict: {own}", own) if own else ("not judged by me", "")
    record = row["verdict"]
    if is_missing(record):
        return "no verdict yet", ""
    n = number(row, "n_reviews")
    by = f" ({n:.0f} reviewers)" if n > 1 else ""
    mine = f" · mine: {own}" if own and own != record else ""
    return f"{record}{by}{mine}", str(record)


def calibration_words(row: pd.Series) -> str:
    """Return what the colours of a star say against its spectrum; empty where nothing."""
    flags = row["flux_calibration_flags"]
    doubts = 0 if is_missing(flags) else int(flags) & int(FluxFlag.TILTED | FluxFlag.ARMS_DISAGREE)
    if not doubts:
        return ""
    tilt, error = number(row, "flux_calibration"), number(row, "flux_calibration_err")
    sentences = "; ".join(FluxFlag.sentences(doubts))
    return f"flux: {tilt:+.2f} ± {error:.2f} mag from g to i: {sentences}".replace("-", "−")


def notes_of(star: Star, state: Session) -> list[dict[str, str]]:
    """Return what no witness tells: other contradictions, the search domain, known lists."""
    found = [
        {"tone": "bad", "text": sentence}
        for sentence in state.data.disagreements_on(star.obsid)
        if sentence not in TOLD_BY_WITNESSES
    ]
    reasons = domain_reasons(star.row, state.data.settings)
    if reasons:
        found.append({"tone": "warn", "text": f"outside the search domain: {', '.join(reasons)}"})
    if calibration := calibration_words(star.row):
        found.append({"tone": "warn", "text": calibration})
    if not is_missing(star.row["known_in"]):
        found.append({"tone": "warn", "text": f"known: {star.row['known_in']}"})
    return found


def strip_content(state: Session) -> dict[str, Any]:
    """Return what the strip shows: plain text, which the browser writes as text."""
    star, blind = state.screen.star, state.verdicts.blind
    silent = [{"name": name, "stance": 0, "words": "–", "sentence": ""} for name in WITNESSES]
    if star is None:
        return {"names": "no star on screen", "facts": "", "verdict": ["", ""],
                "witnesses": silent, "notes": [], "blind": blind}  # fmt: skip
    own = str(state.verdicts.mine[state.data.row(star.obsid)])
    if blind:
        said = [one | {"words": HIDDEN} for one in silent]
    else:
        said = [
            {"name": one.name, "stance": int(one.stance), "words": one.words,
             "sentence": one.sentence}
            for one in state.data.witnesses_on(star.obsid)
        ]  # fmt: skip
    return {
        "names": names_words(star),
        "facts": facts_words(star),
        "verdict": list(verdict_words(star.row, own, blind)),
        "witnesses": said,
        "notes": [] if blind else notes_of(star, state),
        "blind": blind,
    }


class StarStrip(Script):
    """The strip in the browser; a click on a witness opens its plane.

    Parameters
    ----------
    state : Session
    on_open : callable
        Called with the name of the witness that was clicked; with `CLASSES` for the bars, `WIDE`
        or `NARROW` as the browser finds its screen.
    """

    content = param.Dict(default={}, doc="What is shown, as `strip_content` says")
    unfolded = param.Boolean(doc="Whether the class bars are shown")

    _esm = (STATIC / "strip.js").read_text(encoding="utf-8")

    def __init__(self, state: Session, on_open: Callable[[str], Any], **params: Any) -> None:
        still: dict[str, Any] = {"sizing_mode": "stretch_width", "height": 44, "margin": 0}
        super().__init__(
            **still | {"stylesheets": [stylesheet()], "content": strip_content(state)} | params
        )
        self._state, self._on_open = state, on_open
        state.watch(
            lambda *_: self._draw(), "screen.star", "verdicts.version", "verdicts.blind",
            "verdicts.reviewer",
        )  # fmt: skip

    def _draw(self) -> None:
        self.content = strip_content(self._state)

    def _handle_msg(self, data: Any) -> None:
        name = str(data.get("open", "")) if isinstance(data, dict) else ""
        if name in (*WITNESSES, CLASSES, WIDE, NARROW):
            # not inside this handler: a figure may change, and the document is not locked here
            pn.state.execute(partial(self._on_open, name), schedule=True)
