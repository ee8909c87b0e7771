"""The paper's tables of results beside ours, from the figures that come with the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import pandas as pd

from msfa_core.columns import PAPER_COLUMNS
from msfa_core.constants import PAPER_COUNTS
from msfa_core.errors import ModelError
from msfa_core.shipped import shipped
from msfa_core.training.dataset import LabelledSpectra
from msfa_core.training.experiments_report import (
    ABLATED,
    COMPARED,
    PAPER_STAGE1,
    PAPER_STAGE2,
    TITLES,
)

PAPER_CLASSES: Final = {  # percent: precision, recall, F1 of its own test split
    "BHB": (94.67, 98.80, 96.69),
    "A": (92.77, 90.36, 91.55),
    "B": (95.22, 92.62, 93.90),
    "HSD": (86.91, 91.74, 89.26),
    "WD": (93.14, 90.10, 91.60),
}
PAPER_CATALOGUE: Final = (  # first rows of Table 6
    (1230412066, 175.695220, 7.789808, 86.12, 0.025963, 0.044144, 8982.60, 3.31, -1.95),
    (1017411156, 266.029558, 27.898654, 96.03, 0.202767, 0.610264, 8373.87, 3.46, -1.23),
    (842113049, 21.347900, 35.060278, 219.41, 0.247738, 0.544068, 8046.81, 3.40, -3.31),
    (820307114, 249.277837, 26.200366, 179.13, 0.142282, 1.074209, 9129.97, 3.56, -1.21),
    (679416161, 3.906428, 34.324456, 271.78, 0.155095, 1.032125, 8561.56, 3.33, -1.97),
)
_SCORES: Final = ("precision", "recall", "f1")


def data_sets(data: LabelledSpectra) -> pd.DataFrame:
    """Return how many spectra of each class there are, beside the paper (Table 2).

    Parameters
    ----------
    data : LabelledSpectra
    """
    table = pd.DataFrame({"paper": PAPER_COUNTS})
    table["here"] = pd.Series(data.class_counts).reindex(table.index).fillna(0).astype(int)
    return table


def five_classes() -> pd.DataFrame:
    """Return precision, recall and F1 of each class [%], of the shipped weights and the paper.

    Ours is of simulated test stars, many of them chosen to be hard; the paper's of real spectra,
    and of the split that also chose its epoch: they stand beside each other, not in a race.

    Raises
    ------
    ModelError
        When the evaluation that comes with the weights is missing.
    """
    path = shipped("models", "evaluation.json")
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))["per_class"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); restore the file.") from error
    rows = {}
    for name, paper in PAPER_CLASSES.items():
        ours = [100 * measured[name][score] for score in _SCORES]
        rows[name] = [*ours, *paper]
    columns = [f"{who}: {score}" for who in ("ours", "paper") for score in ("P", "R", "F1")]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).round(2)


def compared_networks(stage: int) -> pd.DataFrame:
    """Return the networks under one protocol [%], beside the paper (Tables 3 and 4).

    Parameters
    ----------
    stage : {1, 2}
    """
    return _networks(COMPARED, stage)


def ablations(stage: int) -> pd.DataFrame:
    """Return what each part of the network adds [%], beside the paper (Table 5).

    Parameters
    ----------
    stage : {1, 2}
    """
    return _networks(ABLATED, stage)


def _networks(names: Sequence[str], stage: int) -> pd.DataFrame:
    """Return means over the seeds of `data/models/EXPERIMENTS.csv`."""
    path = shipped("models", "EXPERIMENTS.csv")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); restore the file.") from error
    paper = PAPER_STAGE1 if stage == 1 else PAPER_STAGE2
    rows = {}
    for name in names:
        own = table[table["network"] == name]
        rows[TITLES[name]] = {
            "seeds": len(own),
            "ours: P": 100 * own[f"stage{stage}_precision"].mean(),
            "ours: F1": 100 * own[f"stage{stage}_f1"].mean(),
            "paper: P": paper.get(name, {}).get("precision"),
            "paper: F1": paper.get(name, {}).get("f1"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(2)


def paper_catalogue() -> pd.DataFrame:
    """Return the first rows of the paper's Table 6, by the names of our columns."""
    return pd.DataFrame(PAPER_CATALOGUE, columns=list(PAPER_COLUMNS))
