"""Build the template set that the project ships: `msfa templates build OUT [--stelib DIR]`.

Stars O to M of the STELIB library, models of white dwarfs, hot subdwarfs, BHB, A and B stars,
galaxies and QSOs composed of the former. Without the library at hand, the star templates of the
shipped set are taken over and everything else is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from msfa_core.constants import LAMOST_GRID, LogGrid
from msfa_core.templates.continuum import characteristic_vectors, simulated_ratios
from msfa_core.templates.kinds import kind_table, welcome_kinds
from msfa_core.templates.library import ALONE, TemplateSet
from msfa_core.templates.read_templates import read_templates
from msfa_core.typing import FloatArray
from msfa_core.workshop.templates_galaxies import GALAXY_GRID, galaxy_templates
from msfa_core.workshop.templates_models import model_templates
from msfa_core.workshop.templates_qsos import (
    DISTANT_GRID,
    QSO_GRID,
    distant_templates,
    qso_templates,
)
from msfa_core.workshop.templates_rare import rare_templates
from msfa_core.workshop.templates_stelib import STELIB_GRID, stelib_templates

logger = logging.getLogger(__name__)

PROVENANCE: Final = (
    "Stars: STELIB v3.2 (Le Borgne et al. 2003, A&A 402, 433), to vacuum, to R = 1800, telluric "
    "bands divided out, at rest, with late dwarfs between them by interpolating ln flux; subtypes "
    "on the scale of the LAMOST pipeline, MK types in the names. Hot stars: this project's grid of "
    "model atmospheres. Galaxies: mixtures of these stars, lines after Osterbrock & Ferland "
    "(2006). QSOs: power law and lines after Vanden Berk et al. (2001). Rare stars: bands "
    "(Pearse & Gaydon 1976) and lines on these stars, of strengths set by hand."
)
STELIB_PREFIX: Final = "STELIB "


class Between(NamedTuple):
    """A template between (or beyond) two stars or groups of stars, linear in ln flux."""

    subclass: str
    one: tuple[str, ...]
    other: tuple[str, ...]
    share: float


# Late dwarfs that the library lacks
_K1V: Final = ("HD037394", "HD149661")
_K7V: Final = ("HD157881",)
_M2V: Final = ("HD095735",)
BETWEEN: Final = (
    Between("K1V", _K1V, _K7V, 0.15),
    Between("K3V", _K1V, _K7V, 0.32),
    Between("K4V", _K1V, _K7V, 0.47),
    Between("K5V", _K1V, _K7V, 0.64),
    Between("K6V", _K1V, _K7V, 0.82),
    Between("M0V", _K7V, _M2V, 0.4),
    Between("M1V", _K7V, _M2V, 0.7),
    Between("M3V", _K7V, _M2V, 1.35),
    Between("M4V", _K7V, _M2V, 1.7),
)


def build_templates(
    stelib: Path | None = None, say: Callable[[str], None] = logger.info
) -> TemplateSet:
    """Make the whole set.

    Parameters
    ----------
    stelib : Path, optional
        Folder of the STELIB spectra; the star templates of the shipped set when not given.
    say : callable
        Receives a line on what is done.

    Raises
    ------
    ReadError
        When the library cannot be read.
    ModelError
        When no library is given and no set is shipped.
    """
    name, subclass, flux = _library_stars(stelib, say)
    types = [one.split(maxsplit=1)[1] for one in name]
    between = _late_dwarfs(name, flux)
    dwarfs = dict(zip(between[1], between[2], strict=True))
    dwarfs["M2V"] = flux[[one.split()[0] for one in name].index(*_M2V)]
    parts: list[tuple[str, list[str], list[str], FloatArray, LogGrid]] = [
        ("STAR", [STELIB_PREFIX + n for n in name], subclass, flux, STELIB_GRID),
        ("STAR", *between, STELIB_GRID),
        ("STAR", *model_templates(), LAMOST_GRID),
        ("STAR", *rare_templates(flux, types, dwarfs), LAMOST_GRID),
        ("GALAXY", *galaxy_templates(flux, types), GALAXY_GRID),
        ("QSO", *qso_templates(flux, types), QSO_GRID),
        ("QSO", *distant_templates(), DISTANT_GRID),
    ]
    first = min(grid.first for *_, grid in parts)
    last = max(grid.first + grid.n_pixels for *_, grid in parts)
    rows = []
    for *_, part, grid in parts:
        whole = np.full((len(part), last - first), np.nan)
        whole[:, grid.first - first : grid.first - first + grid.n_pixels] = part
        rows.append(whole / np.nanmedian(whole, axis=1, keepdims=True))
    made = TemplateSet(
        name=np.array([n for _, names, *_ in parts for n in names]),
        cls=np.array([cls for cls, names, *_ in parts for _ in names]),
        subclass=np.array([s for _, _, subclasses, *_ in parts for s in subclasses]),
        flux=np.concatenate(rows).astype(np.float32),
        wavelength=LogGrid(first, last - first).wavelength,
        continuum=characteristic_vectors(simulated_ratios()),
        basis=np.full(sum(len(names) for _, names, *_ in parts), ALONE, dtype=np.int64),
        provenance=PROVENANCE,
    )
    counts = {cls: int(np.sum(made.cls == cls)) for cls in ("STAR", "GALAXY", "QSO")}
    say(f"{len(made)} templates: {counts}")
    return made


def _library_stars(
    stelib: Path | None, say: Callable[[str], None]
) -> tuple[list[str], list[str], FloatArray]:
    if stelib is not None:
        found = stelib_templates(stelib)
        for name, why in found.dropped.items():
            logger.info("left out %s: %s", name, why)
        say(f"{len(found.name)} stars of STELIB serve, {len(found.dropped)} are left out")
        return found.name, found.subclass, found.flux
    shipped = TemplateSet.load()
    rows = np.char.startswith(shipped.name, STELIB_PREFIX)
    first = STELIB_GRID.first - shipped.first_pixel
    flux = shipped.flux[rows, first : first + STELIB_GRID.n_pixels].astype(np.float64)
    names = [name.removeprefix(STELIB_PREFIX) for name in shipped.name[rows].tolist()]
    return names, shipped.subclass[rows].tolist(), flux


def _late_dwarfs(name: list[str], flux: FloatArray) -> tuple[list[str], list[str], FloatArray]:
    """Interpolate (and extrapolate) ln flux between late dwarfs of the library."""
    place = {one.split()[0]: k for k, one in enumerate(name)}
    ln_flux = np.log(np.maximum(flux, 1e-3))

    def mean(stars: tuple[str, ...]) -> FloatArray:
        result: FloatArray = np.mean([ln_flux[place[star]] for star in stars], axis=0)
        return result

    made = [mean(b.one) + b.share * (mean(b.other) - mean(b.one)) for b in BETWEEN]
    names = [f"{b.one[0]}–{b.other[0]} at {b.share:g}" for b in BETWEEN]
    return names, [b.subclass for b in BETWEEN], np.exp(made)


def kind_lines(which: str = "") -> list[str]:
    """Return what a template set holds of each kind, and what it lacks, in lines.

    Parameters
    ----------
    which : str
        As in the setting ``templates``; the shipped set when empty.
    """
    found = read_templates(which)
    table = kind_table(found)
    lines = [f"{len(found):,} templates"]
    for kind, row in table[table["n"] > 0].iterrows():
        reach = f"{row['from']:,.0f}–{row['to']:,.0f} Å"
        words = f"{row['sources']}: {row['subclasses']}"
        lines.append(f"{row['n']:5d}  {kind:28s} {reach:16s} {words}")
    missing = table.index[table["n"] == 0].tolist()
    if missing:
        lines.append(f"missing: {', '.join(missing)}")
    welcome = [kind for kind in welcome_kinds(found) if kind not in missing]
    if welcome:
        lines.append(f"composed, of no observed spectrum: {', '.join(welcome)}")
    if missing or welcome:
        lines.append('add your own of these kinds with the setting templates = "+FOLDER"')
    return lines
