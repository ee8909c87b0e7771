"""The two-stage search: five classes, then BHB or not, with calibrated probabilities (§V.1).

Where the networks are in doubt, model stars are asked too (`search.likelihood`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from msfa_core.constants import (
    BHB_THRESHOLD,
    CLASS_NAMES,
    SHOWN_ROWS,
    STELLAR_CLASSES,
    StellarClass,
)
from msfa_core.errors import ModelError
from msfa_core.networks.inference import class_probabilities, predict_logits, softmax
from msfa_core.networks.msfa_net import MSFANet
from msfa_core.networks.weights import (
    LIKELIHOOD_FILE,
    MODELS_FOLDER,
    NOVELTY_FILE,
    STAGE_CLASSES,
    STAGE_FILES,
    load_weights,
    read_checksums,
    sha256_of_model,
)
from msfa_core.rules import both_stages_say_bhb
from msfa_core.search.likelihood import StarModels
from msfa_core.search.novelty import NoveltyModel
from msfa_core.search.saliency import N_STEPS, Saliency, saliency
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.typing import Float32Array, FloatArray, Progress, no_progress

_REPORT_EVERY: Final = 64  # spectra
# Difference of two logits that bf16 may turn: some times its error, which is a few hundredths
NEAR: Final = 0.25


@dataclass(frozen=True, slots=True)
class Classified:
    """What the two stages say of each spectrum.

    Attributes
    ----------
    obsid : (n,) int64 array
    class_probability : (n, 5) float64 array
        Stage 1, in the order of ``STELLAR_CLASSES``; a row of NaN where the spectrum could
        not be prepared.
    p_bhb : (n,) float64 array
        Stage 2: probability of BHB against not BHB; NaN also where stage 2 was not asked.
    novelty : (n,) float64 array, optional
        How unlike the training set (`search.novelty`); NaN where the spectrum could not be
        prepared, and throughout where the models have no novelty beside them.
    """

    obsid: NDArray[np.int64]
    class_probability: NDArray[np.float64]
    p_bhb: NDArray[np.float64]
    novelty: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        """Check shapes, and that each row is a distribution or missing throughout."""
        n = len(self.obsid)
        if self.novelty.shape == (0,):
            object.__setattr__(self, "novelty", np.full(n, np.nan))
        if self.novelty.shape != (n,):
            raise ModelError(
                f"novelty has shape {self.novelty.shape}, expected ({n},): one per obsid."
            )
        if self.class_probability.shape != (n, len(STELLAR_CLASSES)) or self.p_bhb.shape != (n,):
            raise ModelError(
                f"class_probability has shape {self.class_probability.shape} and p_bhb "
                f"{self.p_bhb.shape}, expected ({n}, {len(STELLAR_CLASSES)}) and ({n},): one row "
                "per obsid, one column per class."
            )
        missing: NDArray[np.bool_] = np.isnan(self.class_probability)
        lost = np.isnan(self.class_probability.sum(axis=1))
        known, asked = self.class_probability[~lost], self.p_bhb[~np.isnan(self.p_bhb)]
        if (
            (lost != missing.all(axis=1)).any()
            or np.isfinite(self.p_bhb[lost]).any()
            or not (np.all((known >= 0) & (known <= 1)) and np.all((asked >= 0) & (asked <= 1)))
            or not np.allclose(known.sum(axis=1), 1, atol=1e-4)
        ):
            raise ModelError(
                "probabilities must lie in [0, 1], the five classes add up to 1, and a spectrum "
                "without a result be NaN throughout; give probabilities, not network outputs."
            )

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    @property
    def predicted_class(self) -> NDArray[np.str_]:
        """(n,) names of the most probable classes; empty where there is no result."""
        names = np.array(CLASS_NAMES)
        known = np.isfinite(self.class_probability.sum(axis=1))
        best = np.where(known[:, None], self.class_probability, 0.0).argmax(axis=1)
        return np.where(known, names[best], "")

    def are_bhb(self, threshold: float = float(BHB_THRESHOLD)) -> NDArray[np.bool_]:
        """(n,) True where stage 1 says BHB and stage 2 agrees at the threshold."""
        return both_stages_say_bhb(self.predicted_class, self.p_bhb, threshold)

    def _repr_html_(self) -> str:
        """Return the probabilities of the first spectra, as notebooks show them."""
        first = slice(SHOWN_ROWS)
        columns: dict[str, Any] = {"obsid": [str(obsid) for obsid in self.obsid[first]]}
        columns |= {
            f"P({kind})": [f"{p:.4f}" for p in self.class_probability[first, k]]
            for k, kind in enumerate(STELLAR_CLASSES)
        }
        columns |= {
            "class": self.predicted_class[first],
            "p_bhb": [f"{p:.4f}" for p in self.p_bhb[first]],
            "novelty": [f"{value:.2f}" for value in self.novelty[first]],
        }
        n = int(self.are_bhb().sum())
        table = pd.DataFrame(columns).to_html(index=False, border=0)
        return f"<p>Spectra classified: {len(self):,}; BHB by both stages: {n:,}</p>{table}"


class TwoStageSearch:
    """Five classes, then BHB or not, by two networks of one family.

    Parameters
    ----------
    stage1, stage2 : MSFANet
        With five and two outputs.
    threshold : float
        Least stage-2 probability of a candidate.
    temperature : (float, float)
        Divides the outputs of the two networks before the softmax (fitted on validation
        spectra); 1 leaves them as they are.
    weights_checksum : str, optional
        Identity of the weights for provenance; made from the weights when not given.
    bf16 : bool
        Compute in 16-bit brain floats, close calls again in float32: the same classes, faster
        where the processor has them.
    novelty : NoveltyModel, optional
        Tells how unlike the training set a spectrum is; NaN for all when not given.
    temperature_among_others : float, optional
        Of the classes of stage 1 that are not BHB, among themselves (fitted on real stars of
        validation); that of stage 1 when not given.
    likelihood : StarModels, optional
        Joined to what the networks say where they are in doubt; the networks alone when not given.
    """

    def __init__(
        self,
        stage1: MSFANet,
        stage2: MSFANet,
        threshold: float = float(BHB_THRESHOLD),
        temperature: tuple[float, float] = (1.0, 1.0),
        weights_checksum: str | None = None,
        bf16: bool = False,
        novelty: NoveltyModel | None = None,
        temperature_among_others: float | None = None,
        likelihood: StarModels | None = None,
    ) -> None:
        for stage, model in ((1, stage1), (2, stage2)):
            if model.config.n_classes != len(STAGE_CLASSES[stage]):
                raise ModelError(
                    f"stage {stage} has {model.config.n_classes} outputs, expected "
                    f"{len(STAGE_CLASSES[stage])} ({', '.join(STAGE_CLASSES[stage])}); "
                    "were the two stages swapped?"
                )
        if not 0 <= threshold <= 1:
            raise ModelError(f"threshold is {threshold}; give a probability between 0 and 1.")
        others = temperature[0] if temperature_among_others is None else temperature_among_others
        if not all(np.isfinite(t) and t > 0 for t in (*temperature, others)):
            raise ModelError(
                f"temperature is {temperature}, among others {others}; all must be positive."
            )
        self.temperature_among_others = temperature_among_others
        self.stage1, self.stage2 = stage1.eval(), stage2.eval()
        self.threshold = threshold
        self.temperature = temperature
        self.bf16 = bf16
        self.novelty = novelty
        self.likelihood = likelihood
        self._checksum = weights_checksum

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        threshold: float = float(BHB_THRESHOLD),
        *,
        bf16: bool = False,
    ) -> TwoStageSearch:
        """Read both networks of a models folder, after checking that they were not altered.

        Parameters
        ----------
        folder : str or Path, optional
            Holds ``stage1.safetensors``, ``stage2.safetensors`` and ``checksums.json``; the
            weights shipped with the project when not given.
        threshold : float
        bf16 : bool

        Raises
        ------
        ModelError
            When a file is missing, altered, or made for other classes.
        """
        folder = Path(folder) if folder else MODELS_FOLDER
        checksums = read_checksums(folder)
        models, temperatures, cards = [], [], []
        for stage, name in STAGE_FILES.items():
            if name not in checksums:
                raise ModelError(
                    f"{folder} has no checksum of {name}; train both stages, or restore the folder."
                )
            model, card = load_weights(folder / name, checksums[name])
            _check_classes(card, stage, folder / name)
            models.append(model)
            cards.append(card)
            temperatures.append(float(card.get("temperature", 1.0)))
        names = list(STAGE_FILES.values())
        novelty = None
        if NOVELTY_FILE in checksums:
            novelty = NoveltyModel.load(folder / NOVELTY_FILE, checksums[NOVELTY_FILE])
            names.append(NOVELTY_FILE)
        likelihood = None
        if LIKELIHOOD_FILE in checksums:
            likelihood = StarModels.load(folder / LIKELIHOOD_FILE, checksums[LIKELIHOOD_FILE])
            names.append(LIKELIHOOD_FILE)
        identity = " ".join(f"{name}:{checksums[name]}" for name in names)
        return cls(
            models[0],
            models[1],
            threshold,
            (temperatures[0], temperatures[1]),
            identity,
            bf16,
            novelty,
            cards[0].get("temperature_among_others"),
            likelihood,
        )

    def with_stage2(self, stage2: MSFANet) -> TwoStageSearch:
        """Return the same search with another second network."""
        return TwoStageSearch(
            self.stage1,
            stage2,
            self.threshold,
            self.temperature,
            bf16=self.bf16,
            novelty=self.novelty,
            temperature_among_others=self.temperature_among_others,
            likelihood=self.likelihood,
        )

    @property
    def weights_checksum(self) -> str:
        """Names and SHA-256 of both files, or of the weights in memory: one line of text."""
        if self._checksum is None:
            self._checksum = (
                f"stage1:{sha256_of_model(self.stage1)} stage2:{sha256_of_model(self.stage2)}"
            )
        return self._checksum

    def classify(
        self,
        prepared: PreparedSpectra,
        progress: Progress = no_progress,
        *,
        stage2_from: float = 0.0,
    ) -> Classified:
        """Give the five probabilities, ``p_bhb`` and the novelty of every spectrum.

        Parameters
        ----------
        prepared : PreparedSpectra
            ``n`` rows; a row with NaN gets NaN probabilities.
        progress : callable, optional
            Called with ``classify``, spectra done and in all, every 64 spectra.
        stage2_from : float
            Least stage-1 probability of BHB that stage 2 is asked about, as long as no likelihood
            could turn it; ``p_bhb`` of the others is NaN. Every spectrum when 0.

        Returns
        -------
        Classified
        """
        n = len(prepared)
        class_probability = np.full((n, len(STAGE_CLASSES[1])), np.nan)
        p_bhb = np.full(n, np.nan)
        rows = np.flatnonzero(np.isfinite(prepared.flux).all(axis=1))
        for start in range(0, len(rows), _REPORT_EVERY):
            batch = rows[start : start + _REPORT_EVERY]
            class_probability[batch] = class_probabilities(
                self._logits(prepared.flux[batch], 0),
                self.temperature[0],
                self.temperature_among_others,
            )
            progress("classify", n - len(rows) + start + len(batch), n)
        rows = rows[self._leave_a_chance(class_probability[rows, 0], stage2_from)]
        for start in range(0, len(rows), _REPORT_EVERY):  # few of a survey: in full batches
            batch = rows[start : start + _REPORT_EVERY]
            flux = prepared.flux[batch]
            p_bhb[batch] = softmax(self._logits(flux, 1), self.temperature[1])[:, 0]
            if self.likelihood is not None:
                class_probability[batch], p_bhb[batch] = self.likelihood.join(
                    flux, class_probability[batch], p_bhb[batch]
                )
        novelty = np.full(n, np.nan) if self.novelty is None else self.novelty.score(prepared)
        return Classified(prepared.obsid, class_probability, p_bhb, novelty)

    def _logits(self, flux: Float32Array, stage: int) -> FloatArray:
        """(n, class) outputs of the network of a stage (0 or 1); close calls in float32."""
        model = (self.stage1, self.stage2)[stage]
        logits = predict_logits(model, flux, bf16=self.bf16)
        if self.bf16:
            near = self._is_near(logits, stage)
            logits[near] = predict_logits(model, flux[near])
        return logits

    def _leave_a_chance(self, p_class_bhb: FloatArray, least: float) -> NDArray[np.bool_]:
        """(n,) True where stage 1, or the likelihood that may turn it, can still say BHB."""
        if self.likelihood is not None and least > 0:
            least = min(least, float(expit(self.likelihood.doubt[0])))
        chance: NDArray[np.bool_] = p_class_bhb >= least
        return chance

    def _is_near(self, logits: NDArray[np.float64], stage: int) -> NDArray[np.bool_]:
        """(n,) True where 16 bits may turn the decision of a stage (0 or 1)."""
        first_two = np.sort(logits, axis=1)[:, -2:]
        near: NDArray[np.bool_] = first_two[:, 1] - first_two[:, 0] < NEAR
        if stage == 1 and 0 < self.threshold < 1:
            line = self.temperature[1] * np.log(self.threshold / (1 - self.threshold))
            near |= np.abs(logits[:, 0] - logits[:, 1] - line) < NEAR
        if self.likelihood is not None:  # where it is joined, every digit counts
            odds = logit(softmax(logits, self.temperature[stage])[:, 0])
            low, high = self.likelihood.doubt
            margin = NEAR / self.temperature[stage]
            near |= (low - margin < odds) & (odds < high + margin)
        return near

    def explain(self, prepared: PreparedSpectra, stage: int, *, steps: int = N_STEPS) -> Saliency:
        """Say which wavelengths spoke: of stage 1 for its class, of stage 2 for or against BHB.

        Parameters
        ----------
        prepared : PreparedSpectra
        stage : int
            1 or 2.
        steps : int
            As in :func:`msfa_core.search.saliency.saliency`.

        Returns
        -------
        Saliency
            Of calibrated log-odds, as `classify` gives the probabilities; of a class that is not
            BHB with the temperature of stage 1.
        """
        if stage not in STAGE_CLASSES:
            raise ModelError(f"there is no stage {stage}; give 1 or 2.")
        model = self.stage1 if stage == 1 else self.stage2
        target = None if stage == 1 else STAGE_CLASSES[2].index(str(StellarClass.BHB))
        return saliency(model, prepared, target, self.temperature[stage - 1], steps=steps)


def _check_classes(card: Mapping[str, Any], stage: int, path: Path) -> None:
    """Refuse weights whose outputs mean something else than this stage's classes."""
    classes = tuple(card.get("classes", ()))
    if classes != STAGE_CLASSES[stage]:
        raise ModelError(
            f"{path} gives the classes {classes}, stage {stage} needs {STAGE_CLASSES[stage]}; "
            "were the files of the two stages swapped?"
        )


def load_search(models: str = "") -> TwoStageSearch:
    """Return the two networks, loaded once in each process (and again when retrained).

    Parameters
    ----------
    models : str
        Folder of the weights; empty for the shipped ones.
    """
    checksums = Path(models or MODELS_FOLDER) / "checksums.json"
    return _loaded(models, checksums.stat().st_mtime_ns if checksums.exists() else 0)


@lru_cache(maxsize=1)
def _loaded(models: str, _changed: int) -> TwoStageSearch:
    return TwoStageSearch.load(Path(models) if models else None)
