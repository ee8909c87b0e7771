"""What subtraction leaves of the lines of the night sky: the table that simulations draw from.

``python -m msfa_core.workshop.sky_residuals FOLDER OUT`` writes the table of statistics that the
project ships (``data/reference/sky_residuals.csv``). FOLDER holds sky-subtracted spectra of fibres
that saw nothing but sky, on a grid of the step of LAMOST (SDSS has it too).
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import MsfaError, ReadError
from msfa_core.simulate.sky_fibres import read_fibres
from msfa_core.typing import FloatArray

logger = logging.getLogger(__name__)

_FEWEST_FIBRES: Final = 10  # for statistics
_QUIET: Final = (4600.0, 5400.0)  # Å, without sky lines: what noise alone does
_LEAST_ERROR: Final = 1.1  # error over that of the neighbourhood: here is a line of the sky
_STRONG: Final = 1.5  # residual of the pixels that tell how good the subtraction of a fibre is
_ONE_SIGMA: Final = 68.27  # percentile of the sizes of Gaussian noise that is its σ


def statistics(residual: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Measure what the fibres have in common.

    Parameters
    ----------
    residual, error : (fibre, pixel) arrays
        From ``read_fibres``.

    Returns
    -------
    residual : (pixel,) array
        Typical size beyond the noise, over the error of the neighbourhood; 0 without a line.
    error : (pixel,) array
        Error given over that of the neighbourhood; 1 without a line.
    scatter : float
        rms of ln(residuals of a fibre) from fibre to fibre.

    Raises
    ------
    ReadError
        For too few fibres.
    """
    if len(residual) < _FEWEST_FIBRES:
        raise ReadError(
            f"{len(residual)} sky fibres are too few for statistics; give {_FEWEST_FIBRES} or more."
        )
    wavelength = LAMOST_GRID.wavelength
    quiet = (wavelength > _QUIET[0]) & (wavelength < _QUIET[1])
    noise = np.percentile(np.abs(residual[:, quiet]), _ONE_SIGMA)
    spread = np.percentile(np.abs(residual), _ONE_SIGMA, axis=0) / noise
    beyond = np.sqrt(np.maximum(spread**2 - 1, 0))
    relative = np.median(error, axis=0)
    no_line = relative < _LEAST_ERROR
    beyond[no_line], relative[no_line] = 0, 1
    strong = beyond > _STRONG
    each = np.sqrt(np.mean((residual[:, strong] / (noise * spread[strong])) ** 2, axis=1))
    return beyond, relative, float(np.std(np.log(each)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table of statistics; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.sky_residuals",
        description="Measure what is left of the night sky in real sky fibres.",
    )
    parser.add_argument("folder", type=Path, help="spectra of sky fibres")
    parser.add_argument("out", type=Path, help="table to write, .csv")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        fibres = read_fibres(options.folder)
        residual, error, scatter = statistics(*fibres)
    except MsfaError as problem:
        logger.error("%s", problem)
        return 1
    rows = np.flatnonzero(error > 1)
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pixel", "residual", "error"])
        writer.writerows((int(k), f"{residual[k]:.2f}", f"{error[k]:.2f}") for k in rows)
    logger.info(
        "%d fibres, %d pixels; ln(residuals) scatter from fibre to fibre by %.2f",
        *(len(fibres[0]), len(rows), scatter),
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
