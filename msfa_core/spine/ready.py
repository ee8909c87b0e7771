"""Kernels of the spine compiled once, before many spectra or the first reviewer need them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from msfa_core.constants import LAMOST_GRID
from msfa_core.machine.parallel import one_thread_each, start_worker, unheard_ctrl_c
from msfa_core.spectra.spectrum import Spectrum

logger = logging.getLogger(__name__)


def some_spectrum() -> Spectrum:
    """Return noise on a flat continuum: what a kernel is compiled with."""
    wavelength = LAMOST_GRID.wavelength
    flux = 1.0 + 0.01 * np.random.default_rng(0).standard_normal(len(wavelength))
    return Spectrum(
        obsid=1,
        wavelength=wavelength,
        flux=flux,
        ivar=np.full(len(flux), 1e4),
        mask=np.zeros(len(flux), dtype=bool),
        z=0.0,
    )


def compile_kernels() -> None:
    """Take one spectrum through the steps, so that the kernels lie on disk for other processes."""
    compile_measuring()
    compile_matching()
    compile_classifying()


def compile_measuring() -> None:
    """Measure one spectrum."""
    from msfa_core.balmer.fit import fit_lines  # noqa: PLC0415 (numba)
    from msfa_core.balmer.indices import line_indices  # noqa: PLC0415

    spectrum = some_spectrum()
    fit_lines(spectrum)
    line_indices(spectrum)


def compile_matching() -> None:
    """Match one spectrum."""
    from msfa_core.templates import match, read_templates  # noqa: PLC0415 (numba)

    match(some_spectrum(), read_templates(""))


def compile_classifying() -> None:
    """Classify one spectrum."""
    from msfa_core.search.two_stages import load_search  # noqa: PLC0415 (torch)
    from msfa_core.spectra.prepare import prepare  # noqa: PLC0415

    load_search().classify(prepare(some_spectrum()))


def _compile_beside() -> None:
    start_worker()  # it ends with the process that it works for
    compile_measuring()


def kernels_kept_in() -> tuple[Path, bool]:
    """Return the folder of the compiled kernels, and whether this user can write there."""
    from msfa_core.balmer.kernel import measure_rows  # noqa: PLC0415 (numba)

    folder = Path(measure_rows._cache.cache_path)
    return folder, os.access(folder, os.W_OK)


@contextmanager
def compiling_beside() -> Iterator[multiprocessing.process.BaseProcess]:
    """Have another process compile the kernels of measuring while the block does something else.

    Wait for it (``join``) before anything is measured: else both would compile.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_compile_beside, name="kernels", daemon=True)
    with one_thread_each(), unheard_ctrl_c():
        process.start()
    try:
        yield process
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
        if process.exitcode not in (0, -signal.SIGTERM):  # compiled where they are needed
            logger.warning("the kernels could not be compiled beside: exit %s", process.exitcode)
