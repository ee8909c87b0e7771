"""A step of the spine: its name and version, what it needs, what it looks at, what it does.

Two kinds: those that look at spectra work shard by shard, in any process; those that look at
the table take it whole. All that can change what a step gives is in the key of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from msfa_core.config import Settings
from msfa_core.rules import OF_REST, rest_redshifts
from msfa_core.spine.results import TABLE, make_key
from msfa_core.survey.completing import SurveyShard
from msfa_core.survey.folder import Survey


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a step depends on besides the rows and spectra it looks at.

    Attributes
    ----------
    key : mapping
        What decides the result, by content: checksums, tables, settings.
    given : mapping
        What its work is called with.
    said : mapping
        What provenance says of it.
    """

    key: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a step: all that a worker needs to know.

    Attributes
    ----------
    name : str
        Of the shard, or ``table``.
    key : str
        Of the result.
    work : callable
        Of a module (workers import it).
    rows : (n,) DataFrame
        What the step looks at of the table, in the order of the shard.
    given : mapping
        What ``work`` is called with besides.
    shard : SurveyShard, optional
        The spectra; None where the step looks at the table alone.
    """

    name: str
    key: str
    work: Callable[..., pd.DataFrame]
    rows: pd.DataFrame
    given: Mapping[str, Any]
    shard: SurveyShard | None = None

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.rows)

    def do(self) -> pd.DataFrame:
        """Do the work; return columns, one row per obsid, the same to the last digit anywhere.

        With more threads a matrix product adds up in another order.
        """
        with threadpool_limits(1):
            if self.shard is None:
                return self.work(self.rows, **self.given)
            return self.work(self.shard.spectra(), self.rows, **self.given)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the spine.

    Attributes
    ----------
    name : str
        Of the folder of its results, in provenance and on the command line.
    version : int
        Raised by whoever changes what the step gives: results of another version are done again.
    work : callable
        ``work(spectra, rows, **given)`` for a step that looks at spectra, else
        ``work(rows, **given)``; gives ``obsid`` and the columns of the step.
    columns : tuple of str
        Columns of the table that the step looks at, where they exist; ``obsid`` always.
    inputs : callable
        What else it depends on, from survey and settings.
    needs : tuple of str
        Steps whose results are among the columns it looks at.
    looks_at_spectra : bool
    at_rest : bool
        Whether it takes spectra at the shift of `rules.rest_redshifts`, which asks the template
        match; else at that of file or catalogue.
    blind : callable, optional
        Whether rows of a shard say already all that its spectra would: ``work`` is then called
        without spectra.
    """

    name: str
    version: int
    work: Callable[..., pd.DataFrame]
    columns: tuple[str, ...]
    inputs: Callable[[Survey, Settings], Inputs]
    needs: tuple[str, ...] = ()
    looks_at_spectra: bool = True
    at_rest: bool = False
    blind: Callable[[pd.DataFrame], bool] | None = None

    def part_names(self, survey: Survey) -> list[str]:
        """Return the names of the parts of its work."""
        return survey.shard_names if self.looks_at_spectra else [TABLE]

    def parts(self, survey: Survey, table: pd.DataFrame, inputs: Inputs) -> list[Part]:
        """Return the parts of the work.

        Parameters
        ----------
        survey : Survey
        table : (n,) DataFrame
            Every spectrum: what files and catalogues say, and what the needed steps gave.
        inputs : Inputs
        """
        names = dict.fromkeys(("obsid", *self.columns))
        rows = table[[name for name in names if name in table.columns]]
        if not self.looks_at_spectra:
            key = make_key(self.name, self.version, rows=rows, inputs=inputs.key)
            return [Part(TABLE, key, self.work, rows, inputs.given)]
        places, made = pd.Index(rows["obsid"]), []
        matched = table.reindex(columns=list(OF_REST))
        for stored in survey.shards():
            shard = stored
            at = places.get_indexer(pd.Index(stored.obsid))
            own = rows.iloc[at].reset_index(drop=True)
            if self.at_rest:
                shard = replace(shard, z=rest_redshifts(matched.iloc[at].assign(z=stored.z)))
            key = make_key(self.name, self.version, rows=own, z=shard.z, inputs=inputs.key)
            seen = None if self.blind is not None and self.blind(own) else shard
            made.append(Part(shard.name, key, self.work, own, inputs.given, seen))
        return made
