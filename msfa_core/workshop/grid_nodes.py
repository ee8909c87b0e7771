"""Which spectra the grid of model atmospheres is made of, and how each of them is synthesised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import LAMOST_GRID
from msfa_core.simulate.atmospheres import SOLAR_HELIUM
from msfa_core.typing import FloatArray
from msfa_core.workshop.line_opacity import helium_lines
from msfa_core.workshop.opacity import Composition
from msfa_core.workshop.synthesis import LAMOST_SAMPLING, WIDE_SAMPLING, synthesise

GRID_WAVELENGTH: Final = LAMOST_GRID.wavelength
# The reference models begin at 3700 Å sharp, 0.017 pixel redward of LAMOST_GRID.
SOURCE_WAVELENGTH: Final = 10 ** (np.log10(3700.0) + 1e-4 * np.arange(LAMOST_GRID.n_pixels))
WIDE_WAVELENGTH: Final = 10 ** (np.log10(3200.0) + 4e-4 * np.arange(1314))
CONTINUUM_EVERY: Final = 16  # pixels between the stored points of a continuum

# Abundance patterns of peculiar stars: change of single elements [dex]
PATTERNS: Final[Mapping[str, Mapping[str, float]]] = {
    "": {},
    "am": {
        **{"Ca": -0.7, "Cr": 0.3, "Fe": 0.3, "Ti": 0.0, "Sr": 1.0},
        **{"Ba": 1.2, "Mg": -0.1, "C": -0.5, "O": -0.5},
    },
    "ap": {
        **{"Si": 0.8, "Cr": 1.6, "Fe": 0.6, "Sr": 1.3},
        **{"Ti": 0.4, "Ca": -0.4, "Mg": -0.4},
    },
    "hb": {
        **{"Mg": -1.5, "Si": -0.6, "Ca": -1.0, "C": -1.5},
        **{"O": -1.2, "Na": -1, "Al": -1, "Sr": -0.5},
    },
}
PATTERN_FEH: Final = 0.2  # [Fe/H] of peculiar stars, and of changes with helium
SUBDWARF_FEH: Final = -1.0
WIDE_FEH: Final = -1.0  # of the spectra for magnitudes, computed without metal lines
NO_METALS: Final = -9.0
DB_HELIUM: Final = 3.0  # log10 He/H of helium white dwarfs
DB_LOGG: Final = 8.0
LOW_GRAVITY: Final = 2.5  # below it only the stars that exist are synthesised
_LOW_GRAVITY_TEFF: Final = 15_000.0
_LOW_GRAVITY_FEH: Final = -1.0
_ALPHA: Final = (0.3, -0.7)  # [α/Fe] below an [Fe/H]
LATE_HELIUM: Final = 4009.26  # Å in air, a line that the reference models do not have

Axis = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GridPlan:
    """Nodes of the lattices: Teff [K], log g, [Fe/H] or log10 He/H.

    Those of ``he``, ``am`` and ``ap`` must be nodes of ``ms``, and those of ``hb`` of ``he``.
    """

    ms_teff: Axis = (
        *(6000.0, 6500.0, 7000.0, 7500.0, 8000.0, 8500.0, 9000.0, 9500.0),
        *(10_000.0, 11_000.0, 12_000.0, 13_500.0, 15_000.0, 17_500.0, 20_000.0, 25_000.0),
    )
    ms_logg: Axis = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
    ms_feh: Axis = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, -0.1, 0.2, 0.5)
    sd_teff: Axis = (20_000.0, 25_000.0, 30_000.0, 35_000.0, 40_000.0, 45_000.0)
    sd_logg: Axis = (5.0, 5.6, 6.2)
    sd_helium: Axis = (-3.0, -2.0, -1.0, 0.3)
    wd_teff: Axis = (
        *(7000.0, 8000.0, 9000.0, 10_000.0, 11_000.0, 12_000.0, 13_000.0, 14_000.0),
        *(16_000.0, 18_000.0, 20_000.0, 25_000.0, 30_000.0, 40_000.0, 50_000.0, 60_000.0),
    )
    wd_logg: Axis = (7.5, 8.0, 8.7)
    db_teff: Axis = (14_000.0, 18_000.0, 25_000.0)
    he_teff: Axis = (
        *(9500.0, 10_000.0, 11_000.0, 12_000.0, 13_500.0, 15_000.0),
        *(17_500.0, 20_000.0, 25_000.0),
    )
    he_logg: Axis = (2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
    he_helium: Axis = (-3.0, -2.0, SOLAR_HELIUM)
    am_teff: Axis = (7000.0, 7500.0, 8000.0, 8500.0, 9000.0, 9500.0, 10_000.0)
    am_logg: Axis = (3.5, 4.0, 4.5)
    ap_teff: Axis = (
        *(7500.0, 8000.0, 8500.0, 9000.0, 9500.0, 10_000.0),
        *(11_000.0, 12_000.0, 13_500.0, 15_000.0),
    )
    ap_logg: Axis = (3.0, 3.5, 4.0, 4.5)
    hb_teff: Axis = (10_000.0, 11_000.0, 12_000.0, 13_500.0, 15_000.0, 17_500.0, 20_000.0)
    hb_logg: Axis = (3.0, 3.5, 4.0, 4.5, 5.0)


FULL_PLAN: Final = GridPlan()


@dataclass(frozen=True, slots=True)
class Node:
    """One spectrum to synthesise.

    Attributes
    ----------
    teff, logg, feh, helium, alpha : float [K, dex, dex, log10 He/H, dex]
    pattern : str
        Key of ``PATTERNS``.
    late_helium : bool
        Whether He I 4009 Å is computed. It is not where the spectrum meets a reference model,
        which lacks the line.
    wide : bool
        3200–10,700 Å without metal lines, for magnitudes.
    """

    teff: float
    logg: float
    feh: float
    helium: float = SOLAR_HELIUM
    alpha: float = 0.0
    pattern: str = ""
    late_helium: bool = False
    wide: bool = False


def star_node(teff: float, logg: float, feh: float) -> Node:
    """Return the node of a normal star; metal-poor ones are rich in α elements."""
    alpha, below = _ALPHA
    return Node(teff, logg, feh, alpha=alpha if feh < below else 0.0)


def helium_node(teff: float, logg: float, helium: float, pattern: str = "") -> Node:
    """Return the node of a star with its own helium abundance and with all He I lines."""
    return Node(teff, logg, PATTERN_FEH, helium, pattern=pattern, late_helium=True)


def peculiar_node(teff: float, logg: float, pattern: str) -> Node:
    """Return the node of a star with an abundance pattern of ``am`` or ``ap``."""
    return Node(teff, logg, PATTERN_FEH, pattern=pattern)


def subdwarf_node(teff: float, logg: float, helium: float) -> Node:
    """Return the node of a hot subdwarf."""
    return Node(teff, logg, SUBDWARF_FEH, helium)


def wide_node(kind: str, teff: float, logg: float, helium: float = SOLAR_HELIUM) -> Node:
    """Return the node of a spectrum for magnitudes, of any kind of star."""
    if kind == "wd":
        return Node(teff, logg, NO_METALS, -np.inf, wide=True)
    if kind == "db":
        return Node(teff, DB_LOGG, NO_METALS, DB_HELIUM, wide=True)
    if kind == "ms" and logg < LOW_GRAVITY and teff > _LOW_GRAVITY_TEFF:
        logg = LOW_GRAVITY
    return Node(teff, logg, WIDE_FEH, helium, wide=True)


def is_synthesised(teff: float, logg: float, feh: float) -> bool:
    """Tell whether a node of ``ms`` has a spectrum of its own."""
    exists = teff <= _LOW_GRAVITY_TEFF and feh >= _LOW_GRAVITY_FEH
    return logg >= LOW_GRAVITY or exists


def _all_nodes(plan: GridPlan) -> Iterator[Node]:
    for teff, logg in product(plan.ms_teff, plan.ms_logg):
        yield wide_node("ms", teff, logg)
        for feh in plan.ms_feh:
            if is_synthesised(teff, logg, feh):
                yield star_node(teff, logg, feh)
    for teff, logg, helium in product(plan.sd_teff, plan.sd_logg, plan.sd_helium):
        yield wide_node("sd", teff, logg, helium)
        yield subdwarf_node(teff, logg, helium)
    for teff, logg in product(plan.wd_teff, plan.wd_logg):
        yield wide_node("wd", teff, logg)
    for teff in plan.db_teff:
        yield wide_node("db", teff, DB_LOGG)
    for teff, logg, helium in product(plan.he_teff, plan.he_logg, plan.he_helium):
        yield helium_node(teff, logg, helium)
    for pattern, teffs, loggs in (
        ("am", plan.am_teff, plan.am_logg),
        ("ap", plan.ap_teff, plan.ap_logg),
    ):
        for teff, logg in product(teffs, loggs):
            yield peculiar_node(teff, logg, pattern)
    for teff, logg in product(plan.hb_teff, plan.hb_logg):
        yield helium_node(teff, logg, SOLAR_HELIUM, "hb")


def all_nodes(plan: GridPlan = FULL_PLAN) -> list[Node]:
    """Return every spectrum that a grid needs, once each."""
    return list(dict.fromkeys(_all_nodes(plan)))


def node_spectrum(node: Node) -> NDArray[np.float32]:
    """Synthesise a node.

    Returns
    -------
    (2, pixel) float32 array [erg/s/cm²/Å]
        Flux and continuum on ``GRID_WAVELENGTH``, or ``WIDE_WAVELENGTH`` for a wide node.
    """
    composition = Composition(node.helium, node.feh, node.alpha, PATTERNS[node.pattern])
    lines = tuple(
        line for line in helium_lines() if node.late_helium or line.wavelength_air != LATE_HELIUM
    )
    wavelength: FloatArray = WIDE_WAVELENGTH if node.wide else GRID_WAVELENGTH
    spectrum = synthesise(
        node.teff,
        node.logg,
        composition,
        wavelength,
        sampling=WIDE_SAMPLING if node.wide else LAMOST_SAMPLING,
        metals=not node.wide,
        helium=lines,
    )
    return np.array([spectrum.flux, spectrum.continuum], dtype=np.float32)
