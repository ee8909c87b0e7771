"""What the shipped search says of real hot stars that nobody trained on: the exam of the weights.

Run as a script, ``python tests/benchmarks/bench_real_stars.py REAL_DATA [MODELS [OUT]]``, it takes
other weights, and writes tables and pictures.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from exam_of_real_stars import (
    DRAWS,
    LOG_SNR,
    RESPONSE,
    SEED,
    answers,
    drawn,
    koester_models,
    lamost_a_stars,
    sources,
)
from library_spectra import at_lamost

from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.spectra import prepare
from msfa_core.training.evaluate import evaluate
from msfa_core.training.evaluation_report import evaluation_text, with_intervals, write_evaluation
from msfa_core.training.scores import wilson_interval

GOALS = {"BHB": 0.95, "both stages": 0.05, "both stages, then ju2024": 0.02, "LAMOST A": 0.05}


def library_exam(real_data, search, draws=DRAWS):
    """Figures on library stars, and the stars left out with what the search says of them."""
    counted, left_out = sources(real_data)
    evaluation = evaluate(answers(search, drawn(counted, draws)))
    rng = np.random.default_rng(SEED)
    rows = []
    for one, reason in left_out:
        said = share_kept(search, one, rng)
        rows.append((one.star, one.library, one.object_class, said, reason))
    names = ["star", "library", "class", "share kept", "reason"]
    return evaluation, pd.DataFrame(rows, columns=names)


def share_kept(search, one, rng, draws=4):
    """Share of a few draws of one star that both stages keep; NaN where none can be prepared."""
    batch = [at_lamost(one.spectrum, 10 ** rng.uniform(*LOG_SNR), rng) for _ in range(draws)]
    said = search.classify(prepare(batch))
    kept = said.are_bhb(search.threshold)[np.isfinite(said.p_bhb)]
    return float(kept.mean()) if len(kept) else float("nan")


def by_library(evaluation):
    """Share kept by both stages, and after the cut, per library and class."""
    known = evaluation.answers
    frame = pd.DataFrame(
        {
            "library": known.truth["true_library"],
            "class": [list(evaluation.confusion.index)[k] for k in known.label],
            "star": known.stars,
            "both stages": known.candidate,
            "then ju2024": known.candidate & known.in_region,
        }
    )
    grouped = frame.groupby(["library", "class"])
    return grouped.agg({"star": "nunique", "both stages": "mean", "then ju2024": "mean"})


def lamost_exam(real_data, search):
    """Figures on real LAMOST A stars, and a row for each that is called BHB."""
    data, table = lamost_a_stars(real_data)
    said = answers(search, data)
    columns = ["d02_hdelta", "fm_hdelta", "d02_hgamma", "fm_hgamma", "in_bhb_ju2024", "kp"]
    columns += ["ew_mgii4481"]
    rows = pd.concat([table[["path", "subclass"]], data.truth[columns]], axis=1)
    rows.insert(2, "snr_g", data.snr_g)
    rows.insert(3, "p_bhb", said.p_bhb)
    return evaluate(said), rows[said.candidate]


def report(real_data, search, out=None):
    """Print the exam; return both evaluations."""
    stars, left_out = library_exam(real_data, search)
    print(f"\nLIBRARY STARS ON THE LAMOST GRID, S/N 10–80, {DRAWS} draws each, seed {SEED}\n")
    print(evaluation_text(stars))
    print("\nshare kept, by library\n")
    print(by_library(stars).to_string(float_format="{:.3f}".format))
    print(f"({RESPONSE})")
    print("\nleft out\n")
    print(left_out.to_string(index=False, na_rep="–"))
    lamost, called = lamost_exam(real_data, search)
    print("\nREAL LAMOST A STARS (type of the header), S/N > 10\n")
    print(with_intervals(lamost.shares.loc[["A"]], 3).to_string())
    print("\neach one that is called BHB\n")
    print(called.to_string(index=False, float_format="{:.3g}".format))
    kept = koester_models(real_data, search)
    low, high = wilson_interval(kept.sum(), len(kept))
    print(
        f"\nDA MODELS (Koester 2010; not real, not counted): {kept.mean():.3f} kept of {len(kept)}"
    )
    print(f"  ({low:.3f}–{high:.3f})")
    print("\nGOALS\n")
    others, a_stars = stars.shares.loc["all but BHB"], lamost.shares.loc["A", "both stages"]
    for words, value, goal, above in (
        ("BHB recall", stars.shares.loc["BHB", "both stages"], GOALS["BHB"], True),
        ("all but BHB kept", others["both stages"], GOALS["both stages"], False),
        (
            "… and in ju2024",
            others["both stages, then ju2024"],
            GOALS["both stages, then ju2024"],
            False,
        ),
        ("LAMOST A stars called BHB", a_stars, GOALS["LAMOST A"], False),
    ):
        reached = value >= goal if above else value <= goal
        sign = "≥" if above else "≤"
        print(f"{words:<28} {value:.3f}  goal {sign} {goal}  {'yes' if reached else 'NO'}")
    if out is not None:
        write_evaluation(stars, Path(out) / "library_stars")
        write_evaluation(lamost, Path(out) / "lamost_a_stars")
    return stars, lamost


@pytest.mark.real
@pytest.mark.benchmark
def test_real_bhb_stars_are_told_from_other_hot_stars(real_data):
    stars, lamost = report(real_data, TwoStageSearch.load())
    assert stars.let_through["BHB"] > stars.shares.loc["all but BHB", "both stages"]
    assert lamost.origin == stars.origin == "real"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    report(
        Path(arguments[0]),
        TwoStageSearch.load(arguments[1] if len(arguments) > 1 else None),
        arguments[2] if len(arguments) > 2 else None,
    )
