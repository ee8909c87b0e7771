"""Places on the sky as they are typed, and the nearest spectrum to one."""

import numpy as np
import pytest

from msfa_core.stars.sky import nearest
from msfa_core.tables.skies import place_of


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("179.06369 +19.61900", (179.06369, 19.619)),
        ("179.06369,-19.6", (179.06369, -19.6)),
        ("11:56:15.3 -00:37:08", (179.06375, -0.618889)),  # the sign of −0° counts
        ("11h56m15.3s +19d37m08s", (179.06375, 19.618889)),
        ("179.06369 −19.61900°", (179.06369, -19.619)),  # as the screen writes it
        ("11 56 15.3 +19 37 08", (179.06375, 19.618889)),
        ("SDSS J115615.30-193708.0", (179.06375, -19.618889)),
    ],
)
def test_places_are_read_as_they_are_written(text, place):
    assert place_of(text) == pytest.approx(place, abs=1e-5)


@pytest.mark.parametrize(
    "text", ["430101234", "spec-55977-GAC_060N28_sp01-011", "400 91", "", "a b"]
)
def test_what_is_no_place_names_none(text):
    assert place_of(text) is None


def test_the_nearest_place_is_found_across_ra_0_and_without_places():
    ra, dec = [0.001, 359.999, np.nan], [0.0, 0.0, 0.0]
    row, distance = nearest(ra, dec, (359.9991, 0.0))
    assert row == 1
    assert distance == pytest.approx(0.36, abs=1e-3)
    assert nearest([np.nan], [1.0], (0.0, 0.0))[0] == -1
