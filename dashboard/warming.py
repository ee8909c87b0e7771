"""What is compiled and imported on first use is made ready in the background, page first."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from msfa_core import __version__
from msfa_core.errors import MsfaError
from msfa_core.spectra.spectrum import Spectrum

logger = logging.getLogger(__name__)

PAGE_SECONDS: Final = 10.0  # a first page that is asked for within them is waited for
BREATH_SECONDS: Final = 1.5  # after a page: its reviewer looks at the first star
page_is_painted = threading.Event()


def warm_up(after: threading.Event | None, is_read: threading.Event) -> threading.Thread:
    """Make ready in the background what the first reviewer would wait for.

    Parameters
    ----------
    after : Event, optional
        The demo survey is being made until then, and the kernels are compiled on the way: they
        are taken from disk after that.
    is_read : Event
        The survey is being read until then, and no page can be there.
    """
    thread = threading.Thread(
        target=_make_ready, args=(after, is_read), name="warm-up", daemon=True
    )
    thread.start()
    return thread


def _make_ready(after: threading.Event | None, is_read: threading.Event) -> None:
    if after is not None:
        after.wait()
    from msfa_core.balmer.fit import fit_lines  # noqa: PLC0415 (numba)
    from msfa_core.spine.ready import some_spectrum  # noqa: PLC0415

    spectrum = some_spectrum()
    fit_lines(spectrum)
    is_read.wait()
    if page_is_painted.wait(PAGE_SECONDS):
        time.sleep(BREATH_SECONDS)  # an import holds the interpreter: not while the page is made
    try:
        _think(spectrum)
    except MsfaError as error:  # said to the reviewer when the answer is wanted
        logger.warning("not made ready: %s", error)
    logger.info("ready: version %s", __version__)


def _think(spectrum: Spectrum) -> None:
    """Ask the questions of `state.questions` once: torch alone takes seconds to import."""
    from msfa_core.search.two_stages import load_search  # noqa: PLC0415
    from msfa_core.spectra.prepare import prepare  # noqa: PLC0415
    from msfa_core.templates import match, read_templates  # noqa: PLC0415

    search, prepared = load_search(), prepare(spectrum)
    for stage in (1, 2):
        search.explain(prepared, stage, steps=1)  # the answer is not wanted
    match(spectrum, read_templates(""))
