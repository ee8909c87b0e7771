"""The search domain from the SQL service of LAMOST's archive, in place of a catalogue file."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from msfa_core.errors import ConfigError, DownloadError
from msfa_core.lamost.select import Choosing, Cuts, Selected, check_out, columns_of
from msfa_core.lamost.service import NotServed, Release, Service
from msfa_core.lamost.token import hide
from msfa_core.tables.pieces import open_catalogue
from msfa_core.typing import Progress, no_progress

PAGE: Final = 20_000  # rows of one answer
_TABLE: Final = "catalogue"
_WORD: Final = re.compile(r"[A-Z0-9 _+.-]+")  # nothing that could end a text of SQL


def select_online(
    service: Service,
    release: Release,
    out: str | Path,
    cuts: Cuts | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Selected:
    """Write the spectra of a release that pass the cuts; see `select`.

    The service makes the cuts, and the rows that it sends pass them once more here.

    Parameters
    ----------
    service : Service
    release : Release
    out : str or Path
    cuts : Cuts, optional
    overwrite : bool
    progress : callable, optional

    Returns
    -------
    Selected

    Raises
    ------
    CatalogueError
        When the release has no such columns, or nothing passes.
    DownloadError
        When the service does not answer; nothing is written then.
    ExportError
        When the table cannot be written.
    """
    began, cuts = time.monotonic(), cuts or Cuts()
    out = check_out(out, overwrite)
    what = f"{_TABLE} of {release.dr} {release.version}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            pages = _Pages(service, release, Path(folder) / "page.csv")
            names = columns_of(pages.names(), what)
            words = _conditions(cuts, names)
            counts = [pages.count(words[:n]) for n in range(len(words) + 1)]
            chosen, done = Choosing(cuts), 0
            progress("select", 0, counts[-1])
            for piece in pages.rows(names, words):
                chosen.take(piece)
                done += len(piece)
                progress("select", done, max(counts[-1], done), f"page of {len(piece):,}")
    except NotServed as error:
        raise DownloadError(
            f"{hide(service.url)} does not answer for the {what}: {error}. Nothing was written: "
            "give the same command again, or the catalogue as a file."
        ) from None
    if done != counts[-1]:
        raise DownloadError(
            f"{hide(service.url)} sent {done:,} rows of the {counts[-1]:,} that it counts; "
            "nothing was written: give the same command again."
        )
    chosen.n_read = counts[0]
    chosen.left = dict(zip(cuts.conditions, counts[1:], strict=True))
    about = {"catalogue": what, "server": hide(service.url)}
    return chosen.write(out, about, overwrite, began, what)


def _conditions(cuts: Cuts, names: dict[str, str]) -> list[str]:
    """Return each cut in SQL, in the order of the cuts."""
    for word in (cuts.star, *cuts.searched):
        if not _WORD.fullmatch(word):
            raise ConfigError(f"{word!r} is no class or subclass: letters and digits only.")
    beginnings = " or ".join(
        f"substr(upper(trim({names['subclass']})), 1, {len(word)}) = '{word}'"
        for word in cuts.searched
    )
    return [
        f"upper(trim({names['class']})) = '{cuts.star}'",
        f"({beginnings})",
        f"{names['snr_g']} > {cuts.snr_min!r}",
    ]


class _Pages:
    """Answers of the SQL service, a page at a time."""

    def __init__(self, service: Service, release: Release, page: Path) -> None:
        self._service, self._release, self._page = service, release, page

    def _ask(self, query: str) -> tuple[tuple[str, ...], list[pa.Table]]:
        """Return the columns and rows of an answer."""
        self._page.write_bytes(self._service.table(self._release, query))
        answer = open_catalogue(self._page)
        return answer.names, list(answer.pieces(answer.names))

    def names(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        return self._ask(f"select * from {_TABLE} limit 1")[0]

    def count(self, conditions: list[str]) -> int:
        """Return how many rows pass conditions."""
        where = f" where {' and '.join(conditions)}" if conditions else ""
        # two columns: a table of one is no table to the reader
        _, rows = self._ask(f"select count(*) as n, 1 as one from {_TABLE}{where}")
        try:
            return int(rows[0].column(0)[0].as_py())
        except (IndexError, ValueError, TypeError):
            raise NotServed("the service sent no count") from None

    def rows(self, names: dict[str, str], conditions: list[str]) -> Iterator[pa.Table]:
        """Yield the rows that pass, columns by house names."""
        last = -1
        while True:
            where = " and ".join([*conditions, f"{names['obsid']} > {last}"])
            _, rows = self._ask(
                f"select {', '.join(names.values())} from {_TABLE} where {where} "
                f"order by {names['obsid']} limit {PAGE}"
            )
            if not rows:
                return
            page = pa.concat_tables(rows).rename_columns(list(names))
            try:
                newest = max(map(int, page["obsid"].to_pylist()))
            except (ValueError, TypeError):
                raise NotServed("the service sent rows without an obsid") from None
            if newest <= last:
                raise NotServed("the service sends the same rows again and again")
            last = newest
            yield page
