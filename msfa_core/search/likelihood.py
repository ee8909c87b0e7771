"""What model stars say of a spectrum: the share of each class in its likelihood.

A network learns what tells classes apart; weak lines that noise hides one by one, and that only
together say how many metals a star has, it learns last. A likelihood adds them up from the start:
a prepared spectrum is compared with thousands of noise-free stars of the population that the
networks were trained on. What flux calibration may do to it, and the zero that min–max scaling
took away, are marginalised; the noise is read from what the best star leaves over.

Stars are kept as scores on their main components, in which a likelihood is one quadratic form.
Where a network is in doubt, its log-odds and those of the likelihood are joined
(`training.star_models` says how much each counts, and why).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from msfa_core.constants import NETWORK_GRID, STELLAR_CLASSES
from msfa_core.errors import ModelError
from msfa_core.networks.weights import sha256_of, write_atomically
from msfa_core.typing import BoolArray, FloatArray

_BINS: Final = 27  # of 90 pixels, in each of which the noise is one number
_MAD: Final = 1.4826  # so rounded when the shares of the joining were chosen
# Noise of neighbouring pixels is correlated by resampling, twice: of a sum of pixels it is larger
# than single pixels say. Variances of 1.5 (on the network's grid) and 1.2 (on LAMOST's).
_CORRELATED: Final = 1.8
_CLIP: Final = 5.0  # σ
_FREE: Final = 1e-6  # firmness of the level and of the zero
_LEAST_NOISE: Final = 1e-3
_LEAST_SHARE: Final = 0.1  # left to either answer, since stars are not models
_SKETCHED: Final = 8  # one star of so many finds the response


@dataclass(frozen=True)
class StarModels:
    """Noise-free stars of known class, and how a response may bend their spectra.

    Attributes
    ----------
    mean : (2430,) float32 array
        Mean of the stars, each divided by its median.
    components : (k, 2430) float32 array
    scores : (n, k) float32 array
    label : (n,) int8 array
        Index into ``STELLAR_CLASSES``.
    prior : (n,) float32 array
        Weight of each star; those of a class add up to its share in the training.
    response : (m, 2430) float32 array
        Errors of ln(response), of spread 1 each.
    model_error : float
        Of the models, over the flux.
    joining : (2, 3) float64 array
        Of stage 1 and 2: what the log-odds of the network and those of the likelihood count, and a
        constant; the network alone where none were fitted.
    doubt : (2,) float64 array
        Log-odds of BHB between which a network is in doubt; below, the likelihood could not make
        a BHB star of it.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    scores: NDArray[np.float32]
    label: NDArray[np.int8]
    prior: NDArray[np.float32]
    response: NDArray[np.float32]
    model_error: float
    joining: NDArray[np.float64]
    doubt: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check shapes."""
        k, n = len(self.components), len(self.scores)
        pixels = NETWORK_GRID.n_pixels
        shapes = (
            (self.mean, (pixels,)), (self.components, (k, pixels)), (self.scores, (n, k)),
            (self.label, (n,)), (self.prior, (n,)), (self.response, (len(self.response), pixels)),
            (self.joining, (2, 3)), (self.doubt, (2,)),
        )  # fmt: skip
        if any(array.shape != shape for array, shape in shapes) or not n:
            raise ModelError(
                f"star models have the shapes {[a.shape for a, _ in shapes]}; make the file again."
            )

    @classmethod
    def load(cls, path: str | Path, expected_sha256: str | None = None) -> StarModels:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError
            When the file is missing, altered or of another kind.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path} does not exist; restore it (git checkout).")
        if expected_sha256 is not None and sha256_of(path) != expected_sha256:
            raise ModelError(f"{path} was altered; restore it (git checkout).")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {field.name: file[field.name] for field in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} holds no star models ({error}); restore it.") from error
        arrays = {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in arrays.items()
        }
        return cls(**{**arrays, "model_error": float(arrays["model_error"])})

    def save(self, path: str | Path) -> Path:
        """Write one ``.npz``; scores and components in half precision."""
        half = {name: getattr(self, name).astype(np.float16) for name in ("components", "scores")}
        whole = {field.name: getattr(self, field.name) for field in fields(self)}
        buffer = io.BytesIO()
        np.savez(buffer, **{**whole, **half})
        return write_atomically(path, buffer.getvalue())

    def class_shares(self, flux: NDArray[np.float32]) -> FloatArray:
        """Return the share of each class in the likelihood of prepared spectra.

        Parameters
        ----------
        flux : (n, 2430) float32 array
            Finite.

        Returns
        -------
        (n, 5) array
            Rows add up to 1; for the class shares of the training.
        """
        stars = _Stars(
            self.mean.astype(np.float64),
            self.components.astype(np.float64),
            self.scores,
            self.response.astype(np.float64),
        )
        shares = [self._of_one(row.astype(np.float64), stars) for row in flux]
        return np.array(shares).reshape(-1, len(STELLAR_CLASSES))

    def odds(self, flux: NDArray[np.float32]) -> FloatArray:
        """(n,) log-odds of BHB in the likelihood; no star is ever ruled out by it for sure."""
        share = self.class_shares(flux)[:, 0]
        odds: FloatArray = logit(_LEAST_SHARE + (1 - 2 * _LEAST_SHARE) * share)
        return odds

    def are_doubtful(
        self, p_class_bhb: FloatArray, p_bhb: FloatArray
    ) -> tuple[BoolArray, BoolArray]:
        """Return where stage 1 may be turned, and where either stage may: twice (n,)."""
        low, high = self.doubt
        first, second = logit(p_class_bhb), logit(p_bhb)
        in_stage1, in_stage2 = ((low < x) & (x < high) for x in (first, second))
        return in_stage1 | ((first >= high) & in_stage2), in_stage1 | in_stage2

    def join(
        self, flux: NDArray[np.float32], class_probability: FloatArray, p_bhb: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the probabilities of both stages with the likelihood joined to them.

        Parameters
        ----------
        flux : (n, 2430) float32 array
        class_probability : (n, 5) array
        p_bhb : (n,) array

        Returns
        -------
        class_probability : (n, 5) array
            The classes that are not BHB share what is left as before.
        p_bhb : (n,) array
        """
        class_probability, p_bhb = class_probability.copy(), p_bhb.copy()
        turned, rows = self.are_doubtful(class_probability[:, 0], p_bhb)
        if rows.any():
            said = np.zeros(len(flux))
            said[rows] = self.odds(flux[rows])
            before = class_probability[turned, 0]
            after = _joined(before, said[turned], self.joining[0])
            left, right = 1 - before, 1 - after
            kept = np.divide(right, left, out=np.zeros(len(left)), where=left > 0)
            class_probability[turned] *= kept[:, None]
            class_probability[turned, 0] = after
            p_bhb[rows] = _joined(p_bhb[rows], said[rows], self.joining[1])
        return class_probability, p_bhb

    def _of_one(self, flux: FloatArray, stars: _Stars) -> FloatArray:
        """(5,) shares of one spectrum."""
        flux = (flux - flux.min()) / max(float(np.ptp(flux)), _LEAST_NOISE)
        few = replace(stars, scores=stars.scores[::_SKETCHED])
        design = np.vstack([np.ones(len(flux)), stars.response])
        score, weight = np.zeros(len(stars.components), np.float32), np.ones(len(flux))
        level = max(float(np.median(flux)), _LEAST_NOISE)
        firm = np.r_[_FREE, np.full(len(stars.response), level**-2), _FREE]
        for chosen in (few, few, stars):
            # level, response and zero that take the best star to the spectrum
            best = stars.mean + score @ stars.components
            columns = np.vstack([design * best, np.ones(len(flux))])
            weighed = columns * weight
            amount = np.linalg.solve(weighed @ columns.T + np.diag(firm), weighed @ flux)
            if not amount[0] > 0:  # a spectrum that no star resembles, upside down
                amount[0] = _LEAST_NOISE
            bend = amount[:-1] @ design
            weight = self._weights(flux - bend * best - amount[-1], bend * best)
            chi2 = chosen.chi2(flux - amount[-1], bend, score, amount[1:-1] / amount[0], weight)
            score = chosen.scores[np.argmin(chi2)]
        if not np.isfinite(chi2).all():  # no star at all: nothing is said
            chi2 = np.zeros(len(chi2))
        p = self.prior * np.exp(-0.5 * (chi2 - chi2.min()))
        share = np.bincount(self.label, p, len(STELLAR_CLASSES))
        return share / share.sum()

    def _weights(self, rest: FloatArray, model: FloatArray) -> FloatArray:
        """(pixel,) inverse variances: of the noise that shows, and of the models."""
        size = np.abs(rest - np.median(rest)).reshape(_BINS, -1)
        noise = np.maximum(_MAD * np.median(size, axis=1), _LEAST_NOISE)
        sigma = np.repeat(noise, size.shape[1])
        variance = _CORRELATED * sigma**2 + (self.model_error * model) ** 2
        return np.where(np.abs(rest) > _CLIP * sigma, 0.0, 1 / variance)


@dataclass(frozen=True, slots=True)
class _Stars:
    """Stars ready to be compared: what adds up over pixels in double precision."""

    mean: FloatArray
    components: FloatArray
    scores: NDArray[np.float32]
    response: FloatArray

    def chi2(
        self,
        flux: FloatArray,
        bend: FloatArray,
        near: NDArray[np.float32],
        before: FloatArray,
        weight: FloatArray,
    ) -> FloatArray:
        """(n,) χ² of each star, but for a constant; level, response and zero suit it best.

        Parameters
        ----------
        flux, bend, weight : (2430,) arrays
            Spectrum, response, inverse variance.
        near : (k,) array
            Scores of the best star so far: χ² counts from there, so that the digits suffice.
        before : (m,) array
            Errors of the response that are in ``bend`` already.
        """
        best = bend * (self.mean + near @ self.components)
        modes = np.vstack([best, best * self.response, np.ones(len(flux))])
        firm = np.r_[_FREE, np.ones(len(before)), _FREE]
        weighed = modes * weight
        inverse = np.linalg.inv(weighed @ modes.T + np.diag(firm))
        bent = bend * self.components
        rest = flux - best
        first = weighed @ rest - firm * np.r_[0.0, before, 0.0]
        second = weighed @ bent.T  # (mode, k)
        linear = (bent * weight) @ rest - second.T @ (inverse @ first)
        square = (bent * weight) @ bent.T - second.T @ inverse @ second
        away = self.scores - near
        product = away @ square.astype(np.float32) - (2 * linear).astype(np.float32)
        chi2: FloatArray = np.einsum("nk,nk->n", product, away, dtype=np.float64)
        return chi2


def _joined(p: FloatArray, odds: FloatArray, joining: FloatArray) -> FloatArray:
    """(n,) probabilities of a network with the log-odds of the likelihood joined to them."""
    network, likelihood, constant = joining
    joined: FloatArray = expit(network * logit(p) + likelihood * odds + constant)
    return joined
