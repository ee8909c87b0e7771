"""What all tests share: where the real data lie, and how to say that they are missing."""

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real spectra and catalogues; the test skips, saying so, when it is missing."""
    if not REAL.is_dir():
        pytest.skip("no ../shared/real beside the project: test on real data left out")
    return REAL
