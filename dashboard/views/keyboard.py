"""The keys: one table drives the handler in the browser and the help that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import panel as pn
import param

from dashboard.theme import STATIC, stylesheet
from dashboard.views.script import Script


@dataclass(frozen=True, slots=True)
class Key:
    """One key and what it does.

    Attributes
    ----------
    key : str
        As the browser names it (``KeyboardEvent.key``).
    action : str
        ``accept``, ``reject``, ``unsure``, ``suggestion``, ``undo``, ``next``, ``previous`` go
        to the verdict bar; ``smooth``, ``template`` and ``blind`` to the server; the rest stay in
        the browser.
    words : str
        For the help.
    value : str
        What goes with the action: the class of a rejection.
    shown : str
        How the help writes the key, when not by its name.
    """

    key: str
    action: str
    words: str
    value: str = ""
    shown: str = ""


REJECT_CLASSES: Final = ("A", "B", "HSD", "WD", "other")  # 1 to 5
GROUPS: Final = {  # headings of the help, and the actions below each
    "Verdict": ("accept", "reject", "unsure", "suggestion", "undo"),
    "With the verdict": ("comment", "flag", "confidence"),
    "Stars": ("next", "previous", "search"),
    "What is shown": ("smooth", "template", "template before", "blind"),
    "This help": ("help", "leave"),
}
KEYS: Final = (
    Key("a", "accept", "accept: a BHB star"),
    Key("r", "reject", "reject, class left open"),
    Key("u", "unsure", "unsure: look again later"),
    *(
        Key(str(number), "reject", f"reject as {name}", value=name)
        for number, name in enumerate(REJECT_CLASSES, start=1)
    ),
    Key("Enter", "suggestion", "take the machine's suggestion"),
    Key("Backspace", "undo", "undo my last verdict and go back", shown="⌫"),
    Key("z", "undo", "undo my last verdict and go back"),
    Key("ArrowRight", "next", "next star, no verdict", shown="→"),
    Key("ArrowLeft", "previous", "star before this one", shown="←"),
    Key("e", "comment", "write a comment (kept with the verdict)"),
    Key("f", "flag", "open the issue flags (a digit sets one)"),
    Key("c", "confidence", "step the confidence, 1 to 4"),
    Key("/", "search", "search obsid, Gaia number, position, file"),
    Key("s", "smooth", "step the smoothing"),
    Key("t", "template", "show the template; again: its next solution"),
    Key("T", "template before", "the template's solution before this one", shown="⇧T"),
    Key("b", "blind", "blind: hide the machine and other reviewers"),
    Key("?", "help", "show or hide these keys"),
    Key("Escape", "leave", "leave a field; close this help", shown="Esc"),
)


class Keyboard(Script):
    """Listens to keys on the window, and shows the help.

    Parameters
    ----------
    keys : list of dict
        `KEYS` as the browser gets them.
    groups : list of [str, list of str]
        `GROUPS`, likewise.
    on_action : mapping of action -> callable
        What the server does on an action that is its own.
    """

    keys = param.List(default=[asdict(key) for key in KEYS], doc="The table of keys")
    groups = param.List(
        default=[[name, list(actions)] for name, actions in GROUPS.items()],
        doc="Headings of the help, and the actions below each",
    )

    _esm = "\n".join(
        (STATIC / name).read_text(encoding="utf-8")
        for name in ("painting.js", "saving.js", "keyboard.js")
    )

    def __init__(self, on_action: dict[str, Callable[[], Any]] | None = None, **params: Any):
        still: dict[str, Any] = {"width": 0, "height": 0, "margin": 0}
        super().__init__(**still | {"stylesheets": [stylesheet()]} | params)
        self._on_action = dict(on_action or {})

    def _handle_msg(self, data: Any) -> None:
        action = self._on_action.get(str(data.get("action"))) if isinstance(data, dict) else None
        if action is not None:
            pn.state.execute(partial(_call, action), schedule=True)


def _call(action: Callable[[], Any]) -> None:
    action()
