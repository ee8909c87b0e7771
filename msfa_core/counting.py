"""Numbers with their nouns, as screen, status, headers and messages say them."""

import re


def counted(n: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 star``, ``1,200 stars``."""
    return f"{n:,} {one if n == 1 else many}"


def counted_of(n: int, many: str) -> str:
    """Return a number with words told of many: ``1 accepted star``, ``3 stars left unsure``."""
    return counted(n, re.sub(r"\b(star|candidate)s\b", r"\1", many), many)


def counted_spectra(n: int, n_stars: int) -> str:
    """Return how many spectra there are of how many stars."""
    return f"{counted(n, 'spectrum', 'spectra')} of {counted(n_stars, 'star', 'stars')}"
