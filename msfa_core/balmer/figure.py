"""A picture of the line fits of one spectrum, for notebooks and papers."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from msfa_core.balmer.fit import LineWindow, fit_lines, line_window
from msfa_core.balmer.interop import as_batches
from msfa_core.balmer.results import LineFits
from msfa_core.constants import FIT_LINES, LINE_SYMBOLS
from msfa_core.errors import ConfigError
from msfa_core.flags import FitFlag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAMES: Final = ("rest", "observed")
_MODEL: Final = "#d55e00"
_UNUSED: Final = "0.75"
_TITLE_WIDTH: Final = 58  # letters


def plot_fits(
    spectrum: Any, fits: LineFits | None = None, row: int = 0, frame: str = "rest"
) -> Figure:
    """Draw the fitted lines of one spectrum: data, profile, D0.2, fm, and the residuals.

    Parameters
    ----------
    spectrum : as given to ``fit_lines``
        LAMOST, SDSS or any specutils spectrum, observed or at rest.
    fits : LineFits, optional
        Fits of it; made here (Hδ and Hγ) when not given.
    row : int
        Which of several spectra.
    frame : str
        Of the wavelength axis: ``rest``, or ``observed`` as the spectrum came.

    Returns
    -------
    matplotlib.figure.Figure
        Shown by a notebook; written with ``savefig``.

    Raises
    ------
    ConfigError
        For an unknown frame.
    SpectrumError
        When the fits are not those of the spectrum.
    """
    from msfa_core.balmer.shown import shown_figure  # noqa: PLC0415 (matplotlib)

    if frame not in FRAMES:
        raise ConfigError(f"unknown frame {frame!r}; choose from {', '.join(FRAMES)}.")
    fits = fit_lines(spectrum, FIT_LINES) if fits is None else fits
    windows = [line_window(spectrum, fits, row, line) for line in fits.lines]
    stretch = 1.0 if frame == "rest" else 1.0 + _redshift(spectrum, row)
    figure = shown_figure(4.6 * len(windows), 4.6)
    axes = figure.subplots(
        2, len(windows), sharex="col", squeeze=False, gridspec_kw={"height_ratios": [4, 1]}
    )
    for k, window in enumerate(windows):
        draw_window(window, axes[0, k], axes[1, k], stretch)
        axes[0, k].set_title(_title(fits, row, k), loc="left", fontsize=9.5)
        axes[1, k].set_xlabel(f"{frame} wavelength, vacuum [Å]")
    axes[0, 0].set_ylabel("flux / continuum")
    axes[1, 0].set_ylabel("diff.")
    return figure


def _redshift(spectrum: Any, row: int) -> float:
    for rows, batch in as_batches(spectrum):
        place = np.flatnonzero(rows == row)
        if len(place):
            return float(batch.z[place[0]])
    return 0.0


def _title(fits: LineFits, row: int, k: int) -> str:
    name = LINE_SYMBOLS[fits.lines[k]]
    d02, fm = fits.d02[row, k], fits.fm[row, k]
    if np.isfinite(fm):
        width = f"D0.2 = {d02:.1f} ± {fits.d02_err[row, k]:.1f} Å, " if np.isfinite(d02) else ""
        text = f"{name}: {width}fm = {fm:.3f} ± {fits.fm_err[row, k]:.3f}"
    else:
        text = f"{name}: not measured"
    reasons = FitFlag.sentences(int(fits.flags[row, k]))
    return "\n".join([text, *(part for reason in reasons for part in wrap(reason, _TITLE_WIDTH))])


def draw_window(window: LineWindow, above: Axes, below: Axes, stretch: float = 1.0) -> None:
    """Draw one fitted line: data, profile and D0.2 above, the residuals with their errors below.

    Parameters
    ----------
    window : LineWindow
    above, below : matplotlib Axes
    stretch : float
        What rest wavelengths are multiplied by: 1 + z for the observed frame.
    """
    x, used = window.wavelength * stretch, window.used
    for axes, values in ((above, window.flux), (below, window.residual)):
        axes.plot(x, values, color=_UNUSED, lw=0.8, drawstyle="steps-mid")
        axes.plot(x, np.where(used, values, np.nan), color="k", lw=0.9, drawstyle="steps-mid")
    if np.isfinite(window.model).any():
        above.plot(x, window.model, color=_MODEL, lw=1.4)
        above.plot(
            np.array(window.d02_edges) * stretch,
            [window.d02_level] * 2,
            color=_MODEL,
            lw=1,
            ls="--",
        )
        finite = np.where(used, window.error, np.nan)
        below.fill_between(x, -finite, finite, color="0.88", lw=0)
    below.axhline(0, color=_MODEL, lw=0.8)
