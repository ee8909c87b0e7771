"""What files give is held to the version of the reader, by which archives know what is outdated."""

import hashlib

import numpy as np
import pytest
from library_spectra import manifest

from msfa_core.spectra.readers import READER_VERSION, read_spectrum

pytestmark = pytest.mark.real
GIVEN = {
    1: "d475a4d9e911e496d2fad2dc0a84a696b851127510532f792529fff33f8362f1"
}  # digest of the LAMOST and SDSS files at hand, by version


def test_whoever_changes_what_files_give_raises_the_version(real_data):
    digest = hashlib.sha256()
    names = [name for name in manifest(real_data).index if name.startswith(("lamost/", "sdss/"))]
    assert len(names) > 300
    for name in sorted(names):
        one = read_spectrum(real_data / name)
        numbers = np.array([one.z, one.ra, one.dec, one.snr_g])
        for values in (one.flux, one.ivar, one.mask, numbers):
            digest.update(np.nan_to_num(values, nan=-1.0).astype(np.float64).tobytes())
    assert digest.hexdigest() == GIVEN[READER_VERSION], (
        "files are read otherwise than before: raise READER_VERSION, and write its digest here"
    )
