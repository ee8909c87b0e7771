"""What spectra become whose kind the template set lacks, and how often that is noticed.

Each kind is left out in turn and its templates, drawn with other continua and noise, are matched
with the rest. Noticed means a confidence below 80 %, or a χ² that one draw in a hundred of the
whole set exceeds at its S/N (a novelty for templates).

Run as a script: ``python tests/benchmarks/bench_templates_left_out.py [N]``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
from template_spectra import simulated_matches

from msfa_core.templates.kinds import kinds_of
from msfa_core.templates.library import TemplateSet
from msfa_core.templates.matching import match
from msfa_core.templates.ranking import rank

SNR = (8.0, 60.0)
Z = {"STAR": None, "GALAXY": (0.0, 0.4), "QSO": (0.5, 3.0)}
BINS = (0.0, 15.0, 25.0, 40.0, np.inf)  # of S/N, in which χ² is compared


def drawn(n, seed, templates):
    """n spectra of random templates of a set of one class or more."""
    return [
        simulated_matches(n, seed, SNR, str(cls), Z[str(cls)], templates)
        for cls in dict.fromkeys(templates.cls.tolist())
    ]


def matched(spectra, templates=None):
    """S/N, χ², confidence, subclass and class of the best match."""
    found = rank(match(spectra, templates), spectra)
    snr = np.nanmedian(spectra.flux * np.sqrt(spectra.ivar), axis=1)
    table = found.as_table()
    return pd.DataFrame(
        {
            "snr": snr, "chi2": found.chi2[:, 0], "confidence": found.confidence[:, 0],
            "class": table["template_class"], "subclass": table["template_subclass"],
        }
    )  # fmt: skip


def left_out(n=20, seed=3):
    """A row per kind: what its spectra become, and the shares that are noticed."""
    whole = TemplateSet.load()
    usual = pd.concat([matched(one) for one in drawn(6 * n, seed + 1, whole)])
    place = np.digitize(usual["snr"], BINS)
    limit = usual["chi2"].groupby(place).quantile(0.99)
    kinds, rows = np.array(kinds_of(whole)), []
    for kind in dict.fromkeys(kinds.tolist()):
        own = kinds == kind
        rest = whole.take(~own)
        found = pd.concat([matched(one, rest) for one in drawn(n, seed, whole.take(own))])
        unlike = found["chi2"].to_numpy() > limit.reindex(
            np.digitize(found["snr"], BINS)).fillna(limit.max()).to_numpy()  # fmt: skip
        low = ~(found["confidence"].to_numpy(np.float64) >= 80)
        become = (found["class"] + " " + found["subclass"].fillna("")).value_counts()
        rows.append(
            {
                "left out": kind, "n": len(found), "becomes": ", ".join(
                    f"{name} {count}" for name, count in become.head(3).items()),
                "confidence": found["confidence"].mean(), "below 80 %": low.mean(),
                "χ² unlike": unlike.mean(), "noticed": (low | unlike).mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.benchmark
def test_kinds_that_are_far_from_all_others_are_noticed_when_left_out():
    table = left_out(10).set_index("left out")
    print("\n" + table.to_string(float_format="{:.2f}".format))
    assert table.loc["QSOs", "noticed"] > 0.8


def main(n="20"):
    print(left_out(int(n)).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main(*sys.argv[1:])
