"""Where model stars lie in the D0.2–fm plane: BHB stars apart from the main sequence.

``python -m msfa_core.workshop.d02_fm_plane OUT.png`` draws ``data/figures/d02-fm-of-models``.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from msfa_core.balmer import SELECTIONS, Selection, fit_lines
from msfa_core.constants import FIT_LINES, LAMOST_GRID, LINE_SYMBOLS
from msfa_core.errors import ExportError, MsfaError
from msfa_core.simulate.atmospheres import model_spectra
from msfa_core.spectra.spectrum import Spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

TEFF: Final = (8000.0, 8500.0, 9000.0, 9500.0)  # K, nodes of the grid
GROUPS: Final = {  # log g and [Fe/H] of the two kinds
    "BHB": ((3.0, 3.25, 3.5), (-2.5, -2.0, -1.5, -1.0)),
    "main sequence": ((4.0, 4.25, 4.5), (-1.0, -0.5, 0.0)),
}
_IVAR: Final = 1e8  # relative; models have no noise, and every pixel counts alike
_MARKERS: Final = {"BHB": "o", "main sequence": "^"}
_LINES: Final = {"ju2024": "-", "xue2011": "--"}  # the Hδ box of ju2024 is that of xue2008
_SELECTION_COLOUR: Final = "0.25"
_RANGE: Final = ((15.0, 41.0), (0.08, 0.42))  # of the axes: D0.2 [Å], fm
_TOP_C: Final = 1.45  # room for the legend
_HALF_STEP: Final = 250.0  # K


def measured_models() -> pd.DataFrame:
    """Measure model stars at R = 1800 as real stars are measured.

    Returns
    -------
    DataFrame
        A row per star: ``group``, ``teff`` [K], ``logg``, ``feh`` [dex], and ``d02_…`` [Å],
        ``fm_…``, ``width_…`` [Å], ``shape_…`` of Hδ and Hγ.
    """
    stars = pd.DataFrame(
        [
            (group, teff, logg, feh)
            for group, (gravities, metals) in GROUPS.items()
            for teff in TEFF
            for logg in gravities
            for feh in metals
        ],
        columns=["group", "teff", "logg", "feh"],
    )
    parameters = (stars[name].to_numpy() for name in ("teff", "logg", "feh"))
    flux = model_spectra("ms", *parameters).flux.astype(np.float64)
    flux /= np.median(flux, axis=1)[:, None]
    spectra = Spectra(
        obsid=np.arange(len(stars)) + 1,
        wavelength=LAMOST_GRID.wavelength,
        flux=flux,
        ivar=np.full(flux.shape, _IVAR),
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.zeros(len(stars)),
    )
    fits = fit_lines(spectra)
    for k, line in enumerate(fits.lines):
        for name in ("d02", "fm", "width", "shape"):
            stars[f"{name}_{line}"] = getattr(fits, name)[:, k]
    return stars


def draw(stars: pd.DataFrame, out: Path) -> Path:
    """Draw the planes of both lines, and b and c of Hγ, with the published selections.

    Raises
    ------
    ExportError
        When the picture cannot be written.
    """
    from matplotlib import colormaps  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.colors import Normalize  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(14, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(FIT_LINES) + 1)
    planes = [(f"d02_{line}", f"fm_{line}", LINE_SYMBOLS[line]) for line in FIT_LINES]
    planes.append(("width_hgamma", "shape_hgamma", "Hγ, width b and shape c"))
    points = []
    for axis, (x, y, title) in zip(axes, planes, strict=True):
        for group, marker in _MARKERS.items():
            chosen = stars[stars["group"] == group]
            low, high = GROUPS[group][0][0], GROUPS[group][0][-1]
            points.append(
                axis.scatter(
                    chosen[x],
                    chosen[y],
                    c=chosen["teff"],
                    norm=Normalize(TEFF[0] - _HALF_STEP, TEFF[-1] + _HALF_STEP),
                    cmap=colormaps["viridis"].resampled(len(TEFF)),
                    marker=marker,
                    s=36,
                    edgecolors="k",
                    linewidths=0.4,
                    label=f"{group}, log g {low:g}–{high:g}",
                )
            )
        axis.set_title(title, loc="left")
    for axis, line in zip(axes, FIT_LINES, strict=False):
        for name, style in _LINES.items():
            _draw_box(SELECTIONS[name], line, style, axis)
        axis.set(xlim=_RANGE[0], ylim=_RANGE[1], xlabel="D0.2 [Å]", ylabel="fm")
    _draw_curve(SELECTIONS["xue2011"], _LINES["xue2011"], axes[-1])
    axes[-1].set(xlabel="b [Å]", ylabel="c")
    for axis in axes:
        axis.legend(loc="upper left", fontsize=8.5, frameon=False)
    axes[-1].set_ylim(top=_TOP_C)
    figure.colorbar(points[0], ax=axes, label="Teff [K]", pad=0.01, ticks=TEFF)
    figure.suptitle("Model atmospheres at R = 1800, without noise or rotation", fontsize=10.5)
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise ExportError(f"{out} cannot be written ({error}).") from error
    return Path(out)


def _draw_box(selection: Selection, line: str, style: str, axis: Axes) -> None:
    """Draw the limits of D0.2 and fm of one line, if there are any."""
    box = selection.box(line)
    if box is None:
        return
    (left, right), (bottom, top) = _RANGE
    low, high = max(box[0], left - 1), min(box[1], right + 1)
    dark, bright = max(box[2], bottom - 1), min(box[3], top + 1)
    axis.plot(
        [low, high, high, low, low],
        [dark, dark, bright, bright, dark],
        color=_SELECTION_COLOUR,
        ls=style,
        lw=1.3,
        label=selection.name,
    )


def _draw_curve(selection: Selection, style: str, axis: Axes) -> None:
    """Draw the limits of b and c of Hγ, with the upper limit of b that runs with c."""
    cuts = {cut.quantity: cut for cut in selection.cuts["hgamma"]}
    shape, width = cuts["shape"], cuts["width"]
    offset, curvature, vertex = width.high_curve or (width.high, 0.0, 0.0)
    c = np.linspace(shape.low, shape.high, 200)
    top = np.minimum(offset - curvature * (c - vertex) ** 2, width.high)
    c, top = c[top >= width.low], top[top >= width.low]
    axis.plot(
        [width.low, *top, width.low, width.low],
        [c[0], *c, c[-1], c[0]],
        color=_SELECTION_COLOUR,
        ls=style,
        lw=1.3,
        label=selection.name,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.d02_fm_plane",
        description="Draw model stars in the D0.2–fm plane.",
    )
    parser.add_argument("out", type=Path, help="picture to write, .png")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stars = measured_models()
    try:
        draw(stars, options.out)
    except MsfaError as error:
        logger.error("%s", error)
        return 1
    for group, chosen in stars.groupby("group"):
        for line in FIT_LINES:
            d02, fm = chosen[f"d02_{line}"], chosen[f"fm_{line}"]
            logger.info(
                "%s, %s: D0.2 %.1f–%.1f Å, fm %.2f–%.2f",
                group, LINE_SYMBOLS[line], d02.min(), d02.max(), fm.min(), fm.max(),
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
