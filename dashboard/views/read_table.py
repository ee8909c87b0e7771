"""A list of stars that is read and clicked, never written in.

A click opens the star whose obsid stands in the row that was clicked (``verdict.js``). The number
of the row would not do: the server may list other stars by the time it hears of the click.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import panel as pn

from dashboard.theme import stylesheet

ROW_HEIGHT: Final = 24  # px


class ReadTable(pn.widgets.Tabulator):
    """A table that is only read: its cells are those of the server, and a click is a click.

    Panel hands every patch back to the table 50 ms later, as if somebody had written in it. Where
    another table is shown by then, cells of the old one would be written into the new one. The
    borders of columns take every click that hits them unless they can be moved in the head alone.

    Parameters
    ----------
    rows : DataFrame
        Text throughout.
    least_widths : dict of column -> px
        Of columns that must not be narrower; the others may shrink to 24 px.
    hides : bool
        Whether columns without room are left out whole.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        least_widths: dict[str, int] | None = None,
        *,
        hides: bool = False,
        **params: Any,
    ) -> None:
        configuration: dict[str, Any] = {
            "rowHeight": ROW_HEIGHT,  # else that of every cell is measured
            "columnDefaults": {"minWidth": 24, "resizable": "header"},
            "columns": [{"field": c, "minWidth": w} for c, w in (least_widths or {}).items()],
        }
        if hides:
            configuration["responsiveLayout"] = "hide"
        still: dict[str, Any] = {
            "show_index": False, "disabled": True, "selectable": 1, "sortable": False,
            "pagination": None, "layout": "fit_columns", "row_height": ROW_HEIGHT,
            "theme": "simple", "sizing_mode": "stretch_both", "margin": 0,
            # a cell that could be written in takes the focus and drops it: Tab would end here
            "editors": dict.fromkeys(map(str, rows.columns)),
            "css_classes": ["msfa-queue-table"], "stylesheets": [stylesheet()],
        }  # fmt: skip
        super().__init__(rows, **still | {"configuration": configuration} | params)

    def _process_data(self, data: Any) -> None:
        """Leave what the page says of the cells: it is an echo."""
