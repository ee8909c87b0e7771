"""Calibrate the confidence of template matches on spectra with labels, and look at it.

``python -m msfa_core.workshop.calibrate_confidence FOLDER OUT.json FIGURE.png`` reads every LAMOST
file below FOLDER. Half of the stars (by a hash of their place on the sky) calibrate f; the other
half shows in the figure whether the confidence means what it says. Each spectrum counts several
times, with more and more noise: at full S/N hardly any match is wrong. Only numbers are kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from msfa_core.constants import Certainty, Sourced
from msfa_core.durable import write_whole
from msfa_core.errors import MsfaError, ReadError
from msfa_core.rules import OBJECT_CLASSES
from msfa_core.spectra.readers import read_spectrum
from msfa_core.spectra.spectrum import Spectra, Spectrum, as_spectra
from msfa_core.templates.confidence import (
    PERCENT,
    Calibration,
    EndCalibration,
    blue_weight,
    continuum_bend,
    weighed_residual,
)
from msfa_core.templates.matching import Matches, match
from msfa_core.templates.probability import PROBABILITY_FILE, corners, probability_right
from msfa_core.templates.read_templates import read_templates
from msfa_core.templates.spectral_types import spectral_type, subtypes_apart
from msfa_core.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)


SNR_MIN: Final = 10.0  # of spectra whose labels are relied on
NOISE_SHARES: Final = (1.0, 0.3, 0.1, 0.05, 0.025, 0.012)  # of the S/N
WITHIN: Final = 5.0  # subtypes: half a class
EDGES: Final = (0.0, 20.0, 40.0, 60.0, 70.0, 80.0, 90.0, 95.0, 100.1)  # percent
BEND_QUANTILE: Final = 0.9
BEND_WIDTH: Final = Sourced(
    0.1, "", "rms of ln continuum: arms off by a factor 2 leave a third of f", Certainty.DEFAULT
)
_SEED: Final = 11
WIDTHS: Final = (0.1, 1.0)  # dex, of f
_START: Final = (-0.5, 0.4, 3.0)  # typical, width; logit of the share of labels that agree at best
_SURE: Final = 0.005  # a probability is never nearer to 0 or 1 in the likelihood


@dataclass(frozen=True, slots=True)
class Sample:
    """Matches of labelled spectra.

    Attributes
    ----------
    blue, red : (n,) arrays
        Residuals of the best match, weighed.
    blue_bend, red_bend : (n,) arrays
        Bends of its continuum.
    share : (n,) array
        C of its template.
    agrees : (n,) bool array
        Class as labelled, and the subclass within five subtypes.
    calibrates : (n,) bool array
        Half that the calibration is made of.
    noise : (n,) array
        Share of the S/N that is left.
    kind : (n,) str array
        Letter of the spectral type of the template, else its class.
    spectrum : (n,) int array
        Which spectrum it is; of each there are several matches.
    """

    blue: FloatArray
    red: FloatArray
    blue_bend: FloatArray
    red_bend: FloatArray
    share: FloatArray
    agrees: BoolArray
    calibrates: BoolArray
    noise: FloatArray
    kind: NDArray[np.str_]
    spectrum: IntArray

    def take(self, rows: BoolArray) -> Sample:
        """Return these rows."""
        return Sample(*(getattr(self, name)[rows] for name in self.__slots__))


def is_for_calibration(ra: Iterable[float], dec: Iterable[float]) -> BoolArray:
    """(n,) which half each star is of: CRC-32 of its place to 0.001 deg, even calibrates."""
    places = (f"{a:.3f} {d:+.3f}" for a, d in zip(ra, dec, strict=True))
    return np.array([zlib.crc32(place.encode()) % 2 == 0 for place in places], dtype=bool)


def with_noise(spectra: Spectra, share: float, seed: int = _SEED) -> Spectra:
    """Return the spectra with noise added until the S/N is a share of what it was."""
    random = np.random.default_rng(seed)
    good = spectra.ivar > 0
    sigma = np.where(good, 1.0 / np.sqrt(np.where(good, spectra.ivar, 1.0)), 0.0)
    noise = sigma * np.sqrt(1.0 / share**2 - 1.0) * random.normal(size=sigma.shape)
    return replace(
        spectra,
        flux=(spectra.flux + noise).astype(np.float32),
        ivar=(spectra.ivar * share**2).astype(np.float32),
    )


def agreement(matches: Matches, cls: Sequence[str], subclass: Sequence[str]) -> BoolArray:
    """(n,) whether the best match has the class of the label, and nearly its subclass.

    Parameters
    ----------
    matches : Matches
    cls, subclass : (n,) sequences of str
        Of the labels; a star without a subclass needs the class alone.
    """
    best = np.maximum(matches.template[:, 0], 0)
    same = (matches.templates.cls[best] == np.asarray(cls)) & (matches.template[:, 0] >= 0)
    apart = subtypes_apart(list(subclass), matches.templates.subclass[best].tolist())
    near = ~(apart > WITHIN) | (np.asarray(cls) != "STAR")
    result: BoolArray = same & near
    return result


def sample(folder: str | Path) -> Sample:
    """Match the labelled spectra below a folder, with several amounts of noise.

    Raises
    ------
    ReadError
        When no spectrum there has a label and enough S/N.
    """
    spectra = [one for one in _read(folder) if one.snr_g > SNR_MIN]
    if not spectra:
        raise ReadError(f"{folder}: no spectrum with a class and S/N above {SNR_MIN:g}.")
    cls = [str(one.meta.get("class", "")).strip() for one in spectra]
    subclass = [str(one.meta.get("subclass", "")).strip() for one in spectra]
    calibrates = is_for_calibration([one.ra for one in spectra], [one.dec for one in spectra])
    batch = as_spectra(spectra)
    templates = read_templates("")
    kinds = np.array([_kind(*one) for one in zip(templates.cls, templates.subclass, strict=True)])
    parts = []
    for share in NOISE_SHARES:
        logger.info("%d spectra at %g of their S/N", len(batch), share)
        matches = match(batch if share == 1.0 else with_noise(batch, share), templates)
        found = matches.template[:, 0] >= 0
        weights = blue_weight(matches.templates.cls, matches.templates.subclass)
        weight = weights[np.maximum(matches.template[:, 0], 0)]
        blue = weighed_residual(matches.blue_residual[:, 0], matches.blue_chi2[:, 0])
        red = weighed_residual(matches.red_residual[:, 0], matches.red_chi2[:, 0])
        bends = continuum_bend(matches)
        agrees = agreement(matches, cls, subclass)
        left, number = np.full(len(batch), share), np.arange(len(batch))
        kind = kinds[np.maximum(matches.template[:, 0], 0)]
        one = Sample(
            *(blue, red, bends[0][:, 0], bends[1][:, 0], weight, agrees, calibrates, left),
            *(kind, number),
        )
        parts.append(one.take(found))
    return Sample(*(np.concatenate([getattr(p, n) for p in parts]) for n in Sample.__slots__))


def _kind(cls: str, subclass: str) -> str:
    """Return what C hangs on."""
    if cls != "STAR":
        return str(cls)
    return spectral_type(str(subclass)).letter or "other"


def _read(folder: str | Path) -> Iterable[Spectrum]:
    """Yield the labelled spectra below a folder, files in order."""
    for path in sorted(Path(folder).rglob("*.fits*")):
        try:
            one = read_spectrum(path)
        except ReadError as problem:
            logger.warning("%s", problem)
            continue
        if str(one.meta.get("class", "")).strip() in OBJECT_CLASSES:
            yield one


def predicted(calibration: Calibration, data: Sample) -> FloatArray:
    """(n,) confidence of each match of a sample [percent]."""
    blue = calibration.blue.f(data.blue, data.blue_bend)
    red = calibration.red.f(data.red, data.red_bend)
    result: FloatArray = PERCENT * (data.share * blue + (1.0 - data.share) * red)
    return result


def fitted(data: Sample, provenance: str) -> Calibration:
    """Find the f of both ends that makes the labels' agreement most likely.

    The confidence, times the share of labels that agree when nothing is wrong (it is fitted too:
    labels have errors of their own), is taken as the probability of agreement (Bernoulli
    likelihood). Both ends share a width, and the typical red residual is to the blue one as the
    residuals are in the middle. Nine in ten spectra at full S/N are bent no more than is typical.
    """
    whole = data.noise == 1.0
    bends = [
        float(np.nanquantile(bend[whole], BEND_QUANTILE))
        for bend in (data.blue_bend, data.red_bend)
    ]
    shift = float(np.nanmedian(np.log10(data.red / data.blue)))

    def calibration_of(x: FloatArray) -> Calibration:
        width = float(np.clip(np.exp(x[1]), *WIDTHS))
        blue, red = (
            EndCalibration(float(x[0]) + by, width, bend, float(BEND_WIDTH))
            for by, bend in zip((0.0, shift), bends, strict=True)
        )
        return Calibration(blue, red, provenance)

    def loss(x: FloatArray) -> float:
        best = 1.0 / (1.0 + np.exp(-x[2]))
        p = np.clip(best * predicted(calibration_of(x), data) / PERCENT, _SURE, 1.0 - _SURE)
        return -float(np.mean(np.where(data.agrees, np.log(p), np.log1p(-p))))

    start = np.array([_START[0], np.log(_START[1]), _START[2]])
    found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-4})
    made = calibration_of(found.x)
    best = PERCENT / (1.0 + np.exp(-found.x[2]))
    words = f"{provenance}; {best:.1f} % of the labels agree when nothing is wrong"
    return replace(made, provenance=words)


def reliability(confidence: FloatArray, agrees: BoolArray) -> pd.DataFrame:
    """Return the share that agrees in bins of confidence [percent]."""
    rows = []
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            row = {"from": low, "to": min(high, PERCENT), "n": int(inside.sum())}
            row["confidence"] = float(confidence[inside].mean())
            row["agrees"] = PERCENT * float(agrees[inside].mean())
            rows.append(row)
    return pd.DataFrame(rows)


def probabilities(calibration: Calibration, made: Sample) -> dict[str, object]:
    """Return the corners of what the confidence means, as JSON holds them.

    Parameters
    ----------
    calibration : Calibration
    made : Sample
        The calibrating half.
    """
    at, share = corners(predicted(calibration, made), made.agrees)
    return {
        "confidence": [round(float(one), 3) for one in at],
        "right": [round(float(one), 4) for one in share],
        "provenance": f"isotonic regression; {calibration.provenance}",
    }


def miscalibration(probability: FloatArray, agrees: BoolArray) -> float:
    """Return by how much probabilities are off, on average over tenths [percentage points].

    Parameters
    ----------
    probability : (n,) array [percent]
    agrees : (n,) bool array
    """
    tenth = np.minimum(probability // 10.0, 9.0)
    off = pd.DataFrame({"p": probability, "a": PERCENT * agrees, "tenth": tenth})
    means = off.groupby("tenth").agg(p=("p", "mean"), a=("a", "mean"), n=("p", "size"))
    return float(np.average((means["p"] - means["a"]).abs(), weights=means["n"]))


def draw(calibration: Calibration, data: Sample, path: str | Path) -> None:
    """Draw f of both ends over the residuals, and the reliability of the held half."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(14, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    made = data.take(data.calibrates)
    _draw_end(panels[0], made.blue, made.agrees, calibration.blue, "blue end, 3900–5700 Å")
    _draw_end(panels[1], made.red, made.agrees, calibration.red, "red end, 6200–8800 Å")
    held = data.take(~data.calibrates)
    table = reliability(predicted(calibration, held), held.agrees)
    share = table["agrees"] / PERCENT
    bars = PERCENT * np.sqrt(np.maximum(share * (1 - share), 0.25 / table["n"]) / table["n"])
    axes = panels[2]
    axes.plot([0, PERCENT], [0, PERCENT], ":", color="0.5", label="honest")
    mean, share = table["confidence"], table["agrees"]
    axes.errorbar(mean, share, bars, fmt="o", color="#0072B2", capsize=3)
    for row in table.itertuples():
        place = (row.confidence, row.agrees)
        axes.annotate(f"{row.n}", place, (4, -10), textcoords="offset points", fontsize=7)
    axes.set(xlabel="confidence [%]", ylabel="agrees with the label [%]", ylim=(-5, 105))
    axes.set_title(f"held half: {len(held.agrees)} matches (numbers: per bin)", fontsize=10)
    figure.savefig(path, dpi=130)


def _draw_end(
    axes: Axes, residual: FloatArray, agrees: BoolArray, end: EndCalibration, title: str
) -> None:
    bins = np.linspace(-2.6, 0.8, 35).tolist()
    log = np.log10(np.where(np.isfinite(residual), residual, 10.0))
    for inside, colour, label in ((agrees, "#0072B2", "agrees"), (~agrees, "#D55E00", "does not")):
        axes.hist(log[inside], bins, histtype="step", color=colour, label=label)
    twin = axes.twinx()
    grid = np.linspace(bins[0], bins[-1], 200)
    twin.plot(grid, end.f(10**grid), color="black")
    twin.set(ylim=(0, 1.05), ylabel="f")
    axes.set(xlabel="log10 residual (rms / continuum)", ylabel="matches, calibrating half")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write calibration and figure; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.workshop.calibrate_confidence",
        description="Calibrate the confidence of template matches on labelled spectra.",
    )
    parser.add_argument("folder", type=Path, help="LAMOST files, at any depth")
    parser.add_argument("out", type=Path, help="calibration to write, .json")
    parser.add_argument("figure", type=Path, help="picture to write, .png")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        data = sample(options.folder)
        made = data.take(data.calibrates)
        words = (
            f"{len(made.agrees)} matches of labelled LAMOST spectra (every second star, by a hash "
            f"of its place; S/N above {SNR_MIN:g}, at {', '.join(map(str, NOISE_SHARES))} of it); "
            f"agreement: class, and subclass within {WITHIN:g}"
        )
        calibration = fitted(made, words)
        text = json.dumps(calibration.as_dict(), indent=1, ensure_ascii=False) + "\n"
        write_whole(options.out, text.encode())
        curve = probabilities(calibration, made)
        text = json.dumps(curve, indent=1, ensure_ascii=False) + "\n"
        write_whole(options.out.with_name(PROBABILITY_FILE.name), text.encode())
        draw(calibration, data, options.figure)
    except MsfaError as problem:
        logger.error("%s", problem)
        return 1
    held = data.take(~data.calibrates)
    said = predicted(calibration, held)
    probability = PERCENT * probability_right(said, options.out.with_name(PROBABILITY_FILE.name))
    for what, value in (("confidence", said), ("probability", probability)):
        table = reliability(value, held.agrees).to_string(index=False, float_format="{:.1f}".format)
        off = miscalibration(value, held.agrees)
        logger.info("held half, %s (off by %.1f points):\n%s", what, off, table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
