"""What is said of a table of a user that tells of none of the spectra, or could not."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.tables.report import Matched, OutsideTable, line


def none_matched(
    opened: OutsideTable,
    matched: Matched,
    spectra: pd.DataFrame,
    keys: Sequence[str],
    radius_arcsec: float = MATCH_RADIUS_ARCSEC,
) -> CatalogueError:
    """Return the error of a table that tells of no spectrum, with examples of both sides.

    Parameters
    ----------
    opened : OutsideTable
    matched : Matched
    spectra : (n,) DataFrame
        Of the survey.
    keys : sequence of str
        Columns by which they were sought.
    radius_arcsec : float
        Of matches by position.
    """
    coarse = too_coarse(opened.table, radius_arcsec)
    return CatalogueError(
        f"{opened.path}: {none_of(opened, matched, spectra, keys)}. Give a table of these stars. "
        f"({'; '.join([line(opened), *coarse])})"
    )


def none_of(
    opened: OutsideTable, matched: Matched, spectra: pd.DataFrame, keys: Sequence[str]
) -> str:
    """Say that no spectrum is in a table, with examples of both sides."""
    refused = counted(matched.n_refused, "row is", "rows are")
    far = f"; {refused} {matched.why_refused}" if matched.n_refused else ""
    far += _elsewhere(opened.table, spectra)
    return (
        f"none of the {counted(len(spectra), 'spectrum', 'spectra')} is in it{far}. It has "
        f"{_examples(opened.table, keys)}; the survey has {_examples(spectra, keys)}"
    )


def too_coarse(table: pd.DataFrame, radius_arcsec: float) -> list[str]:
    """Say that the places of a table were rounded to more than a match can bridge."""
    from msfa_core.stars.crossmatch import step_of_places  # noqa: PLC0415

    if not {"ra", "dec"} <= set(table.columns):
        return []
    step = step_of_places(table["ra"], table["dec"])
    if step <= 2 * radius_arcsec:
        return []
    return [
        f"its places are rounded to {step:,.0f} arcsec, too coarse for matches within "
        f"{radius_arcsec:g} arcsec: give them with more digits, or identifiers"
    ]


def _elsewhere(table: pd.DataFrame, spectra: pd.DataFrame) -> str:
    """Say so where a table and the survey lie in different strips of the sky."""
    strips = []
    for one in (table, spectra):
        dec = one["dec"].dropna() if "dec" in one else pd.Series(dtype="float64")
        if not len(dec):
            return ""
        strips.append((float(dec.min()), float(dec.max())))
    (low, high), (own_low, own_high) = strips
    if low > own_high or high < own_low:
        return (
            f": its declinations are {low:+.1f} to {high:+.1f} deg, the survey's {own_low:+.1f} to "
            f"{own_high:+.1f}, another part of the sky"
        )
    return ""


def _examples(table: pd.DataFrame, keys: Sequence[str]) -> str:
    some = []
    for key in keys:
        known = table[key].dropna() if key in table else pd.Series(dtype="float64")
        if len(known):
            words = [f"{one:.5f}" if isinstance(one, float) else str(one) for one in known.iloc[:2]]
            more = ", …" if len(known) > len(words) else ""
            some.append(f"{key} {', '.join(words)}{more}")
    return "; ".join(some) or "neither identifiers nor positions"
