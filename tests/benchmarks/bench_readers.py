"""Reading gzipped spectra, beside astropy: the same arrays and cards from the same files."""

import shutil
import statistics
import time
import warnings

import numpy as np
import pytest
from astropy.io import fits
from beside import MISSING, has_peer

from msfa_core.spectra import read_spectrum
from msfa_core.spectra.readers import META_CARDS
from msfa_core.spectra.writers import write_lamost

pytestmark = [pytest.mark.benchmark, pytest.mark.real]
ROUNDS, FILES = 5, 60
CARDS = ("OBSID", "RA", "DEC", "Z", "SNRG", "TELESCOP", "EXTEN0", *META_CARDS.values())
ROWS = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK")


def with_astropy(path):
    """Arrays in the machine's byte order, the mask, and the cards a survey needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False) as units:
            header = units[0].header
            cards = [header.get(card) for card in CARDS]
            stored = units[0].data
            if stored is None:
                stored = [units["COADD"].data[name][0] for name in ROWS]
            rows = [row.astype(row.dtype.newbyteorder("=")) for row in stored]
    return *rows, (rows[3] != 0) | (rows[1] <= 0), cards


def with_fitsio(path):
    """The same by a library over CFITSIO."""
    import fitsio

    with fitsio.FITS(str(path)) as units:
        header = units[0].read_header()
        cards = [header.get(card) for card in CARDS]
        if units[0].has_data():
            rows = units[0].read()
        else:
            row = units["COADD"].read()[0]
            rows = [row[name] for name in ROWS]
        rows = [np.asarray(one).astype(one.dtype.newbyteorder("=")) for one in rows]
    return *rows, (rows[3] != 0) | (rows[1] <= 0), cards


def seconds(function, paths):
    """CPU time of one round over the files."""
    began = time.process_time()
    for path in paths:
        function(path)
    return time.process_time() - began


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [("lamost-image", "float32"), ("lamost-image", "float64"), ("lamost-table", "float32")],
)
@pytest.mark.peer
def test_gz_reading_against_astropy(real_data, tmp_path, beside, layout, dtype):
    paths = []
    for path in sorted((real_data / "lamost").rglob("*.fits.gz")):
        spectrum = read_spectrum(path)
        if (spectrum.meta["layout"], spectrum.flux.dtype) == ("lamost-image", dtype):
            target = tmp_path / f"{len(paths):04d}.fits.gz"
            if layout == "lamost-image":
                shutil.copyfile(path, target)
            else:  # only one real file has the layout of DR8 and later
                write_lamost(spectrum, target, layout)
            paths.append(target)
    paths = paths[:FILES]
    for path in paths[::5]:
        spectrum = read_spectrum(path)
        flux, ivar, wavelength, andmask, _, mask, _ = with_astropy(path)
        assert spectrum.flux.tobytes() == flux.tobytes()
        assert spectrum.ivar.tobytes() == ivar.tobytes()
        assert spectrum.wavelength.tobytes() == wavelength.tobytes()
        assert np.array_equal(spectrum.meta["andmask"], andmask)
        assert spectrum.mask[mask].all()
        assert not flux[spectrum.mask & ~mask].any()  # the zeros in which the red arm ends
    rounds = [(seconds(with_astropy, paths), seconds(read_spectrum, paths)) for _ in range(ROUNDS)]
    peer, ours = (len(paths) / statistics.median(times) for times in zip(*rounds, strict=True))
    task, unit = f"gz FITS reading, {layout} {dtype}", "files/s"
    beside(task, "astropy", peer, ours, unit, goal=6)
    peer, note = None, MISSING
    if has_peer("fitsio"):
        peer = len(paths) / statistics.median(seconds(with_fitsio, paths) for _ in range(ROUNDS))
        note = ""
    beside(task, "fitsio", peer, ours, unit, note=note)
