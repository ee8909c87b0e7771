"""Lattices of reference models, with what they lack filled by synthesis.

A node that the reference models have is taken as it is. Any other is the synthetic spectrum plus
the difference between reference model and synthetic spectrum at the nearest nodes that have both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from msfa_core.errors import ModelError
from msfa_core.simulate.atmospheres import KINDS, SOLAR_HELIUM
from msfa_core.typing import FloatArray
from msfa_core.workshop.grid_nodes import (
    CONTINUUM_EVERY,
    GRID_WAVELENGTH,
    PATTERN_FEH,
    SOURCE_WAVELENGTH,
    GridPlan,
    Node,
    helium_node,
    is_synthesised,
    peculiar_node,
    star_node,
    subdwarf_node,
)

SyntheticSpectra = Mapping[Node, NDArray[np.float32]]
_FEH_POWER: Final = 0.4  # the grid is interpolated in 10**(0.4 [Fe/H])
_FARTHEST: Final = 1.6  # how far a difference is extrapolated beyond [Fe/H] of the models, in spans
_SAME_HELIUM: Final = 0.06  # dex
_SUBDWARF_DISTANCE: Final = (1.5, 8.0, 0.8)  # per dex of helium, Teff and log g


@dataclass(frozen=True, slots=True)
class LogModel:
    """A spectrum, or a difference of two: ln(flux/continuum), and ln(continuum) every 16 pixels."""

    lines: FloatArray
    continuum: FloatArray

    def __add__(self, other: LogModel) -> LogModel:
        """Add a difference."""
        return LogModel(self.lines + other.lines, self.continuum + other.continuum)

    def __sub__(self, other: LogModel) -> LogModel:
        """Return the difference from another."""
        return LogModel(self.lines - other.lines, self.continuum - other.continuum)

    def toward(self, other: LogModel, share: float) -> LogModel:
        """Return the linear interpolation between this (0) and the other (1)."""
        return LogModel(
            self.lines + (other.lines - self.lines) * share,
            self.continuum + (other.continuum - self.continuum) * share,
        )


Source = dict[str, dict[tuple[float, ...], LogModel]]  # kind, then its parameters


def log_model(spectrum: NDArray[np.float32]) -> LogModel:
    """Take the logarithms of a synthesised (2, pixel) flux and continuum."""
    flux, continuum = spectrum.astype(np.float64)
    return LogModel(np.log(flux / continuum), np.log(continuum)[::CONTINUUM_EVERY])


def read_source(path: Path) -> Source:
    """Read the reference models.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``wave``, ``flux``, ``cont_wave``, ``cont``, ``kind``, ``teff``, ``logg``,
        ``feh`` and ``log_he_h``.

    Returns
    -------
    dict
        ``ms`` keyed by Teff, log g, [Fe/H]; ``sd`` by Teff, log g, log10 He/H; ``wd`` by
        Teff, log g; ``db`` by Teff.

    Raises
    ------
    ModelError
        When the file is missing, lacks a table, or is on other wavelengths.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file of reference models.")
    models: Source = {kind: {} for kind in KINDS}
    with np.load(path, allow_pickle=False) as file:
        try:
            wave, flux, cont_wave, cont = (
                file[name] for name in ("wave", "flux", "cont_wave", "cont")
            )
            kinds = file["kind"]
            parameters = [
                np.asarray(file[name], np.float64) for name in ("teff", "logg", "feh", "log_he_h")
            ]
        except KeyError as error:
            raise ModelError(f"{path}: not a file of reference models: {error}.") from error
    same = wave.shape == SOURCE_WAVELENGTH.shape
    same = same and np.allclose(wave, SOURCE_WAVELENGTH, rtol=1e-9)
    if not same or not np.allclose(cont_wave, wave[::CONTINUUM_EVERY], rtol=1e-9):
        raise ModelError(
            f"{path}: reference models must be on 3909 wavelengths from 3700 Å in steps of 1e-4 "
            "in log10, and their continua on every 16th."
        )
    source = np.log10(cont_wave), np.log10(wave)
    grid = np.log10(GRID_WAVELENGTH)
    for row, kind in enumerate(kinds.astype(str)):
        teff, logg, feh, helium = (float(values[row]) for values in parameters)
        log_continuum = np.log(cont[row].astype(np.float64))
        lines = np.log(flux[row]) - _on_line(source[1], source[0], log_continuum)
        keys: dict[str, tuple[float, ...]] = {
            "ms": (teff, logg, feh),
            "sd": (teff, logg, round(helium, 4)),
            "wd": (teff, logg),
            "db": (teff,),
        }
        if kind not in keys:
            raise ModelError(f"{path}: unknown kind {str(kind)!r} of reference model.")
        models[kind][keys[kind]] = LogModel(
            CubicSpline(source[1], lines)(grid),
            _on_line(grid[::CONTINUUM_EVERY], source[0], log_continuum),
        )
    return models


def _on_line(x: FloatArray, knots: FloatArray, values: FloatArray) -> FloatArray:
    """Linear interpolation between knots; beyond them their first and last stretches go on."""
    low = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    slope = (values[low + 1] - values[low]) / (knots[low + 1] - knots[low])
    straight: FloatArray = values[low] + slope * (x - knots[low])
    return straight


class Lattices:
    """Builds each lattice from reference models and synthetic spectra.

    Parameters
    ----------
    plan : GridPlan
    source : dict
        From ``read_source``.
    spectra : mapping of Node to (2, pixel) array
        Every node of ``all_nodes(plan)``.
    """

    def __init__(
        self,
        plan: GridPlan,
        source: Source,
        spectra: SyntheticSpectra,
    ) -> None:
        self.plan, self.source, self.spectra = plan, source, spectra

    def synthetic(self, node: Node) -> LogModel:
        """Return the synthetic spectrum of a node."""
        return log_model(self.spectra[node])

    def _star(self, teff: float, logg: float, feh: float) -> LogModel:
        """Return the synthetic star, between two nodes if [Fe/H] is none."""
        nodes = np.array(self.plan.ms_feh)
        if feh in self.plan.ms_feh:
            return self.synthetic(star_node(teff, logg, feh))
        high = int(np.clip(np.searchsorted(nodes, feh), 1, len(nodes) - 1))
        low, up = float(nodes[high - 1]), float(nodes[high])
        share = (_measure(feh) - _measure(low)) / (_measure(up) - _measure(low))
        start = self.synthetic(star_node(teff, logg, low))
        return start.toward(self.synthetic(star_node(teff, logg, up)), share)

    def _differences(self, teff: float, logg: float) -> list[tuple[float, LogModel]]:
        """[Fe/H], and reference less synthesis, at the nearest gravity that has any."""
        for other in sorted(self.plan.ms_logg, key=lambda value: (abs(value - logg), value)):
            found = [
                (key[2], model - self._star(teff, other, key[2]))
                for key, model in sorted(self.source["ms"].items(), key=itemgetter(0))
                if key[:2] == (teff, other) and is_synthesised(*key)
            ]
            if found:
                return found
        raise ModelError(f"the reference models have no star of Teff {teff:.0f} K.")

    def _filled(self, teff: float, logg: float, feh: float) -> LogModel:
        found = self._differences(teff, logg)
        at = [_measure(value) for value, _ in found]
        models = [model for _, model in found]
        x = _measure(feh)
        own = self.synthetic(star_node(teff, logg, feh))
        if x <= at[0] or len(at) == 1:
            return own + models[0]
        j = min(int(np.searchsorted(at, x)), len(at) - 1)
        share = min((x - at[j - 1]) / (at[j] - at[j - 1]), _FARTHEST)
        return own + models[j - 1].toward(models[j], share)

    def stars(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(teff, logg, feh, pixel) lines and (teff, logg, feh, knot) continua of ``ms``.

        Metal-poor and hot corners of low gravity repeat the next higher gravity.
        """
        axes = (self.plan.ms_teff, self.plan.ms_logg, self.plan.ms_feh)
        shape = tuple(len(axis) for axis in axes)
        pixels = len(GRID_WAVELENGTH)
        lines = np.empty((*shape, pixels), np.float32)
        continuum = np.empty((*shape, len(GRID_WAVELENGTH[::CONTINUUM_EVERY])), np.float32)
        for i, k, j in product(range(shape[0]), range(shape[2]), reversed(range(shape[1]))):
            at = (axes[0][i], axes[1][j], axes[2][k])
            model = self.source["ms"].get(at)
            if model is None and is_synthesised(*at):
                model = self._filled(*at)
            if model is None:
                lines[i, j, k], continuum[i, j, k] = lines[i, j + 1, k], continuum[i, j + 1, k]
            else:
                lines[i, j, k], continuum[i, j, k] = model.lines, model.continuum
        return lines, continuum

    def subdwarfs(self) -> tuple[FloatArray, FloatArray]:
        """(teff, logg, helium, pixel) lines and (…, knot) continua of ``sd``."""
        plan = self.plan
        models = [self._subdwarf(*at) for at in product(plan.sd_teff, plan.sd_logg, plan.sd_helium)]
        shape = (len(plan.sd_teff), len(plan.sd_logg), len(plan.sd_helium), -1)
        lines = np.array([model.lines for model in models])
        continuum = np.array([model.continuum for model in models])
        return lines.reshape(shape), continuum.reshape(shape)

    def _subdwarf(self, teff: float, logg: float, helium: float) -> LogModel:
        known = self.source["sd"]
        for key, model in known.items():
            if key[:2] == (teff, logg) and abs(key[2] - helium) < _SAME_HELIUM:
                return model
        per_helium, per_teff, per_logg = _SUBDWARF_DISTANCE

        def distance(key: tuple[float, ...]) -> float:
            return float(
                abs(key[2] - helium) * per_helium
                + abs(np.log10(key[0] / teff)) * per_teff
                + abs(key[1] - logg) * per_logg
            )

        if not known:
            raise ModelError("the reference models have no hot subdwarf (kind sd).")
        best = min(known, key=distance)
        its_helium = min(self.plan.sd_helium, key=lambda value: abs(value - best[2]))
        own = self.synthetic(subdwarf_node(teff, logg, helium))
        return known[best] + own - self.synthetic(subdwarf_node(best[0], best[1], its_helium))

    def white_dwarfs(self, kind: str) -> tuple[FloatArray, FloatArray]:
        """Lines and continua of ``wd`` or ``db``, which the reference models have in full.

        Raises
        ------
        ModelError
            When one is missing.
        """
        axes = (self.plan.wd_teff, self.plan.wd_logg) if kind == "wd" else (self.plan.db_teff,)
        known = self.source[kind]
        missing = [at for at in product(*axes) if at not in known]
        if missing:
            raise ModelError(f"the reference models lack {kind} at {missing}.")
        models = [known[at] for at in product(*axes)]
        shape = (*map(len, axes), -1)
        lines = np.array([model.lines for model in models])
        continuum = np.array([model.continuum for model in models])
        return lines.reshape(shape), continuum.reshape(shape)

    def pattern(self, pattern: str) -> FloatArray:
        """(teff, logg, pixel) change of ln flux by an abundance pattern."""
        from_plan = {
            "am": (self.plan.am_teff, self.plan.am_logg),
            "ap": (self.plan.ap_teff, self.plan.ap_logg),
            "hb": (self.plan.hb_teff, self.plan.hb_logg),
        }
        axes = from_plan[pattern]
        changes = [self._pattern_change(pattern, *at) for at in product(*axes)]
        return np.array(changes).reshape(*map(len, axes), -1)

    def _pattern_change(self, pattern: str, teff: float, logg: float) -> FloatArray:
        if pattern == "hb":
            with_it = helium_node(teff, logg, SOLAR_HELIUM, pattern)
            without = helium_node(teff, logg, SOLAR_HELIUM)
        else:
            with_it = peculiar_node(teff, logg, pattern)
            without = star_node(teff, logg, PATTERN_FEH)
        return self.synthetic(with_it).lines - self.synthetic(without).lines


def _measure(feh: float) -> float:
    return float(10 ** (_FEH_POWER * feh))
