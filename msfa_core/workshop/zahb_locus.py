"""Where the zero-age horizontal branch lies in the Gaia CMD: the table of ``photometry.locus``.

``python -m msfa_core.workshop.zahb_locus data/reference/zahb_cmd.csv`` makes it again from the
shipped model grid and the branch that simulated stars are drawn from.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import SOLAR_LOGG
from msfa_core.durable import write_whole
from msfa_core.errors import MsfaError
from msfa_core.photometry.zahb import zahb_logg, zahb_mass
from msfa_core.simulate.atmospheres import surface_magnitudes

logger = logging.getLogger(__name__)

TEFF: Final = np.geomspace(6300.0, 18_000.0, 48)  # K
_FORMATS: Final = {"teff": ".0f", "logg": ".3f", "bp_rp": ".4f", "abs_mag_g": ".4f"}


def zahb_table() -> pd.DataFrame:
    """Compute the branch, from cool to hot.

    Returns
    -------
    DataFrame
        ``teff`` [K], ``logg`` [dex], ``bp_rp``, ``abs_mag_g`` [mag, without dust].
    """
    logg = zahb_logg(TEFF)
    surface = surface_magnitudes("ms", TEFF, logg)  # (n, 3): G, BP, RP
    log_radius = 0.5 * (np.log10(zahb_mass(TEFF)) + SOLAR_LOGG - logg)
    return pd.DataFrame(
        {
            "teff": TEFF,
            "logg": logg,
            "bp_rp": surface[:, 1] - surface[:, 2],
            "abs_mag_g": surface[:, 0] - 5 * log_radius,
        }
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.zahb_locus",
        description="Place the zero-age horizontal branch in the Gaia CMD.",
    )
    parser.add_argument("out", type=Path, help="table to write, .csv")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        table = zahb_table()
        text = table.assign(
            **{name: [format(v, form) for v in table[name]] for name, form in _FORMATS.items()}
        ).to_csv(index=False, lineterminator="\n")
        write_whole(options.out, text.encode())
    except MsfaError as problem:
        logger.error("%s", problem)
        return 1
    logger.info("wrote %s: %d points", options.out, len(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
