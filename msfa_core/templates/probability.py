"""How probably a template match is right, given its confidence.

The confidence is that of the LAMOST pipeline, built on Gaussians; residuals of real spectra have
longer tails, and one label in twelve is wrong itself, so that matches of 99 % agree with their
label in 90 %. What the confidence has meant on labelled spectra is a rising curve (isotonic
regression on the same matches), kept as its corners.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from msfa_core.errors import ModelError
from msfa_core.shipped import shipped
from msfa_core.templates.confidence import PERCENT
from msfa_core.typing import BoolArray, FloatArray

PROBABILITY_FILE: Final = shipped("templates", "probability.json")


def probability_right(confidence: ArrayLike, path: str | Path | None = None) -> FloatArray:
    """Return how probably class, and subclass within five subtypes, are right.

    Parameters
    ----------
    confidence : (n,) array [percent]
        As `templates.confidence.confidence` gives it.
    path : str or Path, optional
        Of the corners; the shipped ones when not given.

    Returns
    -------
    (n,) array
        NaN where there is no confidence.

    Raises
    ------
    ModelError
        When the file is missing or is none.
    """
    at, share = _corners(Path(path) if path else PROBABILITY_FILE)
    value = np.asarray(confidence, dtype=np.float64)
    found: FloatArray = np.interp(value, at, share)
    return np.where(np.isnan(value), np.nan, found)


def corners(confidence: FloatArray, agrees: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Fit the rising curve that has the least squares from labels that agree or do not.

    Parameters
    ----------
    confidence : (n,) array [percent]
    agrees : (n,) bool array

    Returns
    -------
    at : (corner,) array [percent]
    share : (corner,) array
        Rising; a line between corners.
    """
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 (slow to import)

    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    fit.fit(confidence, agrees.astype(np.float64))
    at, share = fit.X_thresholds_, fit.y_thresholds_
    return np.asarray(at, np.float64), np.asarray(share, np.float64)


@functools.lru_cache(maxsize=2)
def _corners(path: Path) -> tuple[FloatArray, FloatArray]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        at, share = (np.array(said[name], dtype=np.float64) for name in ("confidence", "right"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: no curve of probabilities ({error}); restore the file.") from (
            error
        )
    rises = len(at) == len(share) > 1 and (np.diff(at) >= 0).all() and (np.diff(share) >= 0).all()
    if not (rises and at[0] >= 0 and at[-1] <= PERCENT and share[0] >= 0 and share[-1] <= 1):
        raise ModelError(f"{path}: probabilities that do not rise from 0 to 1; restore the file.")
    return at, share
