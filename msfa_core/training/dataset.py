"""Labelled spectra and their split by star: once, for both stages (paper §II.2)."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.constants import CLASS_NAMES, NETWORK_GRID, STELLAR_CLASSES, StellarClass
from msfa_core.durable import replacing
from msfa_core.errors import TrainingError
from msfa_core.spectra.spectrum import PreparedSpectra

SPLIT_FRACTIONS: Final = (0.72, 0.08, 0.20)  # 8:2 as the paper, a tenth of the 8 for validation
STAGE2_NEGATIVES: Final[Mapping[str, tuple[StellarClass, ...]]] = {
    "paper": (StellarClass.A, StellarClass.HSD),
    "all": (StellarClass.A, StellarClass.B, StellarClass.HSD, StellarClass.WD),
}
_FLUX_STEPS: Final = 65535  # prepared flux lies in [0, 1]: 16 bits hold it to 8e-6
_FORMAT: Final = "msfa-labelled-spectra-1"

Negatives = Literal["paper", "all"]


@dataclass(frozen=True, slots=True)
class LabelledSpectra:
    """Prepared spectra with known classes.

    Attributes
    ----------
    obsid : (n,) int64 array
    flux : (n, 2430) float32 array
        Prepared, in [0, 1], without NaN.
    label : (n,) int64 array
        Index into ``STELLAR_CLASSES``.
    star : (n,) int64 array
        Which spectra are of one star; a star is never in two parts of a split.
    snr_g : (n,) float64 array
        NaN where unknown.
    truth : DataFrame
        ``n`` rows of what else is known (``true_teff``, ``true_logg`` …); may have no columns.
    provenance : dict
        Where the spectra come from: seed, grid checksum, rows dropped.
    """

    obsid: NDArray[np.int64]
    flux: NDArray[np.float32]
    label: NDArray[np.int64]
    star: NDArray[np.int64]
    snr_g: NDArray[np.float64]
    truth: pd.DataFrame
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check lengths, pixels, labels, and that a star has one class."""
        n = len(self.obsid)
        if self.flux.shape != (n, NETWORK_GRID.n_pixels):
            raise TrainingError(
                f"flux has shape {self.flux.shape}, expected ({n}, {NETWORK_GRID.n_pixels}): one "
                "row per obsid on NETWORK_GRID. Run prepare() first."
            )
        for name in ("label", "star", "snr_g", "truth"):
            if len(getattr(self, name)) != n:
                raise TrainingError(
                    f"{name} has {len(getattr(self, name))} rows, flux has {n}; give one per "
                    "spectrum."
                )
        if not np.isfinite(self.flux).all():
            raise TrainingError(
                "some prepared spectra hold NaN; make the set with labelled_spectra(), which "
                "drops and counts them."
            )
        if n and (self.label.min() < 0 or self.label.max() >= len(STELLAR_CLASSES)):
            raise TrainingError(
                f"labels run from {self.label.min()} to {self.label.max()}; they are indices of "
                f"{', '.join(STELLAR_CLASSES)}."
            )
        pairs = np.unique(np.column_stack([self.star, self.label]), axis=0)
        if len(pairs) > len(np.unique(self.star)):
            raise TrainingError(
                "a star carries spectra of two classes; settle its class or give the spectra "
                "different star identifiers."
            )

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def __getitem__(self, rows: NDArray[Any]) -> LabelledSpectra:
        """Return the spectra of these rows (indices or a boolean array)."""
        return replace(
            self,
            obsid=self.obsid[rows],
            flux=self.flux[rows],
            label=self.label[rows],
            star=self.star[rows],
            snr_g=self.snr_g[rows],
            truth=self.truth.iloc[rows].reset_index(drop=True),
        )

    @property
    def class_counts(self) -> dict[str, int]:
        """Spectra per class."""
        counts = np.bincount(self.label, minlength=len(STELLAR_CLASSES))
        return {name: int(k) for name, k in zip(CLASS_NAMES, counts, strict=True)}

    @property
    def prepared(self) -> PreparedSpectra:
        """The spectra without their labels."""
        return PreparedSpectra(self.obsid, self.flux)

    def fingerprint(self) -> str:
        """SHA-256 of spectra, labels and stars: two sets with the same one are the same."""
        digest = hashlib.sha256()
        for array in (self.obsid, quantised(self.flux), self.label, self.star):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the set as one ``.npz`` (flux in 16 bits, exact to 8e-6)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "format": _FORMAT,
            "class_counts": self.class_counts,
            "truth_columns": list(self.truth.columns),
            "provenance": self.provenance,
        }
        arrays: dict[str, Any] = {
            "about": np.array(json.dumps(about)),
            "obsid": self.obsid,
            "flux": quantised(self.flux),
            "label": self.label,
            "star": self.star,
            "snr_g": self.snr_g,
        }
        for i, name in enumerate(self.truth.columns):
            arrays[f"truth_{i}"] = _plain(self.truth[name])
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        return path

    @classmethod
    def load(cls, path: str | Path) -> LabelledSpectra:
        """Read a set that :meth:`save` wrote.

        Raises
        ------
        TrainingError
            When the file is missing or not such a set.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                if about.get("format") != _FORMAT:
                    raise ValueError(f"format {about.get('format')!r}")
                columns = {
                    name: file[f"truth_{i}"] for i, name in enumerate(about["truth_columns"])
                }
                return cls(
                    obsid=file["obsid"],
                    flux=(file["flux"] / np.float32(_FLUX_STEPS)).astype(np.float32),
                    label=file["label"],
                    star=file["star"],
                    snr_g=file["snr_g"],
                    truth=pd.DataFrame(columns, index=range(len(file["obsid"]))),
                    provenance=about["provenance"],
                )
        except FileNotFoundError as error:
            raise TrainingError(f"{path} does not exist; make the training set first.") from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise TrainingError(
                f"{path} is not a set of labelled spectra ({error}); make it again."
            ) from error


def quantised(flux: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(n, pixel) prepared flux in steps of 1/65535, as the file holds it."""
    return np.rint(np.clip(flux, 0, 1) * _FLUX_STEPS).astype(np.uint16)


def _plain(column: pd.Series) -> NDArray[Any]:
    """Values that an ``.npz`` holds without pickling: numbers stay, all else becomes text."""
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return values
    numbers = pd.to_numeric(column, errors="coerce")
    if column.dtype.kind in "iuf" or (len(column) and numbers.notna().all()):
        return numbers.to_numpy(dtype=np.float64)
    return column.astype(str).to_numpy(dtype=str)


def labelled_spectra(
    prepared: PreparedSpectra,
    labels: Sequence[object],
    *,
    star: NDArray[np.int64] | None = None,
    snr_g: NDArray[np.float64] | None = None,
    truth: pd.DataFrame | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> LabelledSpectra:
    """Join prepared spectra with the names of their classes.

    Parameters
    ----------
    prepared : PreparedSpectra
        Rows that could not be prepared are dropped and counted in the provenance.
    labels : (n,) names
        ``BHB``, ``A``, ``B``, ``HSD`` or ``WD``.
    star : (n,) int64 array, optional
        Star of each spectrum; every spectrum its own star when not given.
    snr_g : (n,) array, optional
    truth : DataFrame, optional
        ``n`` rows.
    provenance : mapping, optional

    Raises
    ------
    TrainingError
        When labels are missing or unknown, or lengths differ.
    """
    n = len(prepared)
    names = pd.Series(list(labels), dtype=object)
    for what, length in (
        ("labels", len(names)),
        ("star", n if star is None else len(star)),
        ("snr_g", n if snr_g is None else len(snr_g)),
        ("truth", n if truth is None else len(truth)),
    ):
        if length != n:
            raise TrainingError(f"{length} rows of {what} for {n} spectra; give one per spectrum.")
    missing = names.isna() | (names.astype(str).str.strip() == "")
    if missing.any():
        raise TrainingError(
            f"{int(missing.sum())} of {n} spectra have no label (first: obsid "
            f"{prepared.obsid[missing.to_numpy()][0]}); label them or leave them out."
        )
    codes = {name: i for i, name in enumerate(CLASS_NAMES)}
    label = names.astype(str).str.strip().map(codes)
    if label.isna().any():
        unknown = sorted(set(names[label.isna()].astype(str)))
        raise TrainingError(
            f"unknown class {', '.join(map(repr, unknown))}; known are {', '.join(codes)}."
        )
    usable = np.isfinite(prepared.flux).all(axis=1)
    notes = {**(provenance or {}), "n_dropped": int((~usable).sum())}
    everything = np.arange(n)
    return LabelledSpectra(
        obsid=prepared.obsid[usable],
        flux=prepared.flux[usable],
        label=label.to_numpy(dtype=np.int64)[usable],
        star=np.asarray(everything if star is None else star, dtype=np.int64)[usable],
        snr_g=np.asarray(np.full(n, np.nan) if snr_g is None else snr_g, dtype=np.float64)[usable],
        truth=(pd.DataFrame(index=everything) if truth is None else truth)
        .loc[usable]
        .reset_index(drop=True),
        provenance=notes,
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the three parts of a set; no star is in two of them.

    Attributes
    ----------
    train, validation, test : int64 arrays of rows, ascending
    seed : int
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    def fingerprint(self) -> str:
        """SHA-256 of the three parts."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(part.astype(np.int64).tobytes() + b"|")
        return digest.hexdigest()


def split_by_star(
    data: LabelledSpectra,
    seed: int = 42,
    fractions: tuple[float, float, float] = SPLIT_FRACTIONS,
) -> Split:
    """Divide the stars of each class into training, validation and test.

    Both stages use the one split, so that no star of the test has been trained on in either.

    Parameters
    ----------
    data : LabelledSpectra
    seed : int
    fractions : (float, float, float)
        Of the stars of each class.

    Raises
    ------
    TrainingError
        When a class has fewer stars than the three parts need.
    """
    if min(fractions) <= 0 or not np.isclose(sum(fractions), 1):
        raise TrainingError(f"fractions {fractions} must be positive and add up to 1.")
    rng = np.random.default_rng(seed)
    part_of_star: dict[int, int] = {}
    for code, name in enumerate(STELLAR_CLASSES):
        stars = np.unique(data.star[data.label == code])
        if not len(stars):
            continue
        if len(stars) < len(fractions):
            raise TrainingError(
                f"class {name} has {len(stars)} stars; training, validation and test need at "
                "least one each. Add spectra of that class."
            )
        n_test, n_validation = (
            max(1, round(len(stars) * fraction)) for fraction in (fractions[2], fractions[1])
        )
        shuffled = rng.permutation(stars)
        for i, star in enumerate(shuffled.tolist()):
            part_of_star[star] = 2 if i < n_test else 1 if i < n_test + n_validation else 0
    part = np.array([part_of_star[star] for star in data.star.tolist()], dtype=np.int64)
    train, validation, test = (np.flatnonzero(part == k) for k in range(len(fractions)))
    return Split(train, validation, test, seed)


def require_classes(data: LabelledSpectra, classes: Sequence[StellarClass]) -> None:
    """Refuse a set that lacks a class the network must learn.

    Raises
    ------
    TrainingError
        Naming the classes without spectra.
    """
    absent = [str(c) for c in classes if data.class_counts[str(c)] == 0]
    if absent:
        raise TrainingError(
            f"no spectra of class {', '.join(absent)} in the training set (it has "
            f"{data.class_counts}); add some, or the network would never predict them."
        )


def stage_labels(
    label: NDArray[np.int64], stage: int, negatives: Negatives = "paper"
) -> NDArray[np.int64]:
    """Return what a stage is to learn of each spectrum.

    Parameters
    ----------
    label : (n,) int64 array
        Index into ``STELLAR_CLASSES``.
    stage : int
        1 for the five classes, 2 for BHB (0) against not BHB (1).
    negatives : {"paper", "all"}
        Stage 2: which classes stand for not BHB; A and HSD in the paper.

    Returns
    -------
    (n,) int64 array
        -1 for a spectrum that the stage leaves out.
    """
    if stage == 1:
        return label
    names = (StellarClass.BHB, *STAGE2_NEGATIVES[negatives])
    target = np.full(len(STELLAR_CLASSES), -1, dtype=np.int64)
    for name in names:
        target[STELLAR_CLASSES.index(name)] = int(name != StellarClass.BHB)
    return target[label]
