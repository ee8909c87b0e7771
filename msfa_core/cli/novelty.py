"""Command that makes the novelty of a models folder again, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msfa_core.cli.app import app


@app.command()
def novelty(
    data: Annotated[Path, typer.Argument(help="Labelled spectra (.npz) that the weights know.")],
    models: Annotated[
        Path | None, typer.Option(help="Folder of the weights; the shipped ones when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, as in the training.", min=0)] = 42,
) -> None:
    """Learn anew what the training spectra look like, for the column novelty."""
    from msfa_core.networks.weights import (  # noqa: PLC0415 (torch)
        MODELS_FOLDER,
        NOVELTY_FILE,
        read_checksums,
        write_checksums,
    )
    from msfa_core.search.novelty import fit_novelty  # noqa: PLC0415
    from msfa_core.training.dataset import LabelledSpectra, split_by_star  # noqa: PLC0415

    folder = models or MODELS_FOLDER
    read_checksums(folder)  # a folder of weights, or a clear word that it is none
    spectra = LabelledSpectra.load(data)
    train = split_by_star(spectra, seed).train
    path = fit_novelty(spectra.flux[train]).save(folder / NOVELTY_FILE)
    write_checksums(folder)
    print(f"novelty of {len(train):,} training spectra: {path}")
