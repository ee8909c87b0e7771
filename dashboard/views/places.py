"""Places for planes: each shows one plane, with a chooser of its own."""

from __future__ import annotations

from typing import Any, Final

import panel as pn

from dashboard.planes.linked import LinkedView
from dashboard.state import Session
from dashboard.theme import stylesheet
from dashboard.views.calcium import CalciumView
from dashboard.views.cmd import CmdView
from dashboard.views.d02_fm import PlaneView
from dashboard.views.epochs import EpochsView
from dashboard.views.lines import LineChecksView
from dashboard.views.parameters import ParametersView
from dashboard.views.sky import SkyView
from msfa_core.stars.reference import ReferenceStars

PLANES: Final[dict[str, Any]] = {
    "D0.2–fm": PlaneView,
    "CMD": CmdView,
    "Labels": ParametersView,
    "Lines": LineChecksView,
    "Ca K": CalciumView,
    "Sky": SkyView,
    "Epochs": EpochsView,
}
PLACES: Final = {  # by their names in the address: what each shows at first
    "upper": "D0.2–fm",
    "lower": "CMD",
    "third": "Labels",  # these two on a wide screen only
    "fourth": "Ca K",
}
N_ALWAYS: Final = 2


class PlanePlace(pn.viewable.Viewer):
    """One place: the plane that is chosen in it; each plane is made when first chosen.

    Parameters
    ----------
    state : Session
    reference : ReferenceStars, optional
    first : str
        What it shows at first, one of `PLANES`.
    """

    def __init__(
        self, state: Session, reference: ReferenceStars | None, name: str, first: str, **params: Any
    ) -> None:
        super().__init__(**params)
        self.state, self.reference = state, reference
        self.views: dict[str, Any] = {}
        css: dict[str, Any] = {"stylesheets": [stylesheet()], "margin": 0}
        self.chooser = pn.widgets.Select(
            label=f"{name} plane", options=list(PLANES), value=first, width=76,
            css_classes=["msfa-select", "msfa-chooser", f"msfa-chooser-{name}"], **css,
        )  # fmt: skip
        self._body = pn.Column(
            sizing_mode="stretch_both", css_classes=["msfa-place-body"], scroll=False, **css
        )
        self._page = pn.Column(
            self.chooser, self._body, sizing_mode="stretch_both", visible=False,
            css_classes=["msfa-panel", "msfa-place"], **css,
        )  # fmt: skip
        self.chooser.param.watch(lambda *_: self._show(), "value")

    @property
    def chosen(self) -> str:
        """The plane that is chosen."""
        return str(self.chooser.value)

    @property
    def is_open(self) -> bool:
        """Whether the place is on the page."""
        return bool(self._page.visible)

    @property
    def in_sight(self) -> Any:
        """The view that is on the page; None while the place is put away."""
        return self.view(self.chosen) if self.is_open else None

    def open(self, is_open: bool = True) -> None:
        """Show the place, or put it away: what is not shown sleeps."""
        if is_open != self.is_open:
            self._page.visible = is_open
            self._show()

    def choose(self, name: str) -> None:
        """Show a plane here."""
        self.chooser.value = name

    def view(self, name: str) -> Any:
        """Return a view of this place; made now if it was not shown before."""
        if name not in self.views:
            self.views[name] = PLANES[name](state=self.state, reference=self.reference)
        return self.views[name]

    def _show(self) -> None:
        if not self.is_open:
            self._body[:] = []
            return
        was_made = self.chosen in self.views
        view = self.view(self.chosen)
        self._body[:] = [view]
        if was_made and isinstance(view, LinkedView):
            view.refresh()  # it slept

    def __panel__(self) -> pn.viewable.Viewable:
        return self._page
