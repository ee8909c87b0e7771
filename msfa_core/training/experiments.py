"""The paper's comparison of networks and its ablation (Tables 3, 4 and 5), under one protocol.

Every network sees the same spectra, split, epochs, batch and schedule; only its weights' seed
changes from run to run. The schedule and the choice of epoch use validation stars, the figures
come from test stars.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.errors import TrainingError
from msfa_core.networks.baselines import BaselineConfig
from msfa_core.networks.inference import pick_device, predict_logits
from msfa_core.networks.msfa_net import MSFANetConfig, n_parameters
from msfa_core.networks.registry import NetworkConfig
from msfa_core.networks.transformer import TransformerConfig
from msfa_core.networks.weights import write_atomically
from msfa_core.training.dataset import LabelledSpectra, Split, split_by_star, stage_labels
from msfa_core.training.experiments_report import report
from msfa_core.training.scores import confusion_matrix, macro_f1, precision_recall_f1
from msfa_core.training.train import TrainedStage, train
from msfa_core.training.trainer import Schedule, TrainConfig
from msfa_core.typing import Progress, no_progress

NETWORKS: Final[Mapping[str, NetworkConfig]] = {
    "cnn": BaselineConfig("cnn"),
    "alexnet": BaselineConfig("alexnet"),
    "vgg11": BaselineConfig("vgg11"),
    "resnet18": BaselineConfig("resnet18"),
    "bhbnet": BaselineConfig("bhbnet"),
    "transformer": TransformerConfig(),
    "ms-resnet-gap": MSFANetConfig(sfa_after=None, pooling="gap"),
    "ms-resnet-spp": MSFANetConfig(sfa_after=None),
    "msfa-net-layer2": MSFANetConfig(sfa_after="msfe_layer2"),
    "msfa-net": MSFANetConfig(),
}
SEEDS: Final = (1, 2, 3)
RESULT_FILE: Final = "result.json"
_BHB: Final = 0  # first class of both stages


@dataclass(frozen=True, slots=True)
class Protocol:
    """What all networks have in common.

    Attributes
    ----------
    epochs1, epochs2 : int
        0 for the paper's 150 and 100.
    batch : int
    learning_rate : float
    schedule : {"plateau", "cosine"}
    patience : int
        Epochs without gain before the learning rate is halved on a plateau.
    width_share : float
        Of the full width of every network, for a comparison on a small budget.
    split_seed : int
        Of the one split by star.
    bf16 : bool
    device : str
        Does not count: a run may go on elsewhere.
    """

    epochs1: int = 0
    epochs2: int = 0
    batch: int = 96
    learning_rate: float = 1e-3
    schedule: Schedule = "plateau"
    patience: int = 8
    width_share: float = 1.0
    split_seed: int = 42
    bf16: bool = False
    device: str = "auto"

    def config(self, stage: int, network: NetworkConfig, seed: int) -> TrainConfig:
        """Return the training run of one stage of one network."""
        return TrainConfig(
            stage=stage,
            network=replace(network, width=round(network.width * self.width_share)),
            epochs=self.epochs1 if stage == 1 else self.epochs2,
            batch=self.batch,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            plateau_patience=self.patience,
            seed=seed,
            device=self.device,
            bf16=self.bf16,
        )

    def budget(self, data: LabelledSpectra, split: Split) -> dict[str, Any]:
        """Return all that must be equal for figures to be compared, as plain values."""
        any_network = MSFANetConfig()
        return {
            **{k: v for k, v in asdict(self).items() if k != "device"},
            "epochs1": self.config(1, any_network, 0).epochs,
            "epochs2": self.config(2, any_network, 0).epochs,
            "data": data.fingerprint(),
            "split": split.fingerprint(),
            "class_counts": data.class_counts,
            "simulated": bool(data.provenance.get("simulated")),
            "n_train": len(split.train),
            "n_validation": len(split.validation),
            "n_test": len(split.test),
        }


def run_experiments(
    data: LabelledSpectra,
    run_folder: str | Path,
    out: str | Path,
    *,
    protocol: Protocol | None = None,
    networks: Mapping[str, NetworkConfig] | None = None,
    seeds: Sequence[int] = SEEDS,
    progress: Progress = no_progress,
) -> pd.DataFrame:
    """Train each network from each seed in both stages, and write the tables.

    A finished (network, seed) is kept in the run folder and never trained again; one that was
    killed resumes from its checkpoint. Processes may share a run folder if they train other
    networks: whichever ends last writes the whole table.

    Parameters
    ----------
    data : LabelledSpectra
    run_folder : str or Path
    out : str or Path
        Markdown file; the figures of each seed go into a CSV beside it. Both are written anew
        after each (network, seed).
    protocol : Protocol, optional
    networks : mapping, optional
        Name -> configuration; all of ``NETWORKS`` when not given.
    seeds : ints
    progress : callable, optional
        Called as (network, spectra seen, in all, epoch that just ended or "").

    Returns
    -------
    DataFrame
        A row per network and seed that the run folder holds.

    Raises
    ------
    TrainingError
        When the run folder holds results of another protocol or data set.
    """
    run_folder, out = Path(run_folder), Path(out)
    protocol, networks = protocol or Protocol(), networks or NETWORKS
    if not seeds or len(set(seeds)) != len(seeds):
        raise TrainingError(f"seeds are {list(seeds)}; give at least one, and none twice.")
    split = split_by_star(data, protocol.split_seed)
    budget = protocol.budget(data, split)
    _stored(run_folder, budget)  # refuses a folder of another protocol before hours of training
    for name, network in networks.items():
        for i, seed in enumerate(seeds):
            folder = run_folder / name / f"seed-{seed}"
            if (folder / RESULT_FILE).exists():
                _require_network(folder, network)
                continue
            tell = _teller(name, data, split, protocol, (i, seed, len(seeds)), progress)
            result = _one_result(data, split, protocol, network, seed, folder, tell)
            content = {
                "budget": budget,
                "config": network.as_dict(),
                "result": {"network": name, "seed": seed, **result},
            }
            text = json.dumps(content, indent=1) + "\n"
            write_atomically(folder / RESULT_FILE, text.encode())
            for stage in (1, 2):  # hundreds of megabytes that nobody needs any more
                (folder / f"stage{stage}.checkpoint").unlink(missing_ok=True)
            _write_tables(_stored(run_folder, budget), budget, out)
    table = _stored(run_folder, budget)
    _write_tables(table, budget, out)
    return table


def _write_tables(table: pd.DataFrame, budget: Mapping[str, Any], out: Path) -> None:
    """Write the Markdown and the CSV beside it."""
    write_atomically(out, report(table, budget).encode())
    write_atomically(out.with_suffix(".csv"), table.to_csv(index=False).encode())


def _one_result(
    data: LabelledSpectra,
    split: Split,
    protocol: Protocol,
    network: NetworkConfig,
    seed: int,
    folder: Path,
    tell: Progress,
) -> dict[str, float]:
    """Train one network from one seed in both stages; return its figures on the test stars."""
    first = train(protocol.config(1, network, seed), data, folder, split=split, progress=tell)
    second = train(
        protocol.config(2, network, seed),
        data,
        folder,
        split=split,
        start=first.model,
        progress=tell,
    )
    return {
        **{f"stage1_{k}": v for k, v in _test_figures(first, data, split, protocol).items()},
        **{f"stage2_{k}": v for k, v in _test_figures(second, data, split, protocol).items()},
    }


def _test_figures(
    trained: TrainedStage, data: LabelledSpectra, split: Split, protocol: Protocol
) -> dict[str, float]:
    """Figures of one stage on the test spectra of the classes that it learnt from."""
    config = trained.config
    label = stage_labels(data.label, config.stage, config.negatives)
    rows = split.test[label[split.test] >= 0]
    logits = predict_logits(trained.model, data.flux[rows], device=pick_device(protocol.device))
    predicted, n_classes = logits.argmax(axis=1), config.network.n_classes
    bhb = precision_recall_f1(confusion_matrix(label[rows], predicted, n_classes))[_BHB]
    figures = dict(zip(("precision", "recall", "f1"), map(float, bhb), strict=True))
    if config.stage == 1:
        figures["accuracy"] = float((predicted == label[rows]).mean())
        figures["macro_f1"] = macro_f1(label[rows], predicted, n_classes)
    return {
        **figures,
        "n_parameters": n_parameters(trained.model),
        "seconds": float(trained.history["seconds"].sum()),
        "best_epoch": trained.best_epoch,
        "validation_score": trained.score,
    }


def _teller(
    name: str,
    data: LabelledSpectra,
    split: Split,
    protocol: Protocol,
    seed: tuple[int, int, int],
    progress: Progress,
) -> Progress:
    """Turn the progress of one stage into that of a network over all its seeds."""
    i, number, n_seeds = seed
    network = MSFANetConfig()
    configs = [protocol.config(stage, network, number) for stage in (1, 2)]
    spectra = [
        config.epochs
        * int((stage_labels(data.label[split.train], config.stage, config.negatives) >= 0).sum())
        for config in configs
    ]

    def tell(step: str, done: int, total: int, part: str = "") -> None:
        before = i * sum(spectra) + (0 if step == "stage 1" else spectra[0])
        note = f"seed {number} {step} {part.partition(' (')[0]}" if part else ""
        progress(name, before + done, n_seeds * sum(spectra), note)

    return tell


def _read(path: Path) -> dict[str, Any]:
    """One stored result."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: dict(content[key]) for key in ("budget", "config", "result")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); delete it, and its network is trained again."
        ) from error


def _stored(run_folder: Path, budget: Mapping[str, Any]) -> pd.DataFrame:
    """Every result that the run folder holds, in the order of ``NETWORKS``, then by name."""
    rows = []
    for path in sorted(run_folder.glob(f"*/seed-*/{RESULT_FILE}")):
        content = _read(path)
        found = content["budget"]
        differing = sorted(k for k in {*found, *budget} if found.get(k) != budget.get(k))
        if differing:
            raise TrainingError(
                f"{path} is of another protocol: {', '.join(differing)} differ. Give the same "
                "options as before, or another run folder."
            )
        rows.append(content["result"])
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    known = {name: i for i, name in enumerate(NETWORKS)}
    rank = table["network"].map(known).fillna(len(known))
    order = np.lexsort((table["seed"], table["network"], rank))
    return table.iloc[order].reset_index(drop=True)


def _require_network(folder: Path, network: NetworkConfig) -> None:
    """Refuse a stored result of a network of the same name but another configuration."""
    found = _read(folder / RESULT_FILE)["config"]
    if found != network.as_dict():
        raise TrainingError(
            f"{folder} holds the result of another configuration ({found}); use another run folder."
        )
