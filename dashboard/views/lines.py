"""Line-to-line checks: Hδ against Hγ, and our D0.2 against that of the LAMOST catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn

from dashboard.planes.axis import Axis
from dashboard.planes.cells import counted, number, sigma_words
from dashboard.planes.checks import CheckView
from dashboard.planes.guides import draw_diagonal
from dashboard.planes.linked import colour_switch, controls
from dashboard.planes.plane import Plane
from dashboard.state import Session
from dashboard.views.d02_fm import line_axes
from msfa_core.balmer.consistency import agreement
from msfa_core.columns import numbers

D02_LIMITS: Final = (4.0, 47.0)  # Å
NOT_MEASURED: Final = (
    "No line fits yet",
    "D0.2 and fm come from the fits of Hδ and Hγ: `msfa run SURVEY --steps measure`.",
)
NO_CATALOGUE: Final = (
    "This survey has no D0.2 of the LAMOST catalogue",
    "LAMOST's catalogue of A stars lists its own D0.2 of Hδ and Hγ as hdelta_d02 and hgamma_d02.",
    "Add it with `msfa ingest SURVEY --catalogue FILE`: the two columns are kept under these names "
    "and can be compared here.",
)


@dataclass(frozen=True, slots=True)
class Check:
    """Two measurements that should agree.

    Attributes
    ----------
    x, y : Axis
    first, second : str
        Their names in the caption.
    quantity, unit : str
    digits : int
        Decimals of a difference.
    """

    x: Axis
    y: Axis
    first: str
    second: str
    quantity: str
    unit: str
    digits: int


def _axis(line: str, place: int) -> Axis:
    """Return D0.2 (0) or fm (1) of a line; the few white dwarfs do not stretch the frame."""
    axis = line_axes(line)[place]
    return replace(axis, limits=D02_LIMITS) if place == 0 else axis


def _between_lines(place: int, quantity: str, unit: str, digits: int) -> Check:
    x, y = (_axis(line, place) for line in ("hdelta", "hgamma"))
    return Check(x, y, "Hδ", "Hγ", quantity, unit, digits)


def _with_catalogue(line: str, name: str) -> Check:
    own = _axis(line, 0)
    theirs = Axis(
        f"{line}_d02", f"D0.2 ({name}), LAMOST catalogue [Å]", own.limits, own.always, digits=1
    )
    return Check(own, theirs, "ours", "LAMOST", f"D0.2 ({name})", " Å", 2)


CHECKS: Final = {
    "D0.2": _between_lines(0, "D0.2", " Å", 2),
    "fm": _between_lines(1, "fm", "", 3),
    "LAMOST Hδ": _with_catalogue("hdelta", "Hδ"),
    "LAMOST Hγ": _with_catalogue("hgamma", "Hγ"),
}


def agreement_sentence(table: pd.DataFrame, check: Check) -> str:
    """Return how the second measurement differs from the first, over all spectra."""
    found = agreement(numbers(table, check.x.column), numbers(table, check.y.column))
    if not found.n:
        return f"no spectrum has {check.quantity} of both"
    spectra = counted(found.n, "spectrum", "spectra")
    median = f"{found.median:+.{check.digits}f}".replace("-", "−")
    return (
        f"{check.second} − {check.first}: median {median}{check.unit}, scatter "
        f"{found.scatter:.{check.digits}f}{check.unit} (robust σ, {spectra})"
    )


def star_sentence(row: pd.Series, check: Check) -> str:
    """Return both measurements of this star, and their difference in units of its error."""
    values = [number(row, axis.column) for axis in (check.x, check.y)]
    errors = [number(row, axis.error) if axis.error else np.nan for axis in (check.x, check.y)]
    names, words = (check.first, check.second), []
    for name, value, error in zip(names, values, errors, strict=True):
        if not np.isfinite(value):
            return f"this star has no {check.quantity} of {name}"
        spread = f" ± {error:.{check.digits}f}" if np.isfinite(error) else ""
        words.append(f"{name} {value:.{check.digits}f}{spread}")
    difference = values[1] - values[0]
    given = [axis.error for axis in (check.x, check.y)]
    known = [e for e, name in zip(errors, given, strict=True) if name]  # one missing: no σ
    error = float(np.sqrt(np.sum(np.square(known)))) if known else np.nan
    sigma = sigma_words(difference, error)
    change = f"{difference:+.{check.digits}f}".replace("-", "−")
    return f"this star: {', '.join(words)}{check.unit}: {change}{check.unit}{sigma}"


class LineChecksView(CheckView):
    """Two measurements of one thing against each other, with the 1:1 line."""

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        self.offer({key: partial(self._make_plane, key) for key in CHECKS})
        self._figures = self.figure_place()
        self._bar = controls(self.plane_switch(), pn.layout.HSpacer(), colour_switch(self))
        self.follow()

    def _make_plane(self, key: str) -> Plane:
        check = CHECKS[key]
        plane = self.new_plane(check.x, check.y, f"{key} check", equal=True)
        draw_diagonal(plane)
        return plane

    def remedies(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return what to do about a missing column."""
        check = CHECKS[key]
        theirs = NO_CATALOGUE if check.second == "LAMOST" else NOT_MEASURED
        return {check.x.column: NOT_MEASURED, check.y.column: theirs}

    def count(self) -> None:
        """Compare the two measurements of all stars."""
        self._words = agreement_sentence(self.state.verdicts.table, CHECKS[self.shown])

    def lines(self) -> list[str]:
        """Return the agreement of all stars, and of this one."""
        star = self.state.screen.star
        return [
            self._words,
            "" if star is None else star_sentence(star.row, CHECKS[self.shown]),
            self.outside_words(),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            self._bar, self._figures, self._notice, self._caption,
            sizing_mode="stretch_both", margin=0,
        )  # fmt: skip
