"""Train SLAM: a support vector regression per pixel and colour, settings by cross-validation.

The training set comes as arrays: spectra of models or of a labelled survey, their Teff, log g,
[Fe/H], and colours where there are any (paper §V.3.1; the grid of settings is that of SLAM).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

from msfa_core.constants import COLOURS, LABELS
from msfa_core.counting import counted
from msfa_core.errors import TrainingError
from msfa_core.slam.model import SlamModel
from msfa_core.slam.pixels import Bins, normalise, polynomials, rebin
from msfa_core.typing import FloatArray, Progress, no_progress

C_GRID: Final = tuple(2.0**k for k in range(-5, 6))
EPSILON_GRID: Final = (0.01, 0.05, 0.1, 0.15)
GAMMA_GRID: Final = (1 / len(LABELS), 0.2, 0.25, 0.3, 0.5, 1.0)  # 1 of its simple setting
BASE_ERROR: Final = 0.004  # of the continuum: what good models and calibrations miss everywhere
COLOUR_ERROR: Final = 0.02  # mag; passbands and dereddening
LEAST_STARS: Final = 20
DEGREE: Final = 6  # of the polynomial continuum
_SEARCH_PIXELS: Final = 12
_SEARCH_STARS: Final = 400
_SEARCH_FOLDS: Final = 3
_FLAT: Final = 1e-12  # scatter of a pixel below which there is nothing to learn
_CACHE_MB: Final = 300
_TOLERANCE: Final = 0.01  # of the solver, in units of the scatter of a pixel times C
_SMOOTHED: Final = 3  # pixels over which model errors are averaged


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of the regressions, in units of the scatter of a pixel.

    Attributes
    ----------
    c : float
        Penalty of a misfit.
    epsilon : float
        Misfit that costs nothing.
    gamma : float
        Of the kernel exp(-γ·distance²), labels in units of their scatter.
    """

    c: float = 2.0
    epsilon: float = 0.1
    gamma: float = 1.0


SIMPLE: Final = Setting()  # the simple setting of SLAM


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Labelled spectra.

    Attributes
    ----------
    wavelength : (m,) array [Å, vacuum]
        At rest, unless ``z`` is given.
    flux : (star, m) array
        Relative flux, with its continuum; NaN where there is no datum.
    labels : (star, 3) array
        Teff [K], log g [dex], [Fe/H] [dex].
    colours : (star, colour) array [mag], optional
        Dereddened.
    ivar : (star, m) array, optional
        0 = bad.
    z : (star,) array, optional
        Doppler shift of spectra that are not at rest.
    alternatives : mapping of str to ((star, m) array, float)
        The same stars with other physics, and the share of the difference that counts as model
        error: what the atmospheres are known to be unsure of.
    colour_names : tuple of str
        Of `COLOURS`.
    """

    wavelength: FloatArray
    flux: NDArray[np.floating]
    labels: FloatArray
    colours: FloatArray | None = None
    ivar: NDArray[np.floating] | None = None
    z: FloatArray | None = None
    alternatives: Mapping[str, tuple[NDArray[np.floating], float]] = field(default_factory=dict)
    colour_names: tuple[str, ...] = COLOURS

    def __post_init__(self) -> None:
        """Check shapes and that there is enough to learn from.

        Raises
        ------
        TrainingError
            Naming the array and the shape it should have.
        """
        n, m = len(self.labels), len(self.wavelength)
        shapes = {"flux": (self.flux, (n, m)), "labels": (self.labels, (n, len(LABELS)))}
        if self.ivar is not None:
            shapes["ivar"] = (self.ivar, (n, m))
        if self.colours is not None:
            shapes["colours"] = (self.colours, (n, len(self.colour_names)))
        for name, (flux, _) in self.alternatives.items():
            shapes[f"alternative {name}"] = (flux, (n, m))
        for name, (values, shape) in shapes.items():
            if values.shape != shape:
                raise TrainingError(
                    f"{name} has shape {values.shape}, expected {shape}: a row per star, a column "
                    "per wavelength, label or colour."
                )
        if not np.all(np.isfinite(self.labels)):
            bad = int((~np.isfinite(self.labels).all(axis=1)).sum())
            lacking = counted(bad, "spectrum lacks", "spectra lack")
            raise TrainingError(f"{lacking} Teff, log g or [Fe/H]; leave them out.")

    def __getitem__(self, rows: NDArray[Any]) -> TrainingSet:
        """Return some of the stars."""
        return replace(
            self,
            flux=self.flux[rows],
            labels=self.labels[rows],
            colours=None if self.colours is None else self.colours[rows],
            ivar=None if self.ivar is None else self.ivar[rows],
            z=None if self.z is None else self.z[rows],
            alternatives={n: (flux[rows], s) for n, (flux, s) in self.alternatives.items()},
        )

    def targets(self, bins: Bins, degree: int) -> FloatArray:
        """(star, pixel + colour) what the regressions learn: normalised flux, colours.

        Raises
        ------
        TrainingError
            When a spectrum does not cover the pixels, or a colour is missing.
        """
        flux = self._normalised(self.flux, bins, degree)
        if self.colours is None:
            return flux
        if not np.all(np.isfinite(self.colours)):
            raise TrainingError("a colour is missing in the training set; leave that star out.")
        return np.hstack([flux, self.colours])

    def _normalised(self, flux: NDArray[np.floating], bins: Bins, degree: int) -> FloatArray:
        binned, weight = rebin(bins, self.wavelength, flux, self.ivar, self.z)
        level, weight = normalise(binned, weight, polynomials(bins.wavelength, degree))
        if np.any(weight <= 0):
            bad = int((weight <= 0).any(axis=1).sum())
            raise TrainingError(
                f"{bad} of {len(flux)} training spectra do not fill {bins.start:.0f}–"
                f"{bins.stop:.0f} Å with good pixels; leave them out or choose other bins."
            )
        return level

    def model_error(self, bins: Bins, degree: int, flux: FloatArray) -> FloatArray:
        """(pixel + colour,) σ of real stars about the model, from the alternatives."""
        variance = np.full(flux.shape[1], BASE_ERROR**2)
        variance[len(bins) :] = COLOUR_ERROR**2
        window = np.ones(_SMOOTHED) / _SMOOTHED
        for other, share in self.alternatives.values():
            difference = self._normalised(other, bins, degree) - flux[:, : len(bins)]
            mean = np.convolve((share * difference**2 * share).mean(axis=0), window, mode="same")
            variance[: len(bins)] += mean
        return np.sqrt(variance)


def train_slam(
    data: TrainingSet,
    *,
    bins: Bins | None = None,
    degree: int = DEGREE,
    setting: Setting | None = None,
    seed: int = 42,
    notes: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> SlamModel:
    """Train one support vector regression per pixel and colour.

    Parameters
    ----------
    data : TrainingSet
    bins : Bins, optional
        Pixels; 3900–5450 Å in bins of five LAMOST pixels when not given.
    degree : int
        Of the polynomial continuum.
    setting : Setting, optional
        Found by cross-validation when not given (see `search_setting`).
    seed : int
        Of the search.
    notes : mapping, optional
        Kept with the model.
    progress : callable, optional
        Called with ``regressions``, those done, and all.

    Returns
    -------
    SlamModel

    Raises
    ------
    TrainingError
        When the training set does not fill the pixels, or its labels do not spread.
    """
    from sklearn.svm import SVR  # noqa: PLC0415 (heavy, only to train)

    if len(data.labels) < LEAST_STARS:
        raise TrainingError(
            f"{len(data.labels)} labelled spectra are too few; give at least {LEAST_STARS}."
        )
    bins = bins or Bins()
    target = data.targets(bins, degree)
    mean, scale = data.labels.mean(axis=0), data.labels.std(axis=0)
    hull = _hull(data.labels, mean, scale)
    standard = (data.labels - mean) / scale
    found: dict[str, Any] = {}
    if setting is None:
        setting, found = search_setting(standard, target, seed)
    centre, spread = target.mean(axis=0), target.std(axis=0)
    coefficients = np.zeros((len(standard), target.shape[1]))
    intercept = centre.copy()
    for k in range(target.shape[1]):
        if spread[k] > _FLAT:
            svr = SVR(C=setting.c, epsilon=setting.epsilon, gamma=setting.gamma)
            svr.set_params(cache_size=_CACHE_MB, tol=_TOLERANCE)
            svr.fit(standard, (target[:, k] - centre[k]) / spread[k])
            coefficients[svr.support_, k] = svr.dual_coef_[0] * spread[k]
            intercept[k] += float(svr.intercept_[0]) * spread[k]
        progress("regressions", k + 1, target.shape[1])
    return SlamModel(
        bins=bins,
        degree=degree,
        gamma=setting.gamma,
        label_mean=mean,
        label_scale=scale,
        support=standard,
        coefficients=coefficients,
        intercept=intercept,
        model_error=data.model_error(bins, degree, target),
        hull=hull,
        colour_names=data.colour_names if data.colours is not None else (),
        notes={
            **(notes or {}),
            "stars": len(standard),
            "setting": asdict(setting),
            "search": found,
            "model_error": {name: share for name, (_, share) in data.alternatives.items()},
        },
    )


def _hull(labels: FloatArray, mean: FloatArray, scale: FloatArray) -> FloatArray:
    try:
        if not np.all(scale > 0):
            raise ValueError("a label is the same for all stars")
        equations: FloatArray = ConvexHull((labels - mean) / scale).equations
    except (QhullError, ValueError) as error:
        raise TrainingError(
            "the training labels do not spread in Teff, log g and [Fe/H] "
            f"({str(error).splitlines()[0]}); give stars of different labels."
        ) from error
    return equations


def search_setting(
    standard: FloatArray, target: FloatArray, seed: int = 42
) -> tuple[Setting, dict[str, Any]]:
    """Choose the setting by cross-validation, on some pixels and stars, in two stages.

    First C at ε = 0.05 and γ = 1/3, then ε and γ at that C: 35 of the 264 settings of the grid.

    Parameters
    ----------
    standard : (star, 3) array
        Labels in units of their scatter.
    target : (star, pixel) array
    seed : int

    Returns
    -------
    setting : Setting
    found : dict
        The mean squared error of each setting, in units of the variance of a pixel.
    """
    rng = np.random.default_rng(seed)
    stars = rng.permutation(len(standard))[:_SEARCH_STARS]
    spread = target.std(axis=0)
    lively = np.flatnonzero(spread > _FLAT)
    if not len(lively):
        raise TrainingError("no pixel and no colour changes with the labels; choose other bins.")
    pixels = rng.choice(lively, min(_SEARCH_PIXELS, len(lively)), replace=False)
    values = (target[np.ix_(stars, pixels)] - target[:, pixels].mean(axis=0)) / spread[pixels]
    labels = standard[stars]
    errors: dict[Setting, float] = {}

    def best(settings: Sequence[Setting]) -> Setting:
        for one in settings:
            if one not in errors:
                errors[one] = cross_validated_error(labels, values, one)
        return min(settings, key=lambda one: errors[one])

    first = best([Setting(c, EPSILON_GRID[1], GAMMA_GRID[0]) for c in C_GRID])
    chosen = best([Setting(first.c, e, g) for e, g in product(EPSILON_GRID, GAMMA_GRID)])
    table = [{**asdict(one), "error": round(error, 6)} for one, error in errors.items()]
    return chosen, {"pixels": len(pixels), "stars": len(stars), "settings": table}


def cross_validated_error(labels: FloatArray, values: ArrayLike, setting: Setting) -> float:
    """Mean squared error of stars left out, each fold in turn, over all columns of ``values``."""
    from sklearn.svm import SVR  # noqa: PLC0415

    columns = np.asarray(values, dtype=np.float64)
    fold = np.arange(len(labels)) % _SEARCH_FOLDS
    total = 0.0
    for k in range(_SEARCH_FOLDS):
        train, test = fold != k, fold == k
        for column in columns.T:
            svr = SVR(C=setting.c, epsilon=setting.epsilon, gamma=setting.gamma)
            svr.set_params(tol=_TOLERANCE)
            svr.fit(labels[train], column[train])
            total += float(((svr.predict(labels[test]) - column[test]) ** 2).sum())
    return total / columns.size
