"""What the template match says of real spectra with labels: classes, subclasses, velocities.

Run as a script, ``python tests/benchmarks/bench_real_templates.py REAL_DATA [OUT]``, it names the
spectra that are wrong.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from library_spectra import manifest
from real_lamost import labelled

from msfa_core.columns import conform
from msfa_core.spectra import read_spectrum
from msfa_core.spectra.spectrum import as_spectra
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank
from msfa_core.templates.spectral_types import subtypes_apart
from msfa_core.training.scores import wilson_interval
from msfa_core.validation.compare import validate, velocity_error

LEAST_SNR = 10.0
CERTAIN = 90.0  # percent of confidence


def matched(spectra):
    """Matches after all rules."""
    return rank(match(spectra), spectra)


def compared(real_data):
    """Validation of the LAMOST spectra of S/N > 10, with the table behind it."""
    spectra, table = labelled(real_data, least_snr=LEAST_SNR)
    found = matched(spectra).as_table()
    survey = conform(found.merge(table[["obsid", "ra", "dec", "snr_g"]], on="obsid"))
    reference = table[["obsid", "class", "subclass", "z"]]
    return validate(survey, reference), survey, table


def held_confidence(survey, table):
    """(share that agrees, n) of the confident matches of the half that calibrated nothing."""
    held = ~table["calibration"].to_numpy()
    sure = (survey["template_confidence"] >= CERTAIN).to_numpy() & held
    apart = subtypes_apart(table["subclass"].tolist(), survey["template_subclass"].tolist())
    same = (table["class"].to_numpy() == survey["template_class"].to_numpy()) & (apart <= 5)
    return float(same[sure].mean()) if sure.any() else float("nan"), int(sure.sum())


def beyond_stars(real_data):
    """Galaxies of LAMOST, galaxies and QSOs of SDSS: name, class and z, found and known."""
    known = manifest(real_data)
    known = known[known["object_class"].isin(["GALAXY", "QSO"])]
    known = known[known.index.str.startswith(("lamost/", "sdss/"))]
    spectra = [read_spectrum(real_data / path) for path in known.index]
    found = matched(as_spectra(spectra)).as_table()
    z = known["notes"].str.extract(r"Z=(-?[\d.e-]+)")[0].astype(float).to_numpy()
    return pd.DataFrame(
        {
            "path": known.index,
            "class": known["object_class"].to_numpy(),
            "z": z,
            "template_class": found["template_class"].to_numpy(),
            "template_z": found["template_z"].to_numpy(),
            "template_confidence": found["template_confidence"].to_numpy(),
            "snr": [one.snr_g for one in spectra],
        }
    )


def goals(real_data):
    """Rows of goal, value, n."""
    found, survey, table = compared(real_data)
    shares = found.tables["subclass_templates"]
    right = found.tables["class_templates"].loc["all"]
    velocity = found.tables["velocity_templates"].iloc[0]
    agrees, n_sure = held_confidence(survey, table)
    rows = [
        ("class right", ">= 0.98", right["recall"], right["n"]),
        ("F-M within 3", ">= 0.90", shares.loc["F–M", "within_3"], shares.loc["F–M", "n"]),
        ("F-M within 5", ">= 0.96", shares.loc["F–M", "within_5"], shares.loc["F–M", "n"]),
        ("A within 5", ">= 0.90", shares.loc["A", "within_5"], shares.loc["A", "n"]),
        ("velocity, median [km/s]", "<= 5", velocity["median"], velocity["n"]),
        ("velocity, scatter [km/s]", "<= 15", velocity["scatter"], velocity["n"]),
        ("confident and agreeing, held half", ">= 0.90", agrees, n_sure),
    ]
    far = beyond_stars(real_data)
    limit = far["class"].map({"GALAXY": 0.001, "QSO": 0.01})
    good = (far["class"] == far["template_class"]) & ((far["z"] - far["template_z"]).abs() <= limit)
    for name in ("GALAXY", "QSO"):
        inside = far["class"] == name
        rows.append((f"{name} class and z", "all", float(good[inside].mean()), int(inside.sum())))
    made = pd.DataFrame(rows, columns=["what", "goal", "value", "n"]).astype({"n": int})
    return made, found, survey, table, far


def said(rows):
    """The table as it is printed, shares with intervals."""
    text = []
    for row in rows.itertuples():
        is_share = row.goal.startswith(">=") or row.goal == "all"
        low, high = wilson_interval(row.value * row.n, row.n) if is_share else (np.nan, np.nan)
        interval = f" ({low:.3f}-{high:.3f})" if is_share else ""
        text.append(f"{row.what:38s} goal {row.goal:8s} {row.value:8.3f}{interval}  n = {row.n}")
    return "\n".join(text)


@pytest.mark.real
@pytest.mark.benchmark
def test_real_lamost_spectra_get_their_class_subclass_and_velocity(real_data):
    rows, *_ = goals(real_data)
    print("\n" + said(rows))
    value = rows.set_index("what")["value"]
    assert value["class right"] >= 0.98
    assert abs(value["velocity, median [km/s]"]) <= 5
    assert value["velocity, scatter [km/s]"] <= 15
    assert value["confident and agreeing, held half"] >= 0.90


def main(real_data, out=None):
    rows, found, survey, table, far = goals(Path(real_data))
    pd.set_option("display.width", 250, "display.max_rows", 400, "display.max_columns", 40)
    print(said(rows))
    for name in ("subclass_templates", "velocity_templates", "letter_confusion_templates"):
        print(f"\n{name}\n{found.tables[name].to_string()}")
    apart = subtypes_apart(table["subclass"].tolist(), survey["template_subclass"].tolist())
    shift = velocity_error(survey["template_z"], table["z"])
    columns = ["template_class", "template_subclass", "template_chi2", "template_confidence"]
    everything = pd.concat([table[["path", "subclass", "snr_g"]], survey[columns]], axis=1)
    everything = everything.assign(apart=apart, velocity_error=shift)
    wrong = everything[(apart > 3) | (np.abs(shift) > 40)]
    print(f"\nmore than 3 subtypes or 40 km/s off\n{wrong.to_string()}")
    print(f"\n{far.to_string()}")
    if out:
        everything.to_csv(out, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
