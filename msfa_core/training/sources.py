"""Where training sets come from: chunks of simulated spectra, or a survey with known classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer.fit import fit_lines
from msfa_core.balmer.membership import in_bhb_region
from msfa_core.balmer.selection import SELECTIONS
from msfa_core.columns import TRUE_CLASS
from msfa_core.constants import CLASS_NAMES, FIT_LINES, STELLAR_CLASSES
from msfa_core.errors import TrainingError
from msfa_core.machine.parallel import in_order
from msfa_core.rules import star_numbers
from msfa_core.spectra.prepare import prepare
from msfa_core.spectra.spectrum import PreparedSpectra, Spectra
from msfa_core.training.dataset import LabelledSpectra, labelled_spectra
from msfa_core.typing import Progress, no_progress

if TYPE_CHECKING:
    from msfa_core.survey.folder import Survey

_ROWS: Final = 1000  # spectra of a survey prepared at a time

Chunk = tuple[Spectra, pd.DataFrame]  # spectra and a row of truth for each


def from_chunks(
    make_chunk: Callable[[int], Chunk],
    n_chunks: int,
    *,
    workers: int = 1,
    measure: bool = True,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> LabelledSpectra:
    """Make a training set of chunks of spectra with known truth, as a simulation gives them.

    Parameters
    ----------
    make_chunk : callable
        Chunk number -> spectra and truth (``true_class``, ``true_star``, ``snr_g`` and more), the
        same whatever process calls it. Spectra of classes that the networks do not know are
        left out and counted.
    n_chunks : int
    workers : int
        Processes; the set does not depend on it.
    measure : bool
        Fit Hδ and Hγ too, for comparison with the D0.2–fm plane.
    provenance : mapping, optional
    progress : callable, optional
        Called with ``simulate``, chunks done, and chunks in all.

    Returns
    -------
    LabelledSpectra
        With D0.2 and fm of Hδ and Hγ and the named D0.2–fm selections in ``truth``, if measured.

    Raises
    ------
    TrainingError
        When no spectrum has a class that the networks know.
    """
    prepared, tables = [], []
    for done, (part, table) in enumerate(
        _parts(make_chunk, n_chunks, workers, measure=measure), start=1
    ):
        prepared.append(part)
        tables.append(table)
        progress("simulate", done, n_chunks, f"chunk {done}")
    if not tables:
        raise TrainingError("no chunks to make a training set of; ask for at least one star.")
    truth = pd.concat(tables, ignore_index=True)
    known = truth[TRUE_CLASS].isin(CLASS_NAMES).to_numpy()
    if not known.any():
        raise TrainingError(
            f"no spectrum of class {', '.join(STELLAR_CLASSES)} among {len(truth)}; simulate some."
        )
    flux = np.concatenate([part.flux for part in prepared])[known]
    obsid = np.concatenate([part.obsid for part in prepared])[known]
    truth = truth[known].reset_index(drop=True)
    return labelled_spectra(
        PreparedSpectra(obsid, flux),
        truth[TRUE_CLASS].tolist(),
        star=truth["true_star"].to_numpy(dtype=np.int64),
        snr_g=truth["snr_g"].to_numpy(dtype=np.float64),
        truth=truth[[c for c in truth if str(c).startswith(("true_", "d02_", "fm_", "in_bhb_"))]],
        provenance={**(provenance or {}), "n_other_classes": int((~known).sum())},
    )


def _parts(
    make_chunk: Callable[[int], Chunk], n_chunks: int, workers: int, *, measure: bool
) -> Iterator[tuple[PreparedSpectra, pd.DataFrame]]:
    """Yield prepared and measured chunks, in order."""
    work = partial(_prepared_chunk, make_chunk, measure)
    yield from in_order(work, range(n_chunks), min(workers, n_chunks))


def _prepared_chunk(
    make_chunk: Callable[[int], Chunk],
    measure: bool,  # bound by partial
    index: int,
) -> tuple[PreparedSpectra, pd.DataFrame]:
    """Make, prepare and measure one chunk."""
    spectra, truth = make_chunk(index)
    truth = truth.reset_index(drop=True)
    if measure:
        truth = pd.concat([truth, line_measurements(spectra)], axis=1)
    return prepare(spectra), truth


def line_measurements(spectra: Spectra) -> pd.DataFrame:
    """D0.2 and fm of each line, and the named selections, of a batch: ``n`` rows."""
    fits = fit_lines(spectra)
    columns: dict[str, NDArray[Any]] = {}
    for index, line in enumerate(FIT_LINES):
        columns[f"d02_{line}"] = fits.d02[:, index]
        columns[f"fm_{line}"] = fits.fm[:, index]
    for name in SELECTIONS:
        columns[f"in_bhb_{name}"] = in_bhb_region(fits, name)
    return pd.DataFrame(columns)


def from_survey(survey: Survey, labels: pd.DataFrame) -> LabelledSpectra:
    """Make a training set of real spectra: a survey and the classes that someone gave them.

    Parameters
    ----------
    survey : Survey
        With the spectra ingested; spectra of one ``uid`` count as one star where the survey
        has been identified.
    labels : DataFrame
        Columns ``obsid`` and ``label`` (BHB, A, B, HSD or WD), one row per spectrum.

    Raises
    ------
    TrainingError
        When the columns are missing, an obsid is labelled twice, or the survey has none of them.
    """
    absent = [name for name in ("obsid", "label") if name not in labels]
    if absent:
        raise TrainingError(
            f"the table of labels has no column {', '.join(absent)} (it has "
            f"{', '.join(map(str, labels.columns))}); give obsid and label."
        )
    obsid = labels["obsid"].to_numpy(dtype=np.int64)
    if len(np.unique(obsid)) != len(obsid):
        raise TrainingError("the table of labels names an obsid twice; keep one row each.")
    here = np.isin(obsid, survey.obsid)
    if not here.any():
        raise TrainingError(
            f"none of the {len(obsid)} labelled spectra is in the survey; ingest their files first."
        )
    obsid, names = obsid[here], labels["label"][here].tolist()
    prepared, measured = [], []
    for start in range(0, len(obsid), _ROWS):
        spectra = survey.spectra(obsid[start : start + _ROWS])
        prepared.append(prepare(spectra))
        measured.append(line_measurements(spectra))
    table = survey.table().drop_duplicates("obsid").set_index("obsid").reindex(obsid)
    return labelled_spectra(
        PreparedSpectra(obsid, np.concatenate([p.flux for p in prepared])),
        names,
        star=star_numbers(table),
        snr_g=table["snr_g"].to_numpy(dtype=np.float64),
        truth=pd.concat(measured, ignore_index=True),
        provenance={"simulated": survey.is_simulated, "n_not_in_survey": int((~here).sum())},
    )
