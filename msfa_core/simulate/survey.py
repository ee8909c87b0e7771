"""A simulated survey with known truth: stars, their observations, and what a pipeline says.

A survey is cut into chunks that are independent of one another: chunk ``k`` of a plan is the same,
bit for bit, whether made alone, in order, or in another process.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import ConfigError
from msfa_core.simulate.atmospheres import model_spectra
from msfa_core.simulate.groups import Shares
from msfa_core.simulate.instrument import as_spectrum_list, measured_snr, observe
from msfa_core.simulate.labelled_grid import as_models
from msfa_core.simulate.population import (
    CLASSES,
    DEMO_COUNTS,
    Signal,
    add_pipeline_labels,
    class_counts,
    draw_population,
)
from msfa_core.simulate.sky_fibres import read_fibres
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import FloatArray

Scale = Literal["models", "stars"]

DEMO_STARS: Final = sum(DEMO_COUNTS.values())
DEMO_SEED: Final = 20
DEMO_EPOCHS: Final = 0.10  # share of stars seen more than once
DEMO_PROBLEMS: Final = 0.03  # share of spectra with something wrong
PROBLEMS: Final = ("low S/N", "cosmic ray", "missing blue arm")
_LEAST_EPOCHS: Final = 2  # of a star that is seen more than once
_MAX_EPOCHS: Final = 4
_EPOCH_BITS: Final = 3
_STARS_PER_SEED: Final = 10**9
_SEEDS: Final = 1000
_MOST_SHIFT: Final = 1.4  # of what real stars differ from the models of their labels by
_SCALE_TEFF: Final = 9700.0  # K; below it that was measured
_MOST_SCALED_TEFF: Final = 15_000.0  # K; above it Balmer lines of models and stars agree [assumed]
_LEAST_LOGG: Final = 1.5  # of the model atmospheres
_HOT_SCATTER: Final = 0.03  # rms of ln(Teff of the model over that of the star) between the two
_LOW_SNR: Final = (2.0, 4.5)
_FIBRES, _SPECTROGRAPHS = 250, 16
_FIRST_NIGHT, _NIGHTS = 55_860, 4000
SIMULATED_RELEASE: Final = "simulated"

# Random error at S/N 50 and external error of catalogue labels (Ju et al. 2025): K, dex, dex
_LABEL_ERRORS: Final = {"teff": (30.0, 76.0), "logg": (0.10, 0.04), "feh": (0.12, 0.09)}
_LABEL_SNR: Final = 50.0
_LEAST_LABEL_SNR: Final = 5.0  # catalogues of labels begin about there


@dataclass(frozen=True, slots=True)
class SurveyPlan:
    """What a simulated survey is made of; the same plan gives the same survey.

    Attributes
    ----------
    n_stars : int
    seed : int
    counts : mapping of class to number, optional
        Proportions of the classes; those of the paper's training set when left out.
    snr_range : (2,) float
        S/N in g, drawn evenly in its logarithm.
    epochs : float
        Share of stars with 2–4 spectra.
    problems : float
        Share of spectra with low S/N, a cosmic ray on a Balmer line, or no blue arm.
    chunk : int
        Stars per chunk; part of what fixes the survey.
    sky_fibres : str, optional
        Folder of spectra of real sky fibres, from which residuals of sky lines are drawn; from
        the shipped statistics of such fibres when left out. Part of what fixes the survey.
    shares : {"survey", "border", "sky"}
        Of the groups within each class: with many stars that are hard to tell apart, with even
        more at the border of BHB and B stars, to train on, or about as on the sky.
    snr : {"even", "lamost"}
        S/N even in its logarithm, or as A stars of LAMOST have it.
    most_epochs : int
        Most spectra of a star that has several.
    scale : {"models", "stars"}
        Whether a star looks like the model of its labels, or, as real stars do, like one of
        labels that differ a little (``labelled_grid.as_models``), each star in its own measure.
    """

    n_stars: int
    seed: int
    counts: Mapping[str, float] | None = None
    snr_range: tuple[float, float] = (5.0, 200.0)
    epochs: float = 0.0
    problems: float = 0.0
    chunk: int = 500
    sky_fibres: str | None = None
    shares: Shares = "survey"
    snr: Signal = "even"
    most_epochs: int = _MAX_EPOCHS
    scale: Scale = "models"

    def __post_init__(self) -> None:
        """Check the numbers; the message names the one to change."""
        class_counts(self.n_stars, self.counts)
        low, high = self.snr_range
        if not 0 < low <= high:
            raise ConfigError(f"snr_range is {self.snr_range}; give 0 < lowest <= highest.")
        if self.chunk <= 0 or self.seed < 0:
            raise ConfigError(f"chunk {self.chunk} must be positive and seed {self.seed} >= 0.")
        if not _LEAST_EPOCHS <= self.most_epochs < 2**_EPOCH_BITS:
            raise ConfigError(
                f"most_epochs is {self.most_epochs}; give {_LEAST_EPOCHS} to {2**_EPOCH_BITS - 1}."
            )
        if self.shares not in get_args(Shares):
            raise ConfigError(f"shares is {self.shares!r}; choose from {get_args(Shares)}.")
        if self.snr not in get_args(Signal):
            raise ConfigError(f"snr is {self.snr!r}; choose from {get_args(Signal)}.")
        if self.scale not in get_args(Scale):
            raise ConfigError(f"scale is {self.scale!r}; choose from {get_args(Scale)}.")
        if not (0 <= self.epochs <= 1 and 0 <= self.problems <= 1):
            raise ConfigError(
                f"epochs {self.epochs} and problems {self.problems} are shares: 0 to 1."
            )

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_stars // self.chunk)

    def _chunk_counts(self, index: int) -> dict[str, int]:
        """Return the stars of each class in a chunk; over all chunks they add up exactly."""
        total = class_counts(self.n_stars, self.counts)
        order = np.repeat(np.arange(len(CLASSES)), [total[name] for name in CLASSES])
        np.random.default_rng([self.seed, 0]).shuffle(order)
        part = order[index * self.chunk : (index + 1) * self.chunk]
        return {name: int(np.sum(part == k)) for k, name in enumerate(CLASSES)}


def demo_plan(seed: int = DEMO_SEED) -> SurveyPlan:
    """Return the plan of the demo survey: 1,500 stars, some epochs, some problems."""
    return SurveyPlan(
        n_stars=DEMO_STARS,
        seed=seed,
        counts=DEMO_COUNTS,
        snr_range=(8.0, 200.0),
        epochs=DEMO_EPOCHS,
        problems=DEMO_PROBLEMS,
    )


def _add_epochs(stars: pd.DataFrame, plan: SurveyPlan, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row a spectrum; those of one star have their own S/N and problems."""
    n = len(stars)
    has_several, repeated = (
        rng.uniform(size=n) < plan.epochs,
        rng.integers(_LEAST_EPOCHS, plan.most_epochs + 1, n),
    )
    repeats = np.where(has_several, repeated, 1)
    rows = stars.loc[stars.index.repeat(repeats)].reset_index(drop=True)
    epoch = rows.groupby("true_star").cumcount().to_numpy()
    m = len(rows)
    again = rng.lognormal(0.0, 0.3, m)
    snr = rows["true_snr_g"].to_numpy(float) * np.where(epoch > 0, again, 1.0)
    snr = np.clip(snr, *plan.snr_range)
    kind = rng.integers(0, len(PROBLEMS), m)
    has_problem = rng.uniform(size=m) < plan.problems
    problem = np.where(has_problem, np.array(PROBLEMS)[kind], "")
    snr = np.where(problem == "low S/N", rng.uniform(*_LOW_SNR, m), snr)
    return rows.assign(true_snr_g=snr, true_problem=problem, true_epoch=epoch)


def _add_identity(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Add obsid, plate and fibre: unique within a survey, and between seeds below 1000."""
    number = (rows["true_star"].to_numpy(np.int64) << _EPOCH_BITS) + rows["true_epoch"]
    plate = number // (_FIBRES * _SPECTROGRAPHS)
    night = _FIRST_NIGHT + (plate * 17 + rows["true_epoch"] * 41) % _NIGHTS
    return rows.assign(
        obsid=(seed % _SEEDS + 1) * _STARS_PER_SEED + number,
        lmjd=night,
        planid=[f"SIM{seed % _SEEDS:03d}N{k:06d}B01" for k in plate],
        spid=number // _FIBRES % _SPECTROGRAPHS + 1,
        fiberid=number % _FIBRES + 1,
        designation=[
            f"SIM J{ra:09.5f}{dec:+09.5f}" for ra, dec in zip(rows["ra"], rows["dec"], strict=True)
        ],
        data_release=SIMULATED_RELEASE,
    )


@functools.lru_cache(maxsize=1)
def sky_fibres_of(folder: str | None) -> NDArray[np.float64] | None:
    """Read the residuals of the sky fibres that a plan names, once a process.

    Returns
    -------
    (fibre, pixel) array, or None for a plan without them

    Raises
    ------
    ReadError
        When the folder holds no spectra of sky fibres.
    """
    return None if folder is None else read_fibres(Path(folder))[0]


def simulate_chunk(plan: SurveyPlan, index: int) -> tuple[Spectra, pd.DataFrame]:
    """Make one chunk of a survey: the fast path, and what parallel workers call.

    Parameters
    ----------
    plan : SurveyPlan
    index : int
        0 … ``plan.n_chunks`` − 1.

    Returns
    -------
    spectra : Spectra
        On ``LAMOST_GRID``, observed frame.
    truth : DataFrame
        A row a spectrum, in the same order: ``obsid``, header entries, photometry, ``true_*``.

    Raises
    ------
    ConfigError
        When the plan has no such chunk.
    """
    if not 0 <= index < plan.n_chunks:
        raise ConfigError(f"chunk {index} asked for, but the plan has {plan.n_chunks}.")
    rng = np.random.default_rng([plan.seed, 1, index])
    counts = plan._chunk_counts(index)
    stars = draw_population(
        sum(counts.values()),
        rng,
        counts,
        snr_range=plan.snr_range,
        first_star=index * plan.chunk,
        shares=plan.shares,
        snr=plan.snr,
    )
    rows = add_pipeline_labels(_add_epochs(stars, plan, rng), rng)
    rows = _add_identity(rows, plan.seed)
    teff, logg, feh = _model_labels(rows, plan, index)
    models = model_spectra(
        rows["true_kind"].to_numpy(str),
        teff,
        logg,
        feh,
        rows["true_he"].to_numpy(float),
        peculiarity=rows["true_peculiarity"].to_numpy(str),
        strength=rows["true_strength"].to_numpy(float),
        core_departure=rows["true_core_departure"].to_numpy(float),
        helium_departure=rows["true_he_departure"].to_numpy(float),
    )
    spectra = observe(models.flux, rows, rng, sky_fibres_of(plan.sky_fibres))
    rows = rows.assign(snr_g=measured_snr(spectra))
    return spectra, add_labels(rows, np.random.default_rng([plan.seed, 2, index]))


def _model_labels(
    rows: pd.DataFrame, plan: SurveyPlan, index: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Teff [K], log g and [Fe/H] of the models that the stars look like; the same at each epoch.

    Where it was measured (below 9700 K), up to ``_MOST_SHIFT`` times what real stars differ by;
    hotter ones, of which some look cooler and some hotter, differ by chance.
    """
    labels = rows[["true_teff", "true_logg", "true_feh"]].to_numpy(np.float64)
    teff, logg, feh = labels.T
    if plan.scale == "stars":
        rng = np.random.default_rng([plan.seed, 3, index])
        star = np.unique(rows["true_star"].to_numpy(np.int64), return_inverse=True)[1]
        share = rng.uniform(0, _MOST_SHIFT, star.max() + 1)[star]
        chance = rng.standard_normal(star.max() + 1)[star]
        moved = as_models(np.where(np.isfinite(labels), labels, 0.0))
        is_cool = teff < _SCALE_TEFF
        ratio = np.where(
            is_cool, 1 + share * (moved[:, 0] / teff - 1), np.exp(_HOT_SCATTER * chance)
        )
        normal = (rows["true_kind"] == "ms").to_numpy() & (teff < _MOST_SCALED_TEFF)
        teff = np.where(normal, teff * ratio, teff)
        lowered = np.maximum(logg + share * (moved[:, 1] - logg), np.minimum(logg, _LEAST_LOGG))
        logg = np.where(normal & is_cool, lowered, logg)
    return teff, logg, feh


def add_labels(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Add Teff, log g and [Fe/H] as a catalogue of labels would give them: with errors.

    Hot subdwarfs and white dwarfs have none, as in the catalogues of A stars, nor have spectra of
    which noise leaves no labels.

    Parameters
    ----------
    rows : n rows with ``true_kind, true_teff, true_logg, true_feh, snr_g``
    rng : Generator
        Its own, so that labels never change spectra.
    """
    snr = rows["snr_g"].to_numpy(float)
    is_labelled = (rows["true_kind"] == "ms").to_numpy() & (snr >= _LEAST_LABEL_SNR)
    scale = _LABEL_SNR / np.maximum(snr, _LEAST_LABEL_SNR)
    labels = {}
    for name, (random, external) in _LABEL_ERRORS.items():
        error = np.where(is_labelled, np.hypot(random * scale, external), np.nan)
        labels[name] = rows[f"true_{name}"].to_numpy(float) + rng.normal(size=len(rows)) * error
        labels[f"{name}_err"] = error
    return rows.assign(**labels)


def simulate_spectra(
    n_stars: int,
    seed: int,
    counts: Mapping[str, float] | None = None,
    snr_range: tuple[float, float] = (5.0, 200.0),
    *,
    epochs: float = 0.0,
    problems: float = 0.0,
    chunk: int = 500,
) -> Iterator[tuple[list[Spectrum], pd.DataFrame]]:
    """Simulate a survey as single spectra, chunk by chunk (see ``SurveyPlan``).

    Yields
    ------
    spectra : list of Spectrum
        With the header entries a LAMOST file would carry.
    truth : DataFrame
        A row a spectrum, in the same order.
    """
    plan = SurveyPlan(n_stars, seed, counts, snr_range, epochs, problems, chunk)
    return simulate_plan(plan)


def simulate_plan(plan: SurveyPlan) -> Iterator[tuple[list[Spectrum], pd.DataFrame]]:
    """Simulate a planned survey, chunk by chunk, as ``simulate_spectra`` does."""
    for index in range(plan.n_chunks):
        spectra, truth = simulate_chunk(plan, index)
        yield as_spectrum_list(spectra, truth), truth
