"""What the machine says of the star, how sure it is, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.planes.cells import counted, is_missing, number, star_name
from dashboard.planes.words import Words
from dashboard.state import Matched, Session, Star
from dashboard.theme import stylesheet
from dashboard.views.template import kind_words, shift_words, solution_words
from msfa_core.config import Settings
from msfa_core.constants import STELLAR_CLASSES
from msfa_core.flags import MatchFlag
from msfa_core.rules import outside_domain_sentences
from msfa_core.spine.witnesses import probability_words
from msfa_core.vetting.filters import TEMPLATE_DISAGREES

_EVEN_ODDS: Final = 1.0  # novelty below which a spectrum is as usual as most


def _bar(name: str, probability: Any, css: str, mark: float | None = None) -> str:
    """Return one labelled bar of a probability."""
    known = not is_missing(probability)
    width = 100.0 * float(np.clip(probability, 0.0, 1.0)) if known else 0.0
    number = probability_words(float(probability)) if known else "–"
    line = f'<i class="msfa-mark" style="left:{100 * mark:.1f}%"></i>' if mark is not None else ""
    return (
        f'<div class="msfa-bar {css}"><span class="msfa-bar-name">{escape(name)}</span>'
        f'<span class="msfa-bar-track"><span class="msfa-bar-fill" style="width:{width:.1f}%">'
        f'</span>{line}</span><span class="msfa-bar-number">{escape(number)}</span></div>'
    )


def probability_bars(row: pd.Series, threshold: float) -> str:
    """Return the stage-2 probability with its threshold, then the five of stage 1."""
    said = row["predicted_class"]
    bars = []
    for name in STELLAR_CLASSES:
        css = f"msfa-class-{name.lower()}" + (" msfa-best" if said == str(name) else "")
        bars.append(_bar(str(name), row[f"p_class_{name.lower()}"], css))
    if is_missing(row["p_bhb"]):
        two = '<p class="msfa-hint">ruled out by stage 1: p_bhb not asked for</p>'
    else:
        two = _bar("p_bhb", row["p_bhb"], "msfa-p-bhb", threshold)
    return f'<div class="msfa-bars">{two}</div><div class="msfa-bars">{"".join(bars)}</div>'


def _fact(name: str, value: Any, css: str = "") -> str:
    text = "–" if is_missing(value) else escape(str(value))
    return f'<span class="msfa-fact {css}"><em>{escape(name)}</em> {text}</span>'


def novelty_words(novelty: float) -> str:
    """Return what a novelty means: how much of the training set is as strange."""
    if novelty < _EVEN_ODDS:
        share = f"{100 * 10**-novelty:.0f} % of the training spectra"
    else:
        share = f"one in {float(f'{10**novelty:.1g}'):,.0f} training spectra"
    return (
        f"{share} of similar noise {'are' if novelty < _EVEN_ODDS else 'is'} at least as unlike "
        "the rest as this one; extrapolated beyond one in 20. The five classes mean little for a "
        "spectrum that is like none of them."
    )


def novelty_fact(novelty: float, limit: float) -> str:
    """Return the number, its meaning as a tooltip, and a mark when it is beyond the limit."""
    beyond = novelty > limit
    css = "msfa-fact msfa-warn" if beyond else "msfa-fact"
    mark = "⚠ " if beyond else ""
    return (
        f'<span class="{css}" title="{escape(novelty_words(novelty))}"><em>novelty</em> '
        f"{mark}{novelty:.2f}</span>"
    )


def domain_reasons(row: pd.Series, settings: Settings) -> list[str]:
    """Return why a spectrum is outside the search domain; nothing when it is inside."""
    if is_missing(row["in_search_domain"]):
        return ["not classified yet: run msfa run"]
    if row["in_search_domain"]:
        return []
    reasons = outside_domain_sentences(row, settings)
    return reasons or ["inside by the settings of now: run msfa run"]


def _notes(sentences: Iterable[str], css: str) -> str:
    return "".join(f'<li class="{css}">{escape(sentence)}</li>' for sentence in sentences)


def class_html(
    star: Star | None,
    settings: Settings,
    disagreements: Iterable[str] = (),
    blind: bool = False,
    matched: Matched | None = None,
) -> str:
    """Return the panel: probabilities, what else names a class, and what contradicts.

    Every text that comes from a file is escaped.
    """
    if star is None:
        return '<div class="msfa-empty">No star on screen: this queue is empty.</div>'
    row = star.row
    if blind:
        note = '<p class="msfa-hint">What machines say is hidden: press b to show it.</p>'
        return f'<div class="msfa-class">{note}{identity_html(star)}</div>'
    header = _fact("LAMOST", row["subclass"]) + template_fact(row)
    if is_missing(row["p_bhb"]) and is_missing(row["predicted_class"]):
        body = (
            '<p class="msfa-hint">No probabilities: this spectrum was not classified '
            "(run <code>msfa run</code>, or it could not be prepared).</p>"
        )
    else:
        body = probability_bars(row, settings.bhb_threshold)
    said = row["predicted_class"]
    css = "" if is_missing(said) else f"msfa-word-{str(said).lower()}"
    header = _fact("stage 1", said, f"msfa-said {css}") + header
    if not is_missing(row["novelty"]):
        header += novelty_fact(float(row["novelty"]), settings.novelty_max)
    quarrel = template_quarrel(row)
    others = (one for one in disagreements if not (quarrel and one == TEMPLATE_DISAGREES))
    notes = _notes([f"✕ {quarrel}"] if quarrel else [], "msfa-contra msfa-loud")
    notes += _notes((f"✕ {sentence}" for sentence in others), "msfa-contra")
    reasons = domain_reasons(row, settings)
    if reasons:
        notes += _notes([f"outside the search domain: {', '.join(reasons)}"], "msfa-out")
    known = row["known_in"]
    if not is_missing(known):
        notes += _notes([f"known: {known}"], "msfa-known")
    if not notes:
        notes = _notes(["no witness contradicts"], "msfa-agrees")
    css = " msfa-quarrel" if quarrel else ""
    return (
        f'<div class="msfa-class{css}"><div class="msfa-facts">{header}</div>{body}'
        f'<ul class="msfa-notes">{notes}</ul>{solutions_html(star, matched)}'
        f"{identity_html(star)}</div>"
    )


def template_fact(row: pd.Series) -> str:
    """Return what the template match says: class, shift, confidence; doubts as a tooltip."""
    if is_missing(row["template_class"]):
        return ""
    confidence, flags = row["template_confidence"], row["template_flags"]
    kind = kind_words(str(row["template_class"]), _text(row["template_subclass"]))
    said = [kind, "" if is_missing(confidence) else f"{confidence:.0f} %"]
    said.append(shift_words(number(row, "template_z"), number(row, "template_z_err")))
    doubts = [] if is_missing(flags) else MatchFlag.sentences(int(flags))
    css = "msfa-fact msfa-warn" if doubts else "msfa-fact"
    title = escape("; ".join(doubts) or "best template; confidence in percent", quote=True)
    mark = "⚠ " if doubts else ""
    words = escape(" · ".join(part for part in said if part))
    return f'<span class="{css}" title="{title}"><em>template</em> {mark}{words}</span>'


def template_quarrel(row: pd.Series) -> str:
    """Return how template match and networks disagree; empty where they do not."""
    if is_missing(row["template_disagrees"]) or not row["template_disagrees"]:
        return ""
    kind = kind_words(_text(row["template_class"]), _text(row["template_subclass"]))
    return f"templates say {kind} ({row['template_confidence']:.0f} %), networks say " + _text(
        row["predicted_class"]
    )


def solutions_html(star: Star, matched: Matched | None) -> str:
    """Return the next best templates of the star on screen, once they have been asked for."""
    if matched is None or matched.obsid != star.obsid or not matched.solutions[1:]:
        return ""
    words = [f"{k}. {solution_words(one)}" for k, one in enumerate(matched.solutions[1:3], start=2)]
    line = " | ".join(words)
    return f'<div class="msfa-solutions" title="{escape(line, quote=True)}">{escape(line)}</div>'


def _text(value: Any) -> str:
    return "" if is_missing(value) else str(value)


def identity_html(star: Star) -> str:
    """Return who the star is: identifier, epochs, position, brightness."""
    row = star.row
    n_epochs = len(star.epochs)
    facts = [
        escape(star_name(row)) or "no star identifier yet",
        counted(n_epochs, "spectrum", "spectra"),
    ]
    if not is_missing(row["ra"]) and not is_missing(row["dec"]):
        facts.append(f"{row['ra']:.5f} {row['dec']:+.5f}°".replace("-", "−"))
    if not is_missing(row["g_mag"]):
        facts.append(f"G {row['g_mag']:.2f}")
    return f'<div class="msfa-identity">{" · ".join(facts)}</div>'


class ClassView(pn.viewable.Viewer):
    """The class panel, bound to the star on screen; folded away it sleeps."""

    in_sight = param.Boolean(default=True, doc="Whether the panel is looked at")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(**params)
        self.state = state
        self._pane = Words(
            self._html(),
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[stylesheet()],
            css_classes=["msfa-class-pane"],
        )
        state.watch(self._draw, "screen.star", "verdicts.blind", "answers.matched")
        self.param.watch(self._draw, "in_sight")

    def _html(self) -> str:
        state, star = self.state, self.state.screen.star
        found = [] if star is None else state.data.disagreements_on(star.obsid)
        blind, matched = state.verdicts.blind, state.answers.matched
        return class_html(star, state.data.settings, found, blind, matched)

    def _draw(self, *_: Any) -> None:
        self._pane.object = self._html() if self.in_sight else ""  # folded away it holds nothing

    def __panel__(self) -> pn.viewable.Viewable:
        return self._pane
