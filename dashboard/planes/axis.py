"""Stars as points of a plane: axes, colours, what a box or lasso holds, images of many stars.

One ``hv.Dataset`` holds every selectable dimension of the survey, so that what is brushed in one
plane is known in all. Nothing here is a widget or a figure.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import holoviews as hv
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from dashboard.theme import CLASS_COLOURS, VERDICT_COLOURS, Palette
from msfa_core.stars.sky_map import SKY_FRAMES, on_map
from msfa_core.typing import BoolArray, FloatArray

Names = tuple[str, str]
Window = tuple[float, float, float, float]  # x from, to, y from, to; ascending

IMAGE_SIZE: Final = (430, 300)  # pixels of an image until the browser tells its own
IMAGE_MIN_ALPHA: Final = 90  # of 255: a single star in an image stays visible
SPREAD: Final = 0.6  # images sparser than this share get larger dots …
SPREAD_MAX: Final = 2  # … of at most so many pixels on either side
TAILS: Final = (0.2, 99.8)  # percentiles that the frame keeps in view
PADDING: Final = 0.06  # of the range, on either side
NO_INK: Final = "#000000"  # of a group that has no colour: it has no stars
LASSO_VERTICES: Final = 200  # a longer lasso is thinned
DIMENSIONS: Final = (
    "d02_hdelta", "fm_hdelta", "d02_hgamma", "fm_hgamma", "width_hgamma", "shape_hgamma",
    "hdelta_d02", "hgamma_d02", "kp", "bp_rp", "abs_mag_g", "bp_rp0", "abs_mag_g0", "teff",
    "logg", "feh",
)  # fmt: skip
SKY_COLUMNS: Final = {frame: (f"x_{frame}", f"y_{frame}") for frame in SKY_FRAMES}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a plane.

    Attributes
    ----------
    column : str
        Column of the catalogue.
    label : str
        As printed, with its unit in brackets.
    limits : (float, float)
        What physics allows: the frame never opens wider by itself.
    always : (float, float)
        What the frame always shows, whatever the stars do.
    error : str
        Column of the errors; empty when there is none.
    flipped : bool
        Large values at the left or bottom, as astronomers draw Teff, log g and magnitudes.
    digits : int
        Decimals in words.
    """

    column: str
    label: str
    limits: tuple[float, float]
    always: tuple[float, float]
    error: str = ""
    flipped: bool = False
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Groups:
    """How the stars are coloured: a word for each star, a colour for each word.

    Attributes
    ----------
    word : (n,) categorical
        Its categories are the keys of ``colour``, in the order of the legend.
    colour : mapping of word to #rrggbb
    """

    word: pd.Categorical
    colour: Mapping[str, str]

    @classmethod
    def of(cls, words: pd.Series, colour: Mapping[str, str], missing: str) -> Groups:
        """Group stars by a column; a word without a colour counts as ``missing``."""
        codes = pd.Index(list(colour)).get_indexer(words.astype(object))
        codes[codes < 0] = list(colour).index(missing)
        return cls(pd.Categorical.from_codes(codes, categories=list(colour)), colour)


def class_groups(table: pd.DataFrame, colours: Palette) -> Groups:
    """Colour the stars by the class the network gives them."""
    return Groups.of(
        table["predicted_class"], CLASS_COLOURS | {"no class": colours.cloud}, "no class"
    )


def verdict_groups(table: pd.DataFrame, colours: Palette) -> Groups:
    """Colour the stars by the verdict of record."""
    return Groups.of(table["verdict"], VERDICT_COLOURS | {"undecided": colours.cloud}, "undecided")


def blind_groups(table: pd.DataFrame, colours: Palette) -> Groups:
    """Colour nothing: neither the machine nor other reviewers speak."""
    codes = np.zeros(len(table), dtype=np.int8)
    return Groups(pd.Categorical.from_codes(codes, categories=["stars"]), {"stars": colours.smooth})


GROUPINGS: Final = {"class": class_groups, "verdict": verdict_groups}

_DATASETS: weakref.WeakKeyDictionary[Any, hv.Dataset] = weakref.WeakKeyDictionary()


def survey_dataset(table: pd.DataFrame) -> hv.Dataset:
    """Return the one dataset that planes draw from and select in.

    Parameters
    ----------
    table : n rows
        Columns of the contract; a dimension it lacks is missing everywhere.
    """
    frame = pd.DataFrame({"obsid": table["obsid"].to_numpy(dtype=np.int64)})
    for name in DIMENSIONS:
        is_known = name in table and is_numeric_dtype(table[name])  # a user's own may be text
        frame[name] = (
            table[name].to_numpy(dtype=np.float64, na_value=np.nan) if is_known else np.nan
        )
    frame = frame.assign(**sky_places(table))
    return hv.Dataset(frame, kdims=list(frame.columns), vdims=[])


def sky_places(rows: pd.DataFrame) -> dict[str, FloatArray]:
    """Return the places of n rows on the sky maps, by the names of `SKY_COLUMNS`."""
    nowhere = pd.Series(np.nan, index=rows.index)
    ra, dec = (
        rows.get(name, nowhere).to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("ra", "dec")
    )
    return {
        name: values
        for frame, names in SKY_COLUMNS.items()
        for name, values in zip(names, on_map(ra, dec, frame), strict=True)
    }


def dataset_of(state: Any) -> hv.Dataset:
    """Return the dataset of a state's survey: made once, shared by all its sessions."""
    if state.data not in _DATASETS:
        _DATASETS[state.data] = survey_dataset(state.data.candidates)
    return _DATASETS[state.data]


def frame_limits(values: FloatArray, axis: Axis) -> tuple[float, float]:
    """Return the limits of an axis: robust percentiles, physical range, what is always shown."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, TAILS) if finite.size else axis.always
    low, high = min(low, axis.always[0]), max(high, axis.always[1])
    pad = PADDING * (high - low)
    low, high = max(low - pad, axis.limits[0]), min(high + pad, axis.limits[1])
    return (float(high), float(low)) if axis.flipped else (float(low), float(high))


def inside_polygon(x: FloatArray, y: FloatArray, px: FloatArray, py: FloatArray) -> BoolArray:
    """Tell which points lie inside a closed polygon (crossing number).

    Parameters
    ----------
    x, y : (n,) arrays
    px, py : (vertex,) arrays

    Returns
    -------
    (n,) bool array
        False where a coordinate is missing.
    """
    if px.size > LASSO_VERTICES:
        keep = np.linspace(0, px.size - 1, LASSO_VERTICES).astype(int)
        px, py = px[keep], py[keep]
    inside = np.zeros(x.size, dtype=bool)
    near = np.flatnonzero((x >= px.min()) & (x <= px.max()) & (y >= py.min()) & (y <= py.max()))
    across, up = x[near], y[near]
    odd = np.zeros(near.size, dtype=bool)
    for x0, y0, x1, y1 in zip(px, py, np.roll(px, -1), np.roll(py, -1), strict=True):
        if y0 != y1:
            odd ^= ((y0 > up) != (y1 > up)) & (across < (x1 - x0) * (up - y0) / (y1 - y0) + x0)
    inside[near] = odd
    return inside


def inside_geometry(geometry: Mapping[str, Any], x: FloatArray, y: FloatArray) -> BoolArray:
    """Tell which points lie in what the box or lasso tool drew."""
    if geometry["type"] == "rect":
        x0, x1 = sorted((float(geometry["x0"]), float(geometry["x1"])))
        y0, y1 = sorted((float(geometry["y0"]), float(geometry["y1"])))
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    px, py = (np.asarray(geometry[name], dtype=float) for name in ("x", "y"))
    return inside_polygon(x, y, px, py)


def count_image(
    frame: pd.DataFrame,
    colour: Mapping[str, str],
    names: Names,
    window: Window,
    size: tuple[int, int],
) -> NDArray[np.uint32]:
    """Count stars in pixels and colour the pixels by the groups of their stars.

    Parameters
    ----------
    frame : DataFrame
        Both axes, and ``group`` as a categorical value.
    colour : mapping of group to #rrggbb
    names : (str, str)
        Columns of the axes.
    window : (x from, x to, y from, y to)
    size : (width, height)

    Returns
    -------
    (height, width) uint32 array
        RGBA, rows running upwards.
    """
    counts = spread_where_sparse(counts_in_pixels(frame, names, window, size))
    total = counts.sum(axis=2)
    image = np.zeros(total.shape, dtype=np.uint32)
    there = total > 0
    stars, level, pixels = np.unique(total[there], return_inverse=True, return_counts=True)
    share = np.cumsum(pixels) / max(int(there.sum()), 1)  # of the pixels with no more stars
    alpha = (IMAGE_MIN_ALPHA + (255 - IMAGE_MIN_ALPHA) * share)[level]
    words = frame["group"].cat.categories
    ink = np.array([list(bytes.fromhex(colour.get(word, NO_INK)[1:])) for word in words])
    mixed = counts[there] @ ink / stars[level][:, None]
    image[there] = np.column_stack([mixed, alpha]).round().astype(np.uint8).view("<u4")[:, 0]
    return image


def counts_in_pixels(
    frame: pd.DataFrame, names: Names, window: Window, size: tuple[int, int]
) -> NDArray[np.uint32]:
    """(height, width, group) numbers of stars; whatever their number.

    Parameters
    ----------
    frame, names, window, size
        As for `count_image`.
    """
    x, y = (frame[name].to_numpy() for name in names)
    x0, x1, y0, y1 = window
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    (width, height), n_groups = size, len(frame["group"].cat.categories)
    column = np.minimum((x[inside] - x0) * (width / (x1 - x0)), width - 1).astype(np.intp)
    row = np.minimum((y[inside] - y0) * (height / (y1 - y0)), height - 1).astype(np.intp)
    cell = (row * width + column) * n_groups + frame["group"].cat.codes.to_numpy()[inside]
    counts = np.bincount(cell, minlength=height * width * n_groups)
    return counts.reshape(height, width, n_groups).astype(np.uint32)


def spread_where_sparse(counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Count a star in the pixels around its own, too, where few have another beside them.

    Parameters
    ----------
    counts : (height, width, group) array

    Returns
    -------
    (height, width, group) array
        Each star is a disc of up to `SPREAD_MAX` pixels around its own.
    """
    filled = np.asarray(counts.any(axis=2), dtype=bool)
    n_filled, radius = max(int(filled.sum()), 1), 0
    while radius < SPREAD_MAX and _beside(filled, 2 * radius + 2).sum() <= SPREAD * n_filled:
        radius += 1
    around = np.arange(-radius, radius + 1)
    height, width = filled.shape
    wide = np.pad(counts, ((radius, radius), (radius, radius), (0, 0)))
    discs = np.zeros_like(counts)
    for up in around:
        for right in around[around**2 + up**2 <= radius**2]:
            across = slice(radius + right, radius + right + width)
            discs += wide[radius + up : radius + up + height, across]
    return discs


def _beside(filled: BoolArray, reach: int) -> BoolArray:
    """Tell of each filled pixel whether another lies within ``reach`` pixels up, down, aside."""
    side = 2 * reach + 1
    summed = np.pad(np.pad(filled, reach).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    n = summed[side:, side:] - summed[:-side, side:] - summed[side:, :-side]
    return filled & (n + summed[:-side, :-side] > 1)
