"""Wavelengths in air, as libraries and line lists give them, brought to vacuum."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Wavelength = TypeVar("Wavelength", float, NDArray[np.float64])


def air_to_vacuum(wavelength: Wavelength) -> Wavelength:
    """Return vacuum wavelengths (inverse of Ciddor 1996, as in the VALD database; good to 1e-8).

    Parameters
    ----------
    wavelength : float or (pixel,) array [Å, air]
    """
    s2 = (1e4 / wavelength) ** 2
    index = (
        1
        + 8.336624212083e-5
        + 0.02408926869968 / (130.1065924522 - s2)
        + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return wavelength * index
