"""The head of the page: which survey, which of its pages, reload, keys, theme."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final

import numpy as np
import panel as pn

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.theme import DARK, LIGHT, palette, stylesheet
from dashboard.views.page import Leaf, turn_at_once
from msfa_core.survey.folder import Survey

SHUT_WHILE_BLIND: Final = (
    "<h1>Hidden</h1><p>You are reviewing blind: what the machine and other reviewers say is shown "
    "when it is off (key b).</p>"
)


def header_html(
    survey: Survey,
    n_spectra: int,
    n_candidates: int | None,
    n_stars_to_be: int = 0,
    is_current: bool = True,
) -> str:
    """Return the title of the page, with a loud label when the survey is made up.

    Without a number of candidates the reviewer works blind, and is told so; a demo survey that is
    still being made says how many stars it will have. A table that was rewritten since it was read
    is said to be old, as loudly.
    """
    simulated = (
        '<b class="msfa-simulated" title="These stars do not exist: their spectra were computed.">'
        "SIMULATED</b>"
        if survey.is_simulated
        else ""
    )
    told = counted(n_spectra, "spectrum", "spectra")
    if n_candidates is not None:
        told += f" · {counted(n_candidates, 'candidate spectrum', 'candidate spectra')}"
    told += f" · more are being made, {n_stars_to_be:,} stars in all" if n_stars_to_be else ""
    badge = (
        '<b class="msfa-simulated msfa-blind" title="The machine and other reviewers are hidden">'
        "BLIND</b>"
        if n_candidates is None
        else ""
    )
    if not is_current:
        badge += (
            '<b class="msfa-simulated" role="status" title="A step has rewritten the table of this '
            'survey since this page read it: what is shown is from before.">'
            "OLD TABLE: press reload</b>"
        )
    return (
        '<div class="msfa-title"><strong>BHB vetting</strong>'
        f'<span class="msfa-survey">{escape(survey.path.resolve().name)}</span>{simulated}'
        f'<span class="msfa-counts">{told}</span>{badge}</div>'
    )


class Header(pn.viewable.Viewer):
    """The bar over all pages; a page is made when it is first looked at, and sleeps beside others.

    Parameters
    ----------
    state : Session
    first : mapping of str to Column
        The page that is there already, by its name.
    leaves : mapping of str to Leaf
        The others.
    reload : callable
        Reads the survey anew.
    n_stars_to_be : int
        Of a demo survey that is still being made.
    """

    def __init__(
        self,
        state: Session,
        first: Mapping[str, pn.Column],
        leaves: Mapping[str, Leaf],
        reload: Callable[[Any], None],
        n_stars_to_be: int = 0,
    ) -> None:
        super().__init__()
        self.state, self._leaves = state, leaves
        self._columns = {**first, **{name: leaf.column for name, leaf in leaves.items()}}
        self._stars_to_be, self._is_current = n_stars_to_be, True
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": (0, 2)}
        self.title = pn.pane.HTML("", sizing_mode="stretch_width", **css)
        self.state.watch(
            lambda *_: self.entitle(self._stars_to_be, self._is_current), "verdicts.blind"
        )
        self.entitle(n_stars_to_be)
        self._chosen = pn.widgets.RadioButtonGroup(
            options=list(self._columns), value=next(iter(first)),
            css_classes=["msfa-chips", "msfa-pages"], **css,
        )  # fmt: skip
        turn_at_once(self._chosen, self._columns)
        self._chosen.param.watch(self._turn, "value")
        self.state.watch(self._turn, "verdicts.blind")
        self._shut()
        quiet = {"css_classes": ["msfa-quiet"], **css}
        again = pn.widgets.Button(label="reload", **quiet)
        again.on_click(reload)
        keys = pn.widgets.Button(label="keys ?", **quiet)
        keys.js_on_click(code='window.dispatchEvent(new CustomEvent("msfa:help"))')
        self._bar = pn.Row(
            self.title,
            self._chosen,
            again,
            keys,
            _other_theme(css),
            sizing_mode="stretch_width",
            height=30,
            margin=0,
            css_classes=["msfa-header"],
            stylesheets=[stylesheet()],
        )

    def doubt(self, is_current: bool) -> None:
        """Say whether a step has rewritten the table since it was read."""
        if is_current != self._is_current:
            self.entitle(self._stars_to_be, is_current)

    def entitle(self, n_stars_to_be: int = 0, is_current: bool = True) -> None:
        """Say what the survey holds now."""
        self._stars_to_be, self._is_current = n_stars_to_be, is_current
        verdicts = self.state.verdicts
        is_one = verdicts.presets["candidates"].predicate(verdicts.data.candidates)
        count = None if verdicts.blind else int(np.sum(is_one))
        self.title.object = header_html(
            self.state.survey, len(verdicts.table), count, n_stars_to_be, is_current
        )

    def turn_to(self, name: str) -> None:
        """Show a page by its name."""
        self._chosen.value = name

    def _turn(self, *_: Any) -> None:
        """Show a page; the others sleep, and what tells of others is shut while blind."""
        chosen, blind = self._chosen.value, self.state.verdicts.blind
        self._shut()
        for name, column in self._columns.items():
            column.visible = name == chosen
        for name, leaf in self._leaves.items():
            leaf.look(name == chosen and not blind)

    def _shut(self) -> None:
        """Shut what tells of others while blind; open it again."""
        for leaf in self._leaves.values():
            leaf.shut(SHUT_WHILE_BLIND if self.state.verdicts.blind else "")

    def __panel__(self) -> pn.viewable.Viewable:
        return self._bar


def _other_theme(css: Mapping[str, Any]) -> pn.widgets.Button:
    """Return a button that opens the same page in the other theme."""
    other = LIGHT if palette().is_dark else DARK
    theme = pn.widgets.Button(
        label=f"{other.name} theme", css_classes=["msfa-quiet", "msfa-theme"], **css
    )
    theme.js_on_click(
        code=f"""
        const url = new URL(window.location)
        url.searchParams.set("theme", "{"dark" if other.is_dark else "default"}")
        window.location.assign(url)
        """
    )
    return theme
