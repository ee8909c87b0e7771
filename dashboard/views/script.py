"""Components of the page that are written in plain JavaScript."""

from __future__ import annotations

import hashlib
from typing import Any

import panel as pn


class Script(pn.custom.JSComponent):
    """A component whose script is what the browser runs: nothing is translated first.

    Panel has the browser read each script as TypeScript, and write it anew, before its first
    figure: a tenth of a second of a page.
    """

    __abstract = True

    def _get_properties(self, *place: Any) -> dict[str, Any]:
        properties: dict[str, Any] = super()._get_properties(*place)
        name = hashlib.sha256(str(properties["esm"]).encode("utf-8")).hexdigest()
        return properties | {"bundle": name}  # of a script that is told apart from others by it
