"""A small survey on disk for tests of the dashboard: 60 spectra of known lines, four epochs."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import panel as pn
import pytest
from small_survey import add_with_catalogue

from dashboard.state import Session
from dashboard.state.data import SurveyData
from msfa_core.balmer.fit import fit_lines
from msfa_core.balmer.region import are_in_bhb_region, p_in_bhb_region
from msfa_core.columns import conform
from msfa_core.constants import BALMER_LINES, LAMOST_GRID
from msfa_core.flags import LabelFlag
from msfa_core.photometry.cmd import cmd_position
from msfa_core.rules import in_kiel_band
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.stars.velocity import epoch_velocities
from msfa_core.survey.folder import Survey

N_SPECTRA = 60
FIRST_OBSID = 1_230_412_000
NASTY = "<img src=x onerror=alert(1)>"
DEAD_ROW = 7  # a spectrum without any usable pixel


def synthetic_spectrum(
    row: int, rng: np.random.Generator, depth: float, width: float, shape: float
) -> Spectrum:
    """One spectrum of flat continuum with SWS lines of known parameters."""
    wavelength = LAMOST_GRID.wavelength
    z = float(rng.normal(0, 5e-4))
    rest = wavelength / (1 + z)
    flux = np.full(rest.shape, 100.0)
    for line in BALMER_LINES.values():
        flux *= 1 - depth * np.exp(-((np.abs(rest - line) / width) ** shape))
    error = 1.5
    flux += rng.normal(0, error, rest.size)
    dead = row == DEAD_ROW
    return Spectrum(
        obsid=FIRST_OBSID + row,
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        ivar=np.full(rest.size, 0.0 if dead else 1 / error**2, dtype=np.float32),
        mask=np.full(rest.size, dead),
        z=z,
        ra=float(rng.uniform(0, 360)),
        dec=float(rng.uniform(-10, 60)),
        snr_g=100 / error,
        file=f"{NASTY}/spec-{row:03d}.fits" if row == 3 else f"spec-{row:03d}.fits",
        meta={"class": "STAR", "subclass": "A1V"},
    )


def make_survey(path: Path) -> Survey:
    """Write the survey: spectra, fits of them, made-up Gaia, labels and probabilities."""
    rng = np.random.default_rng(20)
    is_bhb = np.arange(N_SPECTRA) % 3 == 0
    spectra = [
        synthetic_spectrum(
            row, rng,
            depth=rng.uniform(0.72, 0.82) if bhb else rng.uniform(0.45, 0.75),
            width=rng.uniform(7, 9) if bhb else rng.uniform(8, 14),
            shape=rng.uniform(0.85, 1.05),
        )
        for row, bhb in enumerate(is_bhb)
    ]  # fmt: skip
    survey = Survey.create(path, simulated=True)
    add_with_catalogue(survey, spectra)
    table = survey.table().sort_values("obsid", ignore_index=True)
    fits = fit_lines(spectra).as_table()
    fits["in_bhb_region"] = are_in_bhb_region(fits, "ju2024")
    fits["p_in_bhb_region"] = p_in_bhb_region(fits, "ju2024")
    for name in fits.columns.drop("obsid"):
        table[name] = fits[name].to_numpy()
    other = rng.choice(["A", "B", "HSD", "WD"], N_SPECTRA)
    parallax = np.where(is_bhb, rng.uniform(0.1, 0.4, N_SPECTRA), rng.uniform(0.5, 2, N_SPECTRA))
    parallax[5] = -0.1
    over_error = rng.uniform(2, 30, N_SPECTRA)
    bp_rp = rng.uniform(-0.05, 0.5, N_SPECTRA)
    g_mag = np.where(is_bhb, 0.7, 2.5) + rng.normal(0, 0.4, N_SPECTRA) - 5 * np.log10(
        np.abs(parallax)
    ) + 10  # fmt: skip
    table = table.assign(
        uid=[f"G{1000 + min(row, N_SPECTRA - 4)}" for row in range(N_SPECTRA)],
        n_epochs=[4 if row >= N_SPECTRA - 4 else 1 for row in range(N_SPECTRA)],
        is_representative=[row <= N_SPECTRA - 4 for row in range(N_SPECTRA)],
        predicted_class=np.where(is_bhb, "BHB", other),
        p_bhb=np.where(is_bhb, rng.uniform(0.6, 1, N_SPECTRA), rng.uniform(0, 0.4, N_SPECTRA)),
        in_search_domain=True,
        is_candidate=is_bhb,
        teff=rng.uniform(7200, 11500, N_SPECTRA),
        teff_err=80.0,
        logg=np.where(is_bhb, rng.uniform(3.0, 3.6, N_SPECTRA), rng.uniform(3.5, 4.6, N_SPECTRA)),
        logg_err=0.1,
        feh=np.where(is_bhb, rng.uniform(-2.4, -1.1, N_SPECTRA), rng.uniform(-1.5, 0, N_SPECTRA)),
        feh_err=0.12,
        gaia_source_id=2**60 + np.arange(N_SPECTRA),
        g_mag=g_mag,
        bp_rp=bp_rp,
        parallax_mas=parallax,
        parallax_over_error=np.where(parallax > 0, over_error, -1.0),
        parallax_error_mas=np.abs(parallax) / over_error,
        pmra=rng.normal(0, 8, N_SPECTRA),
        pmdec=rng.normal(-4, 8, N_SPECTRA),
        pmra_error=0.05,
        pmdec_error=0.05,
        ebv=np.where(np.arange(N_SPECTRA) % 10 == 9, np.nan, rng.uniform(0.01, 0.2, N_SPECTRA)),
    )
    table = table.assign(**dict(cmd_position(table)))
    table = table.assign(**dict(epoch_velocities(table)))
    on_band = in_kiel_band(table["teff"], table["logg"])
    table["label_flags"] = np.where(on_band, 0, int(LabelFlag.OUTSIDE_KIEL_BAND))
    survey.write_table(conform(table))
    return survey


@pytest.fixture(scope="session")
def survey_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey, made once; tests work on copies."""
    return make_survey(tmp_path_factory.mktemp("surveys") / "template").path


@pytest.fixture(scope="module", autouse=True)
def _surveys_let_go() -> Iterator[None]:
    """Close what the sessions of a module shared: a server has few surveys, the suite hundreds.

    What outlives the module is not looked through again for garbage: among the remains of hundreds
    of pages each look took a second, and tests take many.
    """
    yield
    for key, data in list(pn.state.cache.items()):
        if isinstance(data, SurveyData):
            data.close()
            del pn.state.cache[key]
    gc.collect()
    gc.freeze()


@pytest.fixture
def survey(survey_template: Path, tmp_path: Path) -> Survey:
    """A copy of the survey that a test may write to."""
    return Survey.open(shutil.copytree(survey_template, tmp_path / "survey"))


@pytest.fixture
def bare_survey(survey: Survey) -> Survey:
    """The survey before Gaia and labels were added."""
    table = survey.table()
    for name in ("bp_rp", "abs_mag_g", "parallax_mas", "parallax_over_error", "g_mag"):
        table[name] = np.nan
    for name in ("teff", "logg", "feh"):
        table[name] = np.nan
    survey.write_table(table)
    return survey


@pytest.fixture
def state(survey: Survey) -> Session:
    """A reviewer's session on the survey."""
    return Session(survey, "anna")
