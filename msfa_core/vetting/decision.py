"""Decisions of reviewers: what one is, checked and tidied, and many of them as a table.

A decision is bound to the spectrum that was on screen (``obsid``) and reaches every epoch of that
star; what the decisions on a star add up to is said by `vetting.record`.
"""

from __future__ import annotations

import enum
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core import __version__
from msfa_core.errors import CatalogueError, StoreError

REVIEWER_LENGTH: Final = 64  # characters; a name, not a story
CLASS_LENGTH: Final = 32
COMMENT_LENGTH: Final = 4000
FLAG_LENGTH: Final = 32
MAX_FLAGS: Final = 20
SHOWN_LENGTH: Final = 65_536  # characters of JSON: what was on screen, not the screen itself
UID_LENGTH: Final = 64
KEY_LENGTH: Final = 64
CONFIDENCE: Final = {  # what the four levels mean, written beside the keys
    1: "a guess",
    2: "more likely than not",
    3: "probable",
    4: "certain",
}
FINAL_FLAG: Final = "final"  # issue flag of a decision that settles a disagreement
_JOINERS: Final = "\u200c\u200d"  # zero-width non-joiner and joiner
_INT64_MAX: Final = 2**63 - 1


class Verdict(enum.StrEnum):
    """What a reviewer can say of a star."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the history of vetting; checked and tidied when it is made.

    Names and comments are stored as written, less control characters; views escape them.

    Attributes
    ----------
    obsid : int
        The spectrum that was on screen.
    uid : str
        Its star at that moment; empty when stars were not yet identified.
    verdict : Verdict
        A withdrawal repeats the verdict that it takes back.
    reviewer : str
    verdict_class : str
        Class given by the reviewer, or empty.
    confidence : int, optional
        1 to 4, see `CONFIDENCE`.
    comment : str
    issue_flags : tuple of str
    shown : mapping
        What was on screen, as JSON can hold it (numbers that are not finite become null).
    software_version : str
    decided_at : str
        UTC, ISO 8601; the store writes it when empty.
    decision_id : int, optional
        Given by the store, rising with every append.
    withdraws : int, optional
        The decision that this row takes back.
    key : str
        Made by who decides, so that the same decision given twice (the answer to the first was
        lost) is stored once; the store makes one when it is empty.

    Raises
    ------
    StoreError
        Naming the field that is wrong and what it may be.
    """

    obsid: int
    uid: str
    verdict: Verdict
    reviewer: str
    verdict_class: str = ""
    confidence: int | None = None
    comment: str = ""
    issue_flags: tuple[str, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict, hash=False)
    software_version: str = __version__
    decided_at: str = ""
    decision_id: int | None = None
    withdraws: int | None = None
    key: str = ""

    def __post_init__(self) -> None:
        """Check every field; store the tidied value."""
        tidy = {
            "obsid": _whole_number(self.obsid, "obsid"),
            "uid": _line(self.uid, "uid", UID_LENGTH),
            "verdict": _verdict(self.verdict),
            "reviewer": _line(self.reviewer, "reviewer", REVIEWER_LENGTH),
            "verdict_class": _line(self.verdict_class, "verdict_class", CLASS_LENGTH),
            "confidence": _confidence(self.confidence),
            "comment": _text(self.comment, "comment", COMMENT_LENGTH),
            "issue_flags": _flags(self.issue_flags),
            "shown": _shown(self.shown),
            "software_version": _line(self.software_version, "software_version", FLAG_LENGTH),
            "decided_at": _moment(self.decided_at),
            "key": _line(self.key, "key", KEY_LENGTH),
        }
        if not tidy["reviewer"]:
            raise StoreError("A decision needs a reviewer: write your name before deciding.")
        for name, value in tidy.items():
            object.__setattr__(self, name, value)

    @property
    def is_final(self) -> bool:
        """Whether this decision settles the star, whatever others say later."""
        return FINAL_FLAG in self.issue_flags

    @property
    def is_withdrawal(self) -> bool:
        """Whether this row takes an earlier decision back."""
        return self.withdraws is not None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self) | {"verdict": str(self.verdict)}


def reviewer_name(text: str) -> str:
    """Return a name as decisions carry it; for names that people and logins give.

    Raises
    ------
    StoreError
        When it is no name: several lines, control characters or such as nobody sees (two people
        would look like one), or a story.
    """
    if any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text.strip()):
        raise StoreError(
            f"{text.strip()[:REVIEWER_LENGTH]!r} is no name: it holds a line end or a control "
            "character; write it in one line."
        )
    if unseen := [one for one in text if _is_unseen(one)]:
        raise StoreError(
            f"{ascii(text.strip()[:REVIEWER_LENGTH])} is no name: it holds a character that nobody "
            f"sees (U+{ord(unseen[0]):04X}); leave it out."
        )
    name = " ".join(text.split())
    if len(name) > REVIEWER_LENGTH:
        raise StoreError(
            f"A name of {len(name)} characters ({name[:20]}…) is too long, at most "
            f"{REVIEWER_LENGTH}: shorten it."
        )
    return name


def _is_unseen(one: str) -> bool:
    """Tell whether a character shows nothing; joiners shape the letters of some scripts."""
    return unicodedata.category(one) == "Cf" and one not in _JOINERS


# --- checks of one field -------------------------------------------------------------------
def _whole_number(value: object, name: str) -> int:
    """Return an int64 as a Python int, never through a float."""
    if isinstance(value, str) and value.strip().isdecimal():  # ids are strings in the browser
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise StoreError(f"{name} = {value!r} is not a whole number; give the LAMOST obsid.")
    if abs(int(value)) > _INT64_MAX:
        raise StoreError(f"{name} = {value} does not fit 64 bits; give the LAMOST obsid.")
    return int(value)


def _verdict(value: object) -> Verdict:
    try:
        return Verdict(str(value))
    except ValueError as error:
        known = ", ".join(Verdict)
        raise StoreError(f"verdict {value!r} is not known; it is one of {known}.") from error


def _confidence(value: object) -> int | None:
    if value is None or value is pd.NA:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise StoreError(f"confidence {value!r} is not a whole number from 1 to 4 (or None).")
    if int(value) not in CONFIDENCE:
        raise StoreError(f"confidence {value} is outside 1 to 4 (or None).")
    return int(value)


def _without_controls(text: str) -> str:
    """Drop control characters and lone surrogates; keep line ends and tabs."""
    if text.isprintable():  # nothing of that kind is
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept)


def _text(value: object, name: str, length: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise StoreError(f"{name} is {type(value).__name__}, expected text.")
    tidy = _without_controls(value).strip()
    if len(tidy) > length:
        raise StoreError(f"{name} has {len(tidy)} characters, at most {length}: shorten it.")
    return tidy


def _line(value: object, name: str, length: int) -> str:
    """Return text of one line, runs of white space made one space."""
    return " ".join(_text(value, name, length).split())


def _flags(values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise StoreError(f"issue_flags {values!r} is not a list of words.")
    flags = tuple(
        dict.fromkeys(
            _line(value, "an issue flag", FLAG_LENGTH).replace(";", ",") for value in values
        )
    )
    flags = tuple(flag for flag in flags if flag)
    if len(flags) > MAX_FLAGS:
        raise StoreError(f"issue_flags has {len(flags)} entries, at most {MAX_FLAGS}.")
    return flags


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold exactly; what is not finite becomes None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or isinstance(value, bool | int):
        return None if value is pd.NA else value
    if isinstance(value, str):
        return _without_controls(str(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_without_controls(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    raise StoreError(f"shown holds a {type(value).__name__}; give numbers, text, lists or maps.")


def _shown(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise StoreError(f"shown is {type(value).__name__}, expected a map of names to values.")
    plain: dict[str, Any] = _plain(value)
    length = len(json.dumps(plain, ensure_ascii=False))
    if length > SHOWN_LENGTH:
        raise StoreError(f"shown has {length} characters of JSON, at most {SHOWN_LENGTH}.")
    return plain


def _moment(value: object) -> str:
    """Return a UTC time as text of fixed layout, so that text order is time order."""
    if not value:
        return ""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise StoreError(
            f"decided_at {value!r} is not an ISO 8601 time (2026-01-31T18:30:00Z); correct it."
        ) from error
    if moment.utcoffset() != timedelta(0):
        raise StoreError(f"decided_at {value!r} is not in UTC: give it in UTC, ending with Z.")
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- many decisions -----------------------------------------------------------------
DECISION_COLUMNS: Final = {
    "decision_id": "int64",
    "obsid": "int64",
    "uid": "str",
    "verdict": "str",
    "verdict_class": "str",
    "confidence": "Int64",
    "comment": "str",
    "reviewer": "str",
    "decided_at": "str",
    "issue_flags": "str",
    "software_version": "str",
    "withdraws": "Int64",
}


def decisions_table(rows: Iterable[Decision]) -> pd.DataFrame:
    """Return decisions as a table in the order they were appended.

    Parameters
    ----------
    rows : decisions

    Returns
    -------
    DataFrame
        One row per decision (``shown`` left out); issue flags joined by ``;``.

    Raises
    ------
    CatalogueError
        When a decision was never appended, so that its place in the history is unknown.
    """
    rows = list(rows)
    if any(row.decision_id is None for row in rows):
        raise CatalogueError("A decision has no decision_id: append it to the store first.")
    fields = {
        name: [getattr(row, name) for row in rows]
        for name in DECISION_COLUMNS
        if name != "issue_flags"
    }
    return as_decisions_table({**fields, "issue_flags": [row.issue_flags for row in rows]})


def as_decisions_table(fields: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return columns of decisions as a table in the order they were appended.

    Parameters
    ----------
    fields : mapping
        (m,) values for each of `DECISION_COLUMNS`, issue flags as tuples.
    """
    values = {**fields, "issue_flags": [";".join(flags) for flags in fields["issue_flags"]]}
    table = pd.DataFrame(
        {name: pd.Series(values[name], dtype=dtype) for name, dtype in DECISION_COLUMNS.items()}
    )
    return table.sort_values("decision_id", ignore_index=True)
