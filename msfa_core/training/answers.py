"""What the search says of spectra of known class, simulated or real, never both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import BHB_THRESHOLD, CLASS_NAMES, STELLAR_CLASSES, StellarClass
from msfa_core.errors import TrainingError
from msfa_core.rules import both_stages_say_bhb
from msfa_core.training.dataset import LabelledSpectra
from msfa_core.typing import BoolArray, FloatArray, IntArray

BHB_CODE: Final = STELLAR_CLASSES.index(StellarClass.BHB)
STAGE1, BOTH = "stage 1", "both stages"  # names of choices
FIRST_TOP: Final = "stage 1, predicted class"  # names of probabilities
FIRST_BHB: Final = "stage 1, P(BHB)"
SECOND_BHB: Final = "stage 2, P(BHB)"
SENT_ON: Final = "stage 2, P(BHB), spectra that stage 1 calls BHB"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the search says of spectra of known class.

    Attributes
    ----------
    class_probability : (n, 5) array
        Stage 1.
    p_bhb : (n,) array
        Stage 2.
    label : (n,) int64 array
        True classes, indices of ``STELLAR_CLASSES``.
    simulated : bool
        Whether the spectra are made up; there is no set of both.
    star : (n,) int64 array, optional
        Which spectra are of one star; every spectrum its own when not given.
    snr_g, teff : (n,) arrays, optional
        For the figures in bins [-, K]; NaN where unknown.
    in_region : (n,) bool array, optional
        Inside the D0.2–fm selection ``region``.
    region : str
    threshold : float
        Of stage 2.
    stage2_classes : names
        Classes that stage 2 was trained on: its calibration is measured on these.
    truth : DataFrame, optional
        What else is known; columns ``true_…`` are given with each mistaken star.
    """

    class_probability: FloatArray
    p_bhb: FloatArray
    label: IntArray
    simulated: bool
    star: IntArray | None = None
    snr_g: FloatArray | None = None
    teff: FloatArray | None = None
    in_region: BoolArray | None = None
    region: str = "ju2024"
    threshold: float = float(BHB_THRESHOLD)
    stage2_classes: Sequence[str] = ("BHB", "A", "HSD")
    truth: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        """Check lengths, and that every spectrum has an answer."""
        n = len(self.label)
        shapes = self.class_probability.shape, self.p_bhb.shape
        if not n or shapes != ((n, len(CLASS_NAMES)), (n,)):
            raise TrainingError(
                f"{n} labels, class_probability {shapes[0]}, p_bhb {shapes[1]}: give at least one "
                "spectrum and one row of each per spectrum."
            )
        for name in ("star", "snr_g", "teff", "in_region", "truth"):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise TrainingError(f"{len(value)} rows of {name} for {n} spectra; give one each.")
        if not (np.isfinite(self.class_probability).all() and np.isfinite(self.p_bhb).all()):
            raise TrainingError(
                "some spectra have no answer (NaN); leave those that could not be prepared out."
            )
        unknown = set(self.stage2_classes) - set(CLASS_NAMES)
        if unknown:
            raise TrainingError(
                f"stage 2 classes {', '.join(sorted(unknown))} are none of "
                f"{', '.join(CLASS_NAMES)}; correct stage2_classes."
            )

    @property
    def predicted(self) -> IntArray:
        """(n,) code of the most probable class of stage 1."""
        return self.class_probability.argmax(axis=1)

    @property
    def candidate(self) -> BoolArray:
        """(n,) kept by both stages."""
        return both_stages_say_bhb(
            np.array(CLASS_NAMES)[self.predicted], self.p_bhb, self.threshold
        )

    @property
    def is_bhb(self) -> BoolArray:
        """(n,) truth."""
        return self.label == BHB_CODE

    @property
    def stars(self) -> IntArray:
        """(n,) which spectra are of one star."""
        return np.arange(len(self.label)) if self.star is None else self.star

    @property
    def choices(self) -> dict[str, BoolArray]:
        """Name -> kept: by stage 1, by both stages, by both and the D0.2–fm selection."""
        kept = {STAGE1: self.predicted == BHB_CODE, BOTH: self.candidate}
        if self.in_region is not None:
            kept[f"{BOTH}, then {self.region}"] = self.candidate & self.in_region
        return kept

    def confidences(self) -> dict[str, tuple[FloatArray, BoolArray, BoolArray]]:
        """Name -> confidence, whether it came true, and on which spectra that is asked."""
        everything = np.ones(len(self.label), bool)
        second = np.isin(self.label, [CLASS_NAMES.index(c) for c in self.stage2_classes])
        first = self.class_probability
        return {
            FIRST_TOP: (first.max(axis=1), self.predicted == self.label, everything),
            FIRST_BHB: (first[:, BHB_CODE], self.is_bhb, everything),
            SECOND_BHB: (self.p_bhb, self.is_bhb, second),
            SENT_ON: (self.p_bhb, self.is_bhb, self.predicted == BHB_CODE),
        }

    def scores(self) -> dict[str, FloatArray]:
        """Name -> what to sort spectra by, the most BHB-like first."""
        return {
            "stage 1, P(BHB)": self.class_probability[:, BHB_CODE],
            "stage 2, p_bhb": self.p_bhb,
            "both stages, p_bhb": np.where(self.predicted == BHB_CODE, self.p_bhb, -np.inf),
        }


def origin_of(data: LabelledSpectra) -> bool:
    """Return whether a set is simulated.

    Raises
    ------
    TrainingError
        When its provenance does not say so, or says both.
    """
    simulated = data.provenance.get("simulated")
    if isinstance(simulated, bool):
        return simulated
    raise TrainingError(
        f"the provenance of the set says simulated = {simulated!r}: figures on simulated and on "
        "real spectra are never mixed. Give a set of one kind, with provenance['simulated'] True "
        "or False."
    )


def one_origin(simulated: BoolArray) -> bool:
    """Return whether spectra are simulated, given which are.

    Raises
    ------
    TrainingError
        When some are and some are not.
    """
    if simulated.any() and not simulated.all():
        raise TrainingError(
            f"{int(simulated.sum())} of {len(simulated)} spectra are simulated, the others real: "
            "figures on the two are never mixed. Name the spectra of one kind in the table of "
            "labels, and evaluate the other kind by itself."
        )
    return bool(simulated.any())


def answers_of(
    data: LabelledSpectra,
    class_probability: FloatArray,
    p_bhb: FloatArray,
    *,
    region: str = "ju2024",
    threshold: float = float(BHB_THRESHOLD),
    stage2_classes: Sequence[str] = ("BHB", "A", "HSD"),
) -> Answers:
    """Put what a search says of a labelled set beside what is known of it.

    Parameters
    ----------
    data : LabelledSpectra
        With ``true_teff`` and ``in_bhb_<region>`` in ``truth``, or without: then there are no
        figures against Teff or after the cut.
    class_probability : (n, 5) array
    p_bhb : (n,) array
    region : str
        Named D0.2–fm selection.
    threshold : float
    stage2_classes : names

    Raises
    ------
    TrainingError
        When the set does not say whether it is simulated, or lengths differ.
    """
    truth = data.truth
    inside = f"in_bhb_{region}"
    return Answers(
        class_probability,
        p_bhb,
        data.label,
        simulated=origin_of(data),
        star=data.star,
        snr_g=data.snr_g,
        teff=truth["true_teff"].to_numpy(np.float64) if "true_teff" in truth else None,
        in_region=truth[inside].to_numpy(bool) if inside in truth else None,
        region=region,
        threshold=threshold,
        stage2_classes=stage2_classes,
        truth=truth,
    )


def mistaken_stars(answers: Answers) -> pd.DataFrame:
    """Return the stars that the search mistakes, a row each, the worst first.

    These are all that are not BHB and have spectra kept by both stages, and all BHB stars that
    have spectra lost.

    Parameters
    ----------
    answers : Answers

    Returns
    -------
    DataFrame
        ``class, n, wrong`` (share of spectra wrongly kept, or of a BHB star's lost),
        ``wrong_after_cut``, ``mean_p_bhb``, ``snr_g`` (median), and the ``true_…`` columns.
    """
    wrong = answers.candidate != answers.is_bhb
    frame = pd.DataFrame(
        {
            "star": answers.stars,
            "class": np.array(CLASS_NAMES)[answers.label],
            "wrong": wrong,
            "mean_p_bhb": answers.p_bhb,
        }
    )
    how = {"class": "first", "wrong": "mean", "mean_p_bhb": "mean"}
    if answers.in_region is not None:
        frame["wrong_after_cut"] = (answers.candidate & answers.in_region) != answers.is_bhb
        how["wrong_after_cut"] = "mean"
    if answers.snr_g is not None:
        frame["snr_g"] = answers.snr_g
        how["snr_g"] = "median"
    truth = pd.DataFrame() if answers.truth is None else answers.truth
    known = [str(name) for name in truth.columns if str(name).startswith("true_")]
    for name in known:
        frame[name] = truth[name].to_numpy()
        how[name] = "first"
    grouped = frame.groupby("star").agg(how)
    grouped.insert(1, "n", frame.groupby("star").size())
    bad = grouped[grouped["wrong"] > 0].sort_values(["wrong", "mean_p_bhb"], ascending=False)
    return bad.reset_index()
