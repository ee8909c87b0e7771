"""Real stars beside spectra simulated for their published parameters: numbers, and a figure.

``python -m msfa_core.workshop.compare REAL OUT.png`` draws ``data/figures/simulated-beside-real``;
REAL holds ``MANIFEST.csv`` (path, subclass, teff, logg, feh, notes) and stars of the MILES library.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import FWHM_OF_SIGMA, LAMOST_GRID
from msfa_core.errors import ExportError, MsfaError, ReadError
from msfa_core.simulate.atmospheres import model_spectra
from msfa_core.simulate.instrument import broaden
from msfa_core.typing import FloatArray
from msfa_core.workshop.line_opacity import air_to_vacuum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

RESOLUTION: Final = 1500.0  # of both spectra: the blue end of a LAMOST spectrum
LIBRARY_FWHM: Final = 2.5  # Å, MILES (Falcón-Barroso et al. 2011)
RANGE: Final = (3900.0, 5050.0)  # Å, vacuum: from Ca II K to Hβ
_SHAPE: Final = 6  # degree of the polynomial that takes out continuum and reddening
_CLIP: Final = 3.0  # σ; pixels farther off do not shape it
_ROUNDS: Final = 5
_COLUMNS: Final = 2  # of the figure
_DIFFERENCES: Final = (-11.0, 11.0)  # %, shown
_VELOCITIES: Final = np.arange(-120.0, 121.0, 4.0)  # km/s; what "at rest" may be off


@dataclass(frozen=True, slots=True)
class Star:
    """A star of the library, and about how fast it rotates: ``v sin i`` [km/s].

    All are slow: below some 60 km/s rotation hardly shows at this resolution. The values are
    approximate and were not read again in a catalogue.
    """

    path: str
    kind: str
    vsini: float


STARS: Final = (
    Star("miles/MILES_res2.50_star_m0446V.fits", "BHB star", 25.0),
    Star("miles/MILES_res2.50_star_m0085V.fits", "BHB star", 15.0),
    Star("miles/MILES_res2.50_star_m0767V.fits", "A dwarf", 50.0),
    Star("miles/MILES_res2.50_star_m0841V.fits", "evolved A star", 10.0),
    Star("miles/MILES_res2.50_star_m0097V.fits", "B star", 25.0),
    Star("miles/MILES_res2.50_star_m0011V.fits", "hot B star", 10.0),
)
_LINES: Final = (  # place of the name beside the line [Å], name
    *((3934.78, "Ca K"), (3971.2, "Hε"), (4102.9, "Hδ"), (4233.9, "Fe II"), (4341.7, "Hγ")),
    *((4466.0, "He I"), (4489.0, "Mg II"), (4862.7, "Hβ"), (4923.3, "He I")),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A real star and its simulation, both over the same continuum.

    Attributes
    ----------
    wavelength, real, simulated : (pixel,) arrays [Å, vacuum; flux over continuum]
    rms : float
        Of real less simulated.
    velocity : float [km/s]
        By which the simulation was moved.
    title : str
    """

    wavelength: FloatArray
    real: FloatArray
    simulated: FloatArray
    rms: float
    velocity: float
    title: str = ""


def read_library_star(path: Path) -> tuple[FloatArray, FloatArray]:
    """Read a star on linear wavelengths in air, at rest.

    Returns
    -------
    wavelength, flux : (pixel,) arrays [Å, vacuum; any unit]

    Raises
    ------
    ReadError
        When the file is missing or no such spectrum.
    """
    try:
        with fits.open(path, ignore_missing_end=True) as units:
            header, flux = units[0].header, np.ravel(units[0].data).astype(np.float64)
            first, step, at = (float(header[k]) for k in ("CRVAL1", "CDELT1", "CRPIX1"))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReadError(
            f"{path}: not a library star on linear wavelengths ({error}); give a MILES file."
        ) from error
    air = first + (np.arange(len(flux)) + 1 - at) * step
    good = np.isfinite(flux) & (flux > 0)
    return np.array([air_to_vacuum(w) for w in air[good]]), flux[good]


def compare(
    wavelength: FloatArray,
    flux: FloatArray,
    parameters: tuple[float, float, float],
    vsini: float,
    *,
    fwhm: float = LIBRARY_FWHM,
) -> Pair:
    """Simulate a star without noise and set it beside the real one, both at R = 1500.

    Parameters
    ----------
    wavelength, flux : (pixel,) arrays [Å, vacuum]
        The real star at rest, covering ``RANGE``.
    parameters : (3,) float
        Teff [K], log g [dex cgs], [Fe/H].
    vsini : float [km/s]
    fwhm : float [Å]
        Resolution of the real spectrum.

    Returns
    -------
    Pair
        The real spectrum divided by the simulated continuum and by a polynomial in wavelength
        (reddening and response), which the ratio of both spectra determines; the simulated one
        at the velocity of least rms.

    Raises
    ------
    ReadError
        When the star lies outside the models or its spectrum does not cover the range.
    """
    grid = LAMOST_GRID.wavelength
    inside = (grid >= RANGE[0]) & (grid <= RANGE[1])
    if wavelength[0] > RANGE[0] or wavelength[-1] < RANGE[1]:
        raise ReadError(
            f"the spectrum covers {wavelength[0]:.0f}–{wavelength[-1]:.0f} Å, not "
            f"{RANGE[0]:.0f}–{RANGE[1]:.0f} Å."
        )
    model = model_spectra("ms", *parameters)
    if not np.isfinite(model.lines).all():
        raise ReadError(f"Teff, log g, [Fe/H] of {parameters} lie outside the models.")
    # a Gaussian that takes the library to R = 1500; its width hardly changes over the range
    centre = float(np.mean(RANGE))
    wanted = (centre / RESOLUTION) ** 2 - fwhm**2
    pixel = centre * np.log(10) * LAMOST_GRID.step
    real = CubicSpline(wavelength, flux)(grid)
    real = gaussian_filter1d(real, np.sqrt(max(wanted, 0.0)) / FWHM_OF_SIGMA / pixel)[inside]
    real /= model.continuum[0, inside] * (np.median(real) / np.median(model.continuum[0, inside]))
    n = len(_VELOCITIES)
    moved = broaden(
        np.repeat(model.lines, n, axis=0),
        np.full(n, vsini),
        _VELOCITIES,
        np.full((n, 2), RESOLUTION),
    )[:, inside].astype(np.float64)
    tried = [_over_continuum(real, lines) for lines in moved]
    rms = [float(np.std(own - lines)) for own, lines in zip(tried, moved, strict=True)]
    best = int(np.argmin(rms))
    return Pair(grid[inside], tried[best], moved[best], rms[best], float(_VELOCITIES[best]))


def _over_continuum(real: FloatArray, lines: FloatArray) -> FloatArray:
    """Divide the real flux by the polynomial that its ratio to the simulated one follows."""
    ratio = np.log(np.maximum(real, 1e-6) / lines)
    x = np.linspace(-1, 1, len(ratio))
    used = np.ones(len(x), dtype=bool)
    shape = np.zeros(len(x))
    for _ in range(_ROUNDS):
        shape = np.polynomial.Chebyshev.fit(x[used], ratio[used], _SHAPE)(x)
        used = np.abs(ratio - shape) < _CLIP * np.std((ratio - shape)[used])
    over: FloatArray = real / np.exp(shape)
    return over


def pairs(folder: Path, stars: Sequence[Star] = STARS) -> list[Pair]:
    """Compare the stars of the figure.

    Raises
    ------
    ReadError
        When the list of the stars or one of them is missing.
    """
    manifest = Path(folder) / "MANIFEST.csv"
    if not manifest.is_file():
        raise ReadError(f"{manifest}: there is no list of real stars; give the folder that has it.")
    table = pd.read_csv(manifest, index_col="path")
    result = []
    for star in stars:
        if star.path not in table.index:
            raise ReadError(f"{manifest}: {star.path} is not in the list.")
        row = table.loc[star.path]
        parameters = (float(row["teff"]), float(row["logg"]), float(row["feh"]))
        pair = compare(*read_library_star(Path(folder) / star.path), parameters, star.vsini)
        name = re.sub(r"HD\s*0*(\d+)", r"HD \1", str(row["notes"]))
        title = (
            f"{name}, {star.kind} ({row['subclass']}): {parameters[0]:.0f} K, "
            f"log g {parameters[1]:.2f}, [Fe/H] {parameters[2]:+.2f}"
        )
        result.append(replace(pair, title=title.replace("-", "−")))
    return result


def draw(made: Sequence[Pair], out: Path) -> Path:
    """Draw pairs, two beside each other, with their differences below.

    Raises
    ------
    ExportError
        When the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = -(-len(made) // _COLUMNS)
    figure = Figure(figsize=(13, 3.6 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        2 * rows, _COLUMNS, sharex=True, squeeze=False, gridspec_kw={"height_ratios": [3, 1] * rows}
    )
    for k, pair in enumerate(made):
        row, column = divmod(k, _COLUMNS)
        _draw_pair(pair, axes[2 * row, column], axes[2 * row + 1, column])
    for column in range(_COLUMNS):
        axes[-1, column].set_xlabel("vacuum wavelength [Å]")
        axes[-1, column].set_xlim(*RANGE)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    try:
        figure.savefig(out, dpi=110)
    except (OSError, ValueError) as error:
        raise ExportError(f"{out} cannot be written ({error}).") from error
    return Path(out)


def _draw_pair(pair: Pair, above: Axes, below: Axes) -> None:
    above.plot(pair.wavelength, pair.real, "k", lw=1.1, label="real star (MILES)")
    above.plot(
        pair.wavelength,
        pair.simulated,
        color="#d55e00",
        lw=1.0,
        label="simulated for its published parameters, without noise",
    )
    above.set_ylim(min(pair.real.min(), pair.simulated.min()) - 0.05, 1.22)
    for line, name in _LINES:
        above.annotate(
            name, (line, 1.06), rotation=90, fontsize=7, ha="center", va="bottom", color="0.35"
        )
    above.set_title(pair.title, fontsize=9.5, loc="left")
    above.set_ylabel("flux / continuum")
    below.axhline(0, color="0.6", lw=0.8)
    below.plot(pair.wavelength, 100 * (pair.real - pair.simulated), "k", lw=0.8)
    below.set_ylim(*_DIFFERENCES)
    below.set_ylabel("diff. [%]")
    said = f"rms {100 * pair.rms:.1f} %"
    below.text(0.995, 0.93, said, transform=below.transAxes, ha="right", va="top", fontsize=9)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.compare",
        description="Draw real stars beside spectra simulated for their parameters.",
    )
    parser.add_argument("real", type=Path, help="folder with MANIFEST.csv and library stars")
    parser.add_argument("out", type=Path, help="picture to write, .png")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        made = pairs(options.real)
        draw(made, options.out)
    except MsfaError as error:
        logger.error("%s", error)
        return 1
    for pair in made:
        logger.info("%s: rms %.2f %% (%+.0f km/s)", pair.title, 100 * pair.rms, pair.velocity)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
