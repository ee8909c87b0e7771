"""Learning curves of a training run, as a table and a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write_curves(history: pd.DataFrame, folder: str | Path, stage: int) -> None:
    """Write ``stage<k>_history.csv`` and ``stage<k>_curves.png``.

    Parameters
    ----------
    history : DataFrame
        A row per epoch, as :func:`msfa_core.training.train.train` keeps it.
    folder : str or Path
    stage : int
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    history.to_csv(folder / f"stage{stage}_history.csv", index=False)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(2, 1, sharex=True)
    epoch = history["epoch"]
    losses.plot(epoch, history["train_loss"], label="training")
    losses.plot(epoch, history["validation_loss"], label="validation")
    losses.set_ylabel("loss")
    losses.legend()
    score_name = "macro-F1" if stage == 1 else "F1 of BHB"
    scores.plot(epoch, history["score"], label=f"{score_name}, validation")
    scores.plot(epoch, history["validation_accuracy"], label="accuracy, validation")
    scores.set(xlabel="epoch", ylabel="score")
    scores.legend(loc="lower right")
    figure.suptitle(f"Stage {stage}")
    figure.savefig(folder / f"stage{stage}_curves.png", dpi=120)
