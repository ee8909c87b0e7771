"""A template set made ready for matching: splines, redshift ladders, cells on binned pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.ndimage import spline_filter1d

from msfa_core.constants import LAMOST_GRID, Certainty, Sourced
from msfa_core.errors import ModelError
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.templates.kernels import shifted
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.weights import FIT_RANGE, fit_pixels
from msfa_core.typing import Float32Array, FloatArray, IntArray

STAR_Z: Final = Sourced(0.004, "", "LAMOST pipeline: stars are searched up to here")
STAR_STEP: Final = Sourced(0.0002, "", "LAMOST pipeline: step of stars, 41 values")
_OURS: Final = "range of the templates"
GALAXY_Z: Final = (
    Sourced(0.0042, "", "nearer galaxies are taken for stars", Certainty.DEFAULT),
    Sourced(1.0, "", _OURS, Certainty.DEFAULT),
)
QSO_Z: Final = (
    Sourced(0.02, "", _OURS, Certainty.DEFAULT),
    Sourced(6.3, "", "Lyman α leaves the range of the fit", Certainty.DEFAULT),
)

POLYNOMIAL_TERMS: Final = {  # fitted with eigen-spectra, and with a template in the re-match
    "STAR": Sourced(4, "", "SDSS: terms for stars"),
    "GALAXY": Sourced(3, "", "SDSS: terms for galaxies"),
    "QSO": Sourced(0, "", "SDSS: none for QSOs"),
}


KNOT_PIXELS: Final = 8  # characteristic vectors of the continuum are straight over so many
LEAST_SMOOTH: Final = 0.1  # of their rms: most that this may change them


@dataclass(frozen=True, slots=True)
class Search:
    """How a class is searched.

    Attributes
    ----------
    ladder : (step,) array
        Redshifts, in steps as fine as the χ² needs.
    coarse : int
        Every so many steps are tried on binned pixels.
    bin_pixels : int
        Pixels per bin.
    n_templates : int
        Most promising templates that are followed up.
    n_minima : int
        Minima of χ² along the redshift followed up of each.
    n_refined : int
        Best of these, judged on all pixels, whose redshift is refined.
    """

    ladder: FloatArray
    coarse: int
    bin_pixels: int
    n_templates: int
    n_minima: int
    n_refined: int


def _log_ladder(low: float, high: float, pixels: float) -> FloatArray:
    """Redshifts in equal steps of so many pixels."""
    step = pixels * LAMOST_GRID.step
    n = int((np.log10(1 + high) - np.log10(1 + low)) / step)
    return np.power(10.0, np.log10(1 + low) + np.linspace(0.0, n * step, n + 1)) - 1.0


def default_searches() -> dict[str, Search]:
    """Return how stars, galaxies and QSOs are searched.

    As coarse as the first pass may be: of 2,000 simulated stars, 3,200 galaxies and 1,600 QSOs at
    S/N 3 to 100 the best was that of a search without short cuts (finer bins and steps, nearly all
    templates followed up) for 99.8 % of the galaxies and of the QSOs, and for all stars (in another
    count of 2,000, all but one).
    """
    n = round(float(STAR_Z) / float(STAR_STEP))
    stars = np.linspace(-float(STAR_Z), float(STAR_Z), 2 * n + 1)
    return {
        "STAR": Search(stars, 2, 8, 32, 1, 20),
        "GALAXY": Search(_log_ladder(float(GALAXY_Z[0]), float(GALAXY_Z[1]), 1.0), 3, 12, 8, 4, 8),
        "QSO": Search(_log_ladder(float(QSO_Z[0]), float(QSO_Z[1]), 2.0), 6, 24, 5, 5, 6),
    }


# --- tables made once per template set ------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Cells:
    """Templates of one class at every coarse redshift that they cover, on binned pixels.

    Attributes
    ----------
    rows : (t,) int array
        Of the set.
    search : Search
    place : (cell,) int array
        Of each cell among templates · redshifts, the latter fastest.
    model, square : (cell, bin) float32 arrays
        Mean of the template in each bin, and its square.
    """

    rows: IntArray
    search: Search
    place: IntArray
    model: Float32Array
    square: Float32Array


@dataclass(frozen=True, slots=True)
class Knots:
    """What makes normal equations of sums over the hats of the knots.

    A hat is 1 at its knot, 0 at the next ones, and straight between.

    Attributes
    ----------
    normal : (2 knot − 1, vector (vector + 1) / 2) array
        Of the squares of hats, then of the products of two neighbours.
    side : (knot, vector) array
        Values of the vectors at the knots.
    """

    normal: FloatArray
    side: FloatArray


def straightened(columns: FloatArray) -> tuple[FloatArray, Knots]:
    """Return vectors (vector, pixel) as they are when straight between knots, and their knots.

    Continua have no feature as narrow as `KNOT_PIXELS`: the shipped vectors change by 0.7 % of
    their rms at most (at the joint of the arms), by less than 0.07 % rms.

    Raises
    ------
    ModelError
        When vectors change by more than `LEAST_SMOOTH`.
    """
    pixel = np.arange(columns.shape[1])
    at = np.arange(0, columns.shape[1] + KNOT_PIXELS, KNOT_PIXELS)
    hats = np.maximum(1.0 - np.abs(at[:, None] - pixel) / KNOT_PIXELS, 0.0)
    value = np.linalg.solve(hats @ hats.T, hats @ columns.T)  # (knot, vector)
    straight = value.T @ hats
    change = float(np.abs(straight - columns).max())
    if change > LEAST_SMOOTH:
        raise ModelError(
            f"characteristic vectors of the continuum change by {change:.2g} within "
            f"{KNOT_PIXELS} pixels: they must be smooth. Leave lines to the templates."
        )
    low, high = np.tril_indices(len(columns))
    square, both = value[:, low] * value[:, high], value[:-1, low] * value[1:, high]
    both += value[1:, low] * value[:-1, high]
    return straight, Knots(np.concatenate([square, both]), value)


class Matcher:
    """A template set made ready: splines, cells, continuum vectors.

    Parameters
    ----------
    templates : TemplateSet
    searches : dict of str to Search, optional
        By class; :func:`default_searches` when not given.
    """

    def __init__(self, templates: TemplateSet, searches: dict[str, Search] | None = None) -> None:
        self.templates = templates
        self.searches = searches or default_searches()
        self.pixels = fit_pixels()
        self.n_pixels = self.pixels.stop - self.pixels.start
        self.columns, self.knots = straightened(templates.continuum[:, self.pixels])
        self.classes = [cls for cls in OBJECT_CLASSES if np.any(templates.cls == cls)]
        self._make_splines()
        self._make_ladders()
        alone = [
            c for c in self.classes if np.any((templates.cls == c) & (templates.basis == ALONE))
        ]
        self.cells = [self._make_cells(cls) for cls in alone]
        numbers = np.unique(templates.basis[templates.basis != ALONE])
        self.groups = [np.flatnonzero(templates.basis == number) for number in numbers]
        self._check_coverage()

    def _make_splines(self) -> None:
        """Spline coefficients of all templates, padded by their end values."""
        self.extents = self.templates.extent
        n_pixels = self.templates.flux.shape[1]
        self.splines = np.zeros((len(self.templates), n_pixels))
        for k, (first, last) in enumerate(self.extents):
            flux = self.templates.flux[k, first : last + 1].astype(np.float64)
            self.splines[k, first : last + 1] = spline_filter1d(flux, order=3, mode="mirror")
        self.starts = np.full(
            len(self.templates),
            LAMOST_GRID.first + self.pixels.start - self.templates.first_pixel,
            dtype=np.int64,
        )

    def _make_ladders(self) -> None:
        longest = max(len(self.searches[cls].ladder) for cls in self.classes)
        self.ladders = np.zeros((len(self.classes), longest))
        self.ladder_length = np.array([len(self.searches[c].ladder) for c in self.classes])
        for k, cls in enumerate(self.classes):
            self.ladders[k, : self.ladder_length[k]] = self.searches[cls].ladder
        self.reach = np.array([max(self.searches[c].coarse - 1, 1) for c in self.classes])
        self.n_refined = np.array([self.searches[cls].n_refined for cls in self.classes])
        self.ladder_of = np.array([self.classes.index(cls) for cls in self.templates.cls])

    def covers(self, template: int, z: float) -> bool:
        """Tell whether a template at a redshift covers the pixels of the fit."""
        return bool(self._are_covered(template, self._at(template, z)[0]))

    def shifted(self, template: int, z: float) -> FloatArray:
        """(pixel,) a template at a redshift, on the pixels of the fit."""
        model = np.empty(self.n_pixels)
        shifted(self.splines[template], *self._at(template, z), model)
        return model

    def _at(self, template: Any, z: Any) -> tuple[Any, Any]:
        """Return the pixel of templates at which the fit begins, and the part of a pixel beyond."""
        where = self.starts[template] - np.log10(1 + z) / LAMOST_GRID.step
        position = np.floor(where).astype(np.int64)
        return position, where - position

    def _are_covered(self, template: Any, position: Any) -> Any:
        """Tell whether templates reach over the pixels of the fit from those on."""
        first, last = self.extents[template, 0], self.extents[template, 1]
        return (position - 1 >= first) & (position + self.n_pixels + 1 <= last)

    def design(self, template: int, z: float) -> FloatArray:
        """(column, pixel) what is mixed: a template times each vector, or eigen-spectra.

        Eigen-spectra come with the terms of a polynomial.
        """
        number = self.templates.basis[template]
        if number == ALONE:
            return self.shifted(template, z) * self.columns
        rows = np.flatnonzero(self.templates.basis == number)
        spectra = [self.shifted(int(row), z) for row in rows]
        return np.array([*spectra, *self.polynomial(str(self.templates.cls[template]))])

    @property
    def n_columns(self) -> int:
        """Columns of the widest mixture."""
        mixed = [
            len(rows) + int(POLYNOMIAL_TERMS[str(self.templates.cls[rows[0]])])
            for rows in self.groups
        ]
        return max([len(self.columns), *mixed])

    def polynomial(self, cls: str) -> FloatArray:
        """(term, pixel) polynomial added to the eigen-spectra of a class."""
        x = np.linspace(-1.0, 1.0, self.n_pixels)
        terms = int(POLYNOMIAL_TERMS[cls])
        powers = np.polynomial.legendre.legvander(x, max(terms - 1, 0))[:, :terms].T
        return powers.astype(np.float64)

    def _check_coverage(self) -> None:
        """Refuse a template that covers the fit at no redshift of its class."""
        for row in range(len(self.templates)):
            ladder = self.searches[str(self.templates.cls[row])].ladder
            if not any(self.covers(row, float(z)) for z in ladder[:: max(len(ladder) // 40, 1)]):
                first, last = self.templates.wavelength[self.extents[row]]
                raise ModelError(
                    f"template {self.templates.name[row]!r} covers {first:.0f} to {last:.0f} Å, "
                    f"too little for {FIT_RANGE[0]:.0f} to {FIT_RANGE[1]:.0f} Å at any redshift of "
                    f"its class ({ladder[0]:.3f} to {ladder[-1]:.3f}): leave it out."
                )

    def _make_cells(self, cls: str) -> Cells:
        search = self.searches[cls]
        rows = np.flatnonzero((self.templates.cls == cls) & (self.templates.basis == ALONE))
        redshifts = search.ladder[:: search.coarse]
        size = search.bin_pixels
        n_bins = -(-self.n_pixels // size)
        edges = np.arange(0, self.n_pixels, size)
        counts = np.diff(np.append(edges, self.n_pixels))
        position, part = self._at(rows[:, None], redshifts)
        are_covered = self._are_covered(rows[:, None], position)
        at = np.flatnonzero(are_covered)
        model = np.empty((len(at), n_bins), dtype=np.float32)
        full = np.empty((len(redshifts), self.n_pixels))
        cell = 0
        for k, row in enumerate(rows):
            covered = np.flatnonzero(are_covered[k])
            for line, i in zip(full, covered, strict=False):
                shifted(self.splines[row], position[k, i], part[k, i], line)
            means = np.add.reduceat(full[: len(covered)], edges, axis=1) / counts
            model[cell : cell + len(covered)] = means
            cell += len(covered)
        return Cells(rows, search, at, model, model**2)


_READY: list[Matcher] = []  # the last sets used
_KEPT: Final = 2


def matcher_of(templates: TemplateSet) -> Matcher:
    """Return the tables of a set, made once in a process for the last sets used."""
    for ready in _READY:
        if ready.templates is templates:
            return ready
    _READY[:] = [Matcher(templates), *_READY[: _KEPT - 1]]
    return _READY[0]
