"""What template matching gives: the k best solutions of each spectrum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import columns_of
from msfa_core.templates.library import TemplateSet
from msfa_core.typing import FloatArray, IntArray

BLUE: Final = (3900.0, 5700.0)  # Å, ends of the spectrum whose residuals count
RED: Final = (6200.0, 8800.0)


@dataclass(frozen=True, slots=True)
class Matches:
    """The ``k`` best distinct solutions of ``n`` spectra, best first.

    Attributes
    ----------
    obsid : (n,) int64 array
    template : (n, k) int array
        Row of ``templates``; -1 where there is no such solution.
    chi2 : (n, k) array
        Reduced χ², with the error of the templates in it; the same pixels for every template.
    z, z_err : (n, k) arrays
        Doppler shift between the steps searched, and its error.
    blue_residual, red_residual : (n, k) arrays
        rms of (data − model)/continuum over 3900–5700 and 6200–8800 Å; NaN without pixels.
    blue_chi2, red_chi2 : (n, k) arrays
        Reduced χ² of the two ends.
    coefficients : (n, k, vector) array
        Mixture of the continuum vectors, in the units of the spectrum; of eigen-spectra, what
        each of them contributes first.
    class_template, class_chi2, class_z : (n, 3) arrays
        Best solution of each of ``rules.OBJECT_CLASSES``; -1 and NaN where there is none.
    flags : (n,) int array
        `MatchFlag`.
    templates : TemplateSet
        The set used.
    confidence : (n, k) array [percent]
        NaN until `rank` fills it.
    """

    obsid: IntArray
    template: IntArray
    chi2: FloatArray
    z: FloatArray
    z_err: FloatArray
    blue_residual: FloatArray
    red_residual: FloatArray
    blue_chi2: FloatArray
    red_chi2: FloatArray
    coefficients: FloatArray
    class_template: IntArray
    class_chi2: FloatArray
    class_z: FloatArray
    flags: IntArray
    templates: TemplateSet
    confidence: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        """Give the confidence its shape where it is not filled yet."""
        if self.confidence.shape != self.template.shape:
            object.__setattr__(self, "confidence", np.full(self.template.shape, np.nan))

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def cls(self, rank: int = 0) -> NDArray[np.object_]:
        """(n,) class of a solution; None where there is none."""
        return self._named(self.templates.cls, rank)

    def subclass(self, rank: int = 0) -> NDArray[np.object_]:
        """(n,) subclass of a solution; None where there is none."""
        return self._named(self.templates.subclass, rank)

    def _named(self, words: NDArray[np.str_], rank: int) -> NDArray[np.object_]:
        row = self.template[:, rank]
        named = np.array([str(word) or None for word in words], dtype=object)
        found: NDArray[np.object_] = named[np.where(row >= 0, row, 0)]
        found[row < 0] = None
        return found

    def as_table(self) -> pd.DataFrame:
        """Return the best solutions as the columns of the step ``match``, one row per obsid."""
        found = {
            "template_class": self.cls(),
            "template_subclass": self.subclass(),
            "template_z": self.z[:, 0],
            "template_z_err": self.z_err[:, 0],
            "template_chi2": self.chi2[:, 0],
            "template_confidence": self.confidence[:, 0],
            "template_flags": self.flags,
        }
        table = pd.DataFrame({"obsid": self.obsid})
        for column in columns_of("match"):
            if column.name in found:
                table[column.name] = pd.Series(found[column.name]).astype(column.dtype)
        return table
