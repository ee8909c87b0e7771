"""The queue: which stars, in what order, how far the reviewer has come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.labels import Labels
from dashboard.state.part import Part
from dashboard.state.verdicts import Verdicts
from msfa_core.errors import SurveyError
from msfa_core.slam.labels import oddness
from msfa_core.survey.subsets import FILTER as SUBSET
from msfa_core.survey.subsets import (
    WORDS,
    Subset,
    forget_subset,
    name_subset,
    quoted,
    subset_filter,
    subsets,
)
from msfa_core.vetting.filters import ORDERS as CATALOGUE_ORDERS
from msfa_core.vetting.filters import Filter, Order

ODD: Final = Order("odd", "oddest labels first", lambda table: -oddness(table))
ORDERS: Final = CATALOGUE_ORDERS | {ODD.name: ODD}
BLIND_ORDER: Final = "obsid"  # tells nothing


class Queue(Part):
    """The stars to look at, in order."""

    filters = param.Parameter(default=(), doc="Filters in force (a tuple); all must hold")
    order: param.Selector[str] = param.Selector(
        default="p_bhb", objects=list(ORDERS), doc="Order of the queue"
    )
    reason = param.String(doc="Outliers that the queue is limited to, as `reason_filter` says")
    obsids = param.Array(default=np.empty(0, np.int64), doc="Spectra to look at, in order")

    def __init__(self, verdicts: Verdicts, labels: Labels, **params: Any) -> None:
        super().__init__(**params)
        self._verdicts, self._labels = verdicts, labels
        self.in_scope = np.empty(0, dtype=bool)
        self._known: tuple[Any, ...] = (None, None, None)
        self.follow(verdicts, ["blind"], lambda *_: self.arrange())
        self.follow(labels, ["logg_limit", "feh_limit"], lambda *_: self._follow_reason())
        self.set_filters([verdicts.presets["candidates"]])

    @property
    def sentences(self) -> list[str]:
        """The filters in force, in words."""
        return [condition.sentence for condition in self.filters]

    @property
    def rows(self) -> NDArray[np.intp]:
        """Row of the table of each spectrum of the queue."""
        return self._looked_up()[0]

    def _looked_up(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of the queue, and one row of each of its stars; once for each queue."""
        data = self._verdicts.data
        if self._known[0] is not self.obsids or self._known[1] is not data:
            rows = data.rows(self.obsids)
            first = np.unique(data.star[rows], return_index=True)[1]
            self._known = self.obsids, data, (rows, rows[first])
        known: tuple[NDArray[np.intp], NDArray[np.intp]] = self._known[2]
        return known

    @property
    def progress(self) -> tuple[int, int, int]:
        """How many stars of the queue this reviewer has vetted, how many unsure, and of all."""
        mine = self._verdicts.mine[self._looked_up()[1]]  # of a star, the same for all its spectra
        return int((mine != "").sum()), int((mine == "unsure").sum()), len(mine)

    def set_filters(self, filters: Iterable[Filter]) -> None:
        """Put these filters in force, one of each name, and make the queue anew."""
        chosen = {condition.name: condition for condition in filters}
        with param.parameterized.batch_call_watchers(self):
            self.filters = tuple(chosen.values())
            self.arrange()

    def set_order(self, order: str) -> None:
        """Put the queue in another order."""
        self.order = order
        self.arrange()

    @param.depends("reason", watch=True)
    def _follow_reason(self) -> None:
        """Put the reason in force at the limits in force; nothing changes where there is none."""
        others = [condition for condition in self.filters if condition.name != "reason"]
        wanted = self._labels.reason_filter(self.reason)
        if wanted is not None or len(others) < len(self.filters) or self.order == ODD.name:
            self.set_filters([*others, *([wanted] if wanted else [])])

    def brush(self, obsids: Iterable[int], label: str) -> None:
        """Keep only these stars, chosen in a plane; none of them lifts the brush.

        Parameters
        ----------
        obsids : iterable of int
        label : str
            The choice in words, e.g. ``brushed in Hδ D0.2–fm``.
        """
        if not isinstance(obsids, np.ndarray):
            obsids = np.fromiter((int(obsid) for obsid in obsids), dtype=np.int64)
        chosen, data = obsids.astype(np.int64), self._verdicts.data
        others = [condition for condition in self.filters if condition.name != "brush"]
        if len(chosen):
            rows = data.rows(chosen)
            is_chosen = np.zeros(len(data.obsid), dtype=bool)
            is_chosen[rows[rows >= 0]] = True

            def brushed(table: pd.DataFrame) -> NDArray[np.bool_]:
                """Tell of the table that was brushed at once, and look in any other."""
                obsid = table["obsid"].to_numpy(np.int64)
                if np.array_equal(obsid, data.obsid):
                    return is_chosen.copy()
                return np.isin(obsid, chosen)

            others.append(Filter("brush", label, brushed))
        self.set_filters(others)

    # --- named subsets -----------------------------------------------------------------------
    def subsets(self) -> dict[str, Subset]:
        """Return the named subsets of the survey as they are now: colleagues name some too."""
        return subsets(self._verdicts.survey.path)

    @property
    def combination(self) -> str:
        """The combination of named subsets in force; empty for none."""
        return next((one.sentence for one in self.filters if one.name == SUBSET), "").removeprefix(
            WORDS
        )

    def limit_to(self, combination: str) -> None:
        """Keep only what a combination of named subsets holds; an empty one lifts it.

        Raises
        ------
        SurveyError
            When it cannot be read, or names what is not there; the queue stays as it is.
        """
        others = [condition for condition in self.filters if condition.name != SUBSET]
        if combination.strip():
            others.append(subset_filter(combination, self.subsets()))
        self.set_filters(others)

    def name_brush(self, name: str) -> Subset:
        """Name the spectra that are brushed; the queue stays as it is.

        Raises
        ------
        SurveyError
            When nothing is brushed, or the name cannot be used.
        """
        brush = next((one for one in self.filters if one.name == "brush"), None)
        if brush is None:
            raise SurveyError("there is nothing to name: brush some stars in a plane first.")
        if not self._verdicts.reviewer.strip():
            raise SurveyError("not named: write your own name first (field reviewer).")
        table, path = self._verdicts.table, self._verdicts.survey.path
        obsids = table["obsid"].to_numpy(np.int64)[brush.predicate(table)]
        return name_subset(path, name, obsids, brush.sentence, self._verdicts.reviewer.strip())

    def forget(self, name: str) -> None:
        """Take away a subset that this reviewer named, and no longer limit the queue to it.

        Raises
        ------
        SurveyError
            When there is none of this name, or somebody else named it.
        """
        forget_subset(self._verdicts.survey.path, name, self._verdicts.reviewer.strip())
        if self.combination == quoted(name):
            self.limit_to("")

    # --- the order ---------------------------------------------------------------------------
    def _order_key(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Return what the queue is sorted by; how odd labels are depends on the limits in force."""
        if self._verdicts.blind:  # an order tells what the machine says
            return ORDERS[BLIND_ORDER].key(table)
        if self.order == ODD.name:
            return -oddness(
                table, logg_limit=self._labels.logg_limit, feh_limit=self._labels.feh_limit
            )
        return ORDERS[self.order].key(table)

    def arrange(self) -> None:
        """Make the queue: filtered, not yet vetted by me first, in the chosen order.

        Then come those that I was unsure of, to be looked at again, then the rest.
        """
        keep = np.ones(len(self._verdicts.table), dtype=bool)
        for condition in self.filters:
            if condition.name != "reason":
                keep &= condition.predicate(self._verdicts.table)
        self.in_scope = keep  # what the reasons are counted in
        for condition in self.filters:
            if condition.name == "reason":
                keep = keep & condition.predicate(self._verdicts.table)
        rows = np.flatnonzero(keep)
        key = self._order_key(self._verdicts.table.iloc[rows])
        mine = self._verdicts.mine[rows]
        done = np.where(mine == "unsure", 1, np.where(mine == "", 0, 2))
        self.obsids = self._verdicts.data.obsid[rows[np.lexsort((key, done))]]
