"""What the script of the report's page draws: planes, spectra and line windows, packed small."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.constants import LAMOST_GRID, LINE_SYMBOLS
from msfa_core.products.report.gather import Report, StarStory
from msfa_core.survey.figures.panel import Guide, Panel, Points
from msfa_core.survey.figures.star import SHOWN, StarPicture, line_places
from msfa_core.typing import FloatArray

NOTHING: Final = 65_535  # of a packed value: not known
_LEVELS: Final = 65_534
MOST_CLOUD: Final = 8_000  # points of a cloud that the page carries


def packed(values: FloatArray, low: float, high: float) -> str:
    """Return numbers as 16-bit steps between two ends, in base 64; what is not known is 65535.

    Parameters
    ----------
    values : (n,) array
    low, high : float
        What lies outside is set to the nearer end.
    """
    with np.errstate(invalid="ignore"):
        steps = np.round((np.clip(values, low, high) - low) / ((high - low) or 1.0) * _LEVELS)
    whole = np.where(np.isfinite(values), np.nan_to_num(steps), NOTHING).astype("<u2")
    return base64.b64encode(whole.tobytes()).decode()


def page_data(report: Report, columns: Sequence[str]) -> dict[str, Any]:
    """Return what the script draws: planes, their guides and points, and every star.

    Parameters
    ----------
    report : Report
    columns : sequence of str
        By which the catalogue is sorted.
    """
    place = {star.obsid: k for k, star in enumerate(report.stars)}
    return {
        "panels": {
            key: _panel_data(panel, place)
            for key, panel in report.panels.items()
            if not panel.missing
        },
        "lines": line_places(),
        "shown": SHOWN,
        "step": LAMOST_GRID.step,
        "stars": [_star_data(star) for star in report.stars],
        "columns": list(columns),
    }


def _panel_data(panel: Panel, place: dict[int, int]) -> dict[str, Any]:
    return {
        "x": [panel.x_name, *panel.x_range],
        "y": [panel.y_name, *panel.y_range],
        "guides": [_guide_data(guide) for guide in panel.guides],
        "cloud": _points_data(panel, panel.cloud, None),
        "chosen": _points_data(panel, panel.chosen, place),
        "bare": panel.bare,
    }


def _guide_data(guide: Guide) -> dict[str, Any]:
    def plain(values: FloatArray) -> list[float | None]:
        return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values]

    return {
        "kind": guide.kind, "words": guide.words, "x": plain(guide.x), "y": plain(guide.y)
    }  # fmt: skip


def _points_data(panel: Panel, points: Points, place: dict[int, int] | None) -> dict[str, Any]:
    (x0, x1), (y0, y1) = sorted(panel.x_range), sorted(panel.y_range)
    kept = (points.x >= x0) & (points.x <= x1) & (points.y >= y0) & (points.y <= y1)
    rows = np.flatnonzero(kept)
    if place is None and len(rows) > MOST_CLOUD:
        rows = rows[:: -(-len(rows) // MOST_CLOUD)]
    made = {
        "words": points.words,
        "n": len(rows),
        "x": packed(points.x[rows], x0, x1),
        "y": packed(points.y[rows], y0, y1),
    }
    if len(points.y_err):
        made["err"] = points.y_err[rows].round(4).tolist()
    elif place is not None:
        made["star"] = [place.get(int(obsid), -1) for obsid in points.obsid[rows]]
    return made


def _star_data(star: StarStory) -> dict[str, Any]:
    known = {}
    for name, value in star.row.items():
        if isinstance(value, bool | str) or value is None or pd.isna(value):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if np.isfinite(number):
            known[str(name)] = float(f"{number:.6g}")
    made: dict[str, Any] = {"id": str(star.obsid), "name": star.name, "v": known}
    if star.picture is not None:
        made |= _picture_data(star.picture)
    return made


def _picture_data(picture: StarPicture) -> dict[str, Any]:
    flux = picture.flux
    good = flux[np.isfinite(flux)]
    low, high = (np.percentile(good, [0.2, 99.8])) if len(good) else (0.0, 1.0)
    room = 0.15 * (high - low) or 0.1
    ends = (float(low - room), float(high + room))
    return {
        "at_rest": picture.at_rest,
        "flux": {
            "first": float(np.log10(picture.wavelength[0])) if len(flux) else 0.0,
            "low": ends[0], "high": ends[1], "y": packed(flux, *ends),
        },
        "windows": {window.line: _window_data(window) for window in picture.windows},
    }  # fmt: skip


def _window_data(window: Any) -> dict[str, Any]:
    seen = np.concatenate([window.flux, window.model])
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    low, high = max(low, -0.5), min(max(high, low + 0.1), 2.0)
    residual = window.residual[window.used & np.isfinite(window.residual)]
    most = float(np.clip(np.abs(residual).max(), 0.01, 0.3)) if len(residual) else 0.05
    edges = [round(float(v), 3) for v in window.d02_edges]
    return {
        "first": float(np.log10(window.wavelength[0])) if len(window.wavelength) else 0.0,
        "n": len(window.wavelength), "low": low, "high": high, "most": most,
        "y": packed(window.flux, low, high),
        "model": packed(window.model, low, high),
        "used": packed(window.used.astype(np.float64), 0.0, 1.0),
        "level": float(window.d02_level) if np.isfinite(window.d02_level) else None,
        "edges": edges if np.isfinite(edges).all() else None,
        "symbol": LINE_SYMBOLS[window.line],
    }  # fmt: skip
