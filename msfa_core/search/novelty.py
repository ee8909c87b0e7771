"""Novelty: how unlike the training set a spectrum is, at its own noise.

The networks must name one of five classes, whatever they are shown. Novelty looks at the spectrum
itself, not at what the networks see in it: they learnt to keep what tells the five classes apart
and to forget the rest, so that in their features an F star lies among the A stars.

A spectrum is rebuilt from the mean and the first principal components of the training spectra. A
few of them hold the continua and the Balmer lines of every hot star; what they leave over, in
units of what they usually leave over at each wavelength, is the strangeness. Noise is left over
too, so strangeness is read against that of training spectra as noisy as this one.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import NETWORK_GRID, SIGMA_OF_MAD
from msfa_core.errors import ModelError
from msfa_core.networks.weights import sha256_of, write_atomically
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.typing import FloatArray

# Chosen among 3–64 with bins of 3–15 pixels: with more components the rest of an F star is fitted
# away, with fewer a real A star is as strange as an F star.
N_COMPONENTS: Final = 5
BIN: Final = 5  # pixels (6 Å): wider than a resolution element, narrower than any Balmer line
MIN_SPECTRA: Final = 20
SPECTRA_PER_KNOT: Final = 250
MAX_KNOTS: Final = 12
TYPICAL: Final = 0.68  # quantile of |rest| that stands for 1σ
WING: Final = 0.90  # quantile of strangeness that gives its scale at each noise
TAIL: Final = 0.05  # share of training spectra in the tail, from where it is extrapolated
N_QUANTILES: Final = 33
_FLOOR: Final = 1e-6  # least noise and least rest: a noise-free spectrum has a logarithm too
_NOISE_TERMS: Final = 6.0  # 2² + 1² + 1²: variance of 2f(i) − f(i−1) − f(i+1) in units of σ²
_CHUNK: Final = 4096


def pixel_noise(flux: NDArray[np.floating]) -> FloatArray:
    """Estimate the noise of spectra from the scatter of neighbouring pixels.

    Median of |2f(i) − f(i−1) − f(i+1)|, scaled to a Gaussian's σ (as DER_SNR of Stoehr et al.
    2008, ASP Conf. 394, 505, with a step of one pixel: lines cool stars are full of weigh less).

    Parameters
    ----------
    flux : (n, pixel) array

    Returns
    -------
    (n,) array
        On the scale of the flux; that of interpolated pixels, so below the noise per native pixel.
    """
    second = 2 * flux[:, 1:-1] - flux[:, :-2] - flux[:, 2:]
    scatter: FloatArray = np.median(np.abs(second), axis=1).astype(np.float64)
    return SIGMA_OF_MAD / np.sqrt(_NOISE_TERMS) * scatter


@dataclass(frozen=True, slots=True)
class NoveltyModel:
    """What the training spectra look like, and how far from that they usually are.

    Attributes
    ----------
    mean : (bin,) array
        Mean training spectrum, in bins of ``BIN`` pixels.
    components : (component, bin) array
        Principal components.
    spread : (bin,) array
        What is usually left over at each wavelength.
    log_noise : (knot,) array
        ln of the noise, ascending, where the next two are known.
    centre, scale : (knot,) arrays
        Median of ln strangeness of training spectra of that noise, and its upper half-width.
    quantile : (quantile,) array
        Scaled strangeness, ascending, that a share ``share`` of training spectra exceeds.
    share : (quantile,) array
    tail : (1,) array
        Mean excess of scaled strangeness above the last quantile: beyond it the share falls
        exponentially.
    """

    mean: FloatArray
    components: FloatArray
    spread: FloatArray
    log_noise: FloatArray
    centre: FloatArray
    scale: FloatArray
    quantile: FloatArray
    share: FloatArray
    tail: FloatArray

    def __post_init__(self) -> None:
        """Check that the arrays belong together and hold numbers that can be used."""
        n_bins = NETWORK_GRID.n_pixels // BIN
        n_components, n_knots, n_quantiles = map(
            len, (self.components, self.log_noise, self.quantile)
        )
        expected = {
            "mean": (n_bins,),
            "components": (n_components, n_bins),
            "spread": (n_bins,),
            "centre": (n_knots,),
            "scale": (n_knots,),
            "share": (n_quantiles,),
            "tail": (1,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ModelError(
                    f"{name} of the novelty model has shape {getattr(self, name).shape}, expected "
                    f"{shape}; make it again with `msfa novelty`."
                )
        positive = (self.spread, self.scale, self.share, self.tail)
        ascending = (self.log_noise, self.quantile, -self.share)
        everything = np.concatenate([getattr(self, f.name).ravel() for f in fields(self)])
        if not (
            np.isfinite(everything).all()
            and all(np.all(values > 0) for values in positive)
            and all(np.all(np.diff(values) > 0) for values in ascending)
        ):
            raise ModelError(
                "the novelty model holds numbers that cannot be; make it again with `msfa novelty`."
            )

    def score(self, prepared: PreparedSpectra) -> FloatArray:
        """Return the novelty of prepared spectra.

        Parameters
        ----------
        prepared : PreparedSpectra
            ``n`` rows.

        Returns
        -------
        (n,) array
            −log10 of the share of training spectra of similar noise that are at least as strange:
            2 for one in 100, 3 for one in 1000. Extrapolated beyond one in 20; NaN where the
            spectrum could not be prepared. A spectrum that is noisier than nearly all of the
            training set is compared with the noisiest of it, so its noise counts as strange.
        """
        novelty = np.full(len(prepared), np.nan)
        rows = np.flatnonzero(np.isfinite(prepared.flux).all(axis=1))
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            novelty[part] = self._novelty(prepared.flux[part])
        return novelty

    def _novelty(self, flux: NDArray[np.float32]) -> FloatArray:
        rest = _rest(_binned(flux), self.mean, self.components, self.spread)
        log_noise = _log(pixel_noise(flux))
        centre = np.interp(log_noise, self.log_noise, self.centre)
        scaled = (_log(rest) - centre) / np.interp(log_noise, self.log_noise, self.scale)
        inside = np.interp(scaled, self.quantile, -np.log10(self.share))
        beyond = np.maximum(scaled - self.quantile[-1], 0.0) / (self.tail[0] * np.log(10.0))
        result: FloatArray = inside + beyond
        return result

    def save(self, path: str | Path) -> Path:
        """Write the model as an ``.npz`` of plain arrays in single precision."""
        content = io.BytesIO()
        np.savez(
            content, **{f.name: getattr(self, f.name).astype(np.float32) for f in fields(self)}
        )
        return write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: str | Path, expected_sha256: str | None = None) -> NoveltyModel:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path
        expected_sha256 : str, optional
            Checksum that the file must have.

        Raises
        ------
        ModelError
            When the file is missing, altered, or not such a model.
        """
        path = Path(path)
        remedy = "restore it (git checkout) or make it again with `msfa novelty`."
        try:
            if expected_sha256 is not None and sha256_of(path) != expected_sha256:
                raise ModelError(f"{path} was altered: its SHA-256 is not the one listed; {remedy}")
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls(**{f.name: file[f.name].astype(np.float64) for f in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} is no novelty model ({error}); {remedy}") from error


def fit_novelty(flux: NDArray[np.float32]) -> NoveltyModel:
    """Learn what training spectra look like.

    Parameters
    ----------
    flux : (n, 2430) float32 array
        Prepared spectra of the training part of a set, finite.

    Returns
    -------
    NoveltyModel

    Raises
    ------
    ModelError
        When there are too few spectra, or they are all alike.
    """
    if len(flux) < MIN_SPECTRA:
        raise ModelError(
            f"{len(flux)} spectra are too few to tell the strange from the usual; give at least "
            f"{MIN_SPECTRA}."
        )
    binned = _binned(flux)
    mean = binned.mean(axis=0)
    variance, vectors = np.linalg.eigh(np.cov(binned - mean, rowvar=False))
    if variance[-1] <= 0:
        raise ModelError("the training spectra are all alike; give spectra of many stars.")
    components = vectors[:, ::-1][:, :N_COMPONENTS].T
    left = binned - mean
    left -= (left @ components.T) @ components
    spread = np.maximum(np.quantile(np.abs(left), TYPICAL, axis=0), _FLOOR)
    strangeness = _log(_rest(binned, mean, components, spread))
    log_noise = _log(pixel_noise(flux))
    knots, centre, scale = _against_noise(log_noise, strangeness)
    scaled = (strangeness - np.interp(log_noise, knots, centre)) / np.interp(
        log_noise, knots, scale
    )
    share = np.geomspace(1.0, TAIL, N_QUANTILES)
    quantile = np.quantile(scaled, 1.0 - share)
    quantile += np.arange(N_QUANTILES) * _FLOOR  # ascending where spectra are equally strange
    excess = scaled[scaled > quantile[-1]] - quantile[-1]
    tail = np.array([max(float(excess.mean()) if len(excess) else 0.0, _FLOOR)])
    return NoveltyModel(mean, components, spread, knots, centre, scale, quantile, share, tail)


def _against_noise(
    log_noise: FloatArray, strangeness: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Noise knots, and the median and upper half-width of ln strangeness at each."""
    n_knots = int(np.clip(len(log_noise) // SPECTRA_PER_KNOT, 1, MAX_KNOTS))
    groups = np.array_split(np.argsort(log_noise, kind="stable"), n_knots)
    knots = np.array([log_noise[group].mean() for group in groups])
    middle = np.array([np.quantile(strangeness[group], [0.5, WING]) for group in groups])
    knots += np.arange(n_knots) * _FLOOR  # ascending where many spectra are equally noisy
    return knots, middle[:, 0], np.maximum(middle[:, 1] - middle[:, 0], _FLOOR)


def _binned(flux: NDArray[np.float32]) -> FloatArray:
    """(n, bin) means of ``BIN`` pixels."""
    result: FloatArray = flux.reshape(len(flux), -1, BIN).mean(axis=2, dtype=np.float64)
    return result


def _rest(
    binned: FloatArray, mean: FloatArray, components: FloatArray, spread: FloatArray
) -> FloatArray:
    """(n,) mean square of what the components leave over, in units of the usual."""
    left = binned - mean
    left -= (left @ components.T) @ components
    result: FloatArray = np.mean((left / spread) ** 2, axis=1)
    return result


def _log(values: FloatArray) -> FloatArray:
    """Natural logarithm, of 1e-6 where less."""
    result: FloatArray = np.log(np.maximum(values, _FLOOR))
    return result
