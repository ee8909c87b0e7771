"""Whether two files hold one spectrum: by place, date and content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.spectra.names import identity_from_name
from msfa_core.spectra.shards import HOUSEKEEPING
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.survey.completing import COMPLETED_WORDS

FIRST_MADE: Final = 2**52  # numbers from here on were made of a file's name
_ANOTHER_STAR: Final = 10.0  # arcsec: three times the match radius


def are_apart(one: Spectrum, other: Spectrum) -> bool:
    """Tell whether two spectra are of places too far from each other to be one star."""
    cos = np.cos(np.radians((one.dec + other.dec) / 2))
    across = (one.ra - other.ra + 180.0) % 360.0 - 180.0
    apart = np.hypot(across * cos, one.dec - other.dec) * 3600.0
    return bool(apart > _ANOTHER_STAR)


def is_another(one: Spectrum, other: Spectrum) -> bool:
    """Tell whether files of one name hold different spectra: by place, date, or content.

    Where the name tells the observation (local date, plan, spectrograph, fibre), the place alone
    counts: another release of an observation is that observation.
    """
    if are_apart(one, other):
        return True
    if identity_from_name(one.file) is not None:
        return False
    dates = [str(spectrum.meta.get("date_obs") or "") for spectrum in (one, other)]
    return dates[0] != dates[1] or not are_equal(one, other)


def are_equal(one: Spectrum, other: Spectrum) -> bool:
    """Tell whether two spectra hold the same numbers, as the archive keeps them."""
    numbers = [(s.z, s.ra, s.dec, s.snr_g) for s in (one, other)]
    words = [[str(s.meta.get(key) or "") for key in COMPLETED_WORDS] for s in (one, other)]
    return (
        one.flux.shape == other.flux.shape
        and np.array_equal(numbers[0], numbers[1], equal_nan=True)
        and words[0] == words[1]
        and np.array_equal(one.mask, other.mask)
        and np.array_equal(one.flux, other.flux, equal_nan=True)
        and np.array_equal(one.ivar, other.ivar, equal_nan=True)
        and np.allclose(one.wavelength, other.wavelength, rtol=1e-6, atol=0)
    )


def say_the_same(one: Spectrum, other: Spectrum) -> bool:
    """Tell whether equal spectra have equal warnings, too, and headers that say the same."""
    soft = [np.asarray(s.meta.get("soft_mask", s.meta.get("ormask", 0))) != 0 for s in (one, other)]
    said = [
        {
            name: value
            for name, value in spectrum.meta.items()
            if np.isscalar(value) and not pd.isna(value) and name not in HOUSEKEEPING
        }
        for spectrum in (one, other)
    ]
    return said[0] == said[1] and bool(np.all(soft[0] == soft[1]))


def difference(kept: Spectrum, other: Spectrum) -> str:
    """Return how files of one obsid differ, in words; empty where they are the same."""
    if are_apart(kept, other):
        return "they are not of one place on the sky: one obsid is wrong"
    if are_equal(kept, other):
        return ""
    return "they differ: to take it instead, put it in that one's place, by its name, and ingest it"


def number_of_content(spectrum: Spectrum) -> int:
    """Return a number made of the name, place, date and flux of a file."""
    place = f"{spectrum.ra:.5f} {spectrum.dec:.5f} {spectrum.meta.get('date_obs', '')}"
    flux = np.ascontiguousarray(spectrum.flux, dtype=np.float64).tobytes()
    key = f"content/{Path(spectrum.file).name}/{place}/".encode() + flux
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return (int.from_bytes(digest) % FIRST_MADE) | FIRST_MADE
