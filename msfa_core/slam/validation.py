"""How good a SLAM model is: labels of stars left out of its training against the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from astropy.stats import mad_std

from msfa_core.constants import LABELS
from msfa_core.slam.inversion import StellarLabels, predict_labels
from msfa_core.slam.pixels import Bins
from msfa_core.slam.train import COLOUR_ERROR, Setting, TrainingSet, train_slam
from msfa_core.spectra.spectrum import Spectra
from msfa_core.typing import FloatArray, Progress, no_progress

SNR: Final = 30.0  # per pixel, of the stars left out
SAMPLE: Final = (7500.0, 10_500.0)  # K; where bias and scatter are quoted
_NOISELESS: Final = 1000.0  # S/N of spectra that are taken as they are, without ivar


def observed(
    data: TrainingSet, snr: float | None, rng: np.random.Generator
) -> tuple[Spectra, pd.DataFrame | None]:
    """Return labelled stars as a survey would see them.

    Parameters
    ----------
    data : TrainingSet
    snr : float or None
        S/N per pixel of noise to add (colours get an error of 0.02 mag); None for spectra of a
        survey, which are taken as they are.
    rng : numpy.random.Generator

    Returns
    -------
    spectra : Spectra
    colours : DataFrame or None
    """
    flux = np.asarray(data.flux, dtype=np.float64)
    n = len(flux)
    ivar = np.ones_like(flux) if data.ivar is None else np.asarray(data.ivar, dtype=np.float64)
    if snr is not None or data.ivar is None:
        error = np.abs(flux) / (snr or _NOISELESS)
        ivar = np.where((ivar > 0) & (error > 0), 1 / np.where(error > 0, error, 1.0) ** 2, 0.0)
        if snr is not None:
            flux = flux + error * rng.standard_normal(flux.shape)
    spectra = Spectra(
        obsid=np.arange(n, dtype=np.int64),
        wavelength=np.asarray(data.wavelength, dtype=np.float64),
        flux=flux,
        ivar=ivar,
        mask=ivar <= 0,
        z=np.zeros(n) if data.z is None else data.z,
    )
    if data.colours is None:
        return spectra, None
    noise = 0.0 if snr is None else COLOUR_ERROR
    values = data.colours + noise * rng.standard_normal(data.colours.shape)
    return spectra, pd.DataFrame(values, columns=list(data.colour_names))


def differences(
    found: StellarLabels, truth: FloatArray, errors: Literal["err", "fit_err"] = "err"
) -> pd.DataFrame:
    """Return what was found less the truth, and over its error.

    Parameters
    ----------
    found : StellarLabels
    truth : (n, 3) array
        Teff [K], log g, [Fe/H].
    errors : {"err", "fit_err"}
        Total ones, for real stars, or those of the fit alone, for stars that follow the model.

    Returns
    -------
    (n,) DataFrame
        ``teff, logg, feh`` and ``teff_pull, logg_pull, feh_pull``.
    """
    columns = {}
    for k, name in enumerate(LABELS):
        columns[name] = getattr(found, name) - truth[:, k]
        columns[f"{name}_pull"] = columns[name] / getattr(found, f"{name}_{errors}")
    return pd.DataFrame(columns)


def summary(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return bias (median), robust scatter, rms and width of the pulls of each label."""
    result = {}
    for name in LABELS:
        off = table[name].dropna().to_numpy()
        pull = table[f"{name}_pull"].dropna().to_numpy()
        result[name] = {
            "bias": float(np.median(off)),
            "scatter": float(mad_std(off)),
            "rms": float(np.sqrt(np.mean((off - np.median(off)) ** 2))),
            "pull_width": float(mad_std(pull)),
        }
    return result


def cross_validate(
    data: TrainingSet,
    setting: Setting,
    *,
    bins: Bins | None = None,
    degree: int | None = None,
    folds: int = 3,
    snr: float | None = SNR,
    sample: tuple[float, float] = SAMPLE,
    seed: int = 42,
    progress: Progress = no_progress,
) -> Mapping[str, Any]:
    """Train on all folds but one, label the stars of that one, each fold in turn.

    Parameters
    ----------
    data : TrainingSet
    setting : Setting
    bins, degree
        As in `train_slam`.
    folds : int
    snr : float or None
        Noise for spectra of models; None for spectra of a survey.
    sample : (low, high) [K]
        Stars whose differences are summarised; those on the hull of the training set count as
        well, so this should lie inside.
    seed : int
    progress : callable, optional
        Called with ``folds``, folds done, and all.

    Returns
    -------
    dict
        ``without_colours`` and, where there are any, ``with_colours``: a `summary` each.
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(data.labels)) % folds
    options: dict[str, Any] = {"bins": bins}
    if degree is not None:
        options["degree"] = degree
    # labels of a survey's own stars scatter as those of real stars do
    errors: Literal["err", "fit_err"] = "fit_err" if snr is not None else "err"
    parts: dict[str, list[pd.DataFrame]] = {"without_colours": [], "with_colours": []}
    for k in range(folds):
        model = train_slam(data[np.flatnonzero(fold != k)], setting=setting, **options)
        test = data[np.flatnonzero(fold == k)]
        spectra, colours = observed(test, snr, rng)
        inside = (test.labels[:, 0] >= sample[0]) & (test.labels[:, 0] <= sample[1])
        inside &= model.inside_hull(test.labels)
        for name, part in (("without_colours", None), ("with_colours", colours)):
            if name == "without_colours" or colours is not None:
                found = predict_labels(spectra, part, model)
                parts[name].append(differences(found, test.labels, errors)[inside])
        progress("folds", k + 1, folds)
    tables = {name: pd.concat(tables) for name, tables in parts.items() if tables}
    stars = {"folds": folds, "snr": snr, "teff": list(sample), "stars": 0}
    stars["stars"] = len(tables["without_colours"])
    return {**stars, **{name: summary(table) for name, table in tables.items()}}


def without_colours(data: TrainingSet) -> TrainingSet:
    """Return a training set of spectra alone."""
    return replace(data, colours=None)
