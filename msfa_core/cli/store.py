"""The commands of the decision store: ``msfa store check``, ``backup``, ``merge`` and their kin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msfa_core.cli.app import SurveyArgument, app, spare, wrong_usage
from msfa_core.counting import counted
from msfa_core.errors import StoreError

if TYPE_CHECKING:
    from msfa_core.vetting.transfer import Taken

store_app = typer.Typer(
    help="Check, back up, restore, move and merge the decisions of a survey.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store_app, name="store")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


@store_app.command()
def check(survey: SurveyArgument) -> None:
    """Look for damage, decisions on spectra that left, and a clock that went backwards."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.transfer import check as look  # noqa: PLC0415

    opened = Survey(survey)
    with opened.store() as store:
        found, n = look(store, opened.table()), len(store.decisions())
    for line in found:
        print(line)
    if found:
        raise StoreError(f"{len(found)} thing(s) to look at in the decisions of {survey}.")
    print(f"{counted(n, 'decision or withdrawal', 'decisions and withdrawals')}: nothing wrong")


@store_app.command()
def backup(
    survey: SurveyArgument,
    out: Annotated[
        Path, typer.Argument(help="SQLite file to write.", show_default=False, callback=spare)
    ],
) -> None:
    """Write all decisions to one file, while people work."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.transfer import back_up  # noqa: PLC0415

    with Survey(survey).store(as_signed=True) as store:
        back_up(store, out)
    print(f"{out}: written")


@store_app.command("import")
def import_(
    survey: SurveyArgument,
    source: Annotated[
        str,
        typer.Argument(
            help="SQLite file, database URL, or table with verdicts (an export).",
            show_default=False,
        ),
    ],
    dry_run: DryRun = False,
) -> None:
    """Take over the decisions of a colleague's copy, a backup or a table; twice changes nothing."""
    _check_url(source, "SOURCE")
    if "://" in source or _is_database(source):
        _take(survey, source, dry_run)
    else:
        _take_table(survey, source, dry_run)


def _check_url(place: str, argument: str) -> None:
    """Call a database URL of another kind wrong usage (exit code 2); files are looked for later."""
    from msfa_core.vetting.database import as_url  # noqa: PLC0415

    if "://" in place:
        with wrong_usage(argument):
            as_url(place)


@store_app.command()
def restore(
    survey: SurveyArgument,
    source: Annotated[Path, typer.Argument(help="A backup.", show_default=False)],
    dry_run: DryRun = False,
) -> None:
    """Bring back what a backup holds and the store lacks; into an empty store as it was."""
    _take(survey, str(source), dry_run)


@store_app.command()
def migrate(
    survey: SurveyArgument,
    target: Annotated[
        str, typer.Argument(help="New store: SQLite file or database URL.", show_default=False)
    ],
    dry_run: DryRun = False,
) -> None:
    """Copy all decisions to another store, SQLite or PostgreSQL: numbers, times and order stay."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.store import Store  # noqa: PLC0415
    from msfa_core.vetting.transfer import take_over  # noqa: PLC0415

    _check_url(target, "TARGET")
    with Survey(survey).store(as_signed=True) as store, Store(target) as other:
        _say(take_over(other, store.decisions(), dry_run=dry_run), dry_run)
        print(f'set database = "{other.name}" in {survey}/msfa.toml to use it')


@store_app.command()
def merge(
    survey: SurveyArgument,
    other: Annotated[Path, typer.Argument(help="Survey to take from.", show_default=False)],
    dry_run: DryRun = False,
) -> None:
    """Take over the decisions of another survey."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    theirs = Survey(other)
    if not theirs.has_store:
        raise StoreError(f"{other} has no decisions yet.")
    _take(survey, theirs.settings.database or str(theirs.path / "vetting.sqlite"), dry_run)


@store_app.command()
def history(
    survey: SurveyArgument,
    star: Annotated[str, typer.Argument(help="obsid or uid.", show_default=False)],
) -> None:
    """Print every decision on a star, withdrawals included, oldest first."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    opened = Survey(survey)
    table = opened.table()
    of_star = (table["obsid"].astype("str") == star) | (table["uid"] == star).fillna(False)
    if not of_star.any():
        raise StoreError(f"{star} is no obsid or uid of {survey}.")
    uids = table.loc[of_star, "uid"].dropna()
    rows = table[table["uid"].isin(uids) | of_star]
    with opened.store() as store:
        found = [row for obsid in rows["obsid"] for row in store.decisions(obsid=int(obsid))]
    for row in sorted(found, key=lambda one: one.decision_id or 0):
        what = f"takes back {row.withdraws}" if row.is_withdrawal else str(row.verdict)
        said = [what, row.verdict_class, ", ".join(row.issue_flags), " ".join(row.comment.split())]
        words = " · ".join(part for part in said if part)
        print(f"{row.decision_id}  {row.decided_at}  obsid {row.obsid}  {row.reviewer}: {words}")
    if not found:
        print("nobody has decided on this star")


@store_app.command()
def rename(
    survey: SurveyArgument,
    old: Annotated[str, typer.Argument(help="What the reviewer was called.", show_default=False)],
    new: Annotated[str, typer.Argument(help="And is called now.", show_default=False)],
) -> None:
    """Call a reviewer by another name; decisions stay as they were signed."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.survey.reviewers import rename_reviewer  # noqa: PLC0415

    rename_reviewer(Survey(survey), old, new)
    print(f"{old} is called {new} from now on (pages that are open: once loaded anew)")


def _take(survey: Path, source: str, dry_run: bool) -> None:
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.transfer import history_of, take_over  # noqa: PLC0415

    theirs = history_of(source)
    with Survey(survey).store(as_signed=True) as store:
        _say(take_over(store, theirs, dry_run=dry_run), dry_run)


def _is_database(source: str) -> bool:
    """Tell whether a file is a decision store, or nothing that can be read as a table."""
    path = Path(source)
    if not path.is_file():
        return "#" not in path.name
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"


def _take_table(survey: Path, source: str, dry_run: bool) -> None:
    from msfa_core.survey.decisions import decisions_in  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.transfer import take_over  # noqa: PLC0415

    target = Survey(survey)
    with target.store() as store:
        found, record = decisions_in(target, source, store.decisions())
        taken = take_over(store, found, dry_run=dry_run)
    print(record["line"])
    _say(taken, dry_run)
    if not dry_run:
        with target.lock():
            target.record("table", **record)


def _say(taken: Taken, dry_run: bool) -> None:
    for line in taken.conflicts:
        print(line)
    verb = "would be taken over" if dry_run else "taken over"
    print(
        f"{counted(taken.n_new, 'decision', 'decisions')} {verb}, "
        f"{taken.n_known:,} were there already"
    )
