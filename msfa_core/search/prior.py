"""Class shares of the sky: probabilities of networks trained on other shares, by Bayes' rule.

The networks learn from about as many stars of each class, while most A and B spectra of a survey
are of neither BHB stars nor hot subdwarfs. What they say holds for the shares they were trained on;
with the shares of a survey, of stars given p ≈ 0.8 about 80 % are of that class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from msfa_core.constants import CLASS_NAMES, PRIOR_SHARES
from msfa_core.errors import ConfigError
from msfa_core.typing import FloatArray

_SUM_ROOM = 1e-3


@dataclass(frozen=True, slots=True)
class Trained:
    """Stars that the two stages learnt from.

    Attributes
    ----------
    counts : mapping of class to number
        Of stage 1.
    negatives : tuple of str
        Classes that stand for *not BHB* in stage 2.
    """

    counts: Mapping[str, int]
    negatives: tuple[str, ...]

    @classmethod
    def of(cls, models: str | Path | None = None) -> Trained:
        """Read what the cards of the weights in a folder say; the shipped ones when not given.

        Raises
        ------
        ModelError
            When the weights are missing or altered.
        ConfigError
            When they do not say what they were trained on.
        """
        from msfa_core.networks.weights import (  # noqa: PLC0415 (torch)
            MODELS_FOLDER,
            STAGE_FILES,
            load_network,
            read_checksums,
        )

        folder = Path(models) if models else MODELS_FOLDER
        checksums = read_checksums(folder)
        cards = {
            stage: load_network(folder / name, checksums.get(name))[1]
            for stage, name in STAGE_FILES.items()
        }
        counts = cards[1].get("data", {}).get("class_counts", {})
        if set(counts) != set(CLASS_NAMES) or min(counts.values()) <= 0:
            raise ConfigError(
                f"the weights of {folder} do not say how many stars of each class they were "
                "trained on; leave the setting `prior` empty, or train them anew."
            )
        kind = cards[2].get("training", {}).get("negatives", "paper")
        others = tuple(name for name in CLASS_NAMES if name != "BHB")
        return cls(counts, ("A", "HSD") if kind == "paper" else others)


def shares_of(prior: str) -> dict[str, float]:
    """Return the class shares that the setting ``prior`` names.

    Parameters
    ----------
    prior : str
        ``lamost``, or shares of one's own such as
        ``BHB 0.05, A 0.8, B 0.1, HSD 0.02, WD 0.03``, which sum to 1.

    Raises
    ------
    ConfigError
        For an unknown name or class, a class left out, or shares that do not sum to 1.
    """
    text = prior.strip()
    if text.lower() in PRIOR_SHARES:
        return {name: float(share) for name, share in PRIOR_SHARES[text.lower()].items()}
    example = "`lamost`, or shares such as `BHB 0.05, A 0.8, B 0.1, HSD 0.02, WD 0.03`"
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().replace(":", " ").partition(" ")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if name not in CLASS_NAMES or name in shares or not 0 < share < 1:
            raise ConfigError(f"prior {prior!r}: {part.strip()!r} cannot be read; give {example}.")
        shares[name] = share
    absent = [name for name in CLASS_NAMES if name not in shares]
    if absent:
        raise ConfigError(f"prior {prior!r} leaves out {', '.join(absent)}; give {example}.")
    total = sum(shares.values())
    if abs(total - 1) > _SUM_ROOM:
        raise ConfigError(
            f"the shares of the prior {prior!r} sum to {total:g}; they must sum to 1."
        )
    return shares


def with_prior(table: pd.DataFrame, shares: Mapping[str, float], trained: Trained) -> pd.DataFrame:
    """Return a table whose probabilities hold for other class shares.

    Parameters
    ----------
    table : (n,) DataFrame
        ``p_class_bhb`` …, ``predicted_class`` and ``p_bhb`` as the networks gave them.
    shares : mapping of class to share
    trained : Trained

    Returns
    -------
    (n,) DataFrame
        With ``p_class_…``, ``predicted_class`` and ``p_bhb`` of the given shares; what is missing
        stays missing.
    """
    columns = [f"p_class_{name.lower()}" for name in CLASS_NAMES]
    given = table[columns].to_numpy(np.float64, na_value=np.nan)
    ratio = np.array([shares[name] / trained.counts[name] for name in CLASS_NAMES])
    weighed = given * ratio
    total = weighed.sum(axis=1, keepdims=True)
    weighed = weighed / np.where(total > 0, total, 1.0)
    known = np.isfinite(weighed).all(axis=1)
    best = np.array(CLASS_NAMES)[np.where(known[:, None], weighed, 0.0).argmax(axis=1)]
    changed = {name: weighed[:, k] for k, name in enumerate(columns)}
    said = table["predicted_class"]
    return table.assign(
        **changed,
        predicted_class=said.where(~pd.Series(known, table.index), pd.Series(best, table.index)),
        p_bhb=_of_two(table["p_bhb"].to_numpy(np.float64, na_value=np.nan), shares, trained),
    )


def _of_two(p: FloatArray, shares: Mapping[str, float], trained: Trained) -> FloatArray:
    """(n,) probability of BHB against what stands for *not BHB*."""

    def odds(numbers: Mapping[str, float] | Mapping[str, int]) -> float:
        return numbers["BHB"] / sum(numbers[name] for name in trained.negatives)

    change = odds(shares) / odds(trained.counts)
    changed: FloatArray = p * change / (p * change + 1 - p)
    return changed
