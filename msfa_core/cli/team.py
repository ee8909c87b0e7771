"""The commands of a team: ``msfa assign`` shares the stars, ``msfa cite`` names what was used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from msfa_core.cli.app import Overwrite, SurveyArgument, app, spare, wrong_usage
from msfa_core.constants import CLAIM_MINUTES, TRAINING_SHARE
from msfa_core.counting import counted
from msfa_core.errors import ExportError, StoreError, typed

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.survey.folder import Survey

_PERCENT: Final = 100.0


def _share(text: str) -> float:
    """Return a share: ``10%``, ``10 %`` or ``0.1``."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (_PERCENT if "%" in text else 1.0)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share, such as 10%.") from None
    if not 0.0 <= share <= 1.0:
        raise typer.BadParameter(f"{text} is not between 0% and 100%.")
    return share


@app.command()
def assign(
    survey: SurveyArgument,
    reviewers: Annotated[
        str, typer.Option(help="Their names, separated by commas; without, say how far they are.")
    ] = "",
    per_star: Annotated[int, typer.Option(help="Reviewers who see a star.", min=1)] = 1,
    overlap: Annotated[
        str,
        typer.Option(help="Share of the stars that several see (two at least), the others one."),
    ] = "100%",
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Stars of these filters of the queue; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed deals alike.", min=0)] = 0,
    training: Annotated[
        str, typer.Option(help="Share of stars with known answers, mixed in unannounced.")
    ] = f"{100 * TRAINING_SHARE:g}%",
    known: Annotated[
        Path | None,
        typer.Option(
            help="Table with their verdicts; final verdicts (a simulation's truth) without it.",
            show_default=False,
        ),
    ] = None,
    claim: Annotated[
        float,
        typer.Option(help="Minutes for which a star on one screen comes last for others.", min=0),
    ] = CLAIM_MINUTES,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Deal anew although an assignment is in force.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
) -> None:
    """Share the stars among reviewers, balanced and by seed; or say how far each has come."""
    from msfa_core.survey.decisions import known_answers  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.vetting.assignment import (  # noqa: PLC0415
        checked_names,
        deal,
        read_assignment,
        write_assignment,
    )

    shared = _share(overlap)
    if reviewers:
        with wrong_usage("--reviewers"):
            checked_names(reviewers.split(","), per_star, shared)
    opened = Survey(survey)
    if not reviewers:
        _say_progress(opened)
        return
    if read_assignment(opened.path) is not None and not (overwrite or dry_run):
        raise StoreError(
            f"{survey} has an assignment: `msfa assign {typed(survey)}` shows it; --overwrite "
            "deals anew (what was decided stays)."
        )
    chosen, words = _chosen(opened, filter_ or ["candidates"])
    share = _share(training)
    made = deal(
        chosen,
        reviewers.split(","),
        per_star=per_star,
        overlap=shared,
        seed=seed,
        known=known_answers(opened, known) if share else {},
        training=share,
        stars=words,
        claim_minutes=claim,
    )
    if not dry_run:
        with opened.lock():
            write_assignment(opened.path, made)
            opened.record("assign", reviewers=made.reviewers, **dict(made.said))
    for name in made.reviewers:
        own = made.table[made.table["reviewer"] == name]
        n_known = int((own["answer"] != "").sum())
        print(
            f"{name}: {counted(len(own), 'star', 'stars')}, {n_known:,} of them with a known answer"
        )
    verb = "would be shared" if dry_run else "shared"
    print(
        f"{counted(len(chosen), 'star', 'stars')} {verb} among "
        f"{counted(len(made.reviewers), 'reviewer', 'reviewers')}, seed {seed} ({words})"
    )
    if share and not (made.table["answer"] != "").any():
        print("no star has a known answer: give final verdicts, or a table with --known")
    if not dry_run:
        print(f'next: msfa serve {typed(survey)}; each opens the page and shows "assigned to me"')


def _chosen(opened: Survey, names: list[str]) -> tuple[list[int], str]:
    """Return one spectrum of each star that passes the filters, and the choice in words."""
    from msfa_core.rules import representatives  # noqa: PLC0415
    from msfa_core.vetting.filters import preset_filters, verdict_filters  # noqa: PLC0415

    presets = preset_filters(opened.settings_used) | verdict_filters()
    unknown = [name for name in names if name not in presets]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is no filter: {', '.join(presets)}.")
    table = opened.table_with_verdicts()
    for name in names:
        table = table[presets[name].predicate(table)]
    words = "; ".join(presets[name].sentence for name in names)
    return table.loc[representatives(table), "obsid"].tolist(), words


def _say_progress(opened: Survey) -> None:
    from msfa_core.vetting.assignment import progress, read_assignment  # noqa: PLC0415

    made = read_assignment(opened.path)
    if made is None:
        raise StoreError(
            f"{opened.path} has no assignment: give --reviewers NAME,NAME to share its stars."
        )
    with opened.store() as store:
        told = progress(made, store.standing(), opened.table())
    print(f"{made.said['stars']}: {made.said['per_star']} per star, seed {made.said['seed']}")
    for who, row in told.astype(object).iterrows():
        print(
            f"{who}: {row['done']:,} of {counted(row['assigned'], 'star', 'stars')}, "
            f"{row['unsure']:,} unsure"
        )
        if row["n_known"]:
            shares = [
                f"{what} {_interval(row, what)}" for what in ("completeness", "contamination")
            ]
            print(f"  of {row['n_known']:,} known stars: {', '.join(shares)}")


def _interval(row: pd.Series, name: str) -> str:
    """Return a share with its 95 % interval: ``0.80 (0.65 to 0.90)``."""
    if row[name] != row[name]:  # NaN: nothing to go by
        return "unknown"
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


@app.command()
def cite(
    survey: SurveyArgument,
    out: Annotated[
        Path | None,
        typer.Argument(
            help="BibTeX file to write; the screen when not given.",
            show_default=False,
            callback=spare,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Name what was used as BibTeX: data, dust map, zero point, methods, software."""
    from msfa_core.durable import write_whole  # noqa: PLC0415
    from msfa_core.survey.citing import bibtex, used  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    opened = Survey(survey)
    text = bibtex(opened)
    if out is None:
        print(text, end="")
        return
    if out.exists() and not overwrite:
        raise ExportError(f"{out} exists; name another file, or replace it with --overwrite.")
    write_whole(out, text.encode())
    print(f"{out}: {len(used(opened)) + 1} entries")
