"""Builds the shipped grid of model atmospheres from reference models and our own synthesis.

``python -m msfa_core.workshop.grid_builder SOURCE OUT`` synthesises some 1500 spectra, about
half a second each and core; SOURCE is the file of reference models that ``data/README.md`` names.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from msfa_core.durable import replacing
from msfa_core.errors import ModelError, MsfaError
from msfa_core.machine.parallel import in_order, n_cores
from msfa_core.simulate.photometry import passbands
from msfa_core.typing import FloatArray, Progress, no_progress
from msfa_core.workshop.grid_helium import (
    helium_changes,
    missing_lines,
    missing_lines_of_stars,
)
from msfa_core.workshop.grid_lattices import Lattices, Source, SyntheticSpectra, read_source
from msfa_core.workshop.grid_nodes import (
    CONTINUUM_EVERY,
    DB_LOGG,
    FULL_PLAN,
    GRID_WAVELENGTH,
    WIDE_WAVELENGTH,
    GridPlan,
    Node,
    all_nodes,
    node_spectrum,
    wide_node,
)

logger = logging.getLogger(__name__)

STEP: Final = 2.5e-4  # of the stored ln(flux/continuum)
AnyFloats = NDArray[np.floating]
_LARGEST_CODE: Final = 32_000
_CONTINUUM_STEP: Final = 1e-4
_PHOTOMETRY_FEH: Final = -0.5
_SMOOTHING: Final = 9  # pixels, before a spectrum joins the wide one
_JOINT: Final = 60  # wide pixels at each end that set the level of the wide spectrum
# Vega, the zero point: Teff [K], log g, angular diameter, and its magnitude in every band
_VEGA: Final = (9550.0, 3.95)
_VEGA_DIAMETER: Final = 3.24e-3  # arcsec
_VEGA_MAGNITUDE: Final = 0.03
_ARCSEC: Final = 206264.806  # in a radian
_SOLAR_RADIUS: Final = 6.957e8  # m
_PARSEC: Final = 3.0857e16  # m
_REPORT_EVERY: Final = 50  # spectra


def encode(lines: AnyFloats, step: float = STEP) -> NDArray[np.int16]:
    """Code ln(flux/continuum) as whole steps, differenced along the last two axes.

    Parameters
    ----------
    lines : (..., pixel) array
    step : float

    Returns
    -------
    (..., pixel) int16 array
        Read back by ``msfa_core.simulate.atmospheres.load_grid``.

    Raises
    ------
    ModelError
        When a value does not fit.
    """
    whole = np.rint(lines / step)
    if not np.abs(whole).max() < _LARGEST_CODE:
        raise ModelError(
            f"ln(flux/continuum) reaches {np.abs(lines).max():.2f}, more than the grid can hold "
            f"in steps of {step}; is a spectrum without flux or not finite?"
        )
    coded = np.diff(whole.astype(np.int64), axis=-1, prepend=0)
    if coded.ndim > 2:  # noqa: PLR2004 - node axes and wavelength
        coded = np.diff(coded, axis=-2, prepend=0)
    return coded.astype(np.int16)


def _magnitudes(lines: AnyFloats, continuum: AnyFloats, wide: NDArray[np.float32]) -> FloatArray:
    """(band,) magnitudes of a surface: photons of the spectrum, the wide one outside its ends."""
    log_wave = np.log(GRID_WAVELENGTH)
    full = np.exp(lines + np.interp(log_wave, log_wave[::CONTINUUM_EVERY], continuum))
    half = _SMOOTHING // 2
    smooth = np.ones(_SMOOTHING) / _SMOOTHING
    full = np.convolve(np.pad(full, half, mode="edge"), smooth, "valid")
    wavelength = WIDE_WAVELENGTH.copy()
    blue, red = wavelength <= GRID_WAVELENGTH[0], wavelength >= GRID_WAVELENGTH[-1]
    inside = ~(blue | red)
    flux = wide[0].astype(np.float64)
    own = np.interp(wavelength[inside], GRID_WAVELENGTH, full)
    ratio = own / flux[inside]
    flux[blue] *= np.median(ratio[:_JOINT])
    flux[red] *= np.median(ratio[-_JOINT:])
    flux[inside] = own
    response = passbands(wavelength)
    photons = (response * flux * wavelength).sum(axis=1)
    magnitudes: FloatArray = -2.5 * np.log10(photons / (response * wavelength).sum(axis=1))
    return magnitudes


def assemble(
    plan: GridPlan, source: Source, spectra: SyntheticSpectra
) -> dict[str, NDArray[np.generic]]:
    """Make the tables of the grid from reference models and synthetic spectra.

    Parameters
    ----------
    plan : GridPlan
    source : dict
        Reference models, from ``read_source``.
    spectra : mapping of Node to (2, pixel) float32 array
        ``node_spectrum`` of every node of ``all_nodes(plan)``.

    Returns
    -------
    dict of str to array
        As ``data/README.md`` describes them.
    """
    lattices = Lattices(plan, source, spectra)
    stars, star_continua = lattices.stars()
    extra = missing_lines_of_stars(plan, stars)
    stars += extra[:, :, None, :].astype(np.float32)
    subdwarfs, subdwarf_continua = lattices.subdwarfs()
    for at in np.ndindex(*subdwarfs.shape[:-1]):
        subdwarfs[at] += missing_lines(subdwarfs[at])
    lines: dict[str, AnyFloats] = {"ms": stars, "sd": subdwarfs}
    continua: dict[str, AnyFloats] = {"ms": star_continua, "sd": subdwarf_continua}
    for kind in ("wd", "db"):
        lines[kind], continua[kind] = lattices.white_dwarfs(kind)
    tables: dict[str, NDArray[np.generic]] = {"step": np.array(STEP)}
    for kind, third in (("ms", "feh"), ("sd", "helium"), ("wd", ""), ("db", "")):
        tables[f"{kind}_lines"] = encode(lines[kind])
        for axis in ("teff", "logg", third):
            if axis and hasattr(plan, f"{kind}_{axis}"):
                tables[f"{kind}_{axis}"] = np.array(getattr(plan, f"{kind}_{axis}"), np.float64)
        smooth = continua[kind].astype(np.float32)
        steps = np.rint(smooth / _CONTINUUM_STEP)
        tables[f"{kind}_continuum"] = (steps * _CONTINUUM_STEP).astype(np.float32)
    changes = dict(zip(("he", "nlte"), helium_changes(lattices, stars, extra), strict=True))
    for name, change in changes.items():
        tables[f"{name}_lines"] = encode(change)
        for axis in ("teff", "logg", "helium"):
            tables[f"{name}_{axis}"] = np.array(getattr(plan, f"he_{axis}"), np.float64)
    for name in ("am", "ap", "hb"):
        tables[f"{name}_lines"] = encode(lattices.pattern(name))
        for axis in ("teff", "logg"):
            tables[f"{name}_{axis}"] = np.array(getattr(plan, f"{name}_{axis}"), np.float64)
    return tables | _surfaces(plan, lines, continua, spectra)


def _surfaces(
    plan: GridPlan,
    lines: dict[str, AnyFloats],
    continua: dict[str, AnyFloats],
    spectra: SyntheticSpectra,
) -> dict[str, NDArray[np.generic]]:
    """(node, band) magnitudes of one solar radius at 10 pc, for each kind, on the scale of Vega."""
    metal = plan.ms_feh.index(_PHOTOMETRY_FEH)
    wide = {
        "ms": [wide_node("ms", *at) for at in product(plan.ms_teff, plan.ms_logg)],
        "sd": [wide_node("sd", *at) for at in product(plan.sd_teff, plan.sd_logg, plan.sd_helium)],
        "wd": [wide_node("wd", *at) for at in product(plan.wd_teff, plan.wd_logg)],
        "db": [wide_node("db", teff, DB_LOGG) for teff in plan.db_teff],
    }
    raw = {}
    for kind, nodes in wide.items():
        own, smooth = lines[kind], continua[kind]
        if kind == "ms":
            own, smooth = own[:, :, metal], smooth[:, :, metal]
        own, smooth = own.reshape(len(nodes), -1), smooth.reshape(len(nodes), -1)
        raw[kind] = np.array(
            [
                _magnitudes(ln, ln_continuum, spectra[node])
                for ln, ln_continuum, node in zip(own, smooth, nodes, strict=True)
            ]
        )
    axes = (np.log10(plan.ms_teff), plan.ms_logg)
    table = raw["ms"].reshape(len(plan.ms_teff), len(plan.ms_logg), -1)
    vega = RegularGridInterpolator(axes, table)([[np.log10(_VEGA[0]), _VEGA[1]]])[0]
    radius = _VEGA_DIAMETER / _ARCSEC / 2  # over the distance
    zero = _VEGA_MAGNITUDE - (vega - 5 * np.log10(radius))
    sun = 5 * np.log10(_SOLAR_RADIUS / (10 * _PARSEC))
    return {f"{kind}_surface": (m + zero - sun).astype(np.float32) for kind, m in raw.items()}


def build_grid(
    source_npz: Path,
    out: Path,
    workers: int = 1,
    progress: Progress = no_progress,
    *,
    plan: GridPlan = FULL_PLAN,
    synthesis: Callable[[Node], NDArray[np.float32]] = node_spectrum,
) -> Path:
    """Make the grid of model atmospheres.

    Parameters
    ----------
    source_npz : Path
        Reference models (see ``read_source``).
    out : Path
        File to write; it takes its name only when it is complete.
    workers : int
        Processes.
    progress : callable, optional
        Called with ``grid``, spectra done, and spectra in all.
    plan : GridPlan
    synthesis : callable
        Gives the spectrum of a node.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ModelError
        When the source cannot be used, a spectrum cannot be computed, or ``out`` not written.
    """
    source_npz, out = Path(source_npz), Path(out)
    source = read_source(source_npz)
    nodes = all_nodes(plan)
    spectra = {}
    results = in_order(synthesis, nodes, workers)
    for done, (node, spectrum) in enumerate(zip(nodes, results, strict=True), start=1):
        spectra[node] = spectrum
        progress("grid", done, len(nodes))
    tables: dict[str, Any] = {**assemble(plan, source, spectra)}
    try:
        with replacing(out) as part, part.open("wb") as file:
            np.savez_compressed(file, **tables)
    except OSError as error:
        raise ModelError(f"cannot write {out}: {error.strerror or error}.") from error
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the grid from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.grid_builder",
        description="Build the grid of model atmospheres from reference models.",
    )
    parser.add_argument("source", type=Path, help="reference models, .npz")
    parser.add_argument("out", type=Path, help="grid to write, .npz")
    parser.add_argument("--workers", type=int, default=n_cores(), help="processes")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        build_grid(options.source, options.out, options.workers, _report)
    except MsfaError as error:
        logger.error("%s", error)
        return 1
    logger.info("wrote %s (%.2f MB)", options.out, options.out.stat().st_size / 1e6)
    return 0


def _report(step: str, done: int, total: int, part: str = "") -> None:
    if done % _REPORT_EVERY == 0 or done == total:
        logger.info("%d of %d spectra", done, total)


if __name__ == "__main__":
    raise SystemExit(main())
