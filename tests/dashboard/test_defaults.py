"""What is kept of Bokeh's models is what Bokeh works out."""

import numpy as np
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Range1d, Select, Slider
from bokeh.models.layouts import Column
from bokeh.plotting import figure

from dashboard.app import VettingApp  # noqa: F401 (which has defaults kept)
from dashboard.theme import DARK, LIGHT, bokeh_theme


def page(theme):
    """A document of some of everything that the app draws with."""
    document = Document() if theme is None else Document(theme=theme)
    plot = figure(x_range=Range1d(0, 1))
    source = ColumnDataSource({"x": np.arange(3.0), "y": np.arange(3.0)})
    plot.scatter("x", "y", source=source, size=4, legend_label="stars")
    plot.line([0, 1], [1, 0], line_dash="dashed")
    menu = Select(options=["a", "b"], value="a")
    document.add_root(Column(plot, menu, Slider(start=0, end=1, value=0.5)))
    return document


def written(document):
    return document.to_json(), [model.properties_with_values() for model in document.models]


def test_pages_of_any_theme_are_written_as_bokeh_writes_them(monkeypatch):
    pages = [page(bokeh_theme(LIGHT)), page(None), page(bokeh_theme(DARK)), page(None)]
    first, kept = list(map(written, pages)), list(map(written, pages))
    for owner, name in (
        (Property, "themed_default"),
        (PropertyDescriptor, "has_unstable_default"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert first == kept == list(map(written, pages))
