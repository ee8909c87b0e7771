"""Which stars lie inside a selection, and of which nothing can be said."""

import numpy as np
import pandas as pd
import pytest

from msfa_core.balmer.region import are_in_bhb_region
from msfa_core.columns import conform

IN, OUT, NONE = (22.0, 0.2), (40.0, 0.2), (np.nan, np.nan)


@pytest.mark.parametrize(
    ("hdelta", "hgamma", "inside"),
    [(IN, IN, True), (OUT, IN, False), (IN, OUT, False), (OUT, NONE, False), (NONE, OUT, False),
     (IN, NONE, None), (NONE, IN, None), (NONE, NONE, None)],
)  # fmt: skip
def test_a_star_is_outside_only_where_a_measured_line_is(hdelta, hgamma, inside):
    lines = {"hdelta": hdelta, "hgamma": hgamma}
    row = {f"{what}_{line}": value for line, pair in lines.items()
           for what, value in zip(("d02", "fm"), pair, strict=True)}  # fmt: skip
    flags = {f"balmer_flags_{line}": 0 for line in lines}
    table = conform(pd.DataFrame([{"obsid": 1, **row, **flags}, {"obsid": 2, **row}]))
    found = are_in_bhb_region(table, "ju2024")
    assert (None if found[0] is pd.NA else bool(found[0])) is inside
    assert found[1] is pd.NA  # the step has not been done
