"""What a selection looks at: line parameters with their errors, out of a table."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from msfa_core.constants import FIT_LINES
from msfa_core.typing import FloatArray


@dataclass(frozen=True, slots=True)
class LineValues:
    """Line parameters of ``n`` spectra; NaN where a line was not measured.

    Attributes
    ----------
    lines : tuple of line names
    d02, d02_err, width, width_err : (n, line) arrays [Å]
    fm, fm_err, shape, shape_err : (n, line) arrays
    d02_fm_correlation, width_shape_correlation : (n, line) arrays
        Of the errors.
    """

    lines: tuple[str, ...]
    d02: FloatArray
    d02_err: FloatArray
    fm: FloatArray
    fm_err: FloatArray
    width: FloatArray
    width_err: FloatArray
    shape: FloatArray
    shape_err: FloatArray
    d02_fm_correlation: FloatArray
    width_shape_correlation: FloatArray

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> LineValues:
        """Take the values out of the columns of a table; NaN where a column is not there."""

        def of_lines(name: str) -> FloatArray:
            quantity, is_error, _ = name.partition("_err")
            columns = [f"{quantity}_{line}{is_error}" for line in FIT_LINES]
            return table.reindex(columns=columns).to_numpy(np.float64, na_value=np.nan)

        names = [field.name for field in fields(cls) if field.name != "lines"]
        return cls(FIT_LINES, *map(of_lines, names))
