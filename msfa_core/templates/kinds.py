"""Kinds of objects that a template set can hold: what is there, and what it lacks."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.spectral_types import Family, spectral_type

_STARS: Final = tuple(f"stars {letter}" for letter in "OBAFGKM")
_LATE: Final = 65.0  # M5 on O0 = 0 … M9 = 69
_BY_WORD: Final = (  # the first that fits a subclass counts
    (re.compile(r"(WD|D[ABCOQZ]\w*)\s*[+/]\s*d?M|WDM", re.IGNORECASE), "DA+M pairs"),
    (re.compile(r"CV", re.IGNORECASE), "cataclysmic variables"),
    (re.compile(r"(L\d?|T\d?|L?dwarf)(?![a-z])|Ldwarf"), "L and T dwarfs"),
    (re.compile(r"PN|planetary", re.IGNORECASE), "planetary nebulae"),
    (re.compile(r"[OBAFGKM]\S*e(?=[.:\s]|$)|\S*(T ?Tau|Be\b|em\b)"), "emission-line stars"),
    (re.compile(r"D[BCOQZ]"), "white dwarfs of other kinds"),
)
KINDS: Final = (
    *_STARS, "late M dwarfs and giants", "L and T dwarfs", "carbon stars", "BHB stars",
    "hot subdwarfs", "white dwarfs DA", "white dwarfs of other kinds", "DA+M pairs",
    "cataclysmic variables", "emission-line stars", "planetary nebulae", "HII regions",
    "galaxies", "QSOs",
)  # fmt: skip
OTHER: Final = "other stars"
COMPOSED: Final = "rare"  # begins the names of what was composed where no spectrum may be shipped


def kind_of(cls: str, subclass: str) -> str:
    """Return the kind of a template.

    Parameters
    ----------
    cls : str
        ``STAR``, ``GALAXY`` or ``QSO``.
    subclass : str

    Returns
    -------
    str
        One of `KINDS`, or ``other stars``.
    """
    if cls == "QSO":
        return "QSOs"
    if cls == "GALAXY":
        return "HII regions" if subclass == "HII" else "galaxies"
    word = subclass.strip()
    for pattern, kind in _BY_WORD:
        if pattern.match(word):
            return kind
    found = spectral_type(word)
    families = {
        Family.BHB: "BHB stars",
        Family.HOT_SUBDWARF: "hot subdwarfs",
        Family.WHITE_DWARF: "white dwarfs DA",
        Family.CARBON: "carbon stars",
    }
    if found.family in families:
        return families[found.family]
    if not found.letter:
        return OTHER
    return "late M dwarfs and giants" if found.code >= _LATE else f"stars {found.letter}"


def kinds_of(templates: TemplateSet) -> list[str]:
    """(t,) kind of each template."""
    return [
        kind_of(str(cls), str(word))
        for cls, word in zip(templates.cls, templates.subclass, strict=True)
    ]


def welcome_kinds(templates: TemplateSet) -> list[str]:
    """Return the kinds that a set has no template of, or only such as were composed of others."""
    composed = np.char.startswith(templates.name, COMPOSED)
    there = {kind for kind, was in zip(kinds_of(templates), composed, strict=True) if not was}
    return [kind for kind in KINDS if kind not in there]


def kind_table(templates: TemplateSet) -> pd.DataFrame:
    """Return what a set holds of each kind.

    Returns
    -------
    DataFrame
        Index ``kind``; ``n``, ``subclasses``, ``from`` and ``to`` [Å, rest] that they reach
        together, ``sources``. Kinds that are missing have n = 0.
    """
    kind = np.array(kinds_of(templates))
    ends = templates.wavelength[templates.extent]
    rows = []
    for name in (*KINDS, *([OTHER] if OTHER in kind else [])):
        own = kind == name
        words = [str(one) for one in dict.fromkeys(templates.subclass[own].tolist()) if one]
        rows.append(
            {
                "kind": name,
                "n": int(own.sum()),
                "subclasses": " ".join(words[:8]) + (" …" if len(words) > 8 else ""),  # noqa: PLR2004
                "from": float(ends[own, 0].min()) if own.any() else np.nan,
                "to": float(ends[own, 1].max()) if own.any() else np.nan,
                "sources": ", ".join(
                    dict.fromkeys(_source(templates, k) for k in np.flatnonzero(own).tolist())
                ),
            }
        )
    return pd.DataFrame(rows).set_index("kind")


def _source(templates: TemplateSet, row: int) -> str:
    """Return whence a template is, as its name says."""
    name = str(templates.name[row])
    if templates.basis[row] != ALONE:
        return f"eigen-spectra of {name.rsplit(' ', 1)[0]}"
    for beginning, words in (
        (COMPOSED, "bands and lines on stars"), ("STELIB", "STELIB"),
        ("HD", "between stars of STELIB"), ("galaxy", "mixtures of stars"),
        ("QSO", "power law and lines"),
    ):  # fmt: skip
        if name.startswith(beginning):
            return words
    return "model atmospheres" if re.search(r"\d K\b", name) else "read from a file"
