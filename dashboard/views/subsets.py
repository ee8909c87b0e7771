"""Named subsets beside the queue: a brush is given a name, and names are combined."""

from __future__ import annotations

from typing import Any, Final

import panel as pn

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.theme import stylesheet
from msfa_core.survey.subsets import LONGEST, Subset, quoted

NO_SUBSETS: Final = "brush stars first"


class SubsetChooser:
    """The fields that name a brush and put combinations of subsets in force.

    Parameters
    ----------
    state : Session

    Attributes
    ----------
    naming : TextInput
        Takes a name while something is brushed.
    menus : tuple of widgets
        A combination as text, the subsets there are, and a button that forgets one.
    """

    def __init__(self, state: Session) -> None:
        self.state = state
        wide: dict[str, Any] = {
            "sizing_mode": "stretch_width", "stylesheets": [stylesheet()], "margin": 0,
        }  # fmt: skip
        self.naming = pn.widgets.TextInput(
            label="name what is brushed", placeholder="name what is brushed, then Enter",
            css_classes=["msfa-search", "msfa-naming"], max_length=LONGEST, visible=False, **wide,
        )  # fmt: skip
        self.subset = pn.widgets.TextInput(
            label="subset", placeholder='halo and not "odd labels"', value=state.queue.combination,
            css_classes=["msfa-select", "msfa-subset"], **wide,
        )  # fmt: skip
        self.subsets = pn.widgets.Select(
            label="named", options={NO_SUBSETS: ""}, css_classes=["msfa-select", "msfa-subsets"],
            **wide,
        )  # fmt: skip
        self.forget = pn.widgets.Button(
            label="forget this subset", visible=False, css_classes=["msfa-lift", "msfa-forget"],
            **wide,
        )  # fmt: skip
        self.menus = (self.subset, self.subsets, self.forget)
        self._held: dict[str, Subset] = {}
        self.naming.param.watch(lambda *_: self._name(), "enter_pressed")  # its value comes twice
        self.subset.param.watch(lambda event: self.combine(event.new), "value")
        self.subsets.param.watch(self._take, "value")
        self.forget.on_click(lambda _: self._forget())
        state.watch(self._follow_subset, "queue.filters", "verdicts.blind")

    def _name(self) -> None:
        """Name what is brushed: it can be asked for from then on, by colleagues too."""
        written = self.naming.value or ""
        if not written.strip():
            return
        queue, status = self.state.queue, self.state.status

        def name() -> None:
            made = queue.name_brush(written)
            status.say(
                f"named: {made.name} · {counted(len(made.obsids), 'spectrum', 'spectra')}", "saved"
            )

        if status.attempt(name):
            self.naming.value = ""
            self.offer()

    def combine(self, combination: str) -> None:
        """Put a combination of named subsets in force; what cannot be read changes nothing."""
        if combination.strip() == self.state.queue.combination:
            self.state.status.calm()
            return
        if self.state.status.attempt(self.state.queue.limit_to, combination):
            self.state.status.calm()
            self.state.screen.first()

    def _take(self, event: Any) -> None:
        """Put a named subset in force, beside those that are."""
        if event.new:
            held = self.state.queue.combination
            self.combine(f"({held}) and {event.new}" if " or " in held else
                          f"{held} and {event.new}" if held else event.new)  # fmt: skip
            self.subsets.value = ""

    def _forget(self) -> None:
        name = self._own_subset()
        if name and self.state.status.attempt(self.state.queue.forget, name):
            self.state.status.say(f"forgotten: {name}")
            self.offer()

    def _own_subset(self) -> str:
        """Return the name of the subset in force, if this reviewer named it and it stands alone."""
        combination, who = self.state.queue.combination, self.state.verdicts.reviewer.strip()
        return next(
            (name for name, one in self._held.items()
             if quoted(name) == combination and one.author == who), ""
        )  # fmt: skip

    def offer(self) -> None:
        """Offer the subsets that there are now."""
        self.state.status.attempt(self._read_subsets)
        options = {"add a subset …" if self._held else NO_SUBSETS: ""} | {
            f"{name} · {len(one.obsids):,} · {one.author}": quoted(name)
            for name, one in self._held.items()
        }
        if options != self.subsets.options:
            self.subsets.param.update(options=options, value="")
        self.forget.visible = bool(self._own_subset())

    def _read_subsets(self) -> None:
        self._held = self.state.queue.subsets()

    def _follow_subset(self, *_: Any) -> None:
        """Write the combination in force, and offer to name a brush while there is one."""
        queue, blind = self.state.queue, self.state.verdicts.blind
        self.subset.value = queue.combination
        self.naming.visible = not blind and any(one.name == "brush" for one in queue.filters)
        self.forget.visible = bool(self._own_subset())
