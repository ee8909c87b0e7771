"""Tables that a user gives to a survey and that it keeps: known stars, rows of Gaia, Pan-STARRS.

Each is read, understood and matched before anything is written: a table that is refused leaves
the survey as it was. Several add up; where two tell of one star, the one given last counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet

from msfa_core.columns import numbers
from msfa_core.counting import counted
from msfa_core.durable import write_parquet
from msfa_core.errors import SurveyError, shown
from msfa_core.survey.folder import GAIA_FOLDER, KNOWN_FOLDER, PANSTARRS_FOLDER, Survey
from msfa_core.survey.unmatched import none_matched, none_of, too_coarse
from msfa_core.tables.report import Matched, OutsideTable, as_record, check_slipped

if TYPE_CHECKING:
    from msfa_core.tables.door import Use

GAIA_FILE: Final = "gaia.parquet"  # of surveys made when there was one only: the oldest part
SOURCE: Final = "msfa_table"  # note in a kept file: whence it comes
_ENDINGS: Final = re.compile(
    r"\.(csv|tsv|txt|dat|fits?|fts|vot|votable|xml|ecsv|mrt|parquet|feather|json|tbl|gz|bz2|xz|zip)$",
    re.IGNORECASE,
)
_LONGEST_NAME: Final = 200  # bytes of 255 that a file's name may have
_PART: Final = re.compile(r"(\d{4,}) (.*)\.parquet")
_SHOWN: Final = 3
_TELLING: Final = ("g_mag", "bp_rp", "parallax_mas", "pmra", "pmdec", "ebv")
_SAME: Final = 6  # decimals
_ONE_PLACE: Final = 1.0  # arcsec: no two sources of Gaia that a fibre could tell apart


@dataclass(frozen=True, slots=True)
class Given:
    """A table that is about to be kept.

    Attributes
    ----------
    path : Path
        In the survey.
    rows : DataFrame
    record : dict
        For the provenance.
    replaced : tuple of Path
        Files in the survey that it takes the place of.
    """

    path: Path
    rows: pd.DataFrame
    record: dict[str, Any]
    replaced: tuple[Path, ...] = ()

    @property
    def line(self) -> str:
        """What became of the table, in one line."""
        return str(self.record["line"])


def give(
    survey: Survey,
    known: Sequence[str | Path] = (),
    gaia: Sequence[str | Path] = (),
    panstarrs: Sequence[str | Path] = (),
) -> list[str]:
    """Keep tables in the survey, all of them or none; return a line about each.

    The caller holds the lock of the survey.

    Parameters
    ----------
    survey : Survey
    known : files
        Stars that are known already.
    gaia, panstarrs : files
        Gaia and Pan-STARRS rows; they add to what was given before.

    Raises
    ------
    CatalogueError
        When a table cannot be read, or one of Gaia or Pan-STARRS matches no spectrum; nothing is
        kept then. A list of known stars may know none of these: its line says so.
    """
    if not (known or gaia or panstarrs):
        return []
    spectra = survey.base_table()
    pending: list[Given] = []
    for path in known:
        pending.append(_known(survey, Path(path), spectra, pending))
    for path in gaia:
        pending.append(_photometry(survey, GAIA_KIND, Path(path), spectra, pending))
    if panstarrs:
        moving = _with_motions(survey, spectra, pending)
        for path in panstarrs:
            kind = PANSTARRS_KIND
            pending.append(_photometry(survey, kind, Path(path), moving, pending))
    keep(survey, pending)
    return [one.line for one in pending]


def keep(survey: Survey, pending: Sequence[Given]) -> None:
    """Write tables into the survey, and what became of them into its provenance."""
    for one in pending:
        one.path.parent.mkdir(exist_ok=True)
        note = {SOURCE: json.dumps({key: one.record[key] for key in ("path", "checksum", "name")})}
        write_parquet(one.path, one.rows, note)
        for old in one.replaced:
            if old != one.path:
                old.unlink(missing_ok=True)
    for one in pending:
        survey.record("table", **one.record)


def source_of(path: Path) -> dict[str, str]:
    """Return whence a kept table comes: its path, checksum and name; empty when it is not known."""
    said = pyarrow.parquet.read_metadata(path).metadata or {}
    note = said.get(SOURCE.encode())
    return {} if note is None else dict(json.loads(note))


def numbered(folder: Path) -> list[Path]:
    """Return the kept tables of a folder in the order in which they were given.

    Tables of surveys that did not number them come first, in the order of their names.
    """
    paths = sorted(folder.glob("*.parquet"))
    counted = [path for path in paths if _PART.fullmatch(path.name)]
    return [*(path for path in paths if path not in counted), *counted]


def next_place(folder: Path, name: str, pending: Sequence[Given] = ()) -> Path:
    """Return where the next table of a folder is kept."""
    paths = [*folder.glob("*.parquet"), *(one.path for one in pending if one.path.parent == folder)]
    found = [_PART.fullmatch(path.name) for path in paths]
    last = max((int(one[1]) for one in found if one), default=0)
    safe = re.sub(r"[/\\\x00]", "_", shown(name)).encode()[-_LONGEST_NAME:].decode(errors="ignore")
    return folder / f"{last + 1:04d} {safe}.parquet"


def name_of(path: Path) -> str:
    """Return the name of the table that is kept in a file."""
    part = _PART.fullmatch(path.name)
    return part[2] if part else path.name.removesuffix(".parquet")


def same_source(folder: Path, path: str, pending: Sequence[Given] = ()) -> list[Path]:
    """Return the kept tables that came from the same file."""
    kept = [one for one in numbered(folder) if source_of(one).get("path") == path]
    return kept + [one.path for one in pending if one.record["path"] == path]


# --- known stars ---------------------------------------------------------------------------
def known_tables(survey: Survey) -> dict[str, pd.DataFrame]:
    """Return the lists of known stars of a survey by their names."""
    return {known_name(path): _read(survey, path) for path in numbered(survey.path / KNOWN_FOLDER)}


def known_names(survey: Survey) -> list[str]:
    """Return the names of the lists of known stars of a survey."""
    return [known_name(path) for path in numbered(survey.path / KNOWN_FOLDER)]


def known_name(path: Path) -> str:
    """Return the name of a list: that of its file without the endings of tables."""
    return _short(name_of(path))


def _short(name: str) -> str:
    """Return the name of a file without the endings of tables, fit for a list of names."""
    name = name.replace(";", ",").strip()
    while True:
        shorter = _ENDINGS.sub("", name)
        if shorter in (name, ""):
            return name
        name = shorter


def _read(survey: Survey, path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SurveyError(
            f"{path} cannot be read ({error}): remove it and give the table again to `msfa run "
            f"{survey.path}`."
        ) from error


def _known(survey: Survey, path: Path, spectra: pd.DataFrame, pending: list[Given]) -> Given:
    from msfa_core.stars.crossmatch import settled  # noqa: PLC0415
    from msfa_core.stars.known import known_match  # noqa: PLC0415
    from msfa_core.tables.door import open_table  # noqa: PLC0415
    from msfa_core.tables.row_keys import PLACE_USE  # noqa: PLC0415

    radius = survey.settings.match_radius_arcsec
    opened = settled(open_table(path, PLACE_USE), spectra, radius)
    _, matched = known_match(spectra, opened, radius)
    coarse = too_coarse(opened.table, radius)
    if not matched.n and (matched.n_refused or coarse):
        raise none_matched(opened, matched, spectra, ("obsid", "ra", "dec"), radius)
    check_slipped(matched, opened.path)
    folder = survey.path / KNOWN_FOLDER
    before = same_source(folder, opened.path, pending)
    before += [
        old
        for old in numbered(folder)
        if not source_of(old) and old.name == f"{opened.name}.parquet"
    ]
    taken = {known_name(one) for one in numbered(folder) if one not in before}
    taken |= {known_name(one.path) for one in pending if one.path.parent == folder}
    name = _short(opened.name)
    if name in taken:
        name = f"{name} ({_short(Path(opened.path).parent.name)})"
    k = 2
    while name in taken:
        name, k = f"{_short(opened.name)} ({k})", k + 1
    more = [f"called {name} in known_in", *coarse]
    if not matched.n:  # a list of another part of the sky is an answer: none of these is known
        more.append(none_of(opened, matched, spectra, ("obsid", "ra", "dec")))
    more += ["it replaces the list given before from the same file"] if before else []
    place = (
        before[0]
        if before and _PART.fullmatch(before[0].name)
        else next_place(folder, name, pending)
    )
    record = as_record(opened, "known", matched, more)
    return Given(place, opened.table, record, tuple(before))


# --- rows of Gaia and Pan-STARRS -------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of photometric table, and what understands it.

    Attributes
    ----------
    name : str
        In provenance.
    folder : str
        In the survey.
    key : str
        House name of its identifier.
    telling : tuple of str
        What two rows of a source are compared by.
    """

    name: str
    folder: str
    key: str
    telling: tuple[str, ...]

    @property
    def use(self) -> Use:
        """What such a table is wanted for."""
        from msfa_core.photometry.gaia import GAIA_USE  # noqa: PLC0415
        from msfa_core.photometry.panstarrs import PANSTARRS_USE  # noqa: PLC0415

        return GAIA_USE if self.name == "gaia" else PANSTARRS_USE

    def rows(self, opened: OutsideTable) -> pd.DataFrame:
        """Return the rows of such a table by house names."""
        from msfa_core.photometry.bands import check_bands  # noqa: PLC0415
        from msfa_core.photometry.gaia import gaia_rows  # noqa: PLC0415
        from msfa_core.photometry.panstarrs import panstarrs_rows  # noqa: PLC0415

        if self.name != "gaia":
            return panstarrs_rows(opened)
        rows = gaia_rows(opened)
        check_bands(rows, opened.path)
        return rows

    def coarse(self, rows: pd.DataFrame) -> list[str]:
        """Say where magnitudes of such a table are too coarse for colours."""
        from msfa_core.photometry.bands import coarse_bands  # noqa: PLC0415

        return coarse_bands(rows) if self.name == "gaia" else []

    def house(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return kept rows with every column of today."""
        from msfa_core.photometry.gaia import house_gaia  # noqa: PLC0415
        from msfa_core.photometry.panstarrs import house_panstarrs  # noqa: PLC0415

        return house_gaia(table) if self.name == "gaia" else house_panstarrs(table)

    def joined(
        self, spectra: pd.DataFrame, rows: pd.DataFrame, radius_arcsec: float
    ) -> pd.DataFrame:
        """Return what the rows say of each spectrum."""
        from msfa_core.photometry.counterparts import counterparts  # noqa: PLC0415
        from msfa_core.photometry.gaia import join_gaia  # noqa: PLC0415
        from msfa_core.photometry.panstarrs import (  # noqa: PLC0415
            join_panstarrs,
            panstarrs_counterparts,
        )
        from msfa_core.stars.crossmatch import match_sky  # noqa: PLC0415

        if self.name == "gaia":
            pairs = counterparts(spectra, rows, radius_arcsec, match_sky)
            return join_gaia(spectra, rows, pairs, radius_arcsec)
        pairs = panstarrs_counterparts(spectra, rows, radius_arcsec, match_sky)
        return join_panstarrs(spectra, rows, pairs, radius_arcsec)


GAIA_KIND: Final = Kind("gaia", GAIA_FOLDER, "gaia_source_id", _TELLING)
PANSTARRS_KIND: Final = Kind(
    "panstarrs", PANSTARRS_FOLDER, "ps_id", tuple(f"ps_{band}_mag" for band in "grizy")
)


def parts_of(survey: Survey, kind: Kind) -> list[Path]:
    """Return the tables of a kind in the order in which they were given."""
    first = survey.path / GAIA_FILE
    old = [first] if kind == GAIA_KIND and first.exists() else []
    return [*old, *numbered(survey.path / kind.folder)]


def gaia_table(survey: Survey) -> pd.DataFrame | None:
    """Return all Gaia rows that were given, by house names; None without any.

    Of a source that several tables list, the rows of the one given last.
    """
    return _table(survey, GAIA_KIND)


def panstarrs_table(survey: Survey) -> pd.DataFrame | None:
    """Return all Pan-STARRS rows that were given, as `gaia_table` does."""
    return _table(survey, PANSTARRS_KIND)


def _table(survey: Survey, kind: Kind) -> pd.DataFrame | None:
    parts = [_read(survey, path) for path in parts_of(survey, kind)]
    return added_up(parts, kind) if parts else None


def added_up(parts: Sequence[pd.DataFrame], kind: Kind = GAIA_KIND) -> pd.DataFrame:
    """Return the rows of several tables, the last one first, each source from one table.

    A row without an identifier is the same source as one at its place in another table.
    """
    from msfa_core.stars.crossmatch import match_sky  # noqa: PLC0415

    kept = pd.DataFrame()
    for part in reversed([kind.house(one) for one in parts]):
        if not len(kept):
            kept = part
            continue
        repeated = np.zeros(len(part), bool)
        for key in (kind.key, "obsid"):
            listed = part[key].isin(kept[key].dropna()) & part[key].notna()
            repeated |= listed.fillna(False).to_numpy(bool)
        i, j, _ = match_sky(part["ra"], part["dec"], kept["ra"], kept["dec"], _ONE_PLACE)
        nameless = part[kind.key].isna().to_numpy(bool)[i]
        nameless |= kept[kind.key].isna().to_numpy(bool)[j]
        repeated[i[nameless]] = True
        kept = pd.concat([kept, part[~repeated]], ignore_index=True)
    return kept


def _with_motions(survey: Survey, spectra: pd.DataFrame, pending: list[Given]) -> pd.DataFrame:
    """Return the spectra with the motions and colours that Gaia gives their stars."""
    parts = [_read(survey, path) for path in parts_of(survey, GAIA_KIND)]
    parts += [one.rows for one in pending if one.path.parent.name == GAIA_FOLDER]
    if not parts:
        return spectra
    found = GAIA_KIND.joined(spectra, added_up(parts), survey.settings.match_radius_arcsec)
    return spectra.assign(
        **{
            name: found[name].fillna(spectra[name]) if name in spectra else found[name]
            for name in ("pmra", "pmdec", "bp_rp")
        }
    )


def _photometry(
    survey: Survey, kind: Kind, path: Path, spectra: pd.DataFrame, pending: list[Given]
) -> Given:
    from msfa_core.stars.crossmatch import settled  # noqa: PLC0415
    from msfa_core.tables.door import open_table  # noqa: PLC0415
    from msfa_core.tables.hats import is_hats, open_hats  # noqa: PLC0415

    radius = survey.settings.match_radius_arcsec
    if is_hats(path):
        here = [spectra[name].to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec")]
        opened = open_hats(path, kind.use, here[0], here[1])
    else:
        opened = settled(open_table(path, kind.use), spectra, radius)
    rows = kind.rows(opened)
    matched = photometry_match(spectra, rows, radius, kind)
    if not matched.n:
        raise none_matched(opened, matched, spectra, (kind.key, "obsid", "ra", "dec"), radius)
    check_slipped(matched, opened.path)
    if kind == PANSTARRS_KIND and "bp_rp" in spectra:
        from msfa_core.photometry.bands import check_panstarrs  # noqa: PLC0415

        found = kind.joined(spectra, rows, radius)
        check_panstarrs(found, numbers(spectra, "bp_rp"), opened.path)
    folder = survey.path / kind.folder
    before = same_source(folder, opened.path, pending)
    earlier = [_read(survey, one) for one in parts_of(survey, kind) if one not in before]
    earlier += [one.rows for one in pending if one.path.parent == folder and one.path not in before]
    more = _news(rows, earlier, kind) + too_coarse(rows, radius) + kind.coarse(rows)
    more += ["it replaces the table given before from the same file"] if before else []
    place = next_place(folder, opened.name, pending)
    return Given(place, rows, as_record(opened, kind.name, matched, more), tuple(before))


def photometry_match(
    spectra: pd.DataFrame, rows: pd.DataFrame, radius_arcsec: float, kind: Kind = GAIA_KIND
) -> Matched:
    """Return how the spectra of a survey are found in a photometric table."""
    from msfa_core.stars.crossmatch import FAR_AWAY  # noqa: PLC0415

    joined = kind.joined(spectra, rows, radius_arcsec)
    prefix = "gaia" if kind == GAIA_KIND else "ps"
    counts = joined[f"{prefix}_found_by"].value_counts()
    ways = (kind.key.removeprefix(f"{prefix}_"), "obsid", "position")
    by = {way: int(counts.get(way, 0)) for way in ways}
    apart = joined[f"{prefix}_refused"]
    refused = np.isfinite(apart.to_numpy(np.float64))
    examples = tuple(
        f"obsid {obsid} at {far:,.0f} arcsec"
        for obsid, far in zip(
            spectra["obsid"][refused].head(_SHOWN), apart[refused].head(_SHOWN), strict=True
        )
    )
    notes = []
    several = int(joined[f"{prefix}_ambiguous"].sum())
    if several:
        notes.append(
            f"{counted(several, 'spectrum has', 'spectra have')} several sources within the "
            "radius: the nearest counts"
        )
    twice = int(joined[f"{prefix}_duplicated"].sum())
    if twice:
        notes.append(f"{counted(twice, 'is', 'are')} listed more than once with different values")
    return Matched(len(spectra), by, examples, int(refused.sum()), FAR_AWAY, tuple(notes))


def _news(rows: pd.DataFrame, earlier: Sequence[pd.DataFrame], kind: Kind) -> list[str]:
    """Say how many sources an earlier table listed too, and how many of them differ."""
    if not earlier:
        return []
    old = added_up(earlier, kind)
    said = [f"adds to {counted(len(old), 'row', 'rows')} given before"]
    for key in (kind.key, "obsid"):
        both = rows.dropna(subset=key).drop_duplicates(key).set_index(key)
        known = old.dropna(subset=key).drop_duplicates(key).set_index(key)
        shared = both.index.intersection(known.index)
        if len(shared):
            new, was = (one.loc[shared, list(kind.telling)].round(_SAME) for one in (both, known))
            differ = int(((new != was) & (new.notna() | was.notna())).any(axis=1).sum())
            said.append(
                f"replaces {len(shared):,} of them, {differ:,} with other values: the table given "
                "last counts"
            )
            break
    return said
