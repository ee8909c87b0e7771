"""Damaged files of spectra: each is read right or rejected with a reason; none hangs or swells."""

import gzip
import os
import resource
import time
import warnings

import numpy as np
import pytest

from msfa_core.errors import ReadError
from msfa_core.simulate.instrument import as_spectrum_list
from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
from msfa_core.spectra.readers import read_spectrum
from msfa_core.spectra.writers import lamost_name, write_lamost

N = int(os.environ.get("MSFA_DAMAGED_SPECTRA", "300"))
LONGEST = 5.0  # s of processor time
MOST_MEMORY = 300 * 1024  # KB more than before
CARD = 80


def flipped(data, rng):
    """A few bits turned anywhere."""
    out = bytearray(data)
    for at in rng.integers(0, len(out), rng.integers(1, 9)):
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def cut(data, rng):
    return data[: int(rng.integers(0, len(data)))]


def holed(data, rng):
    """A piece left out, zeroed or repeated."""
    start = int(rng.integers(0, len(data)))
    end = min(start + int(rng.integers(1, 3000)), len(data))
    piece = (b"", bytes(end - start), data[start:end] * 2)[int(rng.integers(3))]
    return data[:start] + piece + data[end:]


def other_number(data, rng):
    """A card of a header with an absurd value: sizes, types, scales, coefficients."""
    cards = [at for at in range(0, min(len(data), 20_000), CARD) if data[at + 8 : at + 10] == b"= "]
    at = cards[int(rng.integers(len(cards)))]
    words = ("-1", "0", "99999999999", "1E308", "NaN", "T", "'x'", "", "-9999.0", "7")
    value = words[int(rng.integers(len(words)))]
    card = data[at : at + 10] + f"{value:>20}".encode()
    return data[:at] + card.ljust(CARD) + data[at + CARD :]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Bytes of a file of either layout, and the spectrum in it."""
    folder = tmp_path_factory.mktemp("whole")
    spectra = as_spectrum_list(*simulate_chunk(SurveyPlan(2, seed=2, chunk=2), 0))
    made = []
    for spectrum, layout in zip(spectra, ("lamost-table", "lamost-image"), strict=False):
        path = folder / f"{lamost_name(spectrum.meta)}.gz"
        write_lamost(spectrum, path, layout)
        made.append((gzip.decompress(path.read_bytes()), read_spectrum(path), path.name))
    return made


def is_sound(spectrum):
    """What any spectrum that was read must be."""
    n = len(spectrum.wavelength)
    return (
        n > 0
        and spectrum.flux.shape == spectrum.ivar.shape == spectrum.mask.shape == (n,)
        and bool(np.all(np.diff(spectrum.wavelength) > 0))
        and bool(np.isfinite(spectrum.wavelength).all())
        and not np.any(~spectrum.mask & ~np.isfinite(spectrum.flux))
        and not np.any(~spectrum.mask & ~(spectrum.ivar > 0))
        and 0 <= spectrum.obsid < 2**63
    )


def test_damaged_files_are_read_right_or_rejected_with_a_reason(tmp_path, originals):
    rng = np.random.default_rng(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_read = n_rejected = 0
    for k in range(N):
        data, whole, name = originals[k % len(originals)]
        damage = (flipped, cut, holed, other_number)[int(rng.integers(4))]
        is_packed = bool(rng.integers(2)) and damage is not other_number
        packed = gzip.compress(data, 1, mtime=0) if is_packed else data
        path = tmp_path / (name if is_packed else name.removesuffix(".gz"))
        path.write_bytes(damage(packed, rng))
        began = time.process_time()
        case = f"file {k}, {damage.__name__}, {'packed' if is_packed else 'plain'}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of astropy, on headers that are wrong
                found = read_spectrum(path)
        except ReadError as error:
            assert name.removesuffix(".gz") in str(error), case
            n_rejected += 1
        else:
            n_read += 1
            assert is_sound(found), case
            if is_packed:  # its checksum tells
                assert np.array_equal(found.flux, whole.flux, equal_nan=True), case
                assert found.obsid == whole.obsid, case
        assert time.process_time() - began < LONGEST, case
    assert n_read and n_rejected
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
