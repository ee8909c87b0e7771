"""SWS profile fits of Balmer lines, the D0.2–fm plane and line indices (paper §V.2)."""

from msfa_core.balmer.fit import LineFits, LineWindow, fit_lines, line_window
from msfa_core.balmer.indices import calcium_k, line_indices
from msfa_core.balmer.membership import in_bhb_region, p_in_region
from msfa_core.balmer.selection import (
    SELECTIONS,
    Selection,
    box_selection,
    parse_selection,
)
from msfa_core.balmer.sws import (
    SWSParameters,
    line_width_d02,
    sws_profile,
)
from msfa_core.flags import FitFlag

__all__ = [
    "SELECTIONS",
    "FitFlag",
    "LineFits",
    "LineWindow",
    "SWSParameters",
    "Selection",
    "box_selection",
    "calcium_k",
    "fit_lines",
    "in_bhb_region",
    "line_indices",
    "line_width_d02",
    "line_window",
    "p_in_region",
    "parse_selection",
    "sws_profile",
]
