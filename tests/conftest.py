"""What all tests share: the real data, tiny networks, and a few simulated LAMOST files."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two processes test at once; with two threads each they take three times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no fault of the code; and a change is judged by the same examples each time,
# as long as MSFA_EXPLORE is not set: then they are new ones.
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **BUSY)
settings.register_profile("new", **BUSY)
settings.load_profile("new" if os.environ.get("MSFA_EXPLORE") else "same")
REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


def pytest_collection_modifyitems(items):
    """Begin with the modules that take long: both cores are busy to the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish():
    """Let no search for garbage look at what was imported: a second each time, to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real spectra and catalogues; the test skips, saying so, when it is missing."""
    if not REAL.is_dir():
        pytest.skip("no ../shared/real beside the project: test on real data left out")
    return REAL


@pytest.fixture(scope="session")
def has_16_bit_products() -> bool:
    """Whether the processor multiplies in 16 bits; where torch imitates it, 3 spectra take 1 s."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return any(features.get(name) for name in ("avx512bf16", "amx-bf16"))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> Path:
    """Folder of two networks with few channels and seeded weights: quick, of no other use."""
    import torch

    from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
    from msfa_core.networks.weights import (
        STAGE_CLASSES,
        STAGE_FILES,
        save_weights,
        write_checksums,
    )

    folder = tmp_path_factory.mktemp("models")
    for stage, file in STAGE_FILES.items():
        classes = list(STAGE_CLASSES[stage])
        with torch.random.fork_rng():
            torch.manual_seed(stage)
            model = MSFANet(MSFANetConfig(n_classes=len(classes), width=4))
        save_weights(model, folder / file, {"stage": stage, "classes": classes})
    write_checksums(folder)
    return folder


@pytest.fixture(scope="session")
def lamost_files(tmp_path_factory) -> Path:
    """Folder of 24 simulated LAMOST files in two plans' folders; obsid 3000000000 and on."""
    from msfa_core.simulate.instrument import as_spectrum_list
    from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
    from msfa_core.spectra.writers import lamost_name, write_lamost

    folder = tmp_path_factory.mktemp("lamost")
    spectra = as_spectrum_list(*simulate_chunk(SurveyPlan(24, seed=2, chunk=24), 0))
    for number, spectrum in enumerate(spectra):
        layout = ("lamost-table", "lamost-image")[number % 2]
        path = folder / f"plan{number % 3}" / f"{lamost_name(spectrum.meta)}.gz"
        path.parent.mkdir(exist_ok=True)
        write_lamost(spectrum, path, layout)
    return folder
