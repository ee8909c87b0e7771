"""Where the template match and the networks disagree: a second opinion on every candidate.

The match knows nothing of the networks' training, so a disagreement is worth a look.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.constants import CONFIDENCE_MIN, Certainty, Sourced, StellarClass
from msfa_core.templates.spectral_types import Family, SpectralType, spectral_type

_OURS: Final = "what a pipeline without the class calls such stars"
# ordinary stars (from, to on O0 = 0 … M9 = 69) that a class of the networks can be called
AGREES_WITH: Final = {
    StellarClass.BHB: (
        Sourced(15.0, "", f"B5: {_OURS}", Certainty.DEFAULT),
        Sourced(32.0, "", f"F2: {_OURS}", Certainty.DEFAULT),
    ),
    StellarClass.A: (
        Sourced(18.0, "", "B8: edge of the class, two subtypes of tolerance", Certainty.DEFAULT),
        Sourced(32.0, "", "F2: edge of the class, two subtypes of tolerance", Certainty.DEFAULT),
    ),
    StellarClass.B: (
        Sourced(8.0, "", "O8: edge of the class, two subtypes of tolerance", Certainty.DEFAULT),
        Sourced(22.0, "", "A2: edge of the class, two subtypes of tolerance", Certainty.DEFAULT),
    ),
    StellarClass.HSD: (
        Sourced(0.0, "", f"O0: {_OURS}", Certainty.DEFAULT),
        Sourced(19.0, "", f"B9: {_OURS}", Certainty.DEFAULT),
    ),
}
_OWN_FAMILY: Final = {
    StellarClass.BHB: Family.BHB,
    StellarClass.HSD: Family.HOT_SUBDWARF,
    StellarClass.WD: Family.WHITE_DWARF,
}


def agree(kind: SpectralType, network: StellarClass) -> bool:
    """Tell whether a template of this type is what the networks' class can look like.

    A BHB star may match an ordinary star of B5 to F2; a template of a BHB star, a hot subdwarf or
    a white dwarf agrees with its own class only.
    """
    if kind.family != Family.ORDINARY:
        return _OWN_FAMILY.get(network) == kind.family
    low, high = AGREES_WITH.get(network, (np.inf, -np.inf))
    return bool(low <= kind.code <= high)


def _disagree(big: str, subclass: str, network: str) -> bool | None:
    """Tell whether template and networks contradict each other; None where one is silent."""
    if not big or network not in {str(name) for name in StellarClass}:
        return None
    if big != "STAR":
        return True
    kind = spectral_type(subclass)
    if kind.family == Family.UNKNOWN:
        return None
    return not agree(kind, StellarClass(network))


def template_disagrees(
    table: pd.DataFrame, confidence_min: float = float(CONFIDENCE_MIN)
) -> pd.Series:
    """Tell which spectra the template match puts in another class than the networks do.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``template_class``, ``template_subclass``, ``template_confidence`` and
        ``predicted_class``.
    confidence_min : float [percent]
        A match below says nothing.

    Returns
    -------
    (n,) boolean Series
        Missing where one of the two has no answer, or the match is not to be trusted.
    """
    pairs = table[["template_class", "template_subclass", "predicted_class"]]
    pairs = pairs.astype("str").fillna("")
    codes = [pd.factorize(pairs[name]) for name in pairs]  # few differ, however many there are
    kinds = np.ravel_multi_index(
        [code for code, _ in codes], [max(len(words), 1) for _, words in codes]
    )
    _, first, which = np.unique(kinds, return_index=True, return_inverse=True)
    answers = [_disagree(*one) for one in pairs.iloc[first].itertuples(index=False, name=None)]
    said = pd.array(answers, dtype="boolean").take(which)
    result = pd.Series(said, index=table.index)
    trusted = (table["template_confidence"] >= confidence_min).fillna(False)
    return result.mask(~trusted.astype(bool), pd.NA)
