"""A survey is a folder: spectra, their table, decisions, settings and provenance.

::

    SURVEY/
        archive/             spectra, sharded (spectra/archive.py)
        catalogues/          rows of joined catalogues, by obsid
        known/               catalogues of stars that are known already
        models/              weights that learnt from its decisions, if any
        subsets/             spectra that somebody chose and named, if any
        steps/               what each step of the pipeline gave for each shard
        candidates.parquet   one row per spectrum, columns of columns.py
        vetting.sqlite       decisions (or a database named in msfa.toml)
        roles.toml           who may do what, if anybody said so
        assignments.parquet  who looks at which stars, if they are shared
        renamed.json         reviewers who are called otherwise now, if any
        rejected.csv         files that could not be read, and why
        msfa.toml            settings
        provenance.json      what was done, with which version, weights and settings

Reading needs no lock. Whatever writes holds :meth:`Survey.lock`, and every file is replaced
as a whole, so a reader or a killed process never sees half of one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import VET_COLUMNS, conform, conform_lightly
from msfa_core.config import (
    MODELS_OF_SURVEY,
    OWN_MODELS,
    SETTINGS_FILE,
    Settings,
    load_settings,
    settings_template,
)
from msfa_core.durable import (
    WRITING,
    held,
    making,
    parquet_notes,
    read_parquet,
    write_parquet,
    write_whole,
)
from msfa_core.errors import SurveyError, shown, typed
from msfa_core.spectra.archive import Archive
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.survey.completing import (
    Catalogues,
    Matches,
    SurveyShard,
    completed,
    filled,
    identities,
    refreshed,
    table_unreadable,
    without_results,
)
from msfa_core.survey.provenance import (
    append_provenance,
    are_simulated,
    export_header,
    now,
    read_provenance,
    without_password,
)
from msfa_core.vetting.assignment import ASSIGNMENT_FILE
from msfa_core.vetting.roles import ROLES_FILE

if TYPE_CHECKING:
    from msfa_core.survey.figures.plots import SurveyPlots
    from msfa_core.vetting.store import Store

ARCHIVE_FOLDER: Final = "archive"
CATALOGUE_FOLDER: Final = "catalogues"
KNOWN_FOLDER: Final = "known"
STEPS_FOLDER: Final = "steps"
GAIA_FOLDER: Final = "gaia"
PANSTARRS_FOLDER: Final = "panstarrs"
ONLINE_FOLDER: Final = "gaia_online"  # answers of an archive
PANSTARRS_ONLINE: Final = "panstarrs_online"
SUBSETS_FOLDER: Final = "subsets"
USED: Final = "msfa_settings"  # note of the table: what its columns follow from
FOLLOWED: Final = "catalogues"  # those that were joined when they were
CANDIDATES_FILE: Final = "candidates.parquet"
DECISIONS_FILE: Final = "vetting.sqlite"
RENAMED_FILE: Final = "renamed.json"  # reviewers, as signed and as they are called now
REJECTED_FILE: Final = "rejected.csv"
PROVENANCE_FILE: Final = "provenance.json"
LOCK_FILE: Final = ".lock"
OWN: Final = (  # what a survey consists of: nothing that a command writes may take its place
    *(ARCHIVE_FOLDER, CATALOGUE_FOLDER, KNOWN_FOLDER, STEPS_FOLDER, GAIA_FOLDER),
    *(PANSTARRS_FOLDER, ONLINE_FOLDER, PANSTARRS_ONLINE, SUBSETS_FOLDER),
    *(ROLES_FILE, ASSIGNMENT_FILE),
    *(SETTINGS_FILE, CANDIDATES_FILE, DECISIONS_FILE, RENAMED_FILE, REJECTED_FILE),
    *(PROVENANCE_FILE, LOCK_FILE),
)
_REJECTED_COLUMNS: Final = ("file", "reason", "time")


class Survey:
    """An existing survey folder; make one with :meth:`create`.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    path : Path
    archive : Archive
        Spectra as their files gave them, for ``survey/`` alone: whoever works on spectra takes
        :meth:`spectra`, :meth:`spectrum` or :meth:`shards`, which catalogues complete.

    Raises
    ------
    SurveyError
        When the path is no survey, saying how to make one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise SurveyError(
                f"there is no survey at {self.path.absolute()}: make one with "
                f"`msfa ingest {typed(self.path)} FILES` or `msfa simulate {typed(self.path)}`."
            )
        if not is_survey(self.path):
            raise SurveyError(
                f"{self.path} is not a survey (a folder with {SETTINGS_FILE} and "
                f"{PROVENANCE_FILE}): name a survey, or a new folder to make one."
            )
        if shown(self.path) != str(self.path):
            raise SurveyError(
                f"{shown(self.path)}: its name is no UTF-8: rename the folder, or go into the "
                "folder that it lies in and name it from there."
            )
        self.archive = Archive(self.path / ARCHIVE_FOLDER)
        self._catalogues = Catalogues(self.path / CATALOGUE_FOLDER)
        self._matches = Matches(self.path / CANDIDATES_FILE)

    @classmethod
    def open(cls, path: str | Path) -> Survey:
        """Return the survey at ``path`` (the same as calling the class)."""
        return cls(path)

    @classmethod
    def create(cls, path: str | Path, simulated: bool = False, **chosen: Any) -> Survey:
        """Make a new, empty survey: the whole folder or nothing.

        Parameters
        ----------
        path : str or Path
            A folder that does not exist yet or is empty.
        simulated : bool
            Whether the spectra will be made up; said on every screen and export.
        **chosen
            Settings that ``msfa.toml`` starts with; the others are there as comments.

        Raises
        ------
        ConfigError
            For a setting that does not exist.
        SurveyError
            When something is there already, or the folder cannot be written.
        """
        path = Path(path)
        if shown(path) != str(path):  # tables and arrays could not be opened there
            raise SurveyError(f"{shown(path)}: its name is no UTF-8: name the survey otherwise.")
        if is_survey(path):
            raise SurveyError(f"{path} is a survey already: open it, or name a new folder.")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise SurveyError(
                f"{path} exists and is not an empty folder: name a new folder for the survey."
            )
        with making(path) as folder:
            (folder / ARCHIVE_FOLDER).mkdir()
            text = settings_template(simulated, **chosen)
            write_whole(folder / SETTINGS_FILE, text.encode())
            append_provenance(folder / PROVENANCE_FILE, "create", {"simulated": simulated})
        return cls(path)

    @property
    def settings(self) -> Settings:
        """Settings in force: defaults < ``msfa.toml`` < ``MSFA_*`` variables."""
        return load_settings(self.path)

    # --- spectra, completed by catalogues ----------------------------------------------------
    @property
    def obsid(self) -> NDArray[np.int64]:
        """(n,) obsid of every spectrum, in the order of storage."""
        return self.archive.obsid

    def spectra(self, obsids: Iterable[int] | NDArray[np.integer]) -> Spectra:
        """Return spectra on ``LAMOST_GRID``, rows in the order asked for.

        Parameters
        ----------
        obsids : n integers

        Returns
        -------
        Spectra
            Each with the z that brings it to rest: `rules.rest_sentence`.

        Raises
        ------
        SurveyError
            When a spectrum is not stored, naming it.
        """
        batch = self.archive.spectra(obsids)
        z = self._catalogues.completed_z(batch.obsid, batch.z)
        return replace(batch, z=self._matches.rest_z(batch.obsid, z))

    def spectrum(self, obsid: int) -> Spectrum:
        """Return one spectrum on its own wavelengths.

        Its position, S/N, class, subclass and data release are those of its file, else of a
        joined catalogue; its z is that of `spectra`.

        Raises
        ------
        SurveyError
            When it is not stored.
        """
        rows = self._catalogues.rows(np.array([obsid], dtype=np.int64))
        one = completed(self.archive.original(obsid), rows)
        z = self._matches.rest_z(np.array([obsid], dtype=np.int64), np.array([one.z]))
        return replace(one, z=float(z[0]))

    def close(self) -> None:
        """Let go of the files of its spectra; they open again when asked for."""
        self.archive.close()

    def shards(self) -> list[SurveyShard]:
        """Return the shards, each with the z that files and catalogues say of its spectra."""
        made = []
        for shard in self.archive.shards:
            z = self._catalogues.completed_z(shard.obsid, shard.z())
            made.append(SurveyShard(shard.name, str(shard.folder.absolute()), shard.obsid, z))
        return made

    def base_table(self) -> pd.DataFrame:
        """Return what is known of each spectrum before any step: its file, then catalogues."""
        table = identities(self.archive)
        for rows in self._catalogues.tables():
            table = filled(table, rows)
        return table

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards, in the order of storage."""
        return [shard.name for shard in self.archive.shards]

    @property
    def own_models(self) -> Path:
        """Folder of weights that learnt from this survey's decisions; it may not be there."""
        return self.path.absolute() / MODELS_OF_SURVEY

    @property
    def known_files(self) -> list[Path]:
        """Catalogues of stars that are known already, in the order of their names."""
        return sorted((self.path / KNOWN_FOLDER).glob("*.parquet"))

    # --- table -----------------------------------------------------------------------------
    def table(self) -> pd.DataFrame:
        """Return one row per spectrum, with every column of the contract.

        Spectra stored and catalogues joined by a process that was killed before it wrote the
        table are added, so spectra and table always agree.
        """
        path = self.path / CANDIDATES_FILE
        try:
            table = read_parquet(path) if path.exists() else None
        except (OSError, ValueError) as error:
            raise table_unreadable(path, error) from error
        stored = self.archive.obsid
        if table is None:
            return conform(self.base_table())
        new = pd.Index(table["obsid"].to_numpy(np.int64)).get_indexer(stored) < 0
        if new.any() or self._catalogues.are_newer_than(path):
            base = self.base_table()
            table = pd.concat([conform(table), conform(base[new])], ignore_index=True)
            return conform(refreshed(table, base))
        return conform_lightly(table)

    @property
    def settings_used(self) -> Settings:
        """Settings that the columns of the table follow from: those of the last run.

        Before the first run, the settings in force.
        """
        text = parquet_notes(self.path / CANDIDATES_FILE).get(USED)
        known = {field.name for field in fields(Settings)}
        used = {name: value for name, value in json.loads(text or "{}").items() if name in known}
        if used.get("models") == OWN_MODELS:  # the survey may have been moved since
            used["models"] = str(self.own_models)
        return replace(self.settings, **used)

    @property
    def not_followed(self) -> list[str]:
        """Catalogues that were joined after the steps ran; some of what they say is not in yet."""
        text = parquet_notes(self.path / CANDIDATES_FILE).get(FOLLOWED)
        names = self._catalogues.names if text else []
        return [name for name in names if name not in json.loads(text or "[]")]

    def write_table(
        self,
        table: pd.DataFrame,
        notes: dict[str, str] | None = None,
        used: Settings | None = None,
    ) -> None:
        """Replace the table of all spectra, as a whole.

        Parameters
        ----------
        table : (n,) DataFrame
            One row per obsid. Columns of the ``vet`` step are left out: decisions live in the
            store only.
        notes : dict, optional
            Text kept in the file beside the rows.
        used : Settings, optional
            What its columns follow from; as before when not given.

        Raises
        ------
        SurveyError
            When an obsid comes twice or is missing, or the disk is full.
        """
        table = conform(table.drop(columns=[n for n in VET_COLUMNS if n in table.columns]))
        if table["obsid"].isna().any() or table["obsid"].duplicated().any():
            raise SurveyError("the table needs one row per obsid: some are missing or come twice.")
        table = table.drop(columns=list(VET_COLUMNS)).reset_index(drop=True)
        path = self.path / CANDIDATES_FILE
        said = {key: text for key, text in parquet_notes(path).items() if key in (USED, FOLLOWED)}
        if used:
            own = {"models": OWN_MODELS} if used.models == str(self.own_models) else {}
            said = {USED: json.dumps(used.of_results() | own)}
            said[FOLLOWED] = json.dumps(self._catalogues.names)
        write_parquet(path, table, {**(notes or {}), **said})

    def refresh_table(self, before: pd.DataFrame | None = None) -> None:
        """Write the table anew with what files and catalogues now say; results of steps stay.

        Parameters
        ----------
        before : DataFrame, optional
            The base table before a catalogue was joined: what it said is no result of a step.
        """
        self.write_table(refreshed(self.table(), self.base_table(), before))

    def forget_results(self, obsids: Collection[int]) -> None:
        """Drop what steps made of spectra that are about to be replaced, until they run again."""
        table = self.table()
        rows = table["obsid"].isin(list(obsids)).to_numpy(bool)
        if rows.any():
            self.write_table(without_results(table, rows))

    def table_with_verdicts(self) -> pd.DataFrame:
        """Return the table of all spectra with the verdict of record of each star."""
        table = self.table()
        if not self.has_store:
            return table
        from msfa_core.vetting.record import verdict_of_record  # noqa: PLC0415

        store = self.store()
        try:
            verdicts = verdict_of_record(store.standing(), table, self.settings.verdict_rule)
        finally:
            store.close()
        rows = verdicts.reindex(table["obsid"].to_numpy(np.int64))
        return table.assign(**{name: rows[name].array for name in VET_COLUMNS})

    def _repr_html_(self) -> str:
        """Return the survey as notebooks show it: what is in it, and how far it has got."""
        from msfa_core.survey.figures.shown import survey_html  # noqa: PLC0415

        return survey_html(self)

    # --- figures ---------------------------------------------------------------------------
    @property
    def plot(self) -> SurveyPlots:
        """Static figures: ``survey.plot.plane()``, ``survey.plot.spectrum(obsid)``."""
        from msfa_core.survey.figures.plots import SurveyPlots  # noqa: PLC0415

        return SurveyPlots(self)

    # --- decisions -------------------------------------------------------------------------
    @property
    def has_store(self) -> bool:
        """Whether a decision store exists; opening one makes it."""
        return bool(self.settings.database) or (self.path / DECISIONS_FILE).exists()

    def store(self, *, as_signed: bool = False) -> Store:
        """Open the decision store: the database of ``msfa.toml``, else ``vetting.sqlite``.

        Parameters
        ----------
        as_signed : bool
            Names as they were written, whoever was renamed since: for copies.
        """
        from msfa_core.vetting.store import Store  # noqa: PLC0415

        place = self.settings.database or self.path / DECISIONS_FILE
        return Store(place, {} if as_signed else self.renamed)

    @property
    def renamed(self) -> dict[str, str]:
        """Names as decisions were signed, and what their reviewers are called now.

        Raises
        ------
        SurveyError
            When the file cannot be read.
        """
        path = self.path / RENAMED_FILE
        if not path.exists():
            return {}
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return {str(old): str(new) for old, new in said.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise SurveyError(f"{path} cannot be read ({error}): restore it from a copy.") from (
                error
            )

    # --- provenance ------------------------------------------------------------------------
    @property
    def provenance(self) -> list[dict[str, Any]]:
        """Every step that was done, oldest first."""
        return read_provenance(self.path / PROVENANCE_FILE)

    def record(self, step: str, *, settings: Settings | None = None, **details: Any) -> None:
        """Append what was done to ``provenance.json``, with version, settings and time.

        Parameters
        ----------
        step : str
        settings : Settings, optional
            Those of the step, where the command line changed some.
        **details
            Values that JSON can hold: counts, checksums, names of input files.
        """
        said = (settings or self.settings).as_dict()
        said["database"] = without_password(said["database"])
        append_provenance(self.path / PROVENANCE_FILE, step, {"settings": said, **details})

    @property
    def is_simulated(self) -> bool:
        """Whether the spectra of this survey are made up."""
        return are_simulated(self.provenance)

    def export_header(self, selection: str, rows: pd.DataFrame | None = None) -> dict[str, str]:
        """Return what an exported table says of itself: whence, what, and by which steps.

        Parameters
        ----------
        selection : str
            The choice of rows, in words.
        rows : (n,) DataFrame, optional
            Those that go out, with their verdicts: the header then says what they are and who
            decided on them.
        """
        from msfa_core.vetting.by_reviewer import reviewers_in_words  # noqa: PLC0415
        from msfa_core.vetting.record import rule_in_words  # noqa: PLC0415

        last = {"verdict rule": rule_in_words(self.settings.verdict_rule)}
        if rows is not None:
            last["reviewers"] = reviewers_in_words(rows)
        name, entries = self.path.resolve().name, self.provenance
        return export_header(name, selection, entries, self.settings_used, last, rows)

    # --- rejects ---------------------------------------------------------------------------
    @property
    def rejected(self) -> pd.DataFrame:
        """Files that could not be read: ``file, reason, time``."""
        path = self.path / REJECTED_FILE
        if not path.exists():
            return pd.DataFrame({name: pd.Series(dtype="str") for name in _REJECTED_COLUMNS})
        return pd.read_csv(path, dtype="str", keep_default_na=False)

    def reject(self, reasons: Iterable[tuple[str, str]], forgive: Sequence[str] = ()) -> None:
        """Add files and reasons to ``rejected.csv``; a file is listed once, the latest counts.

        Parameters
        ----------
        reasons : (file, reason) pairs
        forgive : sequence of str
            Files that could be read this time, and leave the list.
        """
        time = now()
        new = pd.DataFrame([(*pair, time) for pair in reasons], columns=_REJECTED_COLUMNS)
        old = self.rejected
        table = pd.concat([old, new], ignore_index=True)
        table = table[~table["file"].isin(list(forgive))].drop_duplicates("file", keep="last")
        if len(table) or len(old):
            text = table.to_csv(index=False, lineterminator="\n")
            write_whole(self.path / REJECTED_FILE, text.encode())

    # --- one writer at a time --------------------------------------------------------------
    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the survey for writing; let go when the process ends, however it ends.

        Raises
        ------
        SurveyError
            When another process holds it, naming that process.
        """
        with held(self.path / LOCK_FILE, self.path):
            self.archive.sweep()
            for leftover in self.path.rglob(f"*{WRITING}"):
                leftover.unlink(missing_ok=True)
            yield


def is_survey(path: str | Path) -> bool:
    """Tell whether a path is a survey folder."""
    path = Path(path)
    return (path / SETTINGS_FILE).is_file() and (path / PROVENANCE_FILE).is_file()
