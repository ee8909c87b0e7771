"""The two-stage search, how unlike its training a spectrum is, and which wavelengths spoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msfa_core.search.two_stages import TwoStageSearch

__all__ = ["TwoStageSearch"]


def __getattr__(name: str) -> Any:
    """Import the networks on first use: torch takes seconds."""
    if name in __all__:
        from msfa_core.search import two_stages  # noqa: PLC0415

        return getattr(two_stages, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
