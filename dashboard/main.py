"""Entry point of ``panel serve dashboard [--args SURVEY [--reference TABLE]]``."""

import argparse
import logging
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the server puts only this folder on the path
    sys.path.insert(0, str(ROOT))

import panel as pn  # noqa: E402

pn.extension(
    "tabulator",
    reconnect=True,
    sizing_mode="stretch_width",
)

from dashboard.app import DemoMaker, VettingApp, demo_page, error_page  # noqa: E402
from dashboard.theme import page_css, palette  # noqa: E402
from msfa_core.errors import MsfaError  # noqa: E402
from msfa_core.survey.demo import demo_path  # noqa: E402
from msfa_core.survey.folder import Survey, is_survey  # noqa: E402

logger = logging.getLogger("dashboard")


def options() -> argparse.Namespace:
    """Return what stands behind ``--args``."""
    parser = argparse.ArgumentParser(prog="panel serve dashboard --args", add_help=False)
    parser.add_argument("survey", nargs="?", default=os.environ.get("MSFA_SURVEY", ""))
    parser.add_argument("--reference", type=Path)
    return parser.parse_known_args()[0]


def page() -> pn.viewable.Viewable | pn.viewable.Viewer:
    """Return the page of the survey that was named, else of the demo survey."""
    given = options()
    named = given.survey
    path = Path(named) if named else demo_path()
    try:
        if not named and not is_survey(path):
            return demo_page(DemoMaker.at(path))
        return VettingApp(Survey.open(path), reference=given.reference)
    except MsfaError as error:
        logger.warning("no page: %s", error)
        return error_page("This survey cannot be opened", str(error))


pn.config.raw_css.append(page_css(palette()))
page().servable(title="BHB vetting")
