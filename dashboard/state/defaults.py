"""Defaults of Bokeh's models, worked out once: a page is a thousand models of a hundred properties.

Bokeh asks for each of them as a page is made, several times as it is written, and works out each
time what it is from all classes that a model derives from, copies it and validates it. A default
that is a number, a word or nothing is the same every time. A page takes four tenths less of it.
An empty list is each model's own, and of eight thousand on a page nearly all stay empty.

It also walks the whole page whenever a part is put in or taken out, several times as a page is
made, and asks each model for all that might name another: most was never set, and names none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from itertools import chain
from typing import Any, Final

from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import Property
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.singletons import UndefinedType
from bokeh.core.property.wrappers import PropertyValueDict, PropertyValueList, PropertyValueSet
from bokeh.model import Model, util

_SAME_EVERY_TIME: Final = (str, bool, int, float, type(None))
_OF_THE_MODEL: Final = (PropertyValueDict, PropertyValueList, PropertyValueSet)
_HOLD: Final = (PropertyValueList, PropertyValueDict, list, dict, tuple)


def know_defaults() -> None:
    """Have Bokeh keep the defaults that it has worked out."""
    work_out, look = Property.themed_default, PropertyDescriptor.has_unstable_default
    if hasattr(work_out, "__wrapped__"):
        return
    known: dict[tuple[type[HasProps], str, str | None], Any] = {}
    empty: dict[tuple[type[HasProps], str, str | None], Callable[[], Any]] = {}
    unstable: dict[tuple[type[HasProps], str], bool] = {}

    @wraps(work_out)
    def themed_default(
        self: Property[Any],
        cls: type[HasProps],
        name: str,
        theme_overrides: dict[str, Any] | None,
        *,
        no_eval: bool = False,
    ) -> Any:
        themed = None
        if theme_overrides is not None and name in theme_overrides:
            themed = theme_overrides[name]
            if not isinstance(themed, str):  # None, too, is not the same as no theme
                return work_out(self, cls, name, theme_overrides, no_eval=no_eval)
        key = cls, name, themed
        if key in empty:
            return empty[key]()
        if key not in known:
            found = work_out(self, cls, name, theme_overrides, no_eval=no_eval)
            is_made_anew = callable(self._default) or callable(cls._overridden_defaults().get(name))
            if type(found) in _OF_THE_MODEL and not found and not is_made_anew:
                empty[key] = type(found)
            if type(found) not in (*_SAME_EVERY_TIME, UndefinedType) or is_made_anew:
                return found
            known[key] = found
        return known[key]

    @wraps(look)
    def has_unstable_default(self: PropertyDescriptor[Any], obj: HasProps) -> bool:
        key = type(obj), self.name
        if key not in unstable:
            unstable[key] = look(self, obj)
        return unstable[key]

    @wraps(HasProps.themed_values)
    def themed_values(self: HasProps) -> dict[str, Any] | None:
        return vars(self).get("__themed_values__")  # to ask for what is not there takes its time

    overridden: Any = cache(vars(HasProps)["_overridden_defaults"].__func__)  # of a class, once
    for owner, name, kept in (
        (Property, "themed_default", themed_default),
        (PropertyDescriptor, "has_unstable_default", has_unstable_default),
        (HasProps, "themed_values", themed_values),
        (HasProps, "_overridden_defaults", classmethod(overridden)),
    ):
        setattr(owner, name, kept)


def walk_what_is_set() -> None:
    """Have Bokeh look for models of a page only where one may be."""
    look_anywhere, look = (
        util.visit_value_and_its_immediate_references, util.visit_immediate_value_references,
    )  # fmt: skip
    if hasattr(look, "__wrapped__"):
        return
    places: dict[type[HasProps], tuple[tuple[str, bool], ...]] = {}

    def look_into(value: Any, visitor: Callable[[Model], None]) -> None:
        kind = type(value)
        if issubclass(kind, Model):
            visitor(value)
        elif issubclass(kind, list | tuple | dict):
            for one in chain.from_iterable(value.items()) if issubclass(kind, dict) else value:
                if type(one) not in _SAME_EVERY_TIME:
                    look_into(one, visitor)
        elif kind not in _SAME_EVERY_TIME:
            look_anywhere(value, visitor)

    def names_none(of: HasProps, attr: str) -> bool:
        """Whether a property that nobody touched names no model."""
        descriptor = type(of).lookup(attr)
        if type(descriptor)._get is not PropertyDescriptor._get:  # another name of a property
            return False
        default = descriptor.property.themed_default(type(of), attr, None)
        return type(default) in _SAME_EVERY_TIME or (type(default) in _HOLD and not default)

    @wraps(look)
    def visit_immediate_value_references(value: Any, visitor: Callable[[Model], None]) -> None:
        if not isinstance(value, HasProps):
            look_into(value, visitor)
            return
        kind = type(value)
        if kind not in places:
            attrs = kind.properties_with_refs()
            places[kind] = tuple((attr, names_none(value, attr)) for attr in attrs)
        held, made = value._property_values, value._unstable_default_values
        themed = vars(value).get("__themed_values__") or ()
        for attr, is_empty in places[kind]:
            if attr in held:
                found = held[attr]
            elif is_empty and attr not in themed:
                found = made.get(attr)  # a list may have got its models since it was made
            else:
                found = getattr(value, attr)
            if found is not None:
                look_into(found, visitor)

    util.visit_immediate_value_references = visit_immediate_value_references
