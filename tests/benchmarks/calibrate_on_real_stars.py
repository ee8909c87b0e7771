"""Calibrate weights on the visible real stars, ``… calibrate_on_real_stars.py REAL_DATA MODELS``.

The card of stage 1 and the checksums in MODELS are written anew; no real star trains anything.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from exam_of_real_stars import drawn, sources

from msfa_core.training.calibrate import calibrate_on_real_stars

DRAWS, SEED = 12, 77  # not those of the exam of the same stars

if __name__ == "__main__":
    real_data, models = map(Path, sys.argv[1:3])
    counted, _ = sources(real_data)
    print(f"{calibrate_on_real_stars(models, drawn(counted, DRAWS, SEED)):.4f}")
