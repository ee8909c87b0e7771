"""What severe faults do to the template match of real spectra: the class stays, trust goes.

Run as a script: ``python tests/benchmarks/bench_template_faults.py REAL_DATA [N]``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from faulty_spectra import faults
from real_lamost import labelled

from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.spectral_types import subtypes_apart

LEAST_SNR = 10.0


def fault_table(spectra):
    """A row per fault: class unchanged, subclass within 5 of the one without fault, confidence."""
    rows, before = [], None
    for name, severity, inject in faults():
        given = inject(spectra)
        found = rank(match(given), given).as_table()
        before = found if before is None else before
        same = (found["template_class"] == before["template_class"]).to_numpy()
        own, first = found["template_subclass"], before["template_subclass"]
        confidence = found["template_confidence"].to_numpy(np.float64)
        rows.append(
            {
                "fault": name,
                "severity": severity,
                "n": len(found),
                "class_unchanged": same.mean(),
                "within_5": float((subtypes_apart(own.tolist(), first.tolist()) <= 5).mean()),
                "confidence": np.nanmean(confidence),
                "share_80": float((confidence >= 80).mean()),
                "no_confidence": int(np.isnan(confidence).sum()),
            }
        )
    return pd.DataFrame(rows)


def falls_with_severity(table, prefix):
    """Whether the mean confidence falls from step to step of severity, signs taken together."""
    chosen = table[table["fault"].str.startswith((prefix, "none"))]
    mean = chosen.groupby(chosen["severity"].round(2))["confidence"].mean()
    return bool((np.diff(mean.to_numpy()) < 0).all())


@pytest.mark.real
@pytest.mark.benchmark
def test_faults_leave_the_class_and_take_the_confidence(real_data):
    spectra, _ = labelled(real_data, least_snr=LEAST_SNR)
    table = fault_table(spectra)
    print("\n" + table.to_string(index=False, float_format="{:.3f}".format))
    assert (table["class_unchanged"] >= 0.95).all()
    assert falls_with_severity(table, "step")
    assert falls_with_severity(table, "tilt")
    assert (table["confidence"][table["fault"].str.startswith("no ")] < 80).all()


def main(real_data, n=""):
    spectra, _ = labelled(Path(real_data), least_snr=LEAST_SNR)
    if n:
        spectra = spectra[np.arange(0, len(spectra), max(1, len(spectra) // int(n)))]
    print(fault_table(spectra).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main(*sys.argv[1:])
