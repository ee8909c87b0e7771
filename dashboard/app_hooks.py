"""What the server does once, before the first page is asked for."""

import atexit
import gc
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
GIVEN = sys.argv[1:]  # what stands behind --args; by the time of the call it is the server's own


def on_server_loaded(server_context: Any) -> None:
    """Compile in the background what would make the first reviewer wait; keep a page ready."""
    # A figure that is put together wrongly is found by the tests, not at each page anew (0.1 s).
    os.environ.setdefault("BOKEH_VALIDATE_DOC", "no")
    # Who stops the server would wait a second or two for every object to be taken apart.
    atexit.register(gc.freeze)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from dashboard.making import DemoMaker, options  # noqa: PLC0415
    from dashboard.state.files import keep_what_is_asked_for, serve_files_lightly  # noqa: PLC0415
    from dashboard.state.gone import let_close_twice, let_leave  # noqa: PLC0415
    from dashboard.state.head import send_heads_first  # noqa: PLC0415
    from dashboard.state.spare import SparePage  # noqa: PLC0415
    from dashboard.warming import warm_up  # noqa: PLC0415

    serve_files_lightly()
    keep_what_is_asked_for()
    let_leave(server_context.application_context.io_loop.asyncio_loop)
    let_close_twice()
    survey = options(GIVEN).survey
    maker = DemoMaker.where_wanted(survey)
    gc.freeze()  # what was imported stays: not searched whenever a page is closed
    is_read = threading.Event()
    warming = warm_up(None if maker is None else maker.can_open, is_read)
    SparePage(server_context.application_context, warming)
    send_heads_first(server_context.application_context)
    path = survey if maker is None else None
    threading.Thread(target=_read, args=(path, is_read), name="read", daemon=True).start()


def _read(path: Path | None, is_read: threading.Event) -> None:
    """Import what the first page needs, and read its survey where there is one."""
    import dashboard.app  # noqa: F401, PLC0415

    try:
        if path is not None:
            read_survey(path)
        gc.freeze()  # nor what was imported and read since, until nobody is at work
    finally:
        is_read.set()


def read_survey(path: Path) -> None:
    """Read what all pages share of a survey; what cannot be read is said by the page."""
    from dashboard.state.data import give_back, shared_data  # noqa: PLC0415
    from msfa_core.errors import MsfaError  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    try:
        give_back(shared_data(Survey.open(path)))
    except (MsfaError, OSError) as error:
        logger.info("not read ahead: %s", error)
