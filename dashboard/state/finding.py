"""Answers about one star that take longer than a keystroke; asked for in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from msfa_core.flags import MatchFlag
from msfa_core.rules import epoch_shifts, resolutions
from msfa_core.spectra.coadd import Coadd, coadd_epochs

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.balmer.fit import LineFits, LineWindow
    from msfa_core.config import Settings
    from msfa_core.search.saliency import Saliency
    from msfa_core.spectra.spectrum import Spectrum
    from msfa_core.survey.folder import Survey

N_SOLUTIONS: Final = 5  # template solutions that are shown


class Asked(Protocol):
    """What an answer needs of a survey (as `SurveyData` has it)."""

    survey: Survey
    settings: Settings
    candidates: pd.DataFrame

    @property
    def measured(self) -> Callable[[int], tuple[Spectrum, LineFits, dict[str, LineWindow]]]:
        """Read one spectrum and fit its lines."""

    def row(self, obsid: int) -> int:
        """Return the row number of one obsid."""

    def same_star(self, row: int) -> NDArray[np.intp]:
        """Return the rows of all spectra of the star of this row."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Which wavelengths spoke for the classes of one star.

    Attributes
    ----------
    obsid : int
    stages : tuple of Saliency
        One row each: stage 1 for its class, stage 2 for BHB. Empty when there is nothing to
        explain: the spectrum could not be prepared, or the networks do not know its resolution.
    """

    obsid: int
    stages: tuple[Saliency, ...]


@dataclass(frozen=True, slots=True)
class CoAdded:
    """The spectra of one star added up.

    Attributes
    ----------
    obsid : int
        The spectrum that was on screen.
    coadd : Coadd, optional
        Of all its star's epochs of the same resolution; None where there is only one.
    """

    obsid: int
    coadd: Coadd | None


@dataclass(frozen=True, slots=True)
class Solution:
    """One template that fits.

    Attributes
    ----------
    kind, subclass, name : str
        Class (STAR, GALAXY, QSO), subclass and name of the template.
    z, z_err : float
    chi2 : float
        Reduced.
    confidence : float [percent]
    model : (pixel,) array
        The template, its continuum adjusted, at its redshift; NaN where it has no flux.
    """

    kind: str
    subclass: str
    name: str
    z: float
    z_err: float
    chi2: float
    confidence: float
    model: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matched:
    """The templates that fit a spectrum best.

    Attributes
    ----------
    obsid : int
    wavelength : (pixel,) array [Å, observed]
    flux, error : (pixel,) arrays
        NaN where the spectrum is bad.
    solutions : tuple of Solution
        Best first; empty when nothing fits.
    flags : int
        `MatchFlag`.
    """

    obsid: int
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    solutions: tuple[Solution, ...]
    flags: int


def explain(data: Asked, obsid: int) -> Explained:
    """Ask the networks which wavelengths spoke for the class of a spectrum."""
    from msfa_core.rules import are_low_resolution  # noqa: PLC0415
    from msfa_core.search.two_stages import load_search  # noqa: PLC0415 (torch)
    from msfa_core.spectra.prepare import prepare  # noqa: PLC0415

    row = data.row(obsid)
    if not are_low_resolution(data.candidates.iloc[[row]])[0]:
        return Explained(obsid, ())
    batch = data.survey.spectra([obsid])
    prepared = prepare(batch)
    if not np.isfinite(prepared.flux).all():
        return Explained(obsid, ())
    search = load_search(data.settings.models_folder)
    return Explained(obsid, tuple(search.explain(prepared, stage) for stage in (1, 2)))


def add_up(data: Asked, obsid: int) -> CoAdded:
    """Add up the epochs of a star that have the resolution of this one."""
    epochs = data.candidates.iloc[data.same_star(data.row(obsid))]
    kind = resolutions(epochs)
    epochs = epochs[(kind == kind[epochs["obsid"] == obsid].iloc[0]).to_numpy(bool)]
    if len(epochs) == 1:
        return CoAdded(obsid, None)
    spectra = [data.measured(int(one))[0] for one in epochs["obsid"]]
    return CoAdded(obsid, coadd_epochs(spectra, epoch_shifts(epochs)))


def fit_templates(data: Asked, obsid: int) -> Matched:
    """Match a spectrum against the templates, as the step ``match`` does."""
    from msfa_core.rules import are_low_resolution  # noqa: PLC0415
    from msfa_core.templates.matching import match, model_of  # noqa: PLC0415
    from msfa_core.templates.ranking import rank  # noqa: PLC0415
    from msfa_core.templates.read_templates import read_templates  # noqa: PLC0415

    batch = data.survey.spectra([obsid])
    if not are_low_resolution(data.candidates.iloc[[data.row(obsid)]])[0]:
        nothing = np.full(batch.flux[0].shape, np.nan)
        return Matched(obsid, batch.wavelength, nothing, nothing, (), int(MatchFlag.NO_SOLUTION))
    found = rank(match(batch, read_templates(data.settings.templates_path)), batch)
    bad = batch.mask[0] | ~(batch.ivar[0] > 0)
    error = np.full(bad.shape, np.nan)
    error[~bad] = 1.0 / np.sqrt(batch.ivar[0][~bad])
    ranks = np.flatnonzero(found.template[0] >= 0)[:N_SOLUTIONS]
    solutions = tuple(
        Solution(
            kind=str(found.cls(k)[0]),
            subclass=str(found.subclass(k)[0] or ""),
            name=str(found.templates.name[found.template[0, k]]),
            z=float(found.z[0, k]),
            z_err=float(found.z_err[0, k]),
            chi2=float(found.chi2[0, k]),
            confidence=float(found.confidence[0, k]),
            model=model_of(batch, found, 0, rank=int(k)),
        )
        for k in ranks.tolist()
    )
    flux = np.where(bad, np.nan, batch.flux[0].astype(np.float64))
    return Matched(obsid, batch.wavelength, flux, error, solutions, int(found.flags[0]))


SLOW: Final = frozenset({"why"})  # seconds of processor time; the others, hundredths

ANSWERS: Final[Mapping[str, Callable[[Asked, int], Any]]] = {
    "why": explain,
    "coadd": add_up,
    "template": fit_templates,
}
