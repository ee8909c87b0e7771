"""Spectra of model atmospheres: the shipped grid, interpolated at any star's parameters.

The grid ``data/reference/model_grid.npz`` holds ln(flux/continuum) and ln(continuum) on complete
lattices, one a kind of star; ``data/README.md`` says whence it comes. Between nodes ln flux is
linear in log Teff, log g, log He/H and in 10**(0.4 [Fe/H]), a measure in which both weak
(∝ abundance) and saturated metal lines run nearly straight.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from msfa_core.constants import BALMER_LINES, HEPSILON, LAMOST_GRID
from msfa_core.errors import ConfigError, ModelError
from msfa_core.shipped import shipped
from msfa_core.typing import FloatArray

GRID_FILE: Final = shipped("reference", "model_grid.npz")
GRID_RESOLUTION: Final = 1800.0  # of the shipped spectra (Gaussian, FWHM)
SOLAR_HELIUM: Final = -1.0706  # log10 He/H by number of the "ms" models
KINDS: Final = ("ms", "sd", "wd", "db")
PECULIARITIES: Final = ("am", "ap", "hb")
BANDS: Final = ("g", "bp", "rp")
_AXES: Final = {
    "ms": ("teff", "logg", "feh"),
    "sd": ("teff", "logg", "helium"),
    "wd": ("teff", "logg"),
    "db": ("teff",),
    "he": ("teff", "logg", "helium"),  # change of ln flux with the helium abundance of "ms" stars
    "nlte": ("teff", "logg", "helium"),  # change of He I lines of "ms" stars by departures from LTE
    "am": ("teff", "logg"),  # change of ln flux of a full metallic-line pattern
    "ap": ("teff", "logg"),  # change of ln flux of a full silicon–chromium–strontium pattern
    "hb": ("teff", "logg"),  # change of ln flux when only iron-group elements are levitated
}
_FEH_POWER: Final = 0.4
# Balmer cores form high up, where hydrogen departs from LTE: how much ln flux of an LTE core is
# too high at R = 1800, for stars cooler and hotter than the two temperatures. Typical values from
# comparing the LTE models with library spectra of A and B stars.
_CORES: Final = {  # vacuum wavelength [Å]: (cool, hot)
    3890.15: (0.04, 0.01),
    float(HEPSILON): (0.045, 0.01),
    float(BALMER_LINES["hdelta"]): (0.05, 0.015),
    float(BALMER_LINES["hgamma"]): (0.065, 0.025),
    float(BALMER_LINES["hbeta"]): (0.095, 0.045),
    float(BALMER_LINES["halpha"]): (0.16, 0.08),
}
_CORE_TEFF: Final = (11_500.0, 13_500.0)  # K
_CORE_WIDTH: Final = 1.8  # pixels, σ
_WHITE_DWARF_CORE: Final = 1.5  # times the cool values, at 9,000–14,000 K
_WHITE_DWARF_TEFF: Final = (7000.0, 9000.0, 14_000.0, 16_000.0)  # K; where it sets in and ends
_PAD: Final = 1e-9  # relative slack at the edges of the lattice


def _coordinate(axis: str, value: FloatArray) -> FloatArray:
    """Return the measure in which ln flux is interpolated linearly."""
    if axis == "teff":
        return np.log10(value)
    if axis == "feh":
        return np.power(10.0, _FEH_POWER * value)
    return value


@dataclass(frozen=True, slots=True)
class Lattice:
    """A complete lattice of models and its tables, one row a node.

    Attributes
    ----------
    axes : dict of str to (k,) float array
        Node positions, in the order of the flattened rows.
    tables : dict of str to (node, m) float32 array
        ``lines`` ln(flux/continuum); ``continuum`` ln(continuum); ``surface`` magnitudes.
    """

    axes: Mapping[str, FloatArray]
    tables: Mapping[str, NDArray[np.float32]]

    def covers(self, points: Mapping[str, FloatArray]) -> NDArray[np.bool_]:
        """(n,) True where a point lies inside the lattice."""
        inside = np.ones(len(next(iter(points.values()))), dtype=bool)
        for name, nodes in self.axes.items():
            slack = _PAD * np.abs(nodes).max()
            inside &= (points[name] >= nodes[0] - slack) & (points[name] <= nodes[-1] + slack)
        return inside

    def weights(self, points: Mapping[str, FloatArray]) -> csr_array:
        """Multilinear weights of the nodes; points outside are moved to the edge.

        Returns
        -------
        (n, node) sparse float32 array
            Each row sums to 1.
        """
        n = len(next(iter(points.values())))
        index = np.zeros((n, 1), dtype=np.int64)
        weight = np.ones((n, 1))
        for name, nodes in self.axes.items():
            position = _coordinate(name, np.clip(points[name], nodes[0], nodes[-1]))
            knots = _coordinate(name, nodes)
            low = np.clip(np.searchsorted(knots, position, side="right") - 1, 0, len(knots) - 2)
            high = (position - knots[low]) / (knots[low + 1] - knots[low])
            index = (index * len(nodes))[:, :, None] + np.stack([low, low + 1], axis=1)[:, None, :]
            weight = weight[:, :, None] * np.stack([1 - high, high], axis=1)[:, None, :]
            index = index.reshape(n, 2 * index.shape[1])
            weight = weight.reshape(n, 2 * weight.shape[1])
        n_nodes = int(np.prod([len(nodes) for nodes in self.axes.values()]))
        rows = np.arange(0, weight.size + 1, weight.shape[1])
        return csr_array(
            (weight.astype(np.float32).ravel(), index.ravel(), rows), shape=(n, n_nodes)
        )


def _decode(coded: NDArray[np.int16], step: float) -> NDArray[np.float32]:
    """Undo the coding of the file: differences along the last two axes, in units of ``step``."""
    whole = coded
    if whole.ndim > 2:  # noqa: PLR2004 - node axes and wavelength
        whole = np.cumsum(whole, axis=-2, dtype=np.int16)
    whole = np.cumsum(whole, axis=-1, dtype=np.int16)
    return whole.reshape(-1, whole.shape[-1]).astype(np.float32) * np.float32(step)


def grid_checksum(path: Path = GRID_FILE) -> str:
    """Return the SHA-256 of the grid file, for provenance."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=2)
def load_grid(path: Path = GRID_FILE) -> Mapping[str, Lattice]:
    """Read the grid (once a process).

    Raises
    ------
    ModelError
        When the file is missing or holds other tables than expected.
    """
    if not path.is_file():
        raise ModelError(f"{path}: the grid of model atmospheres is missing; restore the file.")
    lattices = {}
    with np.load(path, allow_pickle=False) as file:
        for kind, names in _AXES.items():
            try:
                axes = {name: file[f"{kind}_{name}"].astype(np.float64) for name in names}
                tables = {"lines": _decode(file[f"{kind}_lines"], float(file["step"]))}
                for table in ("continuum", "surface"):
                    if f"{kind}_{table}" in file:
                        values = file[f"{kind}_{table}"].astype(np.float32)
                        tables[table] = values.reshape(-1, values.shape[-1])
            except KeyError as error:
                raise ModelError(f"{path}: not a grid of model atmospheres: {error}.") from error
            lattices[kind] = Lattice(axes, tables)
    return lattices


@dataclass(frozen=True, slots=True)
class ModelSpectra:
    """Interpolated models, on ``LAMOST_GRID``, at rest and without rotation.

    Attributes
    ----------
    lines : (n, pixel) float32 array
        Flux over continuum.
    continuum : (n, pixel) float32 array
        Surface flux of the continuum [erg/s/cm²/Å].
    """

    lines: NDArray[np.float32]
    continuum: NDArray[np.float32]

    @property
    def flux(self) -> NDArray[np.float32]:
        """(n, pixel) surface flux [erg/s/cm²/Å]."""
        return self.lines * self.continuum


def _points(n: int, **values: ArrayLike) -> dict[str, FloatArray]:
    return {
        name: np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))
        for name, value in values.items()
    }


@functools.cache
def _continuum_stretch() -> csr_array:
    """Linear interpolation from every 16th pixel to all of them, as a sparse matrix."""
    m, every = LAMOST_GRID.n_pixels, 16
    knots = (m - 1) // every + 1
    low = np.minimum(np.arange(m) // every, knots - 2)
    high = (np.arange(m) - low * every) / every
    data = np.stack([1 - high, high], axis=1).astype(np.float32).ravel()
    index = np.stack([low, low + 1], axis=1).ravel()
    return csr_array((data, index, np.arange(0, 2 * m + 1, 2)), shape=(m, knots))


def model_spectra(
    kind: ArrayLike,
    teff: ArrayLike,
    logg: ArrayLike,
    feh: ArrayLike = 0.0,
    helium: ArrayLike = SOLAR_HELIUM,
    *,
    peculiarity: ArrayLike = "",
    strength: ArrayLike = 0.0,
    core_departure: ArrayLike = 1.0,
    helium_departure: ArrayLike = 1.0,
) -> ModelSpectra:
    """Interpolate the grid.

    Parameters
    ----------
    kind : (n,) str
        ``ms`` (main sequence, giants, horizontal branch), ``sd`` (hot subdwarfs), ``wd``
        (hydrogen white dwarfs) or ``db`` (helium white dwarfs).
    teff, logg, feh, helium : (n,) float or one for all [K, dex, dex, log10 He/H]
        ``feh`` counts for ``ms``; ``helium`` for ``sd``, and for ``ms`` above 10,000 K.
    peculiarity : (n,) str
        ``am`` (calcium weak; iron, strontium strong), ``ap`` (silicon, chromium, strontium
        strong), ``hb`` (magnesium and silicon weak beside iron), or empty; for ``ms``.
    strength : (n,) float
        Share of the full abundance pattern, 0–1.
    core_departure, helium_departure : (n,) float
        Departures from LTE of the Balmer cores and of the He I lines of ``ms`` stars: 0 the LTE
        models as computed, 1 what stars show on average.

    Returns
    -------
    ModelSpectra
        Rows of NaN for stars outside the grid.

    Raises
    ------
    ConfigError
        For an unknown kind or peculiarity.
    """
    kinds = np.atleast_1d(np.asarray(kind, dtype=str))
    n = int(np.broadcast(kinds, *map(np.atleast_1d, (teff, logg, feh, helium))).size)
    kinds = np.broadcast_to(kinds, (n,))
    pattern = np.broadcast_to(np.asarray(peculiarity, dtype=str), (n,))
    unknown = (set(kinds) - set(KINDS)) | (set(pattern) - {"", *PECULIARITIES})
    if unknown:
        raise ConfigError(
            f"unknown kind or peculiarity {sorted(unknown)}; known are {KINDS} and {PECULIARITIES}."
        )
    points = _points(
        n,
        **{"teff": teff, "logg": logg, "feh": feh, "helium": helium, "strength": strength},
        **{"core": core_departure, "departure": helium_departure},
    )
    grid = load_grid()
    lines = np.full((n, LAMOST_GRID.n_pixels), np.nan, dtype=np.float32)
    continuum = np.full_like(lines, np.nan)
    for name in KINDS:
        rows = np.flatnonzero(kinds == name)
        if not len(rows):
            continue
        own = {key: value[rows] for key, value in points.items()}
        inside = grid[name].covers(own)
        rows, own = rows[inside], {key: value[inside] for key, value in own.items()}
        weights = grid[name].weights(own)
        lines[rows] = weights @ grid[name].tables["lines"]
        continuum[rows] = (weights @ grid[name].tables["continuum"]) @ _continuum_stretch().T
        if name in ("ms", "wd"):
            lines[rows] -= _core_change(name, own)
        if name == "ms":
            depleted = np.abs(own["helium"] - SOLAR_HELIUM) > _PAD
            _add_change("he", rows, own, depleted.astype(np.float64), lines)
            _add_change("nlte", rows, own, own["departure"], lines)
            for change in PECULIARITIES:
                full = np.where(pattern[rows] == change, own["strength"], 0.0)
                _add_change(change, rows, own, full, lines)
    return ModelSpectra(np.exp(lines, out=lines), np.exp(continuum, out=continuum))


def _core_change(kind: str, points: Mapping[str, FloatArray]) -> NDArray[np.float32]:
    """(n, pixel) what departures from LTE take from ln flux in the Balmer cores."""
    teff = points["teff"]
    if kind == "wd":
        cool = _WHITE_DWARF_CORE * np.interp(teff, _WHITE_DWARF_TEFF, [0.0, 1.0, 1.0, 0.0])
        hot = np.zeros_like(cool)
    else:
        hot = np.interp(teff, _CORE_TEFF, [0.0, 1.0])
        cool = 1 - hot
    amounts = np.array(list(_CORES.values()))
    depth = points["core"][:, None] * (cool[:, None] * amounts[:, 0] + hot[:, None] * amounts[:, 1])
    # not by BLAS, whose last bit depends on its threads
    change: NDArray[np.float32] = np.einsum("nk,kp->np", depth.astype(np.float32), _core_profiles())
    return change


@functools.cache
def _core_profiles() -> NDArray[np.float32]:
    """(line, pixel) Gaussians at the Balmer lines."""
    centre = np.log10(np.array(list(_CORES))) / LAMOST_GRID.step - LAMOST_GRID.first
    offset = (np.arange(LAMOST_GRID.n_pixels) - centre[:, None]) / _CORE_WIDTH
    return np.exp(-0.5 * offset**2).astype(np.float32)


def _add_change(
    name: str,
    rows: NDArray[np.int64],
    points: Mapping[str, FloatArray],
    scale: FloatArray,
    lines: NDArray[np.float32],
) -> None:
    """Add ``scale`` times a change of ln flux to rows (cooler than its lattice: none)."""
    lattice = load_grid()[name]
    wanted = (scale != 0) & (points["teff"] >= lattice.axes["teff"][0])
    if not np.any(wanted):
        return
    part = {key: value[wanted] for key, value in points.items()}
    weights = lattice.weights(part).multiply(scale[wanted, None].astype(np.float32)).tocsr()
    lines[rows[wanted]] += weights @ lattice.tables["lines"]


def model_flux(
    kind: ArrayLike,
    teff: ArrayLike,
    logg: ArrayLike,
    feh: ArrayLike = 0.0,
    helium: ArrayLike = SOLAR_HELIUM,
) -> NDArray[np.float32]:
    """Return the surface flux of stars, on ``LAMOST_GRID``, at rest (see ``model_spectra``).

    Returns
    -------
    (n, pixel) float32 array [erg/s/cm²/Å]
    """
    return model_spectra(kind, teff, logg, feh, helium).flux


def surface_magnitudes(
    kind: ArrayLike, teff: ArrayLike, logg: ArrayLike, helium: ArrayLike = SOLAR_HELIUM
) -> FloatArray:
    """Return the magnitudes of one solar radius of surface at 10 pc: G, BP, RP.

    Parameters
    ----------
    kind, teff, logg, helium
        As in ``model_spectra``.

    Returns
    -------
    (n, 3) array [mag, Vega system]
        In approximate passbands (see ``passbands``); NaN outside the grid.
    """
    kinds = np.atleast_1d(np.asarray(kind, dtype=str))
    n = int(np.broadcast(kinds, *map(np.atleast_1d, (teff, logg, helium))).size)
    kinds = np.broadcast_to(kinds, (n,))
    points = _points(n, teff=teff, logg=logg, feh=0.0, helium=helium)
    magnitudes = np.full((n, len(BANDS)), np.nan)
    for name in KINDS:
        rows = np.flatnonzero(kinds == name)
        if not len(rows):
            continue
        lattice = load_grid()[name]
        own = {key: value[rows] for key, value in points.items()}
        axes = {key: nodes for key, nodes in lattice.axes.items() if key != "feh"}
        plane = Lattice(axes, {})
        inside = plane.covers(own)
        own = {key: value[inside] for key, value in own.items()}
        magnitudes[rows[inside]] = plane.weights(own) @ lattice.tables["surface"]
    return magnitudes
