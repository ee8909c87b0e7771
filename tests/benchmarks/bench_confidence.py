"""What the confidence of a match rests on, asked of real spectra: its Gaussian, and its C by type.

``python tests/benchmarks/bench_confidence.py REAL_DATA [FIGURE.png]`` prints, of the half of the
labelled LAMOST spectra that calibrated nothing, how far the residuals of right matches are from a
Gaussian by kind and S/N (the figure shows them, quantile by quantile), and the C that makes the
agreement of labels most likely, with what resampling the spectra makes of it.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import kurtosis, norm, skew

from msfa_core.constants import CONFIDENCE_MIN
from msfa_core.templates.confidence import BLUE_WEIGHT, PERCENT, Calibration
from msfa_core.workshop.calibrate_confidence import predicted, sample

LEAST = 40  # matches of a kind that a figure is given for
LEVELS = {  # share of the S/N that is left
    "full S/N": (0.9, 1.1),
    "0.3–0.1 of it": (0.09, 0.4),
    "0.05 and less": (0.0, 0.06),
}
C = np.linspace(0.0, 1.0, 101)
BEST = np.linspace(0.7, 0.995, 60)  # share of labels that agree where nothing is wrong
N_RESAMPLED = 400
RIGHT_AT_BEST = 0.92  # share of labels that agree where nothing is wrong
MARKS = {
    "A": ("o", "#0072B2"), "F": ("s", "#D55E00"), "G": ("^", "#009E73"),
    "K": ("D", "#CC79A7"), "M": ("v", "#E69F00"),
}  # fmt: skip


def chosen(data, kind, low, high):
    """(n,) which matches are of a kind, with what is left of their S/N between two limits."""
    return (data.kind == kind) & (data.noise > low) & (data.noise < high)


def residuals(data, end):
    """(n,) log10 of the residuals of right matches at one end."""
    value = getattr(data, end)
    return np.log10(value[np.isfinite(value) & (value > 0) & data.agrees])


def shape(values):
    """Skewness, excess kurtosis, and the share beyond 3 σ (a Gaussian: 0, 0, 0.3 %)."""
    off = (values - values.mean()) / values.std()
    return skew(off), kurtosis(off), float(np.mean(np.abs(off) > 3))


def log_likelihood(data):
    """(n, c, b) log-likelihood of each match's agreement for every C and share of right labels."""
    calibration = Calibration.load()
    blue = calibration.blue.f(data.blue, data.blue_bend)[:, None]
    red = calibration.red.f(data.red, data.red_bend)[:, None]
    p = (C * blue + (1.0 - C) * red)[:, :, None] * BEST
    p = np.clip(p, 0.005, 0.995)
    return np.where(data.agrees[:, None, None], np.log(p), np.log1p(-p))


def most_likely(data, seed=7):
    """C of one kind: most likely, and the 68 % of it when spectra are drawn again."""
    of_match = log_likelihood(data)
    spectra, at = np.unique(data.spectrum, return_inverse=True)
    of_spectrum = np.zeros((len(spectra), *of_match.shape[1:]))
    np.add.at(of_spectrum, at, of_match)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(N_RESAMPLED):
        counts = np.bincount(random.integers(0, len(spectra), len(spectra)), minlength=len(spectra))
        total = np.tensordot(counts, of_spectrum, axes=1)
        found.append(C[total.max(axis=1).argmax()])
    best = C[of_spectrum.sum(axis=0).max(axis=1).argmax()]
    return best, *np.percentile(found, [16, 84])


def draw(data, path):
    """Draw quantiles of the residuals of right matches over those of a Gaussian."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for row, end in zip(panels, ("blue", "red"), strict=True):
        for axes, (words, level) in zip(row, LEVELS.items(), strict=True):
            axes.plot([-3, 3], [-3, 3], ":", color="0.5")
            for kind, (mark, colour) in MARKS.items():
                values = np.sort(residuals(data.take(chosen(data, kind, *level)), end))
                if len(values) < LEAST:
                    continue
                at = norm.ppf((np.arange(len(values)) + 0.5) / len(values))
                off = (values - values.mean()) / values.std()
                label = f"{kind} ({len(values)})"
                axes.plot(at, off, mark, ms=3, color=colour, label=label)
            axes.set_title(f"{end} end, {words}", fontsize=10)
            axes.legend(fontsize=8)
        row[0].set_ylabel("log10 residual [σ of its kind]")
    for axes in panels[1]:
        axes.set_xlabel("quantile of a Gaussian [σ]")
    figure.savefig(path, dpi=110)


def main(real_data, figure=None):
    """Print both tables; draw the figure where a path is given."""
    data = sample(real_data / "lamost")
    held = data.take(~data.calibrates)
    print("residuals of right matches, all S/N and all labelled spectra:")
    print(f"{'kind':6} {'end':5} {'left of S/N':14} {'n':>5}  skew  kurt  beyond 3σ [%]")
    for kind in "AFGKM":
        for end in ("blue", "red"):
            for words, (low, high) in LEVELS.items():
                values = residuals(data.take(chosen(data, kind, low, high)), end)
                if len(values) >= LEAST:
                    s, k, far = shape(values)
                    print(f"{kind:6} {end:5} {words:14} {len(values):5} {s:5.2f} {k:5.2f} "
                          f"{100 * far:6.1f}")  # fmt: skip
    for name, half in (("calibrating", data.take(data.calibrates)), ("held", held)):
        print(f"C by type, {name} half (default; most likely, 68 % of it):")
        for kind in "AFGKM":
            own = half.take(half.kind == kind)
            if len(own.agrees) >= LEAST:
                best, low, high = most_likely(own)
                print(f"  {kind}  {float(BLUE_WEIGHT[kind]):.2f}   {best:.2f}  {low:.2f}–{high:.2f}"
                      f"   ({len(np.unique(own.spectrum))} spectra)")  # fmt: skip
    print(
        "agreement of the held half, log-likelihood per match; share of 80 % and more, right there:"
    )
    fitted_c = {k: most_likely(data.take(data.calibrates & (data.kind == k)))[0] for k in "AFGK"}
    for words, of_kind in (("default C", {}), ("fitted C", fitted_c)):
        share = held.share.copy()
        for kind, value in of_kind.items():
            share[held.kind == kind] = value
        said = predicted(Calibration.load(), replace(held, share=share))
        p = np.clip(RIGHT_AT_BEST * said / PERCENT, 0.005, 0.995)
        gain = np.where(held.agrees, np.log(p), np.log1p(-p)).mean()
        sure = said >= float(CONFIDENCE_MIN)
        print(f"  {words:10} {gain:.3f}   {sure.mean():.3f}   {held.agrees[sure].mean():.3f}")
    if figure:
        draw(data, figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
