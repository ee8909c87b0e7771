"""Static figures as calls on a survey: ``survey.plot.plane()``, ``survey.plot.cmd()``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import numbers
from msfa_core.config import Settings
from msfa_core.constants import FIT_LINES, LINE_SYMBOLS
from msfa_core.errors import SurveyError
from msfa_core.rules import representatives
from msfa_core.spectra.spectrum import Spectra
from msfa_core.survey.figures import planes
from msfa_core.survey.figures.panel import Panel, about_one
from msfa_core.survey.figures.printed import fits_figure, panels_figure, spectrum_figure
from msfa_core.survey.figures.star import StarPicture, pictures
from msfa_core.typing import BoolArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plotted(Protocol):
    """A survey, as far as its figures need it."""

    path: Path

    @property
    def is_simulated(self) -> bool:
        """Whether its spectra are made up."""
        ...

    @property
    def settings_used(self) -> Settings:
        """Settings that its columns follow from."""
        ...

    def table_with_verdicts(self) -> pd.DataFrame:
        """Return a row per spectrum."""
        ...

    def spectra(self, obsids: NDArray[np.int64]) -> Spectra:
        """Return spectra."""
        ...


def accepted(table: pd.DataFrame) -> tuple[BoolArray, str]:
    """Return a spectrum of each star that figures are about, and what these stars are.

    Accepted stars; as long as there are none, candidates within the D0.2–fm region.
    """
    says = (table["verdict"].astype("str") == "accept").to_numpy(bool)
    words = "accepted stars"
    if not says.any():
        rows, _ = planes.cloud_of(table)
        says = rows & table["in_bhb_region"].astype("boolean").to_numpy(bool, na_value=False)
        words = "candidates in the region"
    return one_of_each(table, says), words


def one_of_each(table: pd.DataFrame, rows: BoolArray) -> BoolArray:
    """(n,) True for one of the given spectra of each star: that of highest S/N."""
    one = rows.copy()
    one[rows] = representatives(table[rows])
    return one


class SurveyPlots:
    """Figures of a survey; each call reads the table as it stands.

    Parameters
    ----------
    survey : Survey
    """

    def __init__(self, survey: Plotted) -> None:
        self._survey = survey

    def _panel(self, make: str, obsid: int | None, selection: str = "") -> Figure:
        table = self._survey.table_with_verdicts()
        chosen, words = accepted(table)
        settings = self._survey.settings_used
        if selection:
            settings = replace(settings, selection=selection)
        if make == "plane":
            made = [planes.line_plane(table, settings, chosen, words, line) for line in FIT_LINES]
        elif make == "labels":
            made = [ask(table, settings, chosen, words) for ask in (planes.kiel, planes.metals)]
        else:
            made = [getattr(planes, make)(table, settings, chosen, words)]
        if obsid is not None:
            made = [self._ringed(panel, obsid) for panel in made]
        return panels_figure(made, self._survey.is_simulated)

    def _ringed(self, panel: Panel, obsid: int) -> Panel:
        self._row(obsid)
        return panel if panel.missing else about_one(panel, obsid)

    def plane(self, obsid: int | None = None, selection: str = "") -> Figure:
        """Draw the D0.2–fm planes of Hδ and Hγ with a selection (Figure 3).

        Parameters
        ----------
        obsid : int, optional
            Ring this star instead of colouring the accepted ones.
        selection : str
            A name or limits, as the setting takes them; the one in force when empty.
        """
        return self._panel("plane", obsid, selection)

    def cmd(self, obsid: int | None = None) -> Figure:
        """Draw the colour–magnitude diagram with the trapezoid (Figure 5)."""
        return self._panel("cmd", obsid)

    def kiel(self, obsid: int | None = None) -> Figure:
        """Draw Teff–log g with the band of BHB stars and the horizontal branch."""
        return self._panel("kiel", obsid)

    def labels(self, obsid: int | None = None) -> Figure:
        """Draw Teff–log g and Teff–[Fe/H] with the limits of outliers (Figure 4)."""
        return self._panel("labels", obsid)

    def feh(self) -> Figure:
        """Draw how [Fe/H] is distributed."""
        return self._panel("feh", None)

    def sky(self, obsid: int | None = None) -> Figure:
        """Draw the sky in Galactic coordinates."""
        return self._panel("sky", obsid)

    def spectrum(self, obsid: int) -> Figure:
        """Draw one spectrum at rest, with the names of its lines.

        Parameters
        ----------
        obsid : int

        Raises
        ------
        SurveyError
            When the survey has no such spectrum.
        """
        return spectrum_figure(self._picture(obsid), self._title(obsid), self._survey.is_simulated)

    def fits(self, obsid: int) -> Figure:
        """Draw the SWS fits of Hδ and Hγ of one spectrum, with residuals (Figure 2).

        Parameters
        ----------
        obsid : int

        Raises
        ------
        SurveyError
            When the survey has no such spectrum.
        """
        picture = self._picture(obsid)
        return fits_figure(picture, self._title(obsid), self._survey.is_simulated)

    def _picture(self, obsid: int) -> StarPicture:
        return pictures(self._survey, np.array([obsid], dtype=np.int64))[0]

    def _row(self, obsid: int) -> pd.Series:
        table = self._survey.table_with_verdicts()
        rows = table[table["obsid"] == obsid]
        if rows.empty:
            raise SurveyError(f"{self._survey.path} has no spectrum with obsid {obsid}.")
        return rows.iloc[0]

    def _title(self, obsid: int) -> str:
        row = pd.DataFrame([self._row(obsid)])
        parts = [f"obsid {obsid}"]
        snr = numbers(row, "snr_g")[0]
        parts += [f"S/N(g) {snr:.0f}"] if np.isfinite(snr) else []
        for line in FIT_LINES:
            d02, fm = numbers(row, f"d02_{line}")[0], numbers(row, f"fm_{line}")[0]
            if np.isfinite(d02) and np.isfinite(fm):
                parts.append(f"{LINE_SYMBOLS[line]}: D0.2 {d02:.1f} Å, fm {fm:.3f}")
        return " · ".join(parts)
