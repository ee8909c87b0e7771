"""What real stars lose that come without a redshift: run as they are, and with theirs taken away.

``python tests/benchmarks/bench_rest_frame.py REAL_DATA`` prints, for the stars of LAMOST and SDSS
whose headers no trusted template contradicts, how far each value moves in units of its error.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msfa_core.columns import numbers
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.rules import redshift_is_contradicted
from msfa_core.spine.run import run
from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest

STEPS = ("match", "classify", "measure", "place", "label")
VALUES = ("d02_hdelta", "d02_hgamma", "fm_hdelta", "fm_hgamma", "kp", "teff", "logg", "feh")
FOLDERS = ("lamost", "sdss")


def with_and_without(real_data, folder):
    """Tables of the same stars, (n,) each in one order: as their files are, and without z."""
    said, bare = Survey.create(folder / "said"), Survey.create(folder / "bare")
    ingest(said, [real_data / name for name in FOLDERS], workers=1)
    stored = map(said.archive.original, said.obsid.tolist())
    bare.archive.append([replace(one, z=float("nan")) for one in stored])
    for survey in (said, bare):
        run(survey, STEPS, workers=1)
    table = said.table()
    good = (table["class"] == "STAR") & table["z"].notna() & ~redshift_is_contradicted(table)
    table = table[good].set_index("obsid")
    return table, bare.table().set_index("obsid").loc[table.index]


def moved(one, other):
    """Shares and shifts by name: of the frame [km/s], of each value in units of its error."""
    apart = SPEED_OF_LIGHT * (numbers(other, "rest_z") - numbers(one, "rest_z"))
    error = SPEED_OF_LIGHT * numbers(other, "template_z_err")
    found = {
        "stars": len(one),
        "without a frame": int(np.isnan(apart).sum()),
        "velocity, median [km/s]": float(np.nanmedian(apart)),
        "velocity, more than 60 km/s off": int((np.abs(apart) > 60).sum()),
        "velocity, and more than 3 of its errors": int(
            ((np.abs(apart) > 60) & (np.abs(apart) > 3 * error)).sum()
        ),
        "p_bhb across 0.5": int(
            ((numbers(one, "p_bhb") >= 0.5) != (numbers(other, "p_bhb") >= 0.5)).sum()
        ),
    }
    for name in VALUES:
        off = np.abs(numbers(other, name) - numbers(one, name)) / numbers(one, f"{name}_err")
        found[f"{name}, 95 % within [σ]"] = float(np.nanquantile(off, 0.95))
    return found


@pytest.mark.benchmark
@pytest.mark.real
def test_a_real_star_without_a_redshift_is_measured_as_with_its_own(real_data, tmp_path):
    found = moved(*with_and_without(real_data, tmp_path))
    assert found["stars"] > 200
    assert found["without a frame"] <= 0.03 * found["stars"]
    assert found["velocity, more than 60 km/s off"] <= 0.01 * found["stars"]
    assert found["velocity, and more than 3 of its errors"] == 0
    assert found["p_bhb across 0.5"] <= 1
    assert max(found[f"{name}, 95 % within [σ]"] for name in VALUES) < 0.5


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, value in moved(*with_and_without(Path(sys.argv[1]), Path(folder))).items():
            print(f"{name:40} {value:8.2f}")
