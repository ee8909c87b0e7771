"""What is kept of Bokeh's models is what Bokeh works out."""

import numpy as np
import pytest
from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.document import Document
from bokeh.model import util
from bokeh.models import ColumnDataSource, CustomJS, Div, Range1d, Select, Slider
from bokeh.models.layouts import Column
from bokeh.plotting import figure

from dashboard.app import VettingApp  # (which has defaults kept)
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
        (HasProps, "themed_values"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    overridden = vars(HasProps)["_overridden_defaults"].__func__.__wrapped__
    monkeypatch.setattr(HasProps, "_overridden_defaults", classmethod(overridden))
    assert first == kept == list(map(written, pages))


def test_an_empty_list_that_was_never_set_is_its_models_own_and_tells_of_changes():
    made = [Div(text=name) for name in "abc"]
    document = Document()
    for one in made:
        document.add_root(one)
        assert (one.tags, one.js_property_callbacks, one.syncable) == ([], {}, True)
    heard = []
    document.on_change(heard.append)
    made[1].tags.append("changed")
    made[2].js_event_callbacks["click"] = []
    assert [(event.model.id, event.attr) for event in heard] == [
        (made[1].id, "tags"),
        (made[2].id, "js_event_callbacks"),
    ]
    assert [one.tags for one in (*made, Div())] == [[], ["changed"], [], []]
    assert [dict(one.js_event_callbacks) for one in (*made, Div())] == [{}, {}, {"click": []}, {}]


def found(root):
    return [model.id for model in util.collect_models(root)]  # (of a set, the order is chance)


def looked_for_anywhere(root, monkeypatch):
    with monkeypatch.context() as as_bokeh_does:
        look = util.visit_immediate_value_references.__wrapped__
        as_bokeh_does.setattr(util, "visit_immediate_value_references", look)
        return found(root)


@pytest.mark.parametrize("theme", [LIGHT, None])
def test_models_are_found_wherever_bokeh_finds_them(theme, monkeypatch):
    document = page(None if theme is None else bokeh_theme(theme))
    root = document.roots[0]
    plot = root.children[0]
    assert found(root) == looked_for_anywhere(root, monkeypatch)
    hidden = [Div(text=name) for name in "abcdef"]
    plot.tags.append(hidden[0])  # in a list that was never set
    plot.tags.append({"deep": [(hidden[1],)], hidden[2]: 1})
    plot.js_property_callbacks["change:tags"] = [CustomJS(args={"of": hidden[3]}, code="")]
    root.children[1].stylesheets = [":host {}"]
    root.children.append(Column(hidden[4]))
    plot.xaxis.axis_label_text_color = "red"
    plot.renderers[0].glyph.size = {"value": 3}
    now = found(root)
    assert now == looked_for_anywhere(root, monkeypatch)
    assert {one.id for one in hidden[:5]} <= set(now)
    assert hidden[5].id not in now
    assert {model.id for model in document.models} >= {hidden[4].id}  # it is of the page


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Panel's table
def test_every_model_of_the_app_is_found(survey, monkeypatch):
    root = VettingApp(survey).__panel__().get_root()
    assert len(found(root)) > 500
    assert found(root) == looked_for_anywhere(root, monkeypatch)
