"""Named subsets of a survey's spectra, and what they make when they are combined.

A subset is what somebody chose in a plane and gave a name. It lies in the survey's folder, one
file each, so that colleagues who open the survey see it. Names are combined with ``and``, ``or``,
``not`` and brackets; a name that is more than one word stands in double quotes::

    halo and not (bright or "odd labels")
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.durable import WRITING, sync, write_error
from msfa_core.errors import SurveyError
from msfa_core.survey.folder import SUBSETS_FOLDER
from msfa_core.typing import BoolArray
from msfa_core.vetting.filters import Filter

FILTER: Final = "subset"  # name of the filter that a combination makes
WORDS: Final = "in subset "  # begin its sentence
LONGEST: Final = 60  # characters of a name
DEEPEST: Final = 40  # brackets within brackets
_JOIN: Final = ("and", "or", "not")
_TOKEN: Final = re.compile(r'\s*(?:(?P<mark>[()])|"(?P<quoted>[^"]*)"|(?P<word>[^\s()"]+))')
_Rows = Callable[[NDArray[np.int64]], BoolArray]  # (n,) obsids -> (n,) whether they are in


@dataclass(frozen=True, slots=True)
class Subset:
    """Spectra that somebody chose and named.

    Attributes
    ----------
    name : str
    obsids : (n,) int64 array
        Ascending.
    sentence : str
        How they were chosen, in words.
    author, made_at : str
        Who named them, and when (ISO, UTC).
    """

    name: str
    obsids: NDArray[np.int64]
    sentence: str
    author: str
    made_at: str


def subsets(survey: Path) -> dict[str, Subset]:
    """Return the subsets of a survey's folder by their names, in alphabetical order.

    Raises
    ------
    SurveyError
        When one of the files cannot be read.
    """
    found = [_read(path) for path in (survey / SUBSETS_FOLDER).glob("*.json")]
    return {one.name: one for one in sorted(found, key=lambda one: one.name.casefold())}


def name_subset(
    survey: Path, name: str, obsids: Iterable[int], sentence: str, author: str
) -> Subset:
    """Give spectra a name, in the folder of their survey.

    Raises
    ------
    SurveyError
        When the name cannot be used or is taken, or there is nothing to name.
    """
    name = checked_name(name)
    chosen = np.unique(np.fromiter((int(obsid) for obsid in obsids), dtype=np.int64))
    if not len(chosen):
        raise SurveyError("there is nothing to name: brush some stars in a plane first.")
    made = Subset(name, chosen, sentence, author, datetime.now(UTC).isoformat(timespec="seconds"))
    content = {
        "name": made.name,
        "sentence": made.sentence,
        "author": made.author,
        "made_at": made.made_at,
        "obsids": chosen.tolist(),
    }
    path = _path(survey, name)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}{WRITING}")
    try:
        path.parent.mkdir(exist_ok=True)
        draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        sync(draft)
        os.link(draft, path)  # refuses where there is one: two may choose a name at once
    except FileExistsError as error:
        held = subsets(survey).get(name)
        by = f" by {held.author}" if held is not None and held.author else ""
        raise SurveyError(f"there is a subset {name!r} already{by}: take another name.") from error
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    return made


def forget_subset(survey: Path, name: str, author: str) -> None:
    """Take away a subset that this author named.

    Raises
    ------
    SurveyError
        When there is none of this name, or somebody else named it.
    """
    held = subsets(survey).get(name)
    if held is None:
        raise SurveyError(f"there is no subset {name!r}.")
    if held.author != author:
        raise SurveyError(f"{name!r} was named by {held.author}, who alone can forget it.")
    _path(survey, name).unlink(missing_ok=True)


def checked_name(name: str) -> str:
    """Return a name without spaces around it.

    Raises
    ------
    SurveyError
        When it is empty, too long, or could be taken for something else.
    """
    name = " ".join(name.split())
    if not name:
        raise SurveyError("a subset needs a name.")
    if len(name) > LONGEST:
        raise SurveyError(f"a name has at most {LONGEST} characters; this one has {len(name)}.")
    if '"' in name or not name.isprintable():
        raise SurveyError("a name holds no double quotes: they mark names in combinations.")
    if name.lower() in _JOIN:
        raise SurveyError(f"{name!r} combines names and cannot be one: take another.")
    return name


def quoted(name: str) -> str:
    """Return a name as it stands in a combination: in quotes where it needs them."""
    return name if re.fullmatch(r'[^\s()"]+', name) else f'"{name}"'


def subset_filter(combination: str, known: Mapping[str, Subset]) -> Filter:
    """Return the filter that a combination of names makes.

    Parameters
    ----------
    combination : str
        Names with ``and``, ``or``, ``not`` and brackets; ``not`` binds closest, then ``and``.
    known : mapping of name to Subset

    Raises
    ------
    SurveyError
        Saying where it cannot be read, or which name is unknown.
    """
    rows = _Reader(combination, known).whole()

    def predicate(table: pd.DataFrame) -> BoolArray:
        return rows(table["obsid"].to_numpy(np.int64))

    return Filter(FILTER, WORDS + " ".join(combination.split()), predicate)


class _Reader:
    """Reads a combination from left to right."""

    def __init__(self, text: str, known: Mapping[str, Subset]) -> None:
        self.text, self.known, self.depth = text, known, 0
        self.tokens: list[tuple[str, bool]] = []  # and whether it is a name for certain
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.refusal("a double quote is not closed")
            at = found.end()
            is_quoted = found["quoted"] is not None
            self.tokens.append((found["quoted"] if is_quoted else found[0].strip(), is_quoted))

    def refusal(self, why: str) -> SurveyError:
        return SurveyError(
            f"the combination {self.text.strip()!r} cannot be read: {why}. Write names with and, "
            'or, not and brackets, as in: halo and not (bright or "odd labels").'
        )

    def whole(self) -> _Rows:
        """Return what the whole text means."""
        if not self.tokens:
            raise self.refusal("it is empty")
        meant = self.either()
        if self.tokens:
            raise self.refusal(f"{self.tokens[0][0]!r} stands where and or or should")
        return meant

    def takes(self, word: str) -> bool:
        """Tell whether the next word is this one, and pass over it if so."""
        is_next = bool(self.tokens) and not self.tokens[0][1]
        if is_next and self.tokens[0][0].lower() == word:
            del self.tokens[0]
            return True
        return False

    def either(self) -> _Rows:
        parts = [self.both()]
        while self.takes("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda o: np.any([part(o) for part in parts], 0)

    def both(self) -> _Rows:
        parts = [self.one()]
        while self.takes("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda o: np.all([part(o) for part in parts], 0)

    def one(self) -> _Rows:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refusal(f"more than {DEEPEST} brackets or nots lie within each other")
        try:
            if self.takes("not"):
                other = self.one()
                return lambda obsids: ~other(obsids)
            if self.takes("("):
                meant = self.either()
                if not self.takes(")"):
                    raise self.refusal("a bracket is not closed")
                return meant
            return self.name()
        finally:
            self.depth -= 1

    def name(self) -> _Rows:
        if not self.tokens:
            raise self.refusal("a name is missing at its end")
        word, is_name = self.tokens.pop(0)
        if not is_name and (word.lower() in _JOIN or word in "()"):
            raise self.refusal(f"a name is missing before {word!r}")
        if word not in self.known:
            names = ", ".join(map(quoted, self.known)) or "none yet"
            raise SurveyError(f"there is no subset {word!r}; there are: {names}.")
        held = self.known[word].obsids
        return lambda obsids: np.isin(obsids, held)


def _path(survey: Path, name: str) -> Path:
    """Return the file of a subset: names may hold what file systems do not."""
    return survey / SUBSETS_FOLDER / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> Subset:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Subset(
            str(said["name"]),
            np.array(said["obsids"], dtype=np.int64),
            *(str(said[name]) for name in ("sentence", "author", "made_at")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SurveyError(
            f"the subset in {path} cannot be read ({error}): restore the file, or delete it."
        ) from error
