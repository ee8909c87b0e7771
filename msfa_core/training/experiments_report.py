"""Tables of the comparison of networks, beside the figures of the paper (Tables 3, 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

# Title in the tables, by the name of the experiment
TITLES: Final[Mapping[str, str]] = {
    "cnn": "CNN (our reading)",
    "alexnet": "AlexNet",
    "vgg11": "VGG11",
    "resnet18": "ResNet18",
    "bhbnet": "BHBNet (our reading)",
    "transformer": "Spectral transformer (ours)",
    "ms-resnet-gap": "MS-ResNet + GAP",
    "ms-resnet-spp": "MS-ResNet + SPP",
    "msfa-net-layer2": "MSFA-Net, SFA after Layer2",
    "msfa-net": "MSFA-Net",
}
COMPARED: Final = ("cnn", "alexnet", "vgg11", "resnet18", "bhbnet", "transformer", "msfa-net")
ABLATED: Final = ("ms-resnet-gap", "ms-resnet-spp", "msfa-net-layer2", "msfa-net")

# Percent, paper Tables 3 and 5 (five classes) and 4 and 5 (binary): precision and F1 as the paper
# gives them for every network. Those of MSFA-Net are the figures of its class BHB.
PAPER_STAGE1: Final[Mapping[str, Mapping[str, float]]] = {
    "cnn": {"precision": 91.38, "f1": 90.78},
    "alexnet": {"precision": 93.51, "f1": 93.92},
    "vgg11": {"precision": 93.62, "f1": 93.21},
    "resnet18": {"precision": 94.04, "f1": 93.67},
    "bhbnet": {"precision": 93.48, "f1": 93.87},
    "ms-resnet-gap": {"precision": 94.97, "f1": 94.12},
    "ms-resnet-spp": {"precision": 95.02, "f1": 94.05},
    "msfa-net-layer2": {"precision": 96.62, "f1": 94.13},
    "msfa-net": {"precision": 94.67, "recall": 98.80, "f1": 96.69, "accuracy": 92.80},
}
PAPER_STAGE2: Final[Mapping[str, Mapping[str, float]]] = {
    "cnn": {"precision": 91.14, "f1": 93.05},
    "alexnet": {"precision": 94.77, "f1": 94.89},
    "vgg11": {"precision": 95.30, "f1": 95.75},
    "resnet18": {"precision": 95.64, "f1": 96.06},
    "bhbnet": {"precision": 96.01, "f1": 96.18},
    "ms-resnet-gap": {"precision": 95.76, "f1": 96.18},
    "ms-resnet-spp": {"precision": 96.52, "f1": 96.60},
    "msfa-net-layer2": {"precision": 97.13, "f1": 97.45},
    "msfa-net": {"precision": 98.07, "recall": 98.49, "f1": 98.28},
}
_MEASURED: Final = {
    1: {
        "precision": "P of BHB",
        "recall": "R of BHB",
        "f1": "F1 of BHB",
        "accuracy": "accuracy",
        "macro_f1": "macro-F1",
    },
    2: {"precision": "P of BHB", "recall": "R of BHB", "f1": "F1 of BHB"},
}
_QUOTED: Final = {
    1: {"precision": "P", "recall": "R", "f1": "F1", "accuracy": "accuracy"},
    2: {"precision": "P", "recall": "R", "f1": "F1"},
}
_PERCENT: Final = 100


def report(table: pd.DataFrame, budget: Mapping[str, Any]) -> str:
    """Return the Markdown report.

    Parameters
    ----------
    table : DataFrame
        A row per network and seed: ``network``, ``seed`` and, with the prefixes ``stage1_`` and
        ``stage2_``, ``precision``, ``recall``, ``f1``, ``n_parameters``, ``seconds`` …
    budget : mapping
        What all rows have in common.

    Returns
    -------
    str
    """
    lines = ["# Networks compared on one data set", "", *_about(table, budget)]
    if table.empty:
        return "\n".join([*lines, "", "Nothing is trained yet.", ""])
    other = [name for name in dict.fromkeys(table["network"]) if name not in TITLES]
    for title, stage, names in (
        ("Five classes (paper Table 3): stage 1", 1, [*COMPARED, *other]),
        ("BHB or not (paper Table 4): stage 2", 2, [*COMPARED, *other]),
        ("Ablation, five classes (paper Table 5): stage 1", 1, ABLATED),
        ("Ablation, BHB or not (paper Table 5): stage 2", 2, ABLATED),
    ):
        here = [name for name in names if (table["network"] == name).any()]
        if here:
            lines += ["", f"## {title}", "", *_stage_table(table, here, stage)]
    return "\n".join(lines) + "\n"


def _about(table: pd.DataFrame, budget: Mapping[str, Any]) -> list[str]:
    """Sentences on data, budget and what the figures mean."""
    counts = ", ".join(f"{name} {n:,}" for name, n in budget["class_counts"].items())
    kind = "simulated" if budget["simulated"] else "labelled"
    seeds = sorted({int(seed) for seed in table["seed"]}) if len(table) else []
    return [
        f"**Budget**: {budget['epochs1']} epochs in stage 1 and {budget['epochs2']} in stage 2 "
        f"(paper: 150 and 100), batch {budget['batch']} (paper: 96), learning rate "
        f"{budget['learning_rate']:g}, {_schedule(budget)}, networks at "
        f"{budget['width_share']:g} of their full width, "
        f"{'bf16' if budget['bf16'] else 'float32'}, seeds {', '.join(map(str, seeds)) or 'none'}.",
        "",
        f"**Data**: {sum(budget['class_counts'].values()):,} {kind} spectra ({counts}), "
        f"fingerprint `{budget['data'][:16]}`; {budget['n_train']:,} for training, "
        f"{budget['n_validation']:,} for validation, {budget['n_test']:,} for the test, split by "
        f"star (seed {budget['split_seed']}), once for all networks, seeds and stages.",
        "",
        "All networks have the same spectra, loss, optimiser, schedule and epochs. Schedule and "
        "choice of epoch use validation stars; every measured figure is from test stars. Stage 2 "
        "starts from stage 1 except `fc`, and is tested on BHB against A and HSD. Figures are in "
        "percent, mean ± standard deviation over the seeds (n − 1); a single seed has none. "
        "Seconds are those of training with validation, mean over the seeds, on the machine at "
        "hand.",
        "",
        "The paper's figures are quoted for orientation: they are of real LAMOST spectra, the full "
        "budget, and a test split that also chose the epoch. It gives precision and F1 of every "
        "network, all else of MSFA-Net alone; those of MSFA-Net are of its class BHB, and the "
        "others are taken to be. The plain CNN and BHBNet are our reading of networks whose "
        "layers the paper does not give.",
    ]


def _schedule(budget: Mapping[str, Any]) -> str:
    """How the learning rate falls, in words."""
    if budget["schedule"] == "cosine":
        return "falling as half a cosine"
    return f"halved after {budget['patience']} epochs without gain"


def _stage_table(table: pd.DataFrame, names: Sequence[str], stage: int) -> list[str]:
    """Markdown rows of one stage."""
    paper = PAPER_STAGE1 if stage == 1 else PAPER_STAGE2
    quoted = {
        key: title
        for key, title in _QUOTED[stage].items()
        if any(key in paper.get(name, {}) for name in names)
    }
    header = ["network", "parameters", "seeds", "training [s]", *_MEASURED[stage].values()]
    header += [f"paper: {title}" for title in quoted.values()]
    rows = [header, ["---"] * len(header)]
    for name in names:
        mine = table[table["network"] == name]
        rows.append(
            [
                TITLES.get(name, name),
                f"{int(mine[f'stage{stage}_n_parameters'].iloc[0]):,}",
                str(len(mine)),
                f"{mine[f'stage{stage}_seconds'].mean():,.0f}",
                *(mean_and_spread(mine[f"stage{stage}_{key}"]) for key in _MEASURED[stage]),
                *(_quote(paper.get(name, {}).get(key)) for key in quoted),
            ]
        )
    return ["| " + " | ".join(row) + " |" for row in rows]


def mean_and_spread(shares: pd.Series) -> str:
    """Return mean ± standard deviation (n − 1) of shares, in percent; the mean alone of one."""
    percent = _PERCENT * shares.astype(float)
    if len(percent) == 1:
        return f"{percent.iloc[0]:.2f}"
    return f"{percent.mean():.2f} ± {percent.std(ddof=1):.2f}"


def _quote(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
