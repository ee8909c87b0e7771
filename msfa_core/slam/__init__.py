"""Stellar labels by forward modelling (paper §V.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msfa_core.slam.inversion import StellarLabels, predict_labels

__all__ = ["StellarLabels", "predict_labels"]


def __getattr__(name: str) -> Any:
    """Import what inverts the model on first use: the limits of labels need none of it."""
    if name in __all__:
        from msfa_core.slam import inversion  # noqa: PLC0415

        return getattr(inversion, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
