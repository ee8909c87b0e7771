"""Where model stars lie in the Ca II K–Hδ plane: the table that ``balmer.locus`` reads.

``python -m msfa_core.workshop.calcium_loci data/reference/calcium_loci.csv`` makes it again from
the shipped model grid, with the code that measures stars.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from msfa_core.balmer import calcium_k, fit_lines
from msfa_core.constants import KP_K6_MAX, KP_K12_MAX, LAMOST_GRID
from msfa_core.durable import write_whole
from msfa_core.errors import MsfaError
from msfa_core.rules import kiel_band
from msfa_core.simulate.atmospheres import model_spectra, surface_magnitudes
from msfa_core.spectra.spectrum import Spectra

logger = logging.getLogger(__name__)

# Teff of the models [K]: nodes of the grid, where D0.2 has no error of interpolation
NODES: Final = (7500.0, 8000.0, 8500.0, 9000.0, 9500.0, 10_000.0, 11_000.0, 12_000.0)
TEFF: Final = np.arange(7500.0, 11_501.0, 100.0)  # K, rows of the table: splines through the nodes
BHB_FEH: Final = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.8)
POPULATION_I_LOGG: Final = (3.0, 3.5, 4.0, 4.3)
POPULATION_I_FEH: Final = 0.0
_NOMINAL_IVAR: Final = 1e4  # models have no noise: every pixel counts alike
_MEASURED: Final = ("d02_hdelta", "k6", "k12", "k18", "bp_rp")
_FORMATS: Final = {"teff": ".0f", "logg": ".3f", "feh": ".1f", "d02_hdelta": ".3f", "kp": ".3f"}


def horizontal_branch_gravity(teff: np.ndarray) -> np.ndarray:
    """Return log g in the middle of the Kiel band of BHB stars (Culpan et al. 2024).

    Parameters
    ----------
    teff : (n,) array [K]

    Returns
    -------
    (n,) array [dex]
    """
    lower, upper = kiel_band(teff)
    middle: np.ndarray = (lower + upper) / 2
    return middle


def measure_models(teff: np.ndarray, logg: np.ndarray, feh: np.ndarray) -> pd.DataFrame:
    """Measure model stars as real ones are measured.

    Parameters
    ----------
    teff, logg, feh : (n,) arrays [K, dex, dex]

    Returns
    -------
    DataFrame
        ``n`` rows: ``d02_hdelta``, ``k6``, ``k12``, ``k18`` [Å], ``bp_rp`` [mag].
    """
    flux = model_spectra("ms", teff, logg, feh).flux.astype(np.float64)
    flux /= np.median(flux, axis=1)[:, None]
    spectra = Spectra(
        obsid=np.arange(len(teff)),
        wavelength=LAMOST_GRID.wavelength,
        flux=flux,
        ivar=np.full(flux.shape, _NOMINAL_IVAR),
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.zeros(len(teff)),
    )
    fits = fit_lines(spectra)
    calcium = calcium_k(spectra)
    magnitudes = surface_magnitudes("ms", teff, logg)
    return pd.DataFrame(
        {
            "d02_hdelta": fits.d02[:, fits.lines.index("hdelta")],
            **{name: calcium[name].to_numpy() for name in ("k6", "k12", "k18")},
            "bp_rp": magnitudes[:, 1] - magnitudes[:, 2],
        }
    )


def calcium_table() -> pd.DataFrame:
    """Compute the table: each sequence in steps of Teff.

    Returns
    -------
    DataFrame
        ``sequence`` (``bhb``: on the horizontal branch; ``pop1``: solar metallicity), ``teff``
        [K], ``logg``, ``feh`` [dex], ``d02_hdelta``, ``kp`` [Å], ``bp_rp`` [mag, unreddened].
    """
    nodes = np.array(NODES)
    bhb = [("bhb", horizontal_branch_gravity, feh) for feh in BHB_FEH]
    solar = [
        ("pop1", lambda teff, logg=logg: np.full(len(teff), logg), POPULATION_I_FEH)
        for logg in POPULATION_I_LOGG
    ]
    parts = []
    for sequence, gravity, feh in [*bhb, *solar]:
        at_nodes = measure_models(nodes, gravity(nodes), np.full(len(nodes), feh))
        smooth = {name: CubicSpline(nodes, at_nodes[name].to_numpy())(TEFF) for name in _MEASURED}
        strong = np.where(smooth["k12"] < KP_K12_MAX, smooth["k12"], smooth["k18"])
        smooth["kp"] = np.where(smooth["k6"] < KP_K6_MAX, smooth["k6"], strong)
        parts.append(
            pd.DataFrame(
                {
                    "sequence": sequence, "teff": TEFF, "logg": gravity(TEFF), "feh": feh,
                    **{name: smooth[name] for name in ("d02_hdelta", "kp", "bp_rp")},
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.calcium_loci",
        description="Measure Ca II K and Hδ of model stars.",
    )
    parser.add_argument("out", type=Path, help="table to write, .csv")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        table = calcium_table()
        text = table.assign(
            **{name: [format(v, form) for v in table[name]] for name, form in _FORMATS.items()},
            bp_rp=[format(v, ".3f") for v in table["bp_rp"]],
        ).to_csv(index=False, lineterminator="\n")
        write_whole(options.out, text.encode())
    except MsfaError as problem:
        logger.error("%s", problem)
        return 1
    logger.info("wrote %s: %d model stars", options.out, len(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
