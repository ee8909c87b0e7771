"""Write the products of a survey into a folder: whole files, and none twice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import OBSERVATION, is_true
from msfa_core.durable import WRITING, write_whole
from msfa_core.errors import ExportError, SpectrumError, typed
from msfa_core.products.file import (
    KEY_CARD,
    SIZE_CARD,
    Provenance,
    Results,
    coadd_content,
    key_of,
    single_content,
    text_widths,
)
from msfa_core.rules import epoch_shifts, representatives, resolutions
from msfa_core.spectra.coadd import coadd_epochs
from msfa_core.spectra.fits_cards import BLOCK
from msfa_core.spectra.fits_units import write_file
from msfa_core.spectra.writers import lamost_name
from msfa_core.survey.folder import Survey
from msfa_core.typing import Progress, no_progress

INDEX_FILE: Final = "products.csv"
_CHUNK: Final = 2000  # rows of results that are made ready together
_REPORT: Final = 250  # files between two reports
_HEAD: Final = 8 * BLOCK  # bytes that hold the header of a product, steps and all
_STALE: Final = 3600.0  # seconds after which a half-written file belongs to nobody
_NAME_BYTES: Final = 200  # of a file name; most file systems stop at 255
_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.+-]")  # what file systems disagree about
_EPOCHS: Final = 2  # at least, of a co-added star


@dataclass(frozen=True, slots=True)
class Products:
    """What was written.

    Attributes
    ----------
    n_spectra, n_stars : int
        Products asked for: of single spectra, and of co-added stars.
    n_written, n_unchanged : int
        Files that were written, and that lay there already as they would be written.
    failed : tuple of (str, str)
        Products that could not be made, and why.
    """

    n_spectra: int
    n_stars: int
    n_written: int
    n_unchanged: int
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """One product to come."""

    path: Path
    key: str
    content: Callable[[], bytes]


def write_products(
    survey: Survey | str | Path,
    folder: str | Path,
    choice: str = "all",
    coadded: bool = False,
    progress: Progress = no_progress,
) -> Products:
    """Write one FITS file per spectrum of a survey, and on demand per star of several epochs.

    A file that lies there already as it would be written is left alone, so an interrupted call
    goes on where it was; each file appears whole or not at all.

    Parameters
    ----------
    survey : Survey or path
    folder : path
        Made where it is not there. A file in it that is no product is never replaced.
    choice : str
        ``all``, ``candidates``, or a verdict of record: ``accept``, ``reject``, ``unsure``,
        ``disputed``.
    coadded : bool
        Write the co-added spectrum of each chosen star with two epochs or more as well, of all
        its epochs.
    progress : callable, optional

    Returns
    -------
    Products

    Raises
    ------
    ExportError
        When nothing is chosen, or the folder or disk refuses.
    """
    survey = survey if isinstance(survey, Survey) else Survey(survey)
    table = survey.table_with_verdicts()
    chosen = table[_are_chosen(table, choice)]
    if chosen.empty:
        raise ExportError(
            f"nothing written: {survey.path} has no spectrum for the choice {choice!r}. Do the "
            f"steps (`msfa run {typed(survey.path)}`), vet stars, or write all."
        )
    folder = Path(folder).expanduser()
    _open(folder)
    maker = _Maker(survey, table, folder)
    stars = maker.stars(chosen) if coadded else []
    n_written = n_unchanged = done = 0
    failed: list[tuple[str, str]] = []
    total = len(chosen) + len(stars)
    progress("products", 0, total)
    for items in _grouped(maker.singles(chosen), maker.coadds(stars)):
        for item in items:
            try:
                if _is_there(item):
                    n_unchanged += 1
                else:
                    write_file(item.path, item.content())
                    n_written += 1
            except SpectrumError as error:
                failed.append((item.path.name, str(error)))
            except ExportError as error:
                raise ExportError(
                    f"{error} {n_written + n_unchanged:,} of {total:,} products are complete; "
                    "give the same command again to go on."
                ) from error
        done += len(items)
        progress("products", done, total, items[-1].path.name)
    write_whole(folder / INDEX_FILE, maker.index(chosen, stars))
    return Products(len(chosen), len(stars), n_written, n_unchanged, tuple(failed))


def _are_chosen(table: pd.DataFrame, choice: str) -> NDArray[np.bool_]:
    """Return which spectra are asked for."""
    if choice == "all":
        return np.ones(len(table), dtype=bool)
    if choice == "candidates":
        return is_true(table, "is_candidate")
    if choice not in ("accept", "reject", "unsure", "disputed"):
        raise ExportError(
            f"choice {choice!r}; products are written of 'all', 'candidates', or those with the "
            "verdict 'accept', 'reject', 'unsure' or 'disputed'."
        )
    return (table["verdict"] == choice).fillna(False).to_numpy(bool)


def _open(folder: Path) -> None:
    """Make the folder, and remove what a killed call left in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f".*{WRITING}"):
            if time.time() - leftover.stat().st_mtime > _STALE:
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be a folder of products ({error.strerror}): name another, or check "
            "its rights."
        ) from error


def _is_there(item: _Item) -> bool:
    """Tell whether a product lies there as it would be written.

    Raises
    ------
    ExportError
        When a file of its name is there that is no product.
    """
    try:
        with item.path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, 2)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ExportError(
            f"{item.path} is in the way ({error.strerror}): remove it, or name another folder."
        ) from error
    key = re.search(rb"%-8s= '([0-9a-f]+)" % KEY_CARD.encode(), head)
    if size and key is None:
        raise ExportError(
            f"{item.path} is there and no product of this software, so it is not replaced: name "
            "another folder."
        )
    wanted = re.search(rb"%-8s= +(\d+)" % SIZE_CARD.encode(), head)
    return (
        key is not None
        and key[1].decode() == item.key
        and wanted is not None
        and int(wanted[1]) == size
    )


def _grouped(*parts: Iterator[_Item]) -> Iterator[list[_Item]]:
    """Yield the products some at a time."""
    for part in parts:
        while items := list(islice(part, _REPORT)):
            yield items


class _Maker:
    """Makes the products of a survey: names, keys and contents."""

    def __init__(self, survey: Survey, table: pd.DataFrame, folder: Path) -> None:
        self.survey, self.table, self.folder = survey, table, folder
        self.names = product_names(table)
        self.widths = text_widths(table)
        header = survey.export_header("products")
        self.provenance = Provenance.of(header["survey"], survey.is_simulated, header)
        self.digest = self.provenance.digest()

    def singles(self, chosen: pd.DataFrame) -> Iterator[_Item]:
        """Yield the products of single spectra, in the order of the archive."""
        for start in range(0, len(chosen), _CHUNK):
            part = chosen.iloc[start : start + _CHUNK]
            results = Results(part, self.widths)
            names = self.names.loc[part.index]
            obsids, uids = part["obsid"].tolist(), part["uid"].tolist()
            for k, (name, obsid, uid) in enumerate(zip(names, obsids, uids, strict=True)):
                key = key_of(self.digest, results.rows[k].tobytes(), name, obsid)
                path = self.folder / name
                make = partial(self._single, obsid, _text(uid), path, results, k, key)
                yield _Item(path, key, make)

    def _single(
        self, obsid: int, uid: str, path: Path, results: Results, row: int, key: str
    ) -> bytes:
        spectrum = self.survey.spectrum(obsid)
        return single_content(spectrum, path, results, row, self.provenance, key, uid)

    def stars(self, chosen: pd.DataFrame) -> list[pd.DataFrame]:
        """Return the epochs of each chosen star that has several at one resolution."""
        uids = chosen["uid"].dropna().unique()
        rows = self.table[self.table["uid"].isin(uids)]
        groups = rows.assign(resolution=resolutions(rows)).groupby(["uid", "resolution"], sort=True)
        return [epochs for _, epochs in groups if len(epochs) >= _EPOCHS]

    def coadds(self, stars: list[pd.DataFrame]) -> Iterator[_Item]:
        """Yield the products of co-added stars."""
        for epochs in stars:
            best = epochs[representatives(epochs)]
            results = Results(best[self.table.columns], self.widths)
            obsids = epochs["obsid"].to_numpy(np.int64)
            z = epoch_shifts(epochs)
            uid, name = str(epochs["uid"].iloc[0]), coadd_name(epochs)
            row = results.rows[0].tobytes()
            key = key_of(self.digest, row, name, obsids.tolist(), z.tolist())
            path = self.folder / name
            make = partial(self._coadd, obsids, z, uid, path, results, key)
            yield _Item(path, key, make)

    def _coadd(
        self,
        obsids: NDArray[np.int64],
        z: NDArray[np.float64],
        uid: str,
        path: Path,
        results: Results,
        key: str,
    ) -> bytes:
        added = coadd_epochs([self.survey.spectrum(int(o)) for o in obsids], z)
        return coadd_content(added, path, results, 0, self.provenance, key, uid)

    def index(self, chosen: pd.DataFrame, stars: list[pd.DataFrame]) -> bytes:
        """Return the list of the products as CSV."""
        singles = pd.DataFrame(
            {
                "file": self.names.loc[chosen.index],
                "uid": chosen["uid"],
                "obsid": chosen["obsid"],
                "n_epochs": 1,
            }
        )
        coadds = pd.DataFrame(
            {
                "file": [coadd_name(epochs) for epochs in stars],
                "uid": [epochs["uid"].iloc[0] for epochs in stars],
                "obsid": pd.array([None] * len(stars), dtype="Int64"),
                "n_epochs": [len(epochs) for epochs in stars],
            }
        )
        table = pd.concat([singles, coadds]) if stars else singles
        text: str = table.to_csv(index=False, lineterminator="\n")
        return text.encode()


# --- names -----------------------------------------------------------------------------------
def product_names(table: pd.DataFrame) -> pd.Series:
    """Return the name of the product of each spectrum: LAMOST's where it is known.

    That is ``spec-LMJD-PLANID_spSPID-FIBERID.fits`` (``med-`` for medium resolution), else the
    name of the file that was read, else ``spec-OBSID.fits``. Where several spectra would have
    one name, all of them get their obsid at the end.

    Parameters
    ----------
    table : (n,) DataFrame
        All spectra of the survey, so that a name does not depend on what is chosen.

    Returns
    -------
    (n,) Series of str
    """
    own = table.reindex(columns=["obsid", "file", "resolution", *OBSERVATION])
    names = [_name(row) for row in own.to_dict("records")]
    obsids = table["obsid"].astype("int64").tolist()
    twice = pd.Series(names, dtype="str").str.lower().duplicated(keep=False)
    names = [
        f"{name.removesuffix('.fits')}-{obsid}.fits" if again else name
        for name, obsid, again in zip(names, obsids, twice, strict=True)
    ]
    if len({name.lower() for name in names}) < len(names):  # someone's file is named like that
        names = [f"spec-{obsid}.fits" for obsid in obsids]
    return pd.Series(names, index=table.index, dtype="str")


def _name(row: dict[str, Any]) -> str:
    """Return the name of a product, whatever others are called."""
    if all(not pd.isna(row[part]) and row[part] != "" for part in OBSERVATION):
        name = lamost_name(row)
        if row["resolution"] == "medium":
            name = name.replace("spec-", "med-", 1)
    else:
        base = _text(row["file"]).replace("\\", "/").rpartition("/")[2]
        base = re.sub(r"(\.fits?|\.fts)?(\.gz|\.fz)?$", "", base, flags=re.IGNORECASE)
        name = f"{base or 'spec-' + str(row['obsid'])}.fits"
    stem = _PLAIN.sub("_", name.removesuffix(".fits")).lstrip(".")[:_NAME_BYTES]
    return f"{stem}.fits"


def coadd_name(epochs: pd.DataFrame) -> str:
    """Return the name of the product of a co-added star."""
    medium = "-medium" if epochs["resolution"].iloc[0] != "low" else ""
    return f"coadd-{_PLAIN.sub('_', str(epochs['uid'].iloc[0]))}{medium}.fits"


def _text(value: object) -> str:
    """Return a text, empty where it is missing."""
    return value if isinstance(value, str) else ""
