"""The limits beyond which labels are outliers: moved by sliders, followed by every count."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray

from dashboard.state.part import Part
from dashboard.state.verdicts import Verdicts
from msfa_core.constants import FEH_OUTLIER, LOGG_OUTLIER
from msfa_core.flags import LabelFlag
from msfa_core.slam.reasons import REASONS, beyond_errors, flags_at, has_reason
from msfa_core.vetting.filters import Filter

LOGG_RANGE: Final = (3.0, 5.0)  # dex, of the sliders
FEH_RANGE: Final = (-2.5, 0.5)
STEP: Final = 0.05
ANY_REASON, NO_REASON = "any", "none"
_MEASURED: Final = ("teff", "teff_err", "logg", "logg_err", "feh", "feh_err")
_YES: Final = (True,)  # of a reason that is no limit


class Labels(Part):
    """Which stars their labels set aside, and why."""

    logg_limit = param.Number(default=float(LOGG_OUTLIER), bounds=LOGG_RANGE, step=STEP)
    feh_limit = param.Number(default=float(FEH_OUTLIER), bounds=FEH_RANGE, step=STEP)

    def __init__(self, verdicts: Verdicts, **params: Any) -> None:
        super().__init__(**params)
        self._verdicts = verdicts
        self._flags: tuple[Any, NDArray[np.int64]] = (None, np.empty(0, np.int64))
        self.reset()

    def reset(self) -> None:
        """Take the limits of the survey's settings."""
        settings = self._verdicts.data.settings
        self.param.update(
            logg_limit=float(np.clip(settings.logg_outlier, *LOGG_RANGE)),
            feh_limit=float(np.clip(settings.feh_outlier, *FEH_RANGE)),
        )

    @property
    def flags(self) -> NDArray[np.int64]:
        """(n,) `LabelFlag` of every spectrum at the limits in force."""
        data, limits = self._verdicts.data, (self.logg_limit, self.feh_limit)
        if self._flags[0] != (id(data), *limits):
            self._flags = (id(data), *limits), flags_at(data.candidates, *limits)
        return self._flags[1]

    def reason_counts(self, rows: NDArray[np.bool_] | None = None) -> dict[LabelFlag, int]:
        """Return how many spectra each reason sets aside, of these rows or of all."""
        flags = self.flags if rows is None else self.flags[rows]
        return {reason: int(has_reason(flags, reason).sum()) for reason in REASONS}

    def reasons_of(self, obsid: int) -> list[str]:
        """Return every reason against a spectrum, in words, and where its error allows another.

        A witness weighs the errors, and is silent of such a reason: nobody is to read two things.
        """
        row, table = self._verdicts.data.row(obsid), self._verdicts.table
        flags = int(self.flags[row])
        if not flags:
            return []
        labels = pd.DataFrame(
            {name: table[name].iloc[[row]] for name in _MEASURED if name in table}
        )
        beyond = beyond_errors(labels, self.logg_limit, self.feh_limit)
        return [
            self.reason_sentence(reason)
            + ("" if beyond.get(reason, _YES)[0] else ", by less than its error")
            for reason in REASONS
            if flags & reason
        ]

    def reason_sentence(self, reason: LabelFlag) -> str:
        """Return a reason in words, with the limit in force."""
        if reason == LabelFlag.HIGH_LOGG:
            return f"log g > {self.logg_limit:.2f}"
        if reason == LabelFlag.HIGH_FEH:
            return f"[Fe/H] > {self.feh_limit:.2f}".replace("-", "−")
        return reason.sentence

    def reason_filter(self, choice: str) -> Filter | None:
        """Return the filter of a reason at the limits in force.

        Parameters
        ----------
        choice : str
            `ANY_REASON`, `NO_REASON`, the number of a `LabelFlag`; empty for no filter.
        """
        if not choice:
            return None
        limits = self.logg_limit, self.feh_limit
        if choice in (ANY_REASON, NO_REASON):
            words = f"log g > {limits[0]:.2f}, [Fe/H] > {limits[1]:.2f} or another reason"
            sentence = f"labels are outliers ({words})".replace("-", "−")
            is_wanted = choice == ANY_REASON
            return Filter(
                "reason",
                sentence if is_wanted else sentence.replace("are", "are no", 1),
                lambda table: has_reason(flags_at(table, *limits)) == is_wanted,
            )
        reason = LabelFlag(int(choice))
        return Filter(
            "reason",
            f"labels: {self.reason_sentence(reason)}",
            lambda table: has_reason(flags_at(table, *limits), reason),
        )
