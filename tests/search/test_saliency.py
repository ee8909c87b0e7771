"""Saliency: complete, on the lines, and what it points at matters more than anything else."""

import numpy as np
import pytest
import torch
from library_spectra import at_lamost, library_stars, read_miles
from pytest import approx
from torch import nn

from msfa_core.constants import NETWORK_GRID
from msfa_core.errors import ModelError
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.search.saliency import by_line, continuum_of, replaced, saliency
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra import prepare
from msfa_core.spectra.spectrum import PreparedSpectra

WAVELENGTH = NETWORK_GRID.wavelength
BALMER = (4102.9, 4341.7, 4862.7, 6564.6)
SHARE = 0.05


def spectra(n, noise=0.01, seed=1):
    """Sloped continua with Balmer lines, and the continua that they were made of."""
    rng = np.random.default_rng(seed)
    continuum = 1 + rng.uniform(-0.4, 0.4, (n, 1)) * (WAVELENGTH - 5500) / 1500
    lines = np.ones_like(continuum)
    for line in BALMER:
        width = rng.uniform(8, 25, (n, 1))
        lines = lines * (1 - 0.6 * np.exp(-(((WAVELENGTH - line) / width) ** 2)))
    flux = continuum * lines + rng.normal(0, noise, (n, len(WAVELENGTH)))
    low, height = flux.min(axis=1, keepdims=True), np.ptp(flux, axis=1, keepdims=True)
    prepared = PreparedSpectra(np.arange(n), ((flux - low) / height).astype(np.float32))
    return prepared, (continuum - low) / height


def small_network(n_classes=5):
    torch.manual_seed(3)
    model = MSFANet(MSFANetConfig(n_classes=n_classes, width=8))
    with torch.no_grad():
        model.fc.weight.normal_(0, 0.5)
    return model.eval()


class DepthOf(nn.Module):
    """A network whose second output is the depth at one wavelength, and nothing else."""

    def __init__(self, pixel):
        super().__init__()
        self.pixel, self.gain = pixel, nn.Parameter(torch.tensor(-3.0))

    def forward(self, x):
        depth = self.gain * x[:, 0, self.pixel]
        return torch.stack([torch.zeros_like(depth), depth], dim=1)


@pytest.mark.parametrize("noise", [0.003, 0.05])
def test_the_continuum_runs_above_the_lines_and_through_the_noise(noise):
    prepared, truth = spectra(8, noise)
    found = continuum_of(prepared.flux)
    assert np.abs(found - truth).max() < 0.06
    assert np.median(np.abs(found - truth)) < 0.012


def test_attributions_add_up_to_the_difference_that_the_lines_make():
    prepared, _ = spectra(2, noise=0.003)
    for target in (None, 2):
        found = saliency(small_network(), prepared, target, 0.7, steps=96)
        difference = found.log_odds - found.log_odds_of_continuum
        assert np.abs(difference).min() > 0.005
        incomplete = found.attribution.sum(axis=1) - difference
        assert np.abs(incomplete).max() < 0.08 * np.abs(difference).max()


def test_log_odds_are_those_of_the_calibrated_probability():
    prepared, _ = spectra(3)
    model = small_network()
    with torch.no_grad():
        p = torch.softmax(model(torch.from_numpy(prepared.flux)[:, None]) / 0.5, dim=1).numpy()
    found = saliency(model, prepared, None, 0.5, steps=1)
    assert found.target.tolist() == p.argmax(axis=1).tolist()
    best = p.max(axis=1)
    assert found.log_odds == approx(np.log(best / (1 - best)), abs=1e-4)


def test_the_only_pixel_that_a_network_looks_at_gets_all_the_credit():
    prepared, _ = spectra(3)
    pixel = int(np.searchsorted(WAVELENGTH, BALMER[1]))
    found = saliency(DepthOf(pixel), prepared, 1, steps=4)
    assert np.abs(np.delete(found.attribution, pixel, axis=1)).max() == 0
    expected = 3.0 * (found.continuum - prepared.flux)[:, pixel]
    assert found.attribution[:, pixel] == approx(expected, rel=1e-4)
    assert most_salient(found.attribution, 9 / 2430)[:, pixel].all()


@pytest.mark.parametrize(
    ("wavelength", "name"), [(4341.7, "Hγ"), (4380.0, "Hγ"), (4472.0, "He I 4471")]
)
def test_what_a_line_did_is_said_of_that_line(wavelength, name):
    prepared, _ = spectra(1)
    network = DepthOf(int(np.abs(WAVELENGTH - wavelength).argmin()))
    said = saliency(network, prepared, target=1)
    did = by_line(said)
    assert next(iter(did)) == name
    assert did[name] == approx(said.attribution[0].sum())
    assert all(amount == 0 for other, amount in did.items() if other != name)


def test_a_spectrum_that_could_not_be_prepared_is_explained_by_nan():
    prepared, _ = spectra(3)
    prepared.flux[1, 7] = np.nan
    found = saliency(small_network(2), prepared, 0, steps=2)
    assert found.target.tolist() == [0, -1, 0]
    assert np.isnan(found.attribution[1]).all() and np.isfinite(found.attribution[[0, 2]]).all()
    none = PreparedSpectra(np.empty(0, np.int64), np.empty((0, 2430), np.float32))
    assert saliency(small_network(), none).attribution.shape == (0, 2430)


def test_an_explanation_leaves_no_gradients_in_the_network():
    model = small_network()
    saliency(model, spectra(1)[0], steps=2)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_explained_is_refused():
    prepared, _ = spectra(1)
    with pytest.raises(ModelError, match="no output 5"):
        saliency(small_network(), prepared, 5)
    with pytest.raises(ModelError, match="must be positive"):
        saliency(small_network(), prepared, steps=0)


def most_salient(attribution, share, width=9):
    """The same number of pixels of each row that spoke loudest, a line with all of its pixels."""
    half = width // 2
    padded = np.pad(np.abs(attribution), ((0, 0), (half, half)))
    summed = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).sum(axis=2)
    n_marked = max(1, round(share * attribution.shape[1]))
    order = np.argsort(-summed, axis=1, kind="stable")[:, :n_marked]
    marked = np.zeros(attribution.shape, dtype=bool)
    np.put_along_axis(marked, order, True, axis=1)
    return marked


def change_of_probability(search, prepared, stage, rng, n_random=6):
    """Mean |Δp| when salient pixels are masked, as many random ones, and windows elsewhere."""
    found = search.explain(prepared, stage)
    salient = most_salient(found.attribution, SHARE)

    def probability(flux):
        said = search.classify(PreparedSpectra(prepared.obsid, flux))
        if stage == 2:
            return said.p_bhb
        return said.class_probability[np.arange(len(flux)), found.target]

    before = probability(prepared.flux)

    def change(pixels):
        flux = replaced(prepared.flux, found.continuum, pixels)
        return np.abs(probability(flux) - before).mean()

    scattered = [rng.permuted(salient, axis=1) for _ in range(n_random)]
    windows = [np.roll(salient, rng.integers(100, 2330), axis=1) for _ in range(n_random)]
    return (
        change(salient),
        np.mean([change(pixels) for pixels in scattered]),
        np.mean([change(pixels) for pixels in windows]),
    )


def assert_salient_pixels_matter_most(search, prepared, stage):
    salient, scattered, windows = change_of_probability(
        search, prepared, stage, np.random.default_rng(stage)
    )
    assert salient > 2 * scattered
    assert salient > 1.5 * windows
    assert salient > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
def test_masking_what_spoke_changes_the_answer_on_simulated_stars(stage):
    plan = SurveyPlan(8, seed=911, counts={"BHB": 4, "A": 2, "B": 2}, snr_range=(20, 100))
    stars, _ = simulate_chunk(plan, 0)
    search = TwoStageSearch.load()
    assert_salient_pixels_matter_most(search, prepare(stars), stage)


@pytest.mark.real
@pytest.mark.slow
def test_masking_what_spoke_changes_the_answer_on_real_stars(real_data):
    rng = np.random.default_rng(12)
    paths = library_stars(real_data, "miles", "BHB")[:4]
    paths += library_stars(real_data, "miles", "A")[::10]
    stars = prepare([at_lamost(read_miles(path), 40, rng) for path in paths])
    assert_salient_pixels_matter_most(TwoStageSearch.load(), stars, 1)
