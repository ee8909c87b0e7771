"""Training sets for SLAM from files: any grid of models, any survey with labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import COLOURS, LABELS
from msfa_core.errors import CatalogueError, ReadError
from msfa_core.slam.train import TrainingSet
from msfa_core.spectra.spectrum import Spectra

GRID_ARRAYS: Final = ("wave", "flux", *LABELS)
LEAST_SNR: Final = 20.0  # of the survey's spectra that train: noise is learnt as well


def read_grid(path: str | Path) -> TrainingSet:
    """Read a grid of models: ``wave`` (m,), ``flux`` (star, m), ``teff, logg, feh`` (star,).

    Wavelengths in Å, vacuum, at rest. Colours count where all of ``bp_g, g_rp, bp_rp, j_h``
    (star,) [mag] are there. Rows with a missing label are left out.

    Raises
    ------
    ReadError
        Naming what the file lacks.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*GRID_ARRAYS, *COLOURS) if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ReadError(f"{path} cannot be read as .npz ({error}).") from error
    missing = [name for name in GRID_ARRAYS if name not in arrays]
    if missing:
        raise ReadError(
            f"{path} lacks {', '.join(missing)}; a grid holds {', '.join(GRID_ARRAYS)}."
        )
    labels = np.column_stack([arrays[name].astype(np.float64) for name in LABELS])
    flux = arrays["flux"]
    wavelength = arrays["wave"].astype(np.float64)
    if flux.shape != (len(labels), len(wavelength)) or not np.all(np.diff(wavelength) > 0):
        raise ReadError(
            f"{path}: flux has shape {flux.shape}, expected {(len(labels), len(wavelength))}, "
            "one row a star on increasing wavelengths."
        )
    keep = np.isfinite(labels).all(axis=1)
    colours = None
    if set(COLOURS) <= set(arrays):
        colours = np.column_stack([arrays[name].astype(np.float64) for name in COLOURS])
        keep &= np.isfinite(colours).all(axis=1)
    return TrainingSet(
        wavelength, flux[keep], labels[keep], None if colours is None else colours[keep]
    )


def from_survey(
    spectra: Spectra, labels: pd.DataFrame, colours: pd.DataFrame | None = None
) -> TrainingSet:
    """Return the spectra of a survey that have labels.

    Parameters
    ----------
    spectra : Spectra
        n of them.
    labels : DataFrame
        ``obsid, teff, logg, feh``.
    colours : DataFrame of n rows, optional
        ``bp_g, g_rp, bp_rp, j_h`` [mag], dereddened. Where given, stars that lack one are left
        out.

    Raises
    ------
    CatalogueError
        When the table lacks a column, or no spectrum has labels, a Doppler shift and enough signal.
    """
    missing = [name for name in ("obsid", *LABELS) if name not in labels.columns]
    if missing:
        raise CatalogueError(
            f"the table of labels lacks {', '.join(missing)}; it needs obsid, {', '.join(LABELS)}."
        )
    rows = labels.drop_duplicates("obsid").set_index("obsid")
    values = rows.reindex(spectra.obsid)[list(LABELS)].to_numpy(np.float64, na_value=np.nan)
    ivar = np.where(spectra.mask, 0, spectra.ivar)
    with np.errstate(invalid="ignore"):
        signal = np.where(ivar > 0, spectra.flux * np.sqrt(ivar), np.nan)
    bright = np.array([np.nanmedian(row) if np.isfinite(row).any() else 0.0 for row in signal])
    keep = np.isfinite(values).all(axis=1) & np.isfinite(spectra.z) & (bright >= LEAST_SNR)
    chosen = None
    if colours is not None:
        chosen = colours.reindex(columns=list(COLOURS)).to_numpy(np.float64, na_value=np.nan)
        keep &= np.isfinite(chosen).all(axis=1)
    if not keep.any():
        raise CatalogueError(
            "no spectrum of the survey has Teff, log g and [Fe/H] in the table, a Doppler shift "
            f"and S/N above {LEAST_SNR:.0f}; check that the obsids are those of the survey."
        )
    return TrainingSet(
        spectra.wavelength,
        spectra.flux[keep],
        values[keep],
        None if chosen is None else chosen[keep],
        ivar=ivar[keep],
        z=spectra.z[keep],
    )
