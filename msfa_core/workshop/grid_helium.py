"""Helium lines of the grid: those that the reference models lack, abundance, departures from LTE.

The synthesis says how each He I line changes with the abundance; the change is scaled, line by
line, so that at solar abundance it is the line of the reference model.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID
from msfa_core.simulate.atmospheres import SOLAR_HELIUM
from msfa_core.typing import FloatArray
from msfa_core.workshop.grid_lattices import Lattices
from msfa_core.workshop.grid_nodes import GRID_WAVELENGTH, LOW_GRAVITY, GridPlan, helium_node
from msfa_core.workshop.line_opacity import air_to_vacuum

# He I lines missing in the reference models: air wavelength [Å] and strength over He I 4388
COPIED: Final = {4009.26: 0.65, 4143.76: 0.80}
_COPIED_FROM: Final = 4387.93
_COPIED_TEFF: Final = 11_000.0  # from here on
_COOL_FEH_TEFF: Final = 15_000.0  # up to here 4388 is read at the lowest [Fe/H], then at −0.5
_HOT_FEH: Final = -0.5
# Share of the LTE strength that departures from LTE add on average, by air wavelength [Å]
DEPARTURES: Final = {
    **{4009.26: 0.2, 4026.2: 0.35, 4120.8: 0.5, 4143.76: 0.2, 4387.93: 0.75},
    **{4437.55: 0.5, 4471.5: 0.6, 4713.15: 0.6, 4921.93: 0.6, 5015.68: 0.6},
    **{5047.74: 0.6, 5875.66: 0.8, 6678.15: 1.5, 7065.2: 1.5, 7281.35: 1.0},
}
_LATE_ONSET: Final = {9500.0: 0.0, 10_000.0: 0.0, 11_000.0: 0.3}  # Teff: share of the departure
_NO_CHANGE: Final = 9500.0  # K, where helium does not show yet
_LARGEST_CHANGE: Final = 0.9  # of ln flux
_LINE: Final = (9.0, 14.0)  # Å: half width of a line, end of the continuum around it
_SCALED: Final = (16.0, 7.0)  # Å: half width of the scaled window, of its tapering edge
_COMPARED: Final = 11.0  # Å around a line where synthesis and model are compared
_VISIBLE: Final = 0.01  # of ln flux, a line that can be compared
_SCALE_RANGE: Final = (0.2, 2.0)
_STRENGTH_WINDOW: Final = 6.0  # Å around 4388
_STRENGTH_VISIBLE: Final = 0.05  # summed ln flux


def _distance(centre: float) -> FloatArray:
    """(pixel,) distance from a line [Å]."""
    distance: FloatArray = np.abs(GRID_WAVELENGTH - centre)
    return distance


def line_profile(lines: FloatArray, centre: float) -> FloatArray:
    """Cut one absorption line out of ln flux.

    Parameters
    ----------
    lines : (pixel,) array
    centre : float [Å, vacuum]

    Returns
    -------
    (pixel,) array
        ln flux below the curve through both sides of the line; 0 away from it.
    """
    half, end = _LINE
    distance = _distance(centre)
    window = distance < end
    sides = window & (distance > half)
    offset = GRID_WAVELENGTH - centre
    around = np.polyval(np.polyfit(offset[sides], lines[sides], 2), offset)
    taper = np.clip((end - distance) / (end - half), 0, 1)
    return np.where(window, np.minimum(lines - around, 0) * taper, 0.0)


def shifted(profile: FloatArray, start: float, to: float) -> FloatArray:
    """Move a profile from one wavelength to another, in log λ."""
    pixels = np.arange(len(profile))
    return np.interp(pixels - np.log10(to / start) / LAMOST_GRID.step, pixels, profile)


def _copies(lines: FloatArray, strengths: dict[float, float]) -> FloatArray:
    """He I 4388 of a spectrum, copied with given strengths to other lines (air)."""
    start = air_to_vacuum(_COPIED_FROM)
    profile = line_profile(lines, start)
    copies: FloatArray = np.zeros(len(lines))
    for line, strength in strengths.items():
        copies += strength * shifted(profile, start, air_to_vacuum(line))
    return copies


def missing_lines(lines: FloatArray) -> FloatArray:
    """(pixel,) ln flux of the He I lines that a reference model lacks."""
    return _copies(lines, COPIED)


def _clean_feh(plan: GridPlan, teff: float) -> int:
    """Index of the [Fe/H] at which helium lines are read."""
    return 0 if teff <= _COOL_FEH_TEFF else plan.ms_feh.index(_HOT_FEH)


def missing_lines_of_stars(plan: GridPlan, lines: NDArray[np.float32]) -> FloatArray:
    """(teff, logg, pixel) missing He I lines of the ``ms`` lattice (teff, logg, feh, pixel)."""
    extra = np.zeros((len(plan.ms_teff), len(plan.ms_logg), lines.shape[-1]))
    for (i, teff), (j, logg) in product(enumerate(plan.ms_teff), enumerate(plan.ms_logg)):
        if teff >= _COPIED_TEFF:
            read = plan.ms_logg.index(LOW_GRAVITY) if logg < LOW_GRAVITY else j
            extra[i, j] = missing_lines(lines[i, read, _clean_feh(plan, teff)].astype(np.float64))
    return extra


def _scale(synthetic: FloatArray, model: NDArray[np.float32], centre: float) -> float:
    """Strength of a line in a model over that in the synthesis."""
    near = _distance(centre) < _COMPARED
    if -synthetic[near].min() <= _VISIBLE:
        return 1.0
    offset = GRID_WAVELENGTH[near] - centre
    design = np.column_stack([synthetic[near], np.ones(near.sum()), offset, offset**2])
    scale = np.linalg.lstsq(design, model[near].astype(np.float64), rcond=None)[0][0]
    return float(np.clip(scale, *_SCALE_RANGE))


def helium_changes(
    lattices: Lattices, lines: NDArray[np.float32], extra: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Tabulate what helium abundance and departures from LTE change in ln flux of stars.

    Parameters
    ----------
    lattices : Lattices
    lines : (teff, logg, feh, pixel) array
        The ``ms`` lattice, missing lines added.
    extra : (teff, logg, pixel) array
        Those missing lines.

    Returns
    -------
    (teff, logg, helium, pixel) array
        Change from solar to another helium abundance.
    (teff, logg, helium, pixel) array
        Change by departures from LTE at that abundance.
    """
    plan = lattices.plan
    shape = (len(plan.he_teff), len(plan.he_logg), len(plan.he_helium), lines.shape[-1])
    abundance, departure = np.zeros(shape), np.zeros(shape)
    weak = _distance(air_to_vacuum(_COPIED_FROM)) < _STRENGTH_WINDOW
    copied_departures = {line: DEPARTURES[line] * share for line, share in COPIED.items()}
    for (i, teff), (j, logg) in product(enumerate(plan.he_teff), enumerate(plan.he_logg)):
        models = {y: lattices.synthetic(helium_node(teff, logg, y)).lines for y in plan.he_helium}
        poorest = models[min(plan.he_helium)]
        synthetic = {y: model - poorest for y, model in models.items()}
        solar = synthetic[SOLAR_HELIUM]
        row, column = plan.ms_teff.index(teff), plan.ms_logg.index(logg)
        star = lines[row, column, _clean_feh(plan, teff)]
        scaled = np.zeros((2, lines.shape[-1]))  # of unit helium: LTE, departure
        half, edge = _SCALED
        for line, share in DEPARTURES.items():
            if line in COPIED:
                continue
            centre = air_to_vacuum(line)
            window = np.clip((half - _distance(centre)) / edge, 0, 1)
            window *= _scale(solar, star, centre)
            scaled += np.array([window, share * window])
        copies = _copies(star.astype(np.float64), copied_departures)
        visible = solar[weak].sum()
        for k, y in enumerate(plan.he_helium):
            left = synthetic[y][weak].sum() / visible if visible < -_STRENGTH_VISIBLE else 0.0
            left = float(np.clip(left, 0, 1))
            abundance[i, j, k] = scaled[0] * synthetic[y] - scaled[0] * solar
            abundance[i, j, k] += extra[row, column] * (left - 1)
            departure[i, j, k] = scaled[1] * synthetic[y]
            if teff >= _COPIED_TEFF:
                departure[i, j, k] += copies * left
        departure[i, j] *= _LATE_ONSET.get(teff, 1.0)
        if teff <= _NO_CHANGE:
            abundance[i, j] = 0.0
    return np.minimum(abundance, _LARGEST_CHANGE), departure
