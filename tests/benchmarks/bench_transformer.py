"""A spectral transformer that learns what the templates know, beside the template match.

Spectra are drawn from the shipped templates (stars, white dwarfs, subdwarfs, galaxies, QSOs), each
with another continuum, redshift and noise. One template in five of each kind is held back: both
methods meet its spectra without having seen it, and both meet the labelled real LAMOST spectra.
Accuracy against the number of spectra that the transformer learns from, and against S/N; time per
spectrum; where the two differ.

Run as a script: ``python tests/benchmarks/bench_transformer.py REAL_DATA [SIZES [STEPS]]``, sizes
as ``1000,4000,16000``: ten minutes of one processor as it stands.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

import numpy as np
import pandas as pd
import pytest
import torch
from real_lamost import labelled
from template_spectra import simulated_matches
from torch.nn import functional

from msfa_core.networks.inference import predict_logits
from msfa_core.networks.transformer import SpectralTransformer, TransformerConfig
from msfa_core.spectra.prepare import prepare
from msfa_core.templates.library import TemplateSet
from msfa_core.templates.matching import match
from msfa_core.templates.spectral_types import Family, spectral_type
from msfa_core.training.scores import wilson_interval

SNR, Z = (5.0, 100.0), {"STAR": None, "GALAXY": (0.005, 0.4), "QSO": (0.1, 3.0)}
SHARES = {"STAR": 0.8, "GALAXY": 0.1, "QSO": 0.1}
BINS = (0.0, 10.0, 20.0, 40.0, np.inf)  # of S/N
SIZES, STEPS, BATCH, RATE = "1000,4000,16000", 1000, 64, 1e-3
HELD, TESTED = 5, 1500
HALF = 5  # subtypes: A0 to A4 are one class, A5 to A9 another
OTHERS = {Family.WHITE_DWARF: "WD", Family.HOT_SUBDWARF: "HSD", Family.BHB: "BHB"}


def kind_of(cls, subclass):
    """Class and coarse subtype: QSO, GALAXY, WD, HSD, BHB, or a letter and half of its types."""
    if cls != "STAR":
        return str(cls)
    said = spectral_type(str(subclass))
    if said.family in OTHERS:
        return OTHERS[said.family]
    if not said.letter:
        return ""
    if said.letter in "OM":
        return said.letter
    return f"{said.letter}{'0–4' if said.code % 10 < HALF else '5–9'}"


def split(templates):
    """Kinds of all templates, and which are held back: every fifth of its kind."""
    kinds = np.array([kind_of(*one) for one in zip(templates.cls, templates.subclass, strict=True)])
    held = np.zeros(len(kinds), dtype=bool)
    for kind in set(kinds.tolist()) - {""}:
        held[np.flatnonzero(kinds == kind)[HELD - 1 :: HELD]] = True
    return kinds, held


def drawn(n, seed, templates):
    """Batches of spectra in the observed frame; ``obsid`` is the row of the template."""
    present = [cls for cls in SHARES if np.any(templates.cls == cls)]
    return [
        simulated_matches(round(n * SHARES[cls]), seed + k, SNR, cls, Z[cls], templates)
        for k, cls in enumerate(present)
    ]


def as_seen(spectra):
    """(n, 2430) spectra as the network gets them: nobody knows the redshift."""
    return prepare(replace(spectra, z=np.zeros(len(spectra)))).flux


def signal(spectra):
    """(n,) S/N per pixel."""
    good = np.where(spectra.ivar > 0, spectra.flux * np.sqrt(spectra.ivar), np.nan)
    return np.nanmedian(good, axis=1)


def learn(flux, label, n_classes, steps, seed=1):
    """A transformer after so many steps; ``label`` are numbers of classes."""
    torch.manual_seed(seed)
    model = SpectralTransformer(TransformerConfig(n_classes, width=64, depth=3))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    rng, model = np.random.default_rng(seed), model.train()
    for _ in range(steps):
        rows = rng.integers(0, len(flux), BATCH)
        logits = model(torch.from_numpy(flux[rows])[:, None])
        loss = functional.cross_entropy(logits, torch.from_numpy(label[rows]), label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def share(right):
    low, high = wilson_interval(int(np.sum(right)), len(right))
    return f"{np.mean(right):.3f} ({low:.3f}–{high:.3f})"


def real_spectra(real_data, names):
    """Labelled real LAMOST spectra of S/N > 10 whose kind the network has, and their kinds."""
    spectra, table = labelled(real_data, least_snr=10.0)
    kinds = np.array([kind_of(*one) for one in zip(table["class"], table["subclass"], strict=True)])
    known = np.isin(kinds, names)
    return spectra[np.flatnonzero(known)], kinds[known]


def told(truth, snr, by_match, by_network):
    """Print where the two are right, by S/N and kind, and where they differ."""
    table = pd.DataFrame({"kind": truth, "snr": pd.cut(snr, BINS, right=False)})
    table["match"], table["transformer"] = by_match == truth, by_network == truth
    for name in ("snr", "kind"):
        shares = table.groupby(name, observed=True)[["match", "transformer"]]
        print(shares.mean().assign(n=shares.size()).round(3).to_string())
    differ = table[by_match != by_network]
    agree = table[by_match == by_network]
    print(
        f"they differ on {len(differ)} of {len(table)}: the match is right on "
        f"{differ['match'].sum()}, the transformer on {differ['transformer'].sum()}; where they "
        f"agree {share(agree['match'])} are right"
    )


def main(real_data, sizes=SIZES, steps=STEPS):
    torch.set_num_threads(1)
    templates = TemplateSet.load()
    kinds, held = split(templates)
    taught = ~held & (kinds != "")
    rest, back = templates.take(taught), templates.take(held)
    names = np.unique(kinds[taught])
    test = drawn(TESTED, 90, back)
    truth = np.concatenate([kinds[held][one.obsid] for one in test])
    snr = np.concatenate([signal(one) for one in test])
    seen = np.concatenate([as_seen(one) for one in test])
    real, real_truth = real_spectra(Path(real_data), names)
    real_seen = as_seen(real)

    def matched(spectra):
        template = match(spectra, rest, k=1).template[:, 0]
        return np.where(template >= 0, kinds[taught][template], "")

    by_match = np.concatenate([matched(one) for one in test])
    began = time.process_time()
    real_match = matched(real)
    took = 1e3 * (time.process_time() - began) / len(real)
    print(f"{len(names)} kinds: {', '.join(names)}; {held.sum()} of {len(held)} held back")
    print(
        f"template match: held back {share(by_match == truth)}, "
        f"real {share(real_match == real_truth)}, {took:.1f} ms a spectrum"
    )
    right = []
    for n in map(int, str(sizes).split(",")):
        batches = drawn(n, 10, rest)
        flux = np.concatenate([as_seen(one) for one in batches])
        kind = np.concatenate([kinds[taught][one.obsid] for one in batches])
        good = np.isfinite(flux).all(axis=1)
        began = time.process_time()
        model = learn(flux[good], np.searchsorted(names, kind[good]), len(names), int(steps))
        learnt = time.process_time() - began
        began = time.process_time()
        found = names[predict_logits(model, seen).argmax(axis=1)]
        took = 1e3 * (time.process_time() - began) / len(seen)
        real_found = names[predict_logits(model, real_seen).argmax(axis=1)]
        right.append(float(np.mean(found == truth)))
        print(
            f"transformer, {n:6,} spectra, {steps} steps: held back {share(found == truth)}, "
            f"real {share(real_found == real_truth)}; "
            f"learnt in {learnt:.0f} s, {took:.1f} ms a spectrum",
            flush=True,
        )
    told(truth, snr, by_match, found)
    print("real:")
    told(real_truth, signal(real), real_match, real_found)
    return right


@pytest.mark.benchmark
@pytest.mark.real
def test_more_spectra_teach_more(real_data):
    few, more = main(real_data, "500,4000", 300)
    assert more > few


if __name__ == "__main__":
    main(*sys.argv[1:])
