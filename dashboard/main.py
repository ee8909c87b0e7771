"""Entry point of ``panel serve dashboard [--args SURVEY [--reference TABLE] [--learn]]``."""

import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the server puts only this folder on the path
    sys.path.insert(0, str(ROOT))

import panel as pn  # noqa: E402

pn.extension("tabulator", sizing_mode="stretch_width")  # a lost page loads itself anew: lost.js

from dashboard.app import VettingApp  # noqa: E402
from dashboard.making import DemoMaker, options  # noqa: E402
from dashboard.theme import page_css, palette, static_address  # noqa: E402
from dashboard.views.letters import demo_page, error_page  # noqa: E402
from msfa_core.errors import MsfaError  # noqa: E402
from msfa_core.survey.folder import Survey, is_survey  # noqa: E402

logger = logging.getLogger("dashboard")

UNFORESEEN = (
    "It failed in a way that nobody foresaw: {}. The server's log says where; the survey is as "
    "it was. Load the page again; if it fails again, look at the survey with `msfa doctor`."
)


def page() -> pn.viewable.Viewable | pn.viewable.Viewer:
    """Return the page of the survey that was named, else of the demo survey."""
    given = options()
    try:
        maker = DemoMaker.where_wanted(given.survey)
        if maker is not None and not is_survey(given.survey):
            return demo_page(maker)
        return VettingApp(Survey.open(given.survey), reference=given.reference, learn=given.learn)
    except MsfaError as error:
        logger.warning("no page: %s", error)
        return error_page("This survey cannot be opened", str(error))
    except Exception as error:  # else the browser says for ever that the page is being drawn
        logger.exception("no page")
        return error_page("This page could not be made", UNFORESEEN.format(repr(error)))


pn.config.raw_css.append(page_css(palette()))
for name in ("lost", "painting"):  # which early.js imports: asked for with it, not after it
    pn.config.js_modules[name] = static_address(f"{name}.js").partition("?")[0]
pn.config.js_modules["early"] = static_address("early.js")
page().servable(title="BHB vetting")
