"""Named regions of the line-parameter planes: published ones, and the user's own (paper §V.2)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msfa_core import constants
from msfa_core.constants import BOX_JU2024, BOX_XUE2008, BOX_XUE2011, LINE_SYMBOLS, Sourced
from msfa_core.errors import ConfigError
from msfa_core.typing import FloatArray

_QUANTITY_TEXT: Final = {"d02": "D0.2", "fm": "fm", "width": "b", "shape": "c"}
_UNIT_TEXT: Final = {"d02": " Å", "fm": "", "width": " Å", "shape": ""}
_QUANTITY_NAMES: Final = {"d02": "d02", "fm": "fm", "b": "width", "c": "shape"}
_EXAMPLE: Final = "mine: hdelta d02 17..28, fm 0.1..0.3; hgamma b 7..10.8, c 0.75..1.25"
_PARTS: Final = 2  # of "name: limits" and of "17..28"


@dataclass(frozen=True, slots=True)
class Cut:
    """Limits of one quantity of one line; the limits themselves are inside.

    Attributes
    ----------
    quantity : str
        ``d02``, ``fm``, ``width`` or ``shape``.
    low, high : float
        Infinite where there is no limit.
    high_curve : (offset, curvature, vertex), optional
        Upper limit ``offset − curvature·(c − vertex)²`` that depends on the shape c, on top of
        ``high``.
    """

    quantity: str
    low: float = -np.inf
    high: float = np.inf
    high_curve: tuple[float, float, float] | None = None

    def contains(self, value: FloatArray, shape: FloatArray) -> NDArray[np.bool_]:
        """Return where the value is within the limits; NaN is outside."""
        inside = (value >= self.low) & (value <= self.high)
        if self.high_curve is not None:
            offset, curvature, vertex = self.high_curve
            inside &= value <= offset - curvature * (shape - vertex) ** 2
        return inside

    def describe(self) -> str:
        """Return the cut as people write it."""
        text, unit = _QUANTITY_TEXT[self.quantity], _UNIT_TEXT[self.quantity]
        low = f"{self.low:g} ≤ " if np.isfinite(self.low) else ""
        if self.high_curve is not None:
            offset, curvature, vertex = self.high_curve
            return f"{low}{text} ≤ {offset:g} − {curvature:g}(c − {vertex:g})²{unit}"
        high = f" ≤ {self.high:g}" if np.isfinite(self.high) else ""
        return f"{low}{text}{high}{unit}"


@dataclass(frozen=True, slots=True)
class Selection:
    """A named region of the line-parameter planes; each line has its own cuts.

    Attributes
    ----------
    name : str
    cuts : mapping of line to its cuts
    provenance : str
        Where the numbers come from and how certain they are.
    """

    name: str
    cuts: Mapping[str, tuple[Cut, ...]]
    provenance: str

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines that have cuts."""
        return tuple(self.cuts)

    def contains(
        self,
        line: str,
        d02: ArrayLike,
        fm: ArrayLike,
        width: ArrayLike | None = None,
        shape: ArrayLike | None = None,
    ) -> NDArray[np.bool_]:
        """Return which measurements of one line lie inside its cuts.

        Parameters
        ----------
        line : str
        d02, width : (n,) arrays [Å]
        fm, shape : (n,) arrays
            A quantity that no cut of the line needs may be left out.

        Returns
        -------
        (n,) bool array
            False where a needed value is NaN.

        Raises
        ------
        ConfigError
            When the selection has no cuts for the line, or a needed quantity is not given.
        """
        if line not in self.cuts:
            raise ConfigError(
                f"selection {self.name!r} has no cuts for {line!r}; it has {', '.join(self.lines)}."
            )
        given = {"d02": d02, "fm": fm, "width": width, "shape": shape}
        missing = [cut.quantity for cut in self.cuts[line] if given[cut.quantity] is None]
        if missing:
            raise ConfigError(
                f"selection {self.name!r} of {line} needs {', '.join(missing)}: give the array(s)."
            )
        values = {
            name: np.atleast_1d(np.asarray(value, dtype=np.float64))
            for name, value in given.items()
            if value is not None
        }
        shape_c = values.get("shape", np.full_like(values["d02"], np.nan))
        inside = np.isfinite(values["d02"]) & np.isfinite(values["fm"])
        for cut in self.cuts[line]:
            inside &= cut.contains(values[cut.quantity], shape_c)
        return np.asarray(inside)

    def box(self, line: str) -> tuple[float, float, float, float] | None:
        """Return (D0.2 low, high, fm low, high) of one line for a plot; None without such cuts."""
        limits = {cut.quantity: cut for cut in self.cuts.get(line, ())}
        if not {"d02", "fm"} & set(limits):
            return None
        d02, fm = limits.get("d02", Cut("d02")), limits.get("fm", Cut("fm"))
        return d02.low, d02.high, fm.low, fm.high

    def describe(self) -> str:
        """Return the selection as one sentence."""
        parts = [
            f"{LINE_SYMBOLS[line]}: {', '.join(cut.describe() for cut in cuts)}"
            for line, cuts in self.cuts.items()
        ]
        return f"{'; '.join(parts)}."


def box_selection(
    name: str,
    boxes: Mapping[str, tuple[float, float, float, float]],
    provenance: str = "set by the user",
) -> Selection:
    """Make a selection of plain boxes.

    Parameters
    ----------
    name : str
    boxes : mapping of line to (D0.2 low, D0.2 high, fm low, fm high) [Å, Å, 1, 1]
    provenance : str
    """
    cuts = {}
    for line, (d02_low, d02_high, fm_low, fm_high) in boxes.items():
        if line not in constants.BALMER_LINES:
            known = ", ".join(constants.BALMER_LINES)
            raise ConfigError(f"unknown line {line!r} in selection {name!r}; known are {known}.")
        cuts[line] = (Cut("d02", d02_low, d02_high), Cut("fm", fm_low, fm_high))
    return Selection(name, cuts, provenance)


def _sourced_box(box: tuple[Sourced, ...]) -> tuple[Cut, ...]:
    return Cut("d02", box[0], box[1]), Cut("fm", box[2], box[3])


SELECTIONS: Final[dict[str, Selection]] = {
    "xue2008": Selection(
        "xue2008", {"hdelta": _sourced_box(BOX_XUE2008)}, BOX_XUE2008[0].provenance
    ),
    "xue2011": Selection(
        "xue2011",
        {
            "hdelta": (
                Cut("d02", high=BOX_XUE2011["hdelta_d02_max"]),
                Cut("fm", high=BOX_XUE2011["hdelta_fm_max"]),
            ),
            "hgamma": (
                Cut(
                    "shape",
                    BOX_XUE2011["hgamma_shape_min"],
                    BOX_XUE2011["hgamma_shape_max"],
                ),
                Cut(
                    "width",
                    BOX_XUE2011["hgamma_width_min"],
                    high_curve=(
                        BOX_XUE2011["hgamma_width_offset"],
                        BOX_XUE2011["hgamma_width_curvature"],
                        BOX_XUE2011["hgamma_width_vertex"],
                    ),
                ),
            ),
        },
        BOX_XUE2011["hdelta_d02_max"].provenance,
    ),
    "ju2024": Selection(
        "ju2024",
        {line: _sourced_box(BOX_JU2024) for line in constants.FIT_LINES},
        BOX_JU2024[0].provenance,
    ),
}


def parse_selection(text: str) -> Selection:
    """Read a selection of the user's own, as settings and the command line give it.

    Parameters
    ----------
    text : str
        ``name: line quantity low..high, quantity low..high; line …`` with the lines ``hdelta``,
        ``hgamma`` and the quantities ``d02`` [Å], ``fm``, ``b`` [Å], ``c``; either limit may be
        left out.

    Returns
    -------
    Selection

    Raises
    ------
    ConfigError
        Saying which part cannot be read, and what it should look like.
    """
    name, _, body = (part.strip() for part in text.partition(":"))
    if not re.fullmatch(r"[A-Za-z][\w+-]*", name):
        raise _unreadable(text, f"{name!r} is no name (letters, digits, _ + -)")
    if name in SELECTIONS:
        raise _unreadable(text, f"{name!r} is the name of a published selection: take another")
    cuts: dict[str, tuple[Cut, ...]] = {}
    for part in filter(None, (part.strip() for part in body.split(";"))):
        line, _, limits = part.partition(" ")
        if line not in constants.FIT_LINES:
            known = " and ".join(constants.FIT_LINES)
            raise _unreadable(text, f"{line!r} is not a line that is measured ({known})")
        if line in cuts:
            raise _unreadable(text, f"{line} comes twice")
        cuts[line] = tuple(_parse_cut(text, one.split()) for one in limits.split(","))
        quantities = [cut.quantity for cut in cuts[line]]
        if len(set(quantities)) < len(quantities):
            raise _unreadable(text, f"a quantity of {line} comes twice")
    if not cuts:
        raise _unreadable(text, "there are no limits")
    return Selection(name, cuts, "set by the user")


def selection_text(selection: Selection) -> str:
    """Return a selection as settings and the command line take it: `parse_selection` reads it.

    Raises
    ------
    ConfigError
        When it has a curved limit and no published name: there are no words for that.
    """
    if SELECTIONS.get(selection.name) == selection:
        return selection.name
    names = {quantity: name for name, quantity in _QUANTITY_NAMES.items()}
    lines = []
    for line, cuts in selection.cuts.items():
        if any(cut.high_curve is not None for cut in cuts):
            raise ConfigError(
                f"selection {selection.name!r} has a curved limit, which settings cannot hold: "
                f"name one of {', '.join(SELECTIONS)}."
            )
        limits = [f"{names[cut.quantity]} {_limit(cut.low)}..{_limit(cut.high)}" for cut in cuts]
        lines.append(f"{line} {', '.join(limits)}")
    return f"{selection.name}: {'; '.join(lines)}"


def _limit(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else ""


def _parse_cut(text: str, words: list[str]) -> Cut:
    """Return the cut that ``["d02", "17..28"]`` means."""
    said = " ".join(words)
    if len(words) != _PARTS or words[0] not in _QUANTITY_NAMES:
        known = ", ".join(_QUANTITY_NAMES)
        raise _unreadable(text, f"{said!r} is not a quantity ({known}) and its limits")
    limits = words[1].split("..")
    if len(limits) != _PARTS or not any(limits):
        raise _unreadable(text, f"{words[1]!r} are no limits such as 17..28, 17.. or ..28")
    try:
        low = float(limits[0]) if limits[0] else -math.inf
        high = float(limits[1]) if limits[1] else math.inf
    except ValueError as error:
        raise _unreadable(text, f"{words[1]!r} are not numbers") from error
    if not low < high:
        raise _unreadable(text, f"{said!r} holds nothing: the lower limit comes first")
    return Cut(_QUANTITY_NAMES[words[0]], low, high)


def _unreadable(text: str, why: str) -> ConfigError:
    known = ", ".join(SELECTIONS)
    return ConfigError(
        f"selection {text!r} cannot be read: {why}. Name one of {known}, or write limits as in "
        f"{_EXAMPLE!r}."
    )


def get_selection(selection: str | Selection) -> Selection:
    """Return a selection by its name, or by the limits that a user wrote.

    Raises
    ------
    ConfigError
        For an unknown name, or limits that cannot be read.
    """
    if isinstance(selection, Selection):
        return selection
    if selection in SELECTIONS:
        return SELECTIONS[selection]
    if ":" not in selection:
        raise ConfigError(
            f"unknown selection {selection!r}; known are {', '.join(SELECTIONS)}, and limits of "
            f"your own as in {_EXAMPLE!r}."
        )
    return parse_selection(selection)
