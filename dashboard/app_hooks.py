"""What the server does once, before the first page is asked for."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GIVEN = sys.argv[1:]  # what stands behind --args; by the time of the call it is the server's own


def on_server_loaded(server_context: Any) -> None:
    """Compile in the background what would make the first reviewer wait; keep a page ready."""
    # A figure that is put together wrongly is found by the tests, not at each page anew (0.1 s).
    os.environ.setdefault("BOKEH_VALIDATE_DOC", "no")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from dashboard.making import DemoMaker, options  # noqa: PLC0415
    from dashboard.state.spare import SparePage  # noqa: PLC0415
    from dashboard.warming import warm_up  # noqa: PLC0415

    SparePage(server_context.application_context)
    maker = DemoMaker.where_wanted(options(GIVEN).survey)
    warm_up(None if maker is None else maker.can_open)
    if maker is not None:  # meanwhile
        threading.Thread(target=_read_page, name="read-page", daemon=True).start()


def _read_page() -> None:
    """Import what the first page needs."""
    import dashboard.app  # noqa: F401, PLC0415
