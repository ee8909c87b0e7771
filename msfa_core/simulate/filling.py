"""A survey filled with simulated spectra, whose truth goes into columns ``true_*``."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import pandas as pd

from msfa_core.durable import write_whole
from msfa_core.errors import SurveyError
from msfa_core.machine.parallel import in_order, n_cores
from msfa_core.simulate.instrument import as_spectrum_list
from msfa_core.simulate.survey import SurveyPlan, demo_plan, simulate_chunk, sky_fibres_of
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.folder import Survey
from msfa_core.survey.storing import Storing
from msfa_core.typing import Progress, no_progress

TRUTH: Final = "true_"  # prefix of the columns that only a simulation knows
_IDENTITY: Final = ("obsid", "ra", "dec", "z", "snr_g")  # fields of a Spectrum


def simulate(
    survey: Survey,
    plan: SurveyPlan | None = None,
    write_fits: str | Path | None = None,
    progress: Progress = no_progress,
    workers: int = 0,
    *,
    layout: str = "lamost-table",
    most: int | None = None,
) -> int:
    """Fill a survey with simulated spectra; the truth goes into columns ``true_*``.

    Given again after an interruption, it goes on where it stopped.

    Parameters
    ----------
    survey : Survey
        Made with ``simulated=True``.
    plan : SurveyPlan, optional
        What to simulate; the demo survey when not given.
    write_fits : folder, optional
        Gets the spectra as LAMOST files, ``gaia.csv`` and ``truth.csv``.
    progress : callable, optional
    workers : int
        Processes; 0 for one per core.
    layout : str
        Of the LAMOST files, as in ``write_lamost``.
    most : int, optional
        So many chunks of the plan in this call, from its first one on; all when not given.

    Returns
    -------
    int
        How many spectra are new.

    Raises
    ------
    SurveyError
        When the survey holds real spectra, or others than the plan's.
    ReadError
        When the plan's sky fibres cannot be read.
    """
    plan = plan or demo_plan()
    if not survey.is_simulated:
        raise SurveyError(f"{survey.path} is a survey of real spectra: simulate into a new one.")
    sky_fibres_of(plan.sky_fibres)  # a folder that cannot be used is named before anything is done
    said = json.loads(json.dumps(asdict(plan)))
    earlier = [entry["plan"] for entry in survey.provenance if entry["step"] == "simulate"]
    if any({"sky_fibres": None, **plan_before} != said for plan_before in earlier):
        raise SurveyError(
            f"{survey.path} was simulated with other numbers: name a new survey, or give the same "
            "--stars, --seed and --sky-fibres to go on with this one."
        )
    with survey.lock():
        if not earlier:
            survey.record("simulate", simulated=True, plan=said)
        store = Storing(survey, progress, plan.n_stars)
        folder = Path(write_fits) if write_fits is not None else None
        n_chunks = plan.n_chunks if most is None else min(most, plan.n_chunks)
        work = [(plan, index, folder, layout) for index in range(n_chunks)]
        n_workers = min(workers or survey.settings.workers or n_cores(), n_chunks)
        truths = []
        for index, (spectra, truth) in enumerate(in_order(_simulate_chunk, work, n_workers)):
            truths.append(truth)
            store.n_done = min((index + 1) * plan.chunk, plan.n_stars)
            store.add(spectra)
        store.finish()
        if folder is not None:
            _write_truth(pd.concat(truths, ignore_index=True), folder)
        if store.n_stored:
            survey.refresh_table()
    return store.n_stored


def _simulate_chunk(
    work: tuple[SurveyPlan, int, Path | None, str],
) -> tuple[list[Spectrum], pd.DataFrame]:
    """Simulate some spectra, with all that is known of them in ``meta``."""
    plan, index, folder, layout = work
    batch, truth = simulate_chunk(plan, index)
    truth = truth.rename(columns={"parallax_error": "parallax_error_mas"})
    spectra = []
    for spectrum, row in zip(as_spectrum_list(batch, truth), truth.to_dict("records"), strict=True):
        said = {name: value for name, value in row.items() if name not in _IDENTITY}
        name = "spec-{lmjd}-{planid}_sp{spid:02d}-{fiberid:03d}.fits.gz".format(**row)
        if folder is not None:
            from msfa_core.spectra.writers import write_lamost  # noqa: PLC0415

            path = folder.absolute() / str(row["planid"]) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            name = str(write_lamost(spectrum, path, layout))
        spectra.append(replace(spectrum, file=name, meta={**said, **spectrum.meta}))
    return spectra, truth


def _write_truth(truth: pd.DataFrame, folder: Path) -> None:
    """Write beside the files what Gaia would say of the stars, and what they are."""
    from msfa_core.photometry.gaia import GAIA_COLUMNS  # noqa: PLC0415

    gaia = ["obsid", "ra", "dec", *(name for name in GAIA_COLUMNS if name in truth.columns)]
    known = ["obsid", *(name for name in truth.columns if str(name).startswith(TRUTH))]
    for name, columns in (("gaia.csv", gaia), ("truth.csv", known)):
        text = truth[columns].to_csv(index=False, lineterminator="\n")
        write_whole(folder / name, text.encode())
