"""Commands that ask LAMOST's archive: what to search, and the spectra themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msfa_core.cli.app import Quiet, app
from msfa_core.cli.show import show_progress

if TYPE_CHECKING:
    from msfa_core.lamost.select import Selected


@app.command()
def select(
    catalogue: Annotated[
        Path,
        typer.Argument(
            help="LAMOST general catalogue: CSV, FITS (also gzipped) or Parquet.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="Table ending in .csv, .fits or .parquet.", show_default=False)
    ],
    snr: Annotated[
        float | None,
        typer.Option(help="S/N in g must be greater; the setting snr_min when not given."),
    ] = None,
    star: Annotated[str, typer.Option("--class", help="Class of the spectra.")] = "STAR",
    subclass: Annotated[
        str, typer.Option(help="Beginnings of the subclass, separated by commas.")
    ] = "A,B",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the table if it is there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Choose the spectra of the search domain: stars of subclass A or B above the S/N cut."""
    from msfa_core.config import load_settings  # noqa: PLC0415
    from msfa_core.lamost.select import Cuts  # noqa: PLC0415
    from msfa_core.lamost.select import select as choose  # noqa: PLC0415

    cuts = Cuts(
        load_settings(snr_min=snr).snr_min,
        star.strip().upper(),
        tuple(part.strip().upper() for part in subclass.split(",") if part.strip()),
    )
    with show_progress(quiet) as progress:
        _print_selected(choose(catalogue, out, cuts, overwrite, progress))


def _print_selected(selected: Selected) -> None:
    """Say what each cut leaves."""
    for words, n in selected.counts.items():
        print(f"{n:>12,} {words}")
    for n, words in (
        (selected.n_twice, "left out: their obsid came before"),
        (selected.n_nameless, "left out: they have no obsid"),
    ):
        if n:
            print(f"{n:>12,} {words}")
    print(f"{selected.path}: {selected.n_rows:,} spectra ({selected.seconds:.1f} s)")
    print(f"next: msfa ingest SURVEY FILES --catalogue {selected.path}")
