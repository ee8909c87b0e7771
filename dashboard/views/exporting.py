"""What goes out: which stars, which columns, which format; a look at the first rows; the file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param

from dashboard.planes.cells import counted
from dashboard.state import Session
from dashboard.theme import palette, stylesheet
from dashboard.views.page import Page
from dashboard.views.programs import ProgramsView
from msfa_core.columns import BY_NAME, PAPER_COLUMNS
from msfa_core.errors import ExportError, MsfaError
from msfa_core.rules import n_stars, title_sentence, unidentified_sentence
from msfa_core.survey.funnel import funnel_in_words
from msfa_core.survey.subsets import quoted, subset_filter
from msfa_core.tables.beside import flags_left_out
from msfa_core.tables.export import PROVENANCE_SUFFIX, choose_columns, export
from msfa_core.vetting.by_reviewer import anonymous
from msfa_core.vetting.filters import Filter, verdict_filters

FORMAT_TEXT: Final = {
    "Machine-readable table (MRT)": "mrt",
    "FITS table": "fits",
    "VOTable": "vot",
    "CSV": "csv",
    "Parquet": "parquet",
}
COLUMNS_TEXT: Final = {"as Table 6 of the paper": "paper", "every column": "full"}
VERDICTS: Final = ("accept", "reject", "unsure", "disputed")
PREVIEW_ROWS: Final = 8
CELLS_LIMIT: Final = 8_000_000  # more than this is not sent through a browser
STEM: Final = "bhb"
WITHOUT_HEADER: Final = ("csv", "parquet")  # what such a file is lies beside it


def rows_offered() -> dict[str, Filter | None]:
    """Return the choices of rows, by their words; None stands for the queue."""
    verdicts = verdict_filters()
    return {
        "accepted stars": verdicts["accept"],
        "every vetted star": verdicts["with verdict"],
        "unsure stars": verdicts["unsure"],
        "rejected stars": verdicts["reject"],
        "disputed stars": verdicts["disputed"],
        "the queue": None,
        "every spectrum": Filter("all", "all spectra", lambda t: np.ones(len(t), dtype=bool)),
    }


def verdict_counts(table: pd.DataFrame) -> str:
    """Return how the verdicts of these rows are spread, in words."""
    verdicts = table["verdict"].astype(object)
    named = [(word, int((verdicts == word).sum())) for word in VERDICTS]
    undecided = len(table) - sum(count for _, count in named)
    return ", ".join(
        f"{count:,} {word}" for word, count in [*named, ("undecided", undecided)] if count
    )


def preview_html(table: pd.DataFrame, columns: str) -> str:
    """Return the first rows as an HTML table, formatted as they go out; every cell is escaped."""
    names = [name for name in PAPER_COLUMNS if name in table]
    if columns != "paper":
        names = [one.name for one in choose_columns(table, columns) if one.name in BY_NAME]
    head_rows = table.head(PREVIEW_ROWS)
    head = "".join(
        f"<th title='{escape(BY_NAME[name].description, quote=True)}'>{escape(name)}<br>"
        f"<small>{escape(BY_NAME[name].unit.replace('dex(1)', 'dex')) or '&nbsp;'}</small></th>"
        for name in names
    )
    cells = [[escape(cell_text(value, name)) for value in head_rows[name]] for name in names]
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in zip(*cells, strict=True)
    )
    more = (
        f"<p class='msfa-hint'>the first {PREVIEW_ROWS} of {len(table):,} rows</p>"
        if len(table) > PREVIEW_ROWS
        else ""
    )
    return (
        f"<table class='msfa-preview'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{more}"
    )


def cell_text(value: Any, name: str) -> str:
    """Return a value as the export formats it; missing is empty."""
    if value is None or pd.isna(value):
        return ""
    column = BY_NAME[name]
    return format(value, column.format) if column.kind in ("int", "float") else str(value)


def export_bytes(
    table: pd.DataFrame, suffix: str, columns: str, header: Mapping[str, str]
) -> io.BytesIO:
    """Return the finished file: written by `catalogue.export`, as the command line writes it.

    Raises
    ------
    ExportError
        When the table cannot be written as asked.
    """
    with tempfile.TemporaryDirectory(prefix="msfa-export-") as folder:
        path = export(table, Path(folder) / f"{STEM}.{suffix}", columns=columns, header=header)
        return io.BytesIO(Path(path).read_bytes())


def provenance_bytes(
    table: pd.DataFrame, suffix: str, columns: str, header: Mapping[str, str]
) -> io.BytesIO:
    """Return what lies beside a CSV or Parquet file, which have no place for it inside.

    Raises
    ------
    ExportError
        As `export_bytes`.
    """
    with tempfile.TemporaryDirectory(prefix="msfa-export-") as folder:
        path = Path(folder) / f"{STEM}.{suffix}"
        export(table, path, columns=columns, header=header)
        return io.BytesIO(path.with_name(path.name + PROVENANCE_SUFFIX).read_bytes())


def flags_html(table: pd.DataFrame, names: str) -> str:
    """Return how many rows are flagged without it going out, as the head of the file says."""
    told = flags_left_out(choose_columns(table, names), table).items()
    return "".join(
        f"<p style='color:{palette().warn}'>{escape(f'{where}: {words}')}.</p>"
        for where, words in told
    )


def form_options() -> dict[str, Any]:
    """Return how a field of the form looks."""
    return {
        "sizing_mode": "stretch_width", "margin": (4, 10), "css_classes": ["msfa-form"],
        "stylesheets": [stylesheet()],
    }  # fmt: skip


class ExportView(Page):
    """The table that will be published, and the button that makes it."""

    rows: param.Selector[str] = param.Selector(
        default="accepted stars", objects=list(rows_offered())
    )
    suffix: param.Selector[str] = param.Selector(default="mrt", objects=FORMAT_TEXT)
    columns: param.Selector[str] = param.Selector(default="paper", objects=COLUMNS_TEXT)
    one_per_star = param.Boolean(default=False, doc="Only the representative spectrum of a star")
    anonymous = param.Boolean(default=False, doc="Reviewers as R1, R2 …")
    chosen_columns = param.String(doc="Sets and names of columns in place of the menu's")
    table_title = param.String(default="", doc="In place of what the rows are")
    authors = param.String(default="")

    def __init__(self, state: Session, **params: Any) -> None:
        super().__init__(state, **params)
        css: dict[str, Any] = {"stylesheets": [stylesheet()]}
        self._offered = rows_offered()
        self._words = pn.pane.HTML("", margin=(6, 10), sizing_mode="stretch_width", **css)
        self._preview = pn.pane.HTML(
            "", margin=(6, 10), sizing_mode="stretch_width", styles={"overflow-x": "auto"}, **css
        )
        self._button = pn.widgets.FileDownload(
            callback=self._file, filename=f"{STEM}.mrt", label="Download", color="primary",
            css_classes=["export-download"], margin=(6, 10), width=180, **css,
        )  # fmt: skip
        self._beside = pn.widgets.FileDownload(
            callback=self._provenance, filename=f"{STEM}.csv{PROVENANCE_SUFFIX}",
            label="Download its provenance", visible=False, margin=(0, 10, 6, 10), width=240,
            css_classes=["export-provenance"], **css,
        )  # fmt: skip
        self.programs = ProgramsView(state, lambda: (self._going(), self.header))
        self._title = pn.widgets.TextInput.from_param(
            self.param.table_title, label="Title", **form_options()
        )
        self._form = self._fields()
        self.refresh()
        self.follow(self.refresh, "verdicts.version", "queue.obsids", "verdicts.table")
        choices = ["rows", "suffix", "columns", "one_per_star", "chosen_columns", "anonymous"]
        self.param.watch(lambda *_: self.refresh(), choices)

    # --- what goes out -------------------------------------------------------------------
    def offer(self) -> None:
        """Offer the choices of rows that there are now: colleagues name subsets too."""
        self._offered = rows_offered()
        try:
            held = self.state.queue.subsets()
        except MsfaError as error:
            self.state.status.say(str(error), "error")
            held = {}
        for name in held:
            self._offered[f"subset {name}"] = subset_filter(quoted(name), held)
        combination = self.state.queue.combination
        if combination and f"subset {combination}" not in self._offered:
            self._offered[f"subset {combination}"] = subset_filter(combination, held)
        if self.rows not in self._offered:
            self.rows = "accepted stars"
        self.param.rows.objects = list(self._offered)

    def outgoing(self) -> pd.DataFrame:
        """Return the rows that are chosen."""
        table, chosen = self.state.verdicts.table, self._offered[self.rows]
        keep = (
            np.isin(table["obsid"].to_numpy(np.int64), self.state.queue.obsids)
            if chosen is None
            else chosen.predicate(table)
        )
        if self.one_per_star:
            keep = keep & table["is_representative"].fillna(True).to_numpy(dtype=bool)
        return table.loc[keep]

    def _going(self) -> pd.DataFrame:
        """Return the rows that are chosen, without names where nobody is to be named."""
        return self._unnamed(self.outgoing())

    def _unnamed(self, table: pd.DataFrame) -> pd.DataFrame:
        return anonymous(table) if self.anonymous else table

    @property
    def wanted(self) -> str:
        """The columns that go out: one's own words, else the menu's."""
        return self.chosen_columns.strip() or self.columns

    @property
    def sentence(self) -> str:
        """The choice of rows in words, as the header of the file has it."""
        chosen = self._offered[self.rows]
        words = "; ".join(self.state.queue.sentences) if chosen is None else chosen.sentence
        return f"{words}; one spectrum per star" if self.one_per_star else words

    @property
    def header(self) -> dict[str, str]:
        """What the file says of itself."""
        survey = self.state.survey
        title = self.table_title.strip()
        if title and survey.is_simulated:
            title = f"SIMULATED stars (they do not exist): {title}"
        typed = {
            "title": title,
            "authors": self.authors.strip(),
            "funnel": funnel_in_words(self.state.verdicts.table, survey.settings_used),
        }
        header = survey.export_header(self.sentence, self._going())
        return header | {k: text for k, text in typed.items() if text}

    def obstacle(self, table: pd.DataFrame) -> str:
        """Return why these rows cannot be downloaded, and what to do; empty when they can."""
        if not len(table):
            return {
                "accepted stars": "Nothing is accepted yet: accept stars (key a), or choose "
                "other rows.",
                "the queue": "The queue is empty: widen its filters, or choose other rows.",
            }.get(self.rows, f"There are no {self.rows}: choose other rows.")
        if not self.state.data.is_current:
            return (
                "A step has rewritten the table of this survey since this page read it: press "
                "reload, then export."
            )
        try:
            width = len(choose_columns(table, self.wanted))
        except ExportError as error:
            return str(error)
        if len(table) * width > CELLS_LIMIT:
            option = "--all" if self.rows == "every spectrum" else "--verdict …"
            return (
                f"{len(table):,} rows of {width} columns are too many for a browser: write them "
                f"with `msfa export {self.state.survey.path.name} {STEM}.{self.suffix} {option}`."
            )
        return ""

    # --- on the screen -------------------------------------------------------------------
    def refresh(self) -> None:
        """Show what would go out now."""
        self.offer()
        table = self.outgoing()
        obstacle = self.obstacle(table)
        self._title.placeholder = title_sentence(table)
        self._button.filename = f"{STEM}.{self.suffix}"
        self._button.disabled = bool(obstacle)
        self._beside.filename = self._button.filename + PROVENANCE_SUFFIX
        self._beside.visible = self.suffix in WITHOUT_HEADER and not obstacle
        self._button.label = "Nothing to download" if obstacle else f"Download {STEM}.{self.suffix}"
        doubt = unidentified_sentence(table)
        doubt = f"; {doubt}" if doubt else ""
        words = (
            f"<p class='msfa-export-obstacle' style='color:{palette().warn}'>{escape(obstacle)}</p>"
            if obstacle
            else f"<p><strong>{counted(len(table), 'spectrum', 'spectra')} of "
            f"{counted(n_stars(table), 'star', 'stars')}</strong> "
            f"({escape(verdict_counts(table))}){escape(doubt)}.</p>"
        )
        simulated = (
            "<p><strong>This survey is simulated:</strong> these stars do not exist.</p>"
            if self.state.survey.is_simulated
            else ""
        )
        self._words.object = (
            f"{words}<p>Rows: {escape(self.sentence)} · the filters of the queue "
            f"{'count' if self._offered[self.rows] is None else 'do not count'} here.</p>"
            f"{simulated}{'' if obstacle else flags_html(table, self.wanted)}"
        )
        names = "" if obstacle else self.wanted
        shown = self._unnamed(table) if names else table
        self._preview.object = preview_html(shown, names) if len(table) and names else ""

    def _file(self) -> io.BytesIO:
        """Make the file when the button is pressed; what is refused is said, not raised."""
        table = self._going()
        try:
            if obstacle := self.obstacle(table):
                raise ExportError(obstacle)
            content = export_bytes(table, self.suffix, self.wanted, self.header)
        except MsfaError as error:
            self.state.status.say(str(error), "error")
            raise param.Skip from error
        self.state.status.say(f"exported {len(table):,} rows to {self._button.filename}")
        return content

    def _provenance(self) -> io.BytesIO:
        """Make what lies beside the file; what is refused is said, not raised."""
        try:
            return provenance_bytes(self._going(), self.suffix, self.wanted, self.header)
        except MsfaError as error:
            self.state.status.say(str(error), "error")
            raise param.Skip from error

    def _fields(self) -> pn.Column:
        wide = form_options()
        make: Any = pn.widgets.Select.from_param
        text: Any = pn.widgets.TextInput.from_param
        return pn.Column(
            make(self.param.rows, label="Rows", **wide),
            pn.widgets.Checkbox.from_param(
                self.param.one_per_star,
                label="one spectrum per star (highest S/N)", margin=(4, 10),
            ),
            make(self.param.columns, label="Columns", **wide),
            make(self.param.suffix, label="Format", **wide),
            self._title,
            text(
                self.param.authors, label="Authors", placeholder="as in the paper", **wide
            ),
            pn.widgets.Checkbox.from_param(
                self.param.anonymous, label="reviewers as R1, R2 …", margin=(4, 10),
            ),
            text(
                self.param.chosen_columns, label="Columns of your own",
                placeholder="sets or names, with commas: measure, teff", **wide
            ),
            self._button,
            self._beside,
            self.programs,
            max_width=380,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(
            self._form,
            pn.Column(self._words, self._preview, sizing_mode="stretch_both"),
            sizing_mode="stretch_both",
        )
