"""SLAM's model of a survey: one support vector regression per pixel (and colour) (paper §V.3.1).

All regressions share their support stars and the width of their kernel, so every pixel of every
spectrum comes out of one matrix product. A model is saved as arrays (no pickles), with its SHA-256
beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msfa_core.constants import COLOURS, LABELS
from msfa_core.durable import write_whole
from msfa_core.errors import ModelError
from msfa_core.shipped import shipped
from msfa_core.slam.pixels import Bins
from msfa_core.typing import FloatArray

MODEL_FILE: Final = "slam.npz"
CARD_FILE: Final = "slam.json"  # SHA-256, settings and cross-validation of the model beside it
SHA256: Final = "sha256"
_ARRAYS: Final = (
    *("label_mean", "label_scale", "support", "coefficients", "intercept"),
    *("model_error", "hull"),
)
_HULL_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)  # compared, and cached, by identity
class SlamModel:
    """Normalised spectra and colours as a function of Teff, log g and [Fe/H].

    Attributes
    ----------
    bins : Bins
        Pixels of the spectra.
    degree : int
        Of the polynomial continuum.
    gamma : float
        Of the kernel exp(-γ·distance²), labels in units of their scatter.
    label_mean, label_scale : (3,) float64 arrays
        Mean and scatter of the training labels [K, dex, dex].
    support : (star, 3) float64 array
        Training labels, in these units.
    coefficients : (star, pixel + colour) float64 array
        Dual coefficients, in units of flux or magnitudes.
    intercept : (pixel + colour,) float64 array
    model_error : (pixel + colour,) float64 array
        How far real stars lie from the model (σ), beyond noise.
    hull : (facet, 4) float64 array
        Half-spaces a·x + b ≤ 0 (a, b in a row) of the convex hull of the training labels.
    colour_names : tuple of str
        Empty where the model knows no colours.
    notes : mapping
        How it was made: plain values.
    """

    bins: Bins
    degree: int
    gamma: float
    label_mean: FloatArray
    label_scale: FloatArray
    support: FloatArray
    coefficients: FloatArray
    intercept: FloatArray
    model_error: FloatArray
    hull: FloatArray
    colour_names: tuple[str, ...] = COLOURS
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the shapes and that every number is finite."""
        n_labels, out = len(LABELS), len(self.bins) + len(self.colour_names)
        expected = {
            "label_mean": (n_labels,),
            "label_scale": (n_labels,),
            "support": (len(self.support), n_labels),
            "coefficients": (len(self.support), out),
            "intercept": (out,),
            "model_error": (out,),
            "hull": (len(self.hull), n_labels + 1),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            if values.shape != shape or not np.all(np.isfinite(values)):
                raise ModelError(
                    f"SLAM model: {name} has shape {values.shape}, expected {shape} of finite "
                    "numbers; restore the file or give `msfa slam train`."
                )

    @property
    def wavelength(self) -> FloatArray:
        """(pixel,) middles of the pixels [Å, vacuum, rest]."""
        return self.bins.wavelength

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return len(self.bins)

    @property
    def lower(self) -> FloatArray:
        """(3,) least training labels [K, dex, dex]."""
        low: FloatArray = self.support.min(axis=0) * self.label_scale + self.label_mean
        return low

    @property
    def upper(self) -> FloatArray:
        """(3,) greatest training labels [K, dex, dex]."""
        high: FloatArray = self.support.max(axis=0) * self.label_scale + self.label_mean
        return high

    def standardise(self, labels: ArrayLike) -> FloatArray:
        """(n, 3) labels in units of the training set."""
        scaled: FloatArray = (np.asarray(labels, np.float64) - self.label_mean) / self.label_scale
        return scaled

    def kernel(self, standard: FloatArray) -> FloatArray:
        """(n, star) kernel between standardised labels and the support stars."""
        distance = (standard**2).sum(axis=1)[:, None] + (self.support**2).sum(axis=1)
        distance -= 2 * standard @ self.support.T
        np.maximum(distance, 0.0, out=distance)
        distance *= -self.gamma
        return np.exp(distance, out=distance)

    def predict(self, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return what stars of these labels look like.

        Parameters
        ----------
        labels : (n, 3) array
            Teff [K], log g [dex], [Fe/H] [dex].

        Returns
        -------
        flux : (n, pixel) array
            In units of the smooth continuum.
        colours : (n, colour) array [mag]

        Raises
        ------
        ModelError
            When there are not three labels a star.
        """
        rows = np.atleast_2d(np.asarray(labels, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] != len(LABELS):  # noqa: PLR2004 - a table
            raise ModelError(f"labels have shape {rows.shape}; give (n, 3): Teff, log g, [Fe/H].")
        values = self.kernel(self.standardise(rows)) @ self.coefficients + self.intercept
        return values[:, : self.n_pixels], values[:, self.n_pixels :]

    def inside_hull(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """(n,) True where labels lie inside the convex hull of the training set."""
        standard = self.standardise(labels)
        inside: NDArray[np.bool_] = np.all(
            standard @ self.hull[:, :-1].T + self.hull[:, -1] <= _HULL_SLACK, axis=1
        )
        return inside

    def save(self, path: str | Path) -> str:
        """Write the model; return the SHA-256 of the file.

        The folder gets ``slam.json`` (for a file named ``slam.npz``), which `load` checks.
        """
        path = Path(path)
        head: dict[str, Any] = {
            "bins": [self.bins.start, self.bins.stop, self.bins.width],
            "degree": self.degree,
            "gamma": self.gamma,
            "colour_names": list(self.colour_names),
            "notes": dict(self.notes),
        }
        buffer = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(buffer, head=np.array(json.dumps(head)), **arrays)
        content = buffer.getvalue()
        checksum = hashlib.sha256(content).hexdigest()
        write_whole(path, content)
        card = {"file": path.name, SHA256: checksum, **head["notes"]}
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        write_whole(path.with_suffix(".json"), text.encode())
        return checksum

    @classmethod
    def load(cls, path: str | Path, sha256: str | None = None) -> SlamModel:
        """Read a model.

        Parameters
        ----------
        path : str or Path
        sha256 : str, optional
            Of the file; that of the ``.json`` beside it when not given.

        Raises
        ------
        ModelError
            When the file is missing, was altered or holds something else.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{path}: no SLAM model can be read ({error.strerror}); restore the file or make "
                "one with `msfa slam train`."
            ) from error
        expected = sha256 or _checksum_beside(path)
        if hashlib.sha256(content).hexdigest() != expected:
            raise ModelError(f"{path} was altered: its SHA-256 is not {expected}; restore it.")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                arrays = {name: file[name].astype(np.float64) for name in _ARRAYS}
            start, stop, width = head["bins"]
            return cls(
                bins=Bins(float(start), float(stop), int(width)),
                degree=int(head["degree"]),
                gamma=float(head["gamma"]),
                colour_names=tuple(head["colour_names"]),
                notes=head["notes"],
                **arrays,
            )
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{path} holds no SLAM model ({error}); restore it or give `msfa slam train`."
            ) from error


def _checksum_beside(path: Path) -> str:
    card = path.with_suffix(".json")
    try:
        return str(json.loads(card.read_text(encoding="utf-8"))[SHA256])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{card} gives no SHA-256 of {path.name}; restore it beside the model."
        ) from error


def model_path(models: str | Path | None = None) -> Path:
    """Return where the model lies: in a models folder that has one, else the shipped one."""
    own = Path(models) / MODEL_FILE if models else None
    return own if own is not None and own.exists() else shipped("models", MODEL_FILE)


def model_checksum(models: str | Path | None = None) -> str:
    """Return the SHA-256 on record of the model in use."""
    return _checksum_beside(model_path(models))


def load_model(models: str | Path | None = None) -> SlamModel:
    """Return the model of a models folder, else the shipped one; read once a process."""
    path = model_path(models)
    return _load(str(path), path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)
def _load(path: str, _changed: int) -> SlamModel:
    return SlamModel.load(path)
