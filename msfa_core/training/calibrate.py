"""Calibration on real stars: how sure weights are which of the classes that are not BHB a star has.

Simulated stars of different classes are told apart more surely than real ones; what a network says
of BHB holds on both. The temperature of the other classes among themselves is fitted on real
stars of validation, which train nothing, and kept in the card of the weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msfa_core.errors import TrainingError
from msfa_core.networks.inference import predict_logits
from msfa_core.networks.weights import (
    STAGE_FILES,
    load_weights,
    read_checksums,
    save_weights,
    write_checksums,
)
from msfa_core.training.answers import BHB_CODE, origin_of
from msfa_core.training.dataset import LabelledSpectra
from msfa_core.training.two_stages import fit_temperature


def fit_temperature_among_others(
    logits: NDArray[np.float64], label: NDArray[np.int64], star: NDArray[np.int64]
) -> float:
    """Fit the temperature of the classes that are not BHB, on stars of these classes.

    Parameters
    ----------
    logits : (n, 5) array
        Of stage 1.
    label : (n,) int64 array
        Index into ``STELLAR_CLASSES``.
    star : (n,) int64 array
        Which spectra are of one star: two stars at least are needed.

    Raises
    ------
    TrainingError
        When there are fewer than two stars, or one class alone.
    """
    others = label != BHB_CODE
    if len(np.unique(star[others])) < 2 or len(np.unique(label[others])) < 2:  # noqa: PLR2004
        raise TrainingError(
            "the calibration needs real stars of two classes at least that are not BHB; add some."
        )
    return fit_temperature(logits[others][:, BHB_CODE + 1 :], label[others] - BHB_CODE - 1)


def calibrate_on_real_stars(models: str | Path, data: LabelledSpectra) -> float:
    """Fit the temperature of the other classes on real stars, and keep it with the weights.

    Parameters
    ----------
    models : str or Path
        Folder of the weights; the card of stage 1 and the checksums are written anew.
    data : LabelledSpectra
        Real stars of validation.

    Returns
    -------
    float

    Raises
    ------
    TrainingError
        When the set is simulated, or has too few stars.
    """
    if origin_of(data):
        raise TrainingError("the set is simulated; calibrate on real stars of validation.")
    folder = Path(models)
    name = STAGE_FILES[1]
    model, card = load_weights(folder / name, read_checksums(folder).get(name))
    logits = predict_logits(model, data.flux)
    temperature = fit_temperature_among_others(logits, data.label, data.star)
    about = {"stars": len(np.unique(data.star)), "spectra": len(data)}
    card = {**card, "temperature_among_others": temperature, "calibrated_on": about}
    save_weights(model, folder / name, card)
    write_checksums(folder)
    return temperature
