"""Gaia DR3, 2MASS and Pan-STARRS rows from an archive on the network, by TAP.

Stars are asked for in batches (Table Access Protocol, TAP): by source_id where it is known, else
by position; Pan-STARRS, of which the Gaia archive has a copy, by position. Each answer is kept in a
file, so a stopped or failed fetch goes on where it was.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError

import numpy as np
import pandas as pd

from msfa_core.constants import GAIA_EPOCH, PANSTARRS_DEC_MIN
from msfa_core.durable import write_parquet
from msfa_core.errors import CatalogueError
from msfa_core.photometry.colours import column
from msfa_core.photometry.counterparts import year_observed
from msfa_core.photometry.gaia import house_gaia
from msfa_core.photometry.panstarrs import BANDS, at_panstarrs, house_panstarrs
from msfa_core.typing import Progress

if TYPE_CHECKING:
    from astropy.table import Table

logger = logging.getLogger(__name__)

GAIA_TAP: Final = "https://gea.esac.esa.int/tap-server/tap"
BATCH: Final = 1000  # stars of one question
SEARCH_ARCSEC: Final = 30.0  # around a position: fast stars are looked for that far
KEY: Final = "asked"  # what a row of an answer was asked as
_DIGITS: Final = 6  # of a position in degrees
_YEARS: Final = 15.0  # between Gaia and a spectrum of unknown date
_SERVER_ERROR: Final = 500  # and above: the server's fault, worth another try
_WORTH_ANOTHER_TRY: Final = (0, 408, 429)  # no answer, too slow, too many requests
_LONGEST_POLL: Final = 5.0  # s
_DONE: Final = ("COMPLETED", "ERROR", "ABORTED")

_SOURCE: Final = (
    "source_id", "ra", "dec", "ref_epoch", "phot_g_mean_mag", "phot_bp_mean_mag",
    "phot_rp_mean_mag", "bp_rp", "parallax", "parallax_error", "parallax_over_error", "pmra",
    "pmra_error", "pmdec", "pmdec_error", "phot_bp_rp_excess_factor",
    "phot_bp_mean_flux_over_error", "phot_rp_mean_flux_over_error",
    "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat", "astrometric_params_solved",
)  # fmt: skip
_TMASS: Final = ("j_m", "j_msigcom", "h_m", "h_msigcom", "ks_m", "ks_msigcom")
_QUERY: Final = """\
SELECT u.star, {columns}
FROM TAP_UPLOAD.stars AS u
JOIN gaiadr3.gaia_source AS g ON {condition}
LEFT OUTER JOIN gaiadr3.tmass_psc_xsc_best_neighbour AS x ON x.source_id = g.source_id
LEFT OUTER JOIN gaiadr1.tmass_original_valid AS t ON t.designation = x.original_ext_source_id
"""
_PANSTARRS: Final = (
    "obj_id", "ra", "dec", "epoch_mean", "quality_flag",
    *(f"{b}_mean_psf_mag{end}" for b in BANDS for end in ("", "_error")),
)  # fmt: skip
_PANSTARRS_QUERY: Final = """\
SELECT u.star, {columns}
FROM TAP_UPLOAD.stars AS u
JOIN gaiadr2.panstarrs1_original_valid AS p
ON 1 = CONTAINS(POINT('ICRS', p.ra, p.dec), CIRCLE('ICRS', u.ra, u.dec, {radius:.9f}))
"""
_PANSTARRS_SPREAD: Final = 2.0  # arcsec around: positions are means of five years
_POINTS: Final = "POINT('ICRS', g.ra, g.dec), POINT('ICRS', u.ra, u.dec)"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an archive is waited for.

    Attributes
    ----------
    tries : int
        Of one question, before it counts as failed.
    first_wait : float
        Before the second try [s]; doubled before each further one.
    answer_seconds : float
        For one request.
    job_seconds : float
        For one question.
    first_poll : float
        Between looks at a question under way, at first [s].
    """

    tries: int = 5
    first_wait: float = 2.0
    answer_seconds: float = 60.0
    job_seconds: float = 900.0
    first_poll: float = 0.2


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a fetch.

    Attributes
    ----------
    n_stars : int
        Different stars that were wanted.
    n_before : int
        Of these, asked in an earlier fetch.
    n_rows : int
        Sources that the survey now has from the archive.
    """

    n_stars: int
    n_before: int
    n_rows: int


def query_by_id() -> str:
    """Return the ADQL that finds uploaded stars by their source_id."""
    return _QUERY.format(columns=_columns(), condition="g.source_id = u.source_id")


def query_by_position(radius_arcsec: float, years: float) -> str:
    """Return the ADQL that finds what may lie within a radius of uploaded positions.

    Parameters
    ----------
    radius_arcsec : float
    years : float
        Longest time between Gaia and a spectrum: stars that move far in it count as well.
    """
    near = f"DISTANCE({_POINTS}) < {radius_arcsec / 3600:.9f}"
    moved = f"DISTANCE({_POINTS}) < ({radius_arcsec:.3f} + g.pm * {years / 1000:.5f}) / 3600.0"
    circle = f"CIRCLE('ICRS', u.ra, u.dec, {SEARCH_ARCSEC / 3600:.9f})"
    return _QUERY.format(
        columns=_columns(),
        condition=f"1 = CONTAINS(POINT('ICRS', g.ra, g.dec), {circle}) AND ({near} OR {moved})",
    )


def query_panstarrs(radius_arcsec: float) -> str:
    """Return the ADQL that finds the Pan-STARRS sources around uploaded positions.

    Parameters
    ----------
    radius_arcsec : float
    """
    columns = ", ".join(f"p.{name}" for name in _PANSTARRS)
    return _PANSTARRS_QUERY.format(columns=columns, radius=radius_arcsec / 3600)


def _columns() -> str:
    return ", ".join([*(f"g.{name}" for name in _SOURCE), *(f"t.{name}" for name in _TMASS)])


def fetch(
    stars: pd.DataFrame,
    folder: Path,
    radius_arcsec: float,
    progress: Progress,
    url: str = GAIA_TAP,
    batch: int = BATCH,
    patience: Patience | None = None,
) -> Fetched:
    """Ask an archive for the Gaia rows of stars, as far as that was not done before.

    Parameters
    ----------
    stars : n rows
        ``gaia_source_id`` where known, ``ra``, ``dec`` [deg], ``mjd`` or ``lmjd`` [d].
    folder : Path
        Gets a file for each batch.
    radius_arcsec : float
        Of position matches.
    progress : callable
    url : str
        Of the TAP service.
    batch : int
    patience : Patience, optional

    Returns
    -------
    Fetched

    Raises
    ------
    CatalogueError
        When there is no network, or the archive does not answer or understand; what was fetched
        is kept.
    """
    patience = patience or Patience()
    archive = _Archive(url, patience, house_gaia, "--gaia")
    ids = _questions_by_id(stars)
    reach = query_by_position(radius_arcsec, _longest(stars))
    before = _asked(folder)
    n_before = int(ids[KEY].isin(before).sum())
    _ask_all(archive, query_by_id(), ids, folder, batch, progress)
    found = fetched(folder)
    known = set() if found is None else set(found["gaia_source_id"].dropna())
    places = _questions_by_place(stars[~stars["gaia_source_id"].isin(known)])
    n_before += int(places[KEY].isin(before).sum())
    _ask_all(archive, reach, places, folder, batch, progress)
    found = fetched(folder)
    n_stars = len(ids) + len(places)
    return Fetched(n_stars, n_before, 0 if found is None else len(found))


def fetch_panstarrs(
    stars: pd.DataFrame,
    folder: Path,
    radius_arcsec: float,
    progress: Progress,
    url: str = GAIA_TAP,
    batch: int = BATCH,
    patience: Patience | None = None,
) -> Fetched:
    """Ask an archive for the Pan-STARRS rows of stars, as far as that was not done before.

    Parameters
    ----------
    stars : (n,) DataFrame
        ``ra``, ``dec`` [deg] and, where known, ``pmra``, ``pmdec`` [mas/yr] and ``mjd`` or
        ``lmjd`` [d]: each is looked for where it was at the time of Pan-STARRS. Stars south of
        the survey are not asked for.
    folder, radius_arcsec, progress, url, batch, patience
        As for `fetch`.

    Raises
    ------
    CatalogueError
        As for `fetch`.
    """
    archive = _Archive(url, patience or Patience(), house_panstarrs, "--panstarrs")
    north = stars[column(stars, "dec") >= float(PANSTARRS_DEC_MIN)]
    questions = _questions_by_place(at_panstarrs(north))
    n_before = int(questions[KEY].isin(_asked(folder)).sum())
    query = query_panstarrs(radius_arcsec + _PANSTARRS_SPREAD)
    _ask_all(archive, query, questions, folder, batch, progress, "panstarrs")
    found = fetched(folder, "ps_id")
    return Fetched(len(questions), n_before, 0 if found is None else len(found))


def fetched(folder: Path, key: str = "gaia_source_id") -> pd.DataFrame | None:
    """Return all rows that an archive gave so far, by house names; None before a fetch.

    Parameters
    ----------
    folder : Path
    key : str
        Identifier of the rows.

    Raises
    ------
    CatalogueError
        When a file of the folder cannot be read.
    """
    tables = [table.drop(columns=KEY) for table in _answers(folder)]
    if not tables:
        return None
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[rows[key].notna()].drop_duplicates(key)
    return rows.reset_index(drop=True)


def _answers(folder: Path) -> Iterator[pd.DataFrame]:
    for path in sorted(folder.glob("batch-*.parquet")):
        try:
            yield pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise CatalogueError(
                f"{path} cannot be read ({error}): remove it and fetch again; the rest is kept."
            ) from error


def _asked(folder: Path) -> set[str]:
    """Return the keys of all stars that were asked for."""
    return {key for table in _answers(folder) for key in table[KEY]}


def _longest(stars: pd.DataFrame) -> float:
    """Return the longest time between Gaia and a spectrum [yr]."""
    years = np.abs(year_observed(stars) - float(GAIA_EPOCH))
    return float(np.nanmax(years)) if np.isfinite(years).any() else _YEARS


def _questions_by_id(stars: pd.DataFrame) -> pd.DataFrame:
    ids = stars["gaia_source_id"].dropna().drop_duplicates().astype("int64").sort_values()
    return pd.DataFrame({KEY: "id " + ids.astype("str"), "source_id": ids}).reset_index(drop=True)


def _questions_by_place(stars: pd.DataFrame) -> pd.DataFrame:
    places = pd.DataFrame({name: column(stars, name).round(_DIGITS) for name in ("ra", "dec")})
    places = places.dropna().drop_duplicates().sort_values(["dec", "ra"], ignore_index=True)
    keys = [f"at {ra:.6f} {dec:+.6f}" for ra, dec in zip(places["ra"], places["dec"], strict=True)]
    places.insert(0, KEY, pd.Series(keys, dtype="str"))
    return places


def _ask_all(
    archive: _Archive,
    query: str,
    questions: pd.DataFrame,
    folder: Path,
    batch: int,
    progress: Progress,
    what: str = "gaia",
) -> None:
    """Ask what was not asked before, a batch at a time, and keep each answer."""
    total = len(questions)
    todo = questions[~questions[KEY].isin(_asked(folder))]
    done = total - len(todo)
    if total:
        progress(what, done, total, "")
    for start in range(0, len(todo), batch):
        part = todo.iloc[start : start + batch].reset_index(drop=True)
        answer = archive.ask(query, part, done)
        name = hashlib.sha256("\n".join(part[KEY]).encode()).hexdigest()[:16]
        write_parquet(folder / f"batch-{name}.parquet", answer)
        done += len(part)
        progress(what, done, total, f"batch {start // batch + 1}")


class _Archive:
    """A TAP service that is asked patiently."""

    def __init__(
        self,
        url: str,
        patience: Patience,
        house: Callable[[pd.DataFrame], pd.DataFrame],
        option: str,
    ) -> None:
        self.url, self.patience = url.rstrip("/"), patience
        self.house, self.option = house, option  # gives house names; what takes a table instead

    def ask(self, query: str, part: pd.DataFrame, n_kept: int) -> pd.DataFrame:
        """Return the rows that answer a batch, and an empty one for each star without any."""
        table, cut_short = self._patiently(query, part, n_kept)
        if cut_short and len(part) > 1:  # the archive's limit of rows: ask for fewer stars
            middle = len(part) // 2
            halves = (part.iloc[:middle], part.iloc[middle:])
            return pd.concat(
                [self.ask(query, half.reset_index(drop=True), n_kept) for half in halves],
                ignore_index=True,
            )
        star = table.pop("star").to_numpy(np.int64)
        if len(star) and not ((star >= 0) & (star < len(part))).all():
            raise CatalogueError(f"{self.url} answered for stars that were not asked for.")
        answer = self.house(table).drop(columns="obsid")
        answer.insert(0, KEY, part[KEY].to_numpy()[star])
        without = part.loc[~part[KEY].isin(answer[KEY]), [KEY]]
        return pd.concat([answer, without], ignore_index=True)

    def _patiently(self, query: str, part: pd.DataFrame, n_kept: int) -> tuple[pd.DataFrame, bool]:
        """Ask until there is an answer, waiting longer after each failure."""
        import requests  # noqa: PLC0415 (with pyvo: only when the network is used)
        from pyvo.dal.exceptions import DALAccessError, DALQueryError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        failures = (
            DALAccessError, requests.RequestException, HTTPError, OSError, ValueError,
            SyntaxError, ExpatError,
        )  # fmt: skip
        wait = self.patience.first_wait
        for attempt in range(1, self.patience.tries + 1):
            try:
                return self._once(query, part)
            except DALQueryError as error:
                raise CatalogueError(
                    f"{self.url} could not answer: {_said(error)} Name another --server, or give "
                    f"a table with {self.option}."
                ) from error
            except failures as error:
                code = getattr(error, "code", 0) or 0
                if not (code in _WORTH_ANOTHER_TRY or code >= _SERVER_ERROR):
                    raise CatalogueError(
                        f"{self.url} refused the question ({_said(error)}): is it the address of "
                        "a TAP service with table upload? Name another --server."
                    ) from error
                if attempt == self.patience.tries:
                    raise CatalogueError(
                        f"no answer from {self.url} after {attempt} tries ({_said(error)}). What "
                        f"was fetched is kept ({n_kept:,} stars): check the network and give the "
                        f"same command again, or give a table with {self.option}."
                    ) from error
                logger.warning("%s: %s; next try in %.0f s", self.url, _said(error), wait)
                time.sleep(wait)
                wait *= 2
        raise AssertionError("a try either returns or raises")

    def _once(self, query: str, part: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
        """Ask once; return the rows, and whether the archive cut them short."""
        from pyvo.dal.tap import AsyncTAPJob  # noqa: PLC0415

        uploads = {"stars": _upload(part)}
        with _session(self.patience.answer_seconds) as session:
            job = AsyncTAPJob.create(self.url, query, uploads=uploads, session=session)
            with job:
                job.run()
                self._wait(job)
                job.raise_if_error()
                result = _quietly(job.fetch_result)
        table = result.to_table().to_pandas()
        table.columns = [str(name).lower() for name in table.columns]
        return table, str(result.query_status).upper() == "OVERFLOW"

    def _wait(self, job: Any) -> None:
        """Wait until a question is answered, one way or the other."""
        until = time.monotonic() + self.patience.job_seconds
        pause = self.patience.first_poll
        while job.phase not in _DONE:
            if time.monotonic() > until:
                raise TimeoutError(f"not answered in {self.patience.job_seconds:.0f} s")
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_POLL)


def _session(seconds: float) -> Any:
    """Return a session whose requests do not wait for ever."""
    import requests  # noqa: PLC0415

    from msfa_core import __version__  # noqa: PLC0415

    class Session(requests.Session):
        """Closes what pyvo leaves open: answers that it did not read to their end."""

        def __init__(self) -> None:
            super().__init__()
            self.answers: list[Any] = []

        def request(self, *args: Any, **options: Any) -> Any:
            options.setdefault("timeout", seconds)
            self.answers.append(super().request(*args, **options))
            return self.answers[-1]

        def close(self) -> None:
            for answer in self.answers:
                answer.close()
            super().close()

    session = Session()
    session.headers["User-Agent"] = f"msfa-bhb/{__version__}"
    return session


def _upload(part: pd.DataFrame) -> Table:
    """Return the stars of a question as a table of numbers; ``star`` is their row."""
    from astropy.table import Table  # noqa: PLC0415 (slow to import)

    columns: dict[str, Any] = {"star": np.arange(len(part), dtype=np.int32)}
    for name in ("source_id", "ra", "dec"):
        if name in part.columns:
            columns[name] = part[name].to_numpy()
    return Table(columns)


def _quietly(get: Callable[[], Any]) -> Any:
    """Call without the warnings about an archive's dialect of VOTable."""
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get()


def _said(error: BaseException) -> str:
    """Return what an error says, in one line that a terminal can show."""
    words: Sequence[str] = str(error).split()
    text = " ".join(words) or type(error).__name__
    if why := _NO_WAY.search(text):
        return f"cannot be reached: {why[1] or why[2]}"
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


_LINE: Final = 300
_NO_WAY: Final = re.compile(  # behind the names of classes that requests wraps it in
    r"Max retries exceeded.*(?:\[Errno -?\d+\] ([A-Za-z ]+)|(Connection refused))"
)
