"""Star templates from the model grid: white dwarfs, hot subdwarfs, BHB, A and B stars."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from msfa_core.simulate.atmospheres import SOLAR_HELIUM, model_flux
from msfa_core.typing import FloatArray
from msfa_core.workshop.calcium_loci import horizontal_branch_gravity
from msfa_core.workshop.lamost_types import lamost_code, type_name
from msfa_core.workshop.templates_stelib import SEQUENCE_CODE, SEQUENCE_TEFF


class Model(NamedTuple):
    """One model of the grid that serves as a template."""

    subclass: str
    kind: str
    teff: float
    logg: float
    feh: float = 0.0
    helium: float = SOLAR_HELIUM

    @property
    def name(self) -> str:
        """Kind and parameters, such as ``ms 8080 K 4.0 -0.5``."""
        last = f"He/H {self.helium:+.1f}" if self.kind == "sd" else f"[Fe/H] {self.feh:+.1f}"
        tail = f" {last}" if self.kind in ("ms", "sd") else ""
        return f"{self.kind} {self.teff:.0f} K log g {self.logg:.1f}{tail}"


# Types of the main-sequence models: temperature follows from the type (SEQUENCE_TEFF).
_DWARF_CODES: Final = (12, 13, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29)
_DWARF_FEH: Final = (0.0, -0.6)
_DWARF_LOGG: Final = 4.1
_GIANT_LOGG: Final = 3.4
_GIANT_CODES: Final = (15, 18, 20, 22, 24, 26)
_BHB_TEFF: Final = (7500.0, 8000.0, 8500.0, 9000.0, 9750.0, 11_000.0, 13_000.0)
_BHB_FEH: Final = (-2.2, -1.4)
# metal-poor blue stragglers, and the halo's turn-off where metals are few enough for the models to
# have their lines: [Fe/H], Teff. Without the latter such stars became subdwarfs and BHB stars.
_POOR: Final = (
    *((feh, teff) for feh in (-1.2, -1.8) for teff in (7700.0, 8200.0)),
    *((feh, teff) for feh in (-1.8, -2.4) for teff in (6600.0, 7000.0, 7400.0)),
)
_RR_LYRAE: Final = ((-1.8, 6500.0, 2.6), (-1.8, 7000.0, 2.8))  # [Fe/H], Teff, log g
_DA_TEFF: Final = (8000.0, 10_000.0, 12_000.0, 15_000.0, 20_000.0, 30_000.0, 50_000.0)
_DA_LOGG: Final = (7.7, 8.3)
_DB_TEFF: Final = (14_500.0, 18_000.0, 24_500.0)
_SDB: Final = ((25_000.0, 5.4, -2.5), (28_000.0, 5.5, -2.5), (32_000.0, 5.7, -2.0))
_SDO: Final = (  # some are rich in helium, some poor and of high gravity
    *((36_000.0, 5.8, -1.5), (40_000.0, 5.8, -1.0), (44_000.0, 5.8, 0.0)),
    *((38_000.0, 5.6, 0.3), (45_000.0, 5.6, 0.3), (45_000.0, 6.2, -1.5)),
)


def _temperatures(codes: tuple[int, ...]) -> list[float]:
    """Effective temperatures of types [K]."""
    return [float(np.interp(code, SEQUENCE_CODE, SEQUENCE_TEFF)) for code in codes]


def _ordinary_type(teff: float, logg: float, feh: float) -> str:
    """Return the type on the LAMOST scale, the MK one where that scale ends."""
    code = lamost_code(teff, logg, feh)
    if np.isnan(code):
        code = float(np.interp(teff, SEQUENCE_TEFF[::-1], SEQUENCE_CODE[::-1]))
    return type_name(code)


def models() -> list[Model]:
    """List the models that serve as templates."""
    dwarfs = [
        (teff, _DWARF_LOGG, feh, "V") for feh in _DWARF_FEH for teff in _temperatures(_DWARF_CODES)
    ]
    giants = [(teff, _GIANT_LOGG, 0.0, "III") for teff in _temperatures(_GIANT_CODES)]
    poor = [(teff, _DWARF_LOGG, feh, "V") for feh, teff in _POOR]
    poor += [(teff, logg, feh, "III") for feh, teff, logg in _RR_LYRAE]
    result = [
        Model(_ordinary_type(teff, logg, feh) + luminosity, "ms", teff, logg, feh)
        for teff, logg, feh, luminosity in (*dwarfs, *giants, *poor)
    ]
    gravity = horizontal_branch_gravity(np.array(_BHB_TEFF))
    result += [
        Model("BHB", "ms", teff, round(float(g), 2), feh)
        for feh in _BHB_FEH
        for teff, g in zip(_BHB_TEFF, gravity, strict=True)
    ]
    result += [Model("DA", "wd", teff, logg) for logg in _DA_LOGG for teff in _DA_TEFF]
    result += [Model("DB", "db", teff, 8.0) for teff in _DB_TEFF]
    result += [Model("sdB", "sd", t, g, helium=he) for t, g, he in _SDB]
    result += [Model("sdO", "sd", t, g, helium=he) for t, g, he in _SDO]
    return result


def model_templates() -> tuple[list[str], list[str], FloatArray]:
    """Compute the templates of the grid.

    Returns
    -------
    name, subclass : (t,) lists of str
    flux : (t, 3909) array
        On ``LAMOST_GRID``, median 1.
    """
    wanted = models()
    flux = model_flux(
        [m.kind for m in wanted],
        [m.teff for m in wanted],
        [m.logg for m in wanted],
        [m.feh for m in wanted],
        [m.helium for m in wanted],
    ).astype(np.float64)
    return (
        [m.name for m in wanted],
        [m.subclass for m in wanted],
        flux / np.median(flux, axis=1, keepdims=True),
    )
