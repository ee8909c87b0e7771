"""Which of the best solutions comes first: the rules of the LAMOST pipeline, each by its name.

Below 80 % of confidence a template is fitted again together with a polynomial; solutions that
cannot be told apart go to the end of the list (LAMOST 1-D pipeline).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from msfa_core.constants import CONFIDENCE_MIN, Sourced
from msfa_core.errors import SpectrumError
from msfa_core.flags import MatchFlag
from msfa_core.templates.confidence import (
    REDDENING_MAX,
    Calibration,
    confidence,
    fitted_reddening,
)
from msfa_core.templates.library import ALONE
from msfa_core.templates.rematch import is_accepted, polynomial_rematch
from msfa_core.templates.residuals import end_residuals
from msfa_core.templates.spectral_types import spectral_code
from msfa_core.templates.weights import as_lamost_grid, fit_weights
from msfa_core.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from msfa_core.spectra.spectrum import Spectra
    from msfa_core.templates.results import Matches


CHI2_ALIKE: Final = Sourced(0.01, "", "LAMOST pipeline: adjacent chi2 closer than this are alike")
SUBCLASSES_ALIKE: Final = Sourced(5.0, "subtypes", "LAMOST pipeline: span of an unreliable run")
# What a re-match gives anew, and all that is listed per solution
_ENDS: Final = ("blue_residual", "red_residual", "blue_chi2", "red_chi2")
_FITTED: Final = ("chi2", "z", "z_err", *_ENDS)
_LISTED: Final = ("template", *_FITTED, "coefficients", "confidence")


# --- solutions that cannot be told apart -----------------------------------------------------
def unreliable_runs(chi2: FloatArray, code: FloatArray) -> IntArray:
    """Return which solutions cannot be told apart, as numbered runs.

    A run is as many neighbours in the list as possible, each with a chi2 less than 1 % above that
    of the one before; it is unreliable when it has two or more members and its subclasses span at
    most five subtypes.

    Parameters
    ----------
    chi2 : (k,) array
        Reduced, rising; NaN where there is no solution.
    code : (k,) array
        Place of each subclass on O0 = 0 … M9 = 69. A run with a member off that sequence (a
        galaxy, a white dwarf) has no span, and is left alone.

    Returns
    -------
    (k,) int array
        0 outside unreliable runs, else the number of the run from 1.
    """
    run = np.zeros(len(chi2), dtype=np.int64)
    number, begin = 0, 0
    for end in range(1, len(chi2) + 1):
        if end < len(chi2) and chi2[end] - chi2[end - 1] < float(CHI2_ALIKE) * chi2[end - 1]:
            continue
        if end - begin > 1 and np.ptp(code[begin:end]) <= SUBCLASSES_ALIKE:
            number += 1
            run[begin:end] = number
        begin = end
    return run


def end_of_list(run: IntArray, keep_first: bool = True) -> IntArray:
    """Return the order of a list whose unreliable runs have gone to its end.

    Parameters
    ----------
    run : (k,) int array
        As from :func:`unreliable_runs`.
    keep_first : bool
        The first member of a run, its best, stays as what the run stands for, so that the list
        begins with solutions that differ; else the whole run goes, which costs 1.5 % of the
        right subclasses on labelled LAMOST spectra.

    Returns
    -------
    (k,) int array
        Positions in the old list; those that stay, and those that go, keep their order.
    """
    goes = run > 0
    if keep_first:
        _, first = np.unique(run, return_index=True)
        goes[first] = False
    return np.concatenate([np.flatnonzero(~goes), np.flatnonzero(goes)])


# --- all rules -------------------------------------------------------------------------------
def rank(
    matches: Matches,
    spectra: Spectra,
    calibration: Calibration | None = None,
    keep_first: bool = True,
) -> Matches:
    """Apply the rules to every list of solutions, and say how far each can be trusted.

    Parameters
    ----------
    matches : Matches
        As `match` returns them, best first.
    spectra : Spectra
        The same spectra: a match below 80 % is fitted again with a polynomial.
    calibration : Calibration, optional
        Of the confidence; the shipped one when not given.
    keep_first : bool
        See :func:`end_of_list`.

    Returns
    -------
    Matches
        With ``confidence`` filled (0 where no line speaks), lists in their new order, and the
        flags of the rules.

    Raises
    ------
    SpectrumError
        When the spectra are not those of the matches.
    """
    if not np.array_equal(matches.obsid, spectra.obsid):
        raise SpectrumError(
            f"{len(matches.obsid)} matches and {len(spectra)} spectra are not of the same obsids: "
            "give rank() the spectra that match() was given."
        )
    calibration = calibration or Calibration.load()
    flags = matches.flags.copy()
    low = np.flatnonzero(confidence(matches, calibration)[:, 0] < CONFIDENCE_MIN)
    if len(low):
        matches = _rematched(matches, as_lamost_grid(spectra[low]), low, flags)
    matches = _reordered(matches, _order_by_runs(matches, flags, keep_first))
    value = confidence(matches, calibration)
    value[(flags & int(MatchFlag.FEATURELESS)) != 0] *= 0.0
    flags[value[:, 0] < CONFIDENCE_MIN] |= int(MatchFlag.LOW_CONFIDENCE)
    flags[fitted_reddening(matches)[:, 0] > float(REDDENING_MAX)] |= int(MatchFlag.REDDENED)
    return replace(matches, confidence=value, flags=flags)


def _order_by_runs(matches: Matches, flags: IntArray, keep_first: bool) -> IntArray:
    """(n, k) order of each list after the 1 % / five-subclass rule; mark doubt in ``flags``."""
    code = spectral_code(matches.templates.subclass.tolist())
    found = matches.template >= 0
    codes = np.where(found, code[np.where(found, matches.template, 0)], np.nan)
    order = np.empty_like(matches.template)
    for row, chi2 in enumerate(matches.chi2):
        run = unreliable_runs(chi2, codes[row])
        order[row] = end_of_list(run, keep_first)
        if len(run) and run[0] > 0:
            flags[row] |= int(MatchFlag.ALIKE)
    return order


def _rematched(matches: Matches, spectra: Spectra, rows: IntArray, flags: IntArray) -> Matches:
    """Put accepted re-matches at the head of their lists; mark them in ``flags``.

    Parameters
    ----------
    matches : n Matches
    spectra : m Spectra
        Of ``rows``, on ``LAMOST_GRID``.
    rows : (m,) int array
    flags : (n,) int array
        Changed.
    """
    columns: dict[str, Any] = {name: getattr(matches, name).copy() for name in _FITTED}
    order = np.tile(np.arange(matches.template.shape[1]), (len(matches.obsid), 1))
    weights = fit_weights(spectra)
    for place, row in enumerate(rows):
        listed = np.flatnonzero(matches.template[row] >= 0)
        flux = spectra.flux[place].astype(np.float64)
        rows_of, z_of = matches.template[row, listed], matches.z[row, listed]
        shape = matches.coefficients[row, listed] @ matches.templates.continuum
        shape[matches.templates.basis[rows_of] != ALONE] = 1.0  # eigen-spectra bring their own
        again = polynomial_rematch(
            flux, weights[place], spectra.wavelength, matches.templates, rows_of, z_of, shape
        )
        accepted = np.flatnonzero(is_accepted(again.leading, again.chi2, matches.chi2[row, 0]))
        if not len(accepted):
            continue
        best = accepted[np.argmin(again.chi2[accepted])]
        ends = end_residuals(
            spectra.wavelength, flux[None], weights[place][None], again.model[best][None]
        )
        z_err = again.z_err[best] * np.sqrt(max(again.chi2[best], 1.0))
        z_err = np.maximum(z_err, columns["z_err"][row, 0])  # NaN: the redshift is not known
        new = (again.chi2[best], again.z[best], z_err, *(end[0] for end in ends))
        for name, value in zip(_FITTED, new, strict=True):
            columns[name][row, listed[best]] = value
        rest = order[row] != listed[best]
        order[row] = [listed[best], *order[row][rest]]
        flags[row] |= int(MatchFlag.REMATCHED)
    return _reordered(replace(matches, **columns), order)


def _reordered(matches: Matches, order: IntArray) -> Matches:
    """Return the matches with every list in a new order."""
    columns: dict[str, Any] = {}
    for name in _LISTED:
        value = getattr(matches, name)
        at = order.reshape(*order.shape, *(1,) * (value.ndim - 2))
        columns[name] = np.take_along_axis(value, at, axis=1)
    return replace(matches, **columns)
