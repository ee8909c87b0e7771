"""Class and redshift of spectra by template matching (LAMOST 1-D pipeline).

χ² of every template at every redshift, with the template's continuum adjusted by the
characteristic vectors of the set. First all of them on binned pixels, as matrix products
for many spectra at once (in single precision); then the most promising ones on all pixels in
float64, with the redshift between steps and its error from the curvature of χ².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from msfa_core.constants import LAMOST_GRID, Certainty, Sourced
from msfa_core.errors import ConfigError
from msfa_core.flags import MatchFlag
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.spectra.spectrum import Spectra, Spectrum, as_spectra
from msfa_core.templates.cells import Cells, Matcher, matcher_of
from msfa_core.templates.continuum import black_body
from msfa_core.templates.kernels import (
    bin_products,
    scan_basis,
    solve_cells,
)
from msfa_core.templates.library import TemplateSet
from msfa_core.templates.refining import RESULTS, Refined, refine
from msfa_core.templates.results import BLUE, RED, Matches
from msfa_core.templates.shift_errors import (
    least_squares,
    settled_shifts,
    with_edge,
    with_rivals,
)
from msfa_core.templates.weights import as_lamost_grid, fit_weights
from msfa_core.typing import BoolArray, Float32Array, FloatArray, IntArray, Progress, no_progress

LEAST_PIXELS: Final = 300  # good pixels a match needs
LEAST_SNR: Final = Sourced(3.0, "", "median S/N a subclass needs", Certainty.DEFAULT)
LEAST_LINES: Final = Sourced(
    25.0,
    "",
    "by how much lines must lower χ²; pure continua with noise reach 11 in 80 draws of any S/N",
    Certainty.DEFAULT,
)
_CLOSE: Final = 20.0  # times that: where black bodies are tried too, which are no template's lines
_BLACK_BODIES: Final = (4000.0, 6500.0, 12_000.0, 40_000.0)  # K
_LEAST_END: Final = 0.3  # share of an end that must be observed
_BATCH: Final = 16  # spectra per matrix product: fits the caches
_EXTRA: Final = 2  # free parameters of a match besides the continuum: template and redshift
_CONTINUUM_PIXELS: Final = 151  # of the running mean of the model that residuals are over


def match(
    spectra: Spectra | Spectrum | Sequence[Spectrum],
    templates: TemplateSet | None = None,
    k: int = 10,
    progress: Progress = no_progress,
) -> Matches:
    """Match spectra with every template at every redshift of its class.

    Parameters
    ----------
    spectra : Spectra, Spectrum or sequence of Spectrum
        Observed frame; their ``z`` is not looked at.
    templates : TemplateSet, optional
        The shipped set when not given.
    k : int
        Solutions kept of each spectrum, each of another template, best first.
    progress : callable, optional
        Called with ``match``, spectra done, and spectra in all.

    Returns
    -------
    Matches
        One row per spectrum, in the order given; those that cannot be matched are flagged.

    Raises
    ------
    ConfigError
        For a ``k`` below 1.
    SpectrumError
        When the spectra are not on a log grid of step 1e-4.
    """
    if k < 1:
        raise ConfigError(f"k is {k}: keep one solution at least.")
    batch = as_lamost_grid(as_spectra(spectra))
    matcher = matcher_of(templates if templates is not None else TemplateSet.load())
    parts = []
    for start in range(0, max(len(batch), 1), _BATCH):
        parts.append(_match_batch(matcher, batch[start : start + _BATCH], k))
        progress("match", min(start + _BATCH, len(batch)), len(batch))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Matches(obsid=batch.obsid, templates=matcher.templates, **whole)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Spectra on the pixels of the fit, scaled so that sums stay near 1.

    Attributes
    ----------
    flux, weight : (n, pixel) float64 arrays
        Flux over ``scale`` (0 where bad), and its weight.
    scale : (n,) array
        Median of |flux|.
    total : (n,) array
        Sum of weight · flux²: χ² of no model at all.
    n_used : (n,) int array
        Pixels that count.
    """

    flux: FloatArray
    weight: FloatArray
    scale: FloatArray
    total: FloatArray
    n_used: IntArray


def prepare_fit(matcher: Matcher, spectra: Spectra) -> Prepared:
    """Weigh and scale spectra on ``LAMOST_GRID``."""
    weight = np.ascontiguousarray(fit_weights(spectra)[:, matcher.pixels])
    flux = np.where(weight > 0, spectra.flux[:, matcher.pixels], 0.0).astype(np.float64)
    n_used = np.sum(weight > 0, axis=1)
    scale = np.ones(len(flux))
    for row in np.flatnonzero(n_used > 0):
        scale[row] = np.median(np.abs(flux[row, weight[row] > 0])) or 1.0
    flux /= scale[:, None]
    weight *= scale[:, None] ** 2
    return Prepared(flux, weight, scale, np.sum(weight * flux**2, axis=1), n_used)


# --- first pass: all cells, binned ---------------------------------------------------------------
def coarse_gain(cells: Cells, columns: FloatArray, fit: Prepared) -> Float32Array:
    """By how much every cell of a class lowers χ², on binned pixels.

    Sums of weight · flux · vector and weight · vector · vector over each bin are made once for
    a spectrum; products with all cells and with their squares then are two matrix products.

    Returns
    -------
    (n, t, z) float32 array
        −inf where a template does not cover the fit.
    """
    n, (n_cells, n_bins) = len(fit.flux), cells.model.shape
    n_vectors = len(columns)
    n_pairs = n_vectors * (n_vectors + 1) // 2
    right = np.empty((n, n_vectors, n_bins), dtype=np.float32)
    normal = np.empty((n, n_pairs, n_bins), dtype=np.float32)
    size = cells.search.bin_pixels
    bin_products(fit.weight, fit.weight * fit.flux, columns, size, right, normal)
    b = (right.reshape(-1, n_bins) @ cells.model.T).reshape(n, n_vectors, n_cells)
    a = (normal.reshape(-1, n_bins) @ cells.square.T).reshape(n, n_pairs, n_cells)
    covered = np.empty((n, n_cells), dtype=np.float32)
    for row in range(n):
        solve_cells(a[row], b[row], covered[row])
    shape = len(cells.rows), -(-len(cells.search.ladder) // cells.search.coarse)
    gain = np.full((n, shape[0] * shape[1]), -np.inf, dtype=np.float32)
    gain[:, cells.place] = covered
    return gain.reshape(n, *shape)


def promising(cells: Cells, gain: Float32Array) -> tuple[IntArray, IntArray]:
    """Choose the cells that are followed up: minima of χ² of the best templates.

    Returns
    -------
    template : (n, candidate) int array
        Row of the set; -1 where a template has fewer minima.
    step : (n, candidate) int array
        Of the ladder of the class.
    """
    search, n = cells.search, len(gain)
    n_templates = min(search.n_templates, gain.shape[1])
    order = np.argsort(-gain.max(axis=2), axis=1, kind="stable")[:, :n_templates]
    along = np.take_along_axis(gain, order[:, :, None], axis=1)
    beyond = np.full((n, n_templates, 1), -np.inf, dtype=gain.dtype)
    is_peak = along >= np.concatenate([beyond, along[:, :, :-1]], axis=2)
    is_peak &= along > np.concatenate([along[:, :, 1:], beyond], axis=2)
    peaks = np.where(is_peak, -along, np.inf).argsort(axis=2, kind="stable")
    peaks = peaks[:, :, : search.n_minima]
    is_one = np.take_along_axis(is_peak, peaks, axis=2)
    template = np.where(is_one, cells.rows[order][:, :, None], -1)
    step = np.where(is_one, peaks * search.coarse, 0)
    width = int(np.prod(template.shape[1:]))
    return template.reshape(n, width), step.reshape(n, width)


# --- second pass: all pixels, float64 -----------------------------------------------------------
def search_cells(matcher: Matcher, fit: Prepared) -> Refined:
    """Search all templates and redshifts: coarse, then exact on the best."""
    none = np.zeros((len(fit.flux), 0), dtype=np.int64)  # a set may hold eigen-spectra alone
    chosen, along = [(none, none)], {}
    for cells in matcher.cells:
        coarse = coarse_gain(cells, matcher.columns, fit)
        chosen.append(promising(cells, coarse))
        along[str(matcher.templates.cls[cells.rows[0]])] = coarse.max(axis=1)
    template = np.concatenate([one[0] for one in chosen], axis=1)
    begin = np.concatenate([one[1] for one in chosen], axis=1)
    template[fit.n_used < LEAST_PIXELS] = -1
    found = refine(matcher, template, begin, fit.weight, fit.flux)
    for rows in matcher.groups:
        more_template, more = _search_basis(matcher, fit, rows)
        template = np.concatenate([template, more_template], axis=1)
        found = np.concatenate([found, more], axis=1)
    step, gain_at_step, z, z_err, gain = np.moveaxis(found, 2, 0)
    template = np.where(np.isnan(gain), -1, template)
    return Refined(template, step, gain_at_step, z, z_err, gain, along)


def _search_basis(matcher: Matcher, fit: Prepared, rows: IntArray) -> tuple[IntArray, FloatArray]:
    """Search the redshifts of a set of eigen-spectra, all pixels in float64.

    Returns
    -------
    template : (n, 1) int array
        The first of the set stands for it; -1 without enough pixels.
    found : (n, 1, 5) array
        As from `refine`.
    """
    first_row = int(rows[0])
    cls = str(matcher.templates.cls[first_row])
    search = matcher.searches[cls]
    extent = np.array([matcher.extents[rows, 0].max(), matcher.extents[rows, 1].min()])
    n = len(fit.flux)
    weighted = fit.weight * fit.flux

    def scan(which: IntArray, redshifts: FloatArray) -> FloatArray:
        gains = np.full((len(which), len(redshifts)), np.nan)
        scan_basis(
            matcher.splines[rows], extent, int(matcher.starts[first_row]), redshifts,
            LAMOST_GRID.step, matcher.polynomial(cls), fit.weight[which], weighted[which], gains,
        )  # fmt: skip
        return gains

    coarse = scan(np.arange(n), search.ladder[:: search.coarse])
    template = np.where(fit.n_used < LEAST_PIXELS, -1, first_row)[:, None]
    found = np.full((n, 1, RESULTS), np.nan)
    for row in np.flatnonzero(template[:, 0] >= 0):
        one = np.array([row])
        near = int(np.argmax(coarse[row])) * search.coarse
        low = max(near - search.coarse, 0)
        ladder = search.ladder[low : near + search.coarse + 1]
        gains = scan(one, ladder)[0]
        best = int(np.argmax(gains))
        z, z_err = vertex(ladder, gains, best)
        gain = max(float(scan(one, np.array([z]))[0, 0]), float(gains[best]))
        found[row, 0] = low + best, gains[best], z, z_err, gain
    return template, found


def vertex(ladder: FloatArray, gains: FloatArray, best: int) -> tuple[float, float]:
    """Return the redshift of least χ² between steps and its error (Δχ² = 1); NaN at an end."""
    if not 0 < best < len(ladder) - 1:
        return float(ladder[best]), float("nan")
    left, right = gains[best] - gains[best - 1], gains[best] - gains[best + 1]
    d1, d2 = ladder[best] - ladder[best - 1], ladder[best + 1] - ladder[best]
    bend = (left / d1 + right / d2) / (d1 + d2)
    if not bend > 0:
        return float(ladder[best]), float("nan")
    move = (left / d1 * d2 - right / d2 * d1) / (d1 + d2) / (2 * bend)
    return float(ladder[best] + np.clip(move, -d1, d2)), float(1 / np.sqrt(bend))


def _match_batch(matcher: Matcher, spectra: Spectra, k: int) -> dict[str, NDArray[Any]]:
    """Return the fields of `Matches` for a few spectra."""
    fit = prepare_fit(matcher, spectra)
    refined = search_cells(matcher, fit)
    free = np.maximum(fit.n_used - len(matcher.columns) - _EXTRA, 1)[:, None]
    chi2 = (fit.total[:, None] - refined.gain) / free
    chi2[refined.template < 0] = np.nan
    fields = _best(matcher, refined, chi2, k)
    # where templates do not fit as well as the noise asks, χ² is broader than it says
    with np.errstate(invalid="ignore"):
        fields["z_err"] = fields["z_err"] * np.sqrt(np.maximum(fields["chi2"], 1.0))
    if len(spectra):
        best = fields["template"][:, 0], fields["z"][:, 0]
        ivar = spectra.ivar[:, matcher.pixels] * fit.scale[:, None] ** 2
        noise = np.where(fit.weight > 0, 1.0 / np.where(ivar > 0, ivar, 1.0), 0.0)
        z, error = settled_shifts(matcher, fit.flux, fit.weight, noise, *best)
        known = np.flatnonzero(np.isfinite(fields["z_err"][:, 0]) & np.isfinite(error))
        fields["z"][known, 0], fields["z_err"][known, 0] = z[known], error[known]
        same = fields["class_template"][known] == fields["template"][known, :1]
        fields["class_z"][known] = np.where(same, z[known, None], fields["class_z"][known])
    is_qso = (matcher.templates.cls[fields["template"]] == "QSO") & (fields["template"] >= 0)
    fields["z_err"] = with_edge(fields["z"], fields["z_err"], is_qso)
    fields["z_err"][:, 0] = with_rivals(
        matcher, refined, *(fields[name][:, 0] for name in ("template", "z", "z_err", "chi2"))
    )
    fields |= _residuals(matcher, fit, fields["template"], fields["z"])
    fields["flags"] = _flags(matcher, spectra, fit, fields)
    featureless = _are_featureless(matcher, fit, refined)
    fields["flags"][featureless] |= int(MatchFlag.FEATURELESS)
    fields["z_err"][featureless] = np.nan
    return fields


def _are_featureless(matcher: Matcher, fit: Prepared, refined: Refined) -> BoolArray:
    """(n,) True where continua alone, flat or of black bodies, fit as well as any template."""
    gain = np.where(refined.template >= 0, refined.gain, -np.inf).max(axis=1, initial=-np.inf)
    alone = _gain_without_lines(fit, matcher.columns)
    close = np.flatnonzero(gain - alone < _CLOSE * float(LEAST_LINES))
    wavelength = LAMOST_GRID.wavelength[matcher.pixels]
    for teff in _BLACK_BODIES if len(close) else ():
        smooth = matcher.columns * black_body(wavelength, teff)
        alone[close] = np.maximum(alone[close], _gain_without_lines(fit, smooth, close))
    return np.isfinite(gain) & (gain - alone < float(LEAST_LINES))


def _gain_without_lines(
    fit: Prepared, columns: FloatArray, rows: IntArray | None = None
) -> FloatArray:
    """(n,) by how much smooth columns (column, pixel) alone lower χ² of spectra."""
    rows = np.arange(len(fit.flux)) if rows is None else rows
    found = np.zeros(len(rows))
    for place, row in enumerate(rows):
        flux, weight = fit.flux[row], fit.weight[row]
        model = least_squares(columns, flux, weight) @ columns
        found[place] = fit.total[row] - weight @ (flux - model) ** 2
    return found


def _best(matcher: Matcher, refined: Refined, chi2: FloatArray, k: int) -> dict[str, NDArray[Any]]:
    """Return the k best solutions, each of another template, and the best of each class."""
    n = len(chi2)
    fields: dict[str, NDArray[Any]] = {
        name: np.full((n, k), np.nan) for name in ("chi2", "z", "z_err")
    }
    fields["template"] = np.full((n, k), -1, dtype=np.int64)
    n_classes = len(OBJECT_CLASSES)
    fields |= {name: np.full((n, n_classes), np.nan) for name in ("class_chi2", "class_z")}
    fields["class_template"] = np.full((n, n_classes), -1, dtype=np.int64)
    order = np.argsort(np.where(np.isnan(chi2), np.inf, chi2), axis=1, kind="stable")
    class_of = np.array([OBJECT_CLASSES.index(cls) for cls in matcher.templates.cls])
    for row in range(n):
        seen: set[int] = set()
        for at in order[row]:
            t = int(refined.template[row, at])
            if t < 0 or t in seen or np.isnan(chi2[row, at]):
                continue
            c = class_of[t]
            if fields["class_template"][row, c] < 0:
                fields["class_template"][row, c] = t
                fields["class_chi2"][row, c] = chi2[row, at]
                fields["class_z"][row, c] = refined.z[row, at]
            if len(seen) < k:
                place = len(seen)
                fields["template"][row, place] = t
                fields["chi2"][row, place] = chi2[row, at]
                fields["z"][row, place] = refined.z[row, at]
                fields["z_err"][row, place] = refined.z_err[row, at]
            seen.add(t)
    return fields


def _residuals(
    matcher: Matcher, fit: Prepared, template: IntArray, z: FloatArray
) -> dict[str, FloatArray]:
    """Residuals of the best solutions at the blue and red ends."""
    n, k = template.shape
    names = ("blue_residual", "red_residual", "blue_chi2", "red_chi2")
    fields = {name: np.full((n, k), np.nan) for name in names}
    fields["coefficients"] = np.full((n, k, matcher.n_columns), np.nan)
    wavelength = LAMOST_GRID.wavelength[matcher.pixels]
    ends = {
        name: slice(*np.searchsorted(wavelength, (low, high), side="right"))
        for name, (low, high) in {"blue": BLUE, "red": RED}.items()
    }
    good = fit.weight > 0
    for row, place in zip(*np.nonzero(template >= 0), strict=True):
        t, shift = int(template[row, place]), float(z[row, place])
        design = matcher.design(t, shift)
        solution = least_squares(design, fit.flux[row], fit.weight[row])
        fields["coefficients"][row, place, : len(solution)] = solution * fit.scale[row]
        model = solution @ design
        level = np.abs(uniform_filter1d(model, _CONTINUUM_PIXELS, mode="nearest"))
        residual = fit.flux[row] - model
        for name, end in ends.items():
            used = good[row, end]
            if used.sum() < _LEAST_END * len(used):
                continue
            off = residual[end][used]
            share = off / np.maximum(level[end][used], 1e-3)
            fields[f"{name}_residual"][row, place] = np.sqrt(share @ share / len(share))
            fields[f"{name}_chi2"][row, place] = fit.weight[row, end][used] @ off**2 / len(off)
    return fields


def _flags(
    matcher: Matcher, spectra: Spectra, fit: Prepared, fields: dict[str, NDArray[Any]]
) -> IntArray:
    """(n,) what is to be known of each match."""
    used = fit.weight > 0
    wavelength = LAMOST_GRID.wavelength[matcher.pixels]
    blue = (wavelength > BLUE[0]) & (wavelength < BLUE[1])
    red = (wavelength > RED[0]) & (wavelength < RED[1])
    none = fields["template"][:, 0] < 0
    signal = np.zeros(len(spectra))
    for row in np.flatnonzero(fit.n_used):
        at = used[row]
        flux, ivar = (part[row, matcher.pixels][at] for part in (spectra.flux, spectra.ivar))
        signal[row] = np.median(flux.astype(np.float64) * np.sqrt(ivar))
    with np.errstate(invalid="ignore"):
        raised = {
            MatchFlag.NO_SOLUTION: none,
            MatchFlag.LOW_SIGNAL: signal < float(LEAST_SNR),
            MatchFlag.NO_BLUE: used[:, blue].mean(axis=1) < _LEAST_END,
            MatchFlag.NO_RED: used[:, red].mean(axis=1) < _LEAST_END,
            MatchFlag.AT_EDGE: ~none & np.isnan(fields["z_err"][:, 0]),
        }
    flags = np.zeros(len(spectra), dtype=np.int64)
    for flag, rows in raised.items():
        flags[rows] |= int(flag)
    return flags


def model_of(
    spectra: Spectra | Spectrum | Sequence[Spectrum], matches: Matches, row: int, rank: int = 0
) -> FloatArray:
    """Return the best model of a spectrum: template, redshift and adjusted continuum.

    Parameters
    ----------
    spectra : Spectra
        The ones that were matched.
    matches : Matches
    row, rank : int
        Spectrum, and which of its solutions.

    Returns
    -------
    (pixel,) array
        In the units of the spectrum, on its own wavelengths; NaN outside the range of the fit and
        where there is no such solution.
    """
    batch = as_spectra(spectra)
    matcher = matcher_of(matches.templates)
    whole = np.full(LAMOST_GRID.n_pixels, np.nan)
    template = int(matches.template[row, rank])
    if template >= 0:
        design = matcher.design(template, float(matches.z[row, rank]))
        whole[matcher.pixels] = matches.coefficients[row, rank, : len(design)] @ design
    first = round(float(np.log10(batch.wavelength[0])) / LAMOST_GRID.step) - LAMOST_GRID.first
    at = first + np.arange(len(batch.wavelength))
    inside = (at >= 0) & (at < LAMOST_GRID.n_pixels)
    model = np.full(len(batch.wavelength), np.nan)
    model[inside] = whole[at[inside]]
    return model
