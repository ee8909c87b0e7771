"""An SDSS-like pipeline as a variant of ours, for comparison on the same spectra.

Class and redshift as in idlspec2d: each star alone, galaxies and QSOs as eigen-spectra, and a
polynomial of low order added, which stands in for all that the continuum may do; no continuum
adjustment, no confidence. A solution is doubted where the next one of another class, or of another
velocity, has a χ² less than 1 % larger. Search, pixels and weights are those of `match`, so that
what differs is the method.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from msfa_core.constants import SPEED_OF_LIGHT, Sourced
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from msfa_core.templates.results import Matches

EIGEN_SPECTRA: Final = {"GALAXY": 4, "QSO": 4}  # as SDSS has of each
DELTA_CHI2: Final = Sourced(0.01, "", "SDSS: chi2 closer than this leaves the class open")
ANOTHER_VELOCITY: Final = Sourced(1000.0, "km/s", "SDSS: solutions farther apart are others")


def sdss_like(templates: TemplateSet) -> TemplateSet:
    """Return a set that `match` fits as SDSS's pipeline would.

    Parameters
    ----------
    templates : TemplateSet
        Of templates by themselves, such as the shipped one.

    Returns
    -------
    TemplateSet
        Each star a basis of its own, fitted with a polynomial; galaxies and QSOs as the first
        principal components of their templates, over the wavelengths that all of them have.
    """
    parts = [np.flatnonzero((templates.cls == "STAR") & (templates.basis == ALONE))]
    flux = [templates.flux[parts[0]]]
    names = [templates.name[parts[0]]]
    subclasses = [templates.subclass[parts[0]]]
    classes = [templates.cls[parts[0]]]
    basis = [np.arange(len(parts[0]))]
    for number, (cls, n) in enumerate(EIGEN_SPECTRA.items(), start=len(parts[0])):
        rows = np.flatnonzero((templates.cls == cls) & (templates.basis == ALONE))
        if not len(rows):
            continue
        n_known = np.isfinite(templates.flux[rows]).sum(axis=1)
        rows = rows[n_known > n_known.max() // 2]  # not those that serve a few redshifts
        made = _eigen_spectra(templates.flux[rows].astype(np.float64), n)
        flux.append(made.astype(np.float32))
        names.append(np.array([f"{cls.lower()} {k}" for k in range(len(made))]))
        subclasses.append(np.full(len(made), ""))
        classes.append(np.full(len(made), cls))
        basis.append(np.full(len(made), number))
    return replace(
        templates,
        name=np.concatenate(names),
        cls=np.concatenate(classes),
        subclass=np.concatenate(subclasses),
        flux=np.concatenate(flux),
        basis=np.concatenate(basis).astype(np.int64),
        provenance=f"SDSS-like variant of: {templates.provenance}",
    )


def _eigen_spectra(flux: FloatArray, n: int) -> FloatArray:
    """Return the first principal components of spectra, about zero, where all of them have flux."""
    common = np.isfinite(flux).all(axis=0)
    inside = flux[:, common]
    inside = inside / np.sqrt(np.mean(inside**2, axis=1, keepdims=True))
    vectors = np.linalg.svd(inside, full_matrices=False)[2][:n]
    whole = np.full((len(vectors), flux.shape[1]), np.nan)
    whole[:, common] = vectors * np.sqrt(common.sum())
    return whole


def is_doubted(matches: Matches) -> BoolArray:
    """(n,) whether the next solution of another class or velocity is less than 1 % worse.

    Parameters
    ----------
    matches : (n,) Matches
        As from `match`; a spectrum without a solution is doubted.
    """
    best = matches.chi2[:, 0]
    limit = best * (1.0 + float(DELTA_CHI2))
    own = matches.cls()
    with np.errstate(invalid="ignore"):
        others = np.stack(
            [
                np.where(own == cls, np.inf, matches.class_chi2[:, k])
                for k, cls in enumerate(OBJECT_CLASSES)
            ],
            axis=1,
        )
        close = np.nanmin(np.where(np.isnan(others), np.inf, others), axis=1) < limit
        far = np.abs(matches.z - matches.z[:, :1]) * SPEED_OF_LIGHT > float(ANOTHER_VELOCITY)
        close |= (far & (matches.chi2 < limit[:, None])).any(axis=1)
    result: BoolArray = close | np.isnan(best)
    return result
