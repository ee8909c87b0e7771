"""Write spectra in the LAMOST layouts: simulated files and products read like observed ones.

Every array keeps its values and, in the table layout, its precision; a number in a card
keeps all its digits, so that what is read back equals what was written.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.columns import OBSERVATION
from msfa_core.constants import NO_VALUE
from msfa_core.errors import SpectrumError
from msfa_core.spectra.fits_units import (
    TEXT,
    Card,
    Field,
    big_endian,
    header_bytes,
    padded,
    table_cards,
    write_file,
)
from msfa_core.spectra.readers import META_CARDS
from msfa_core.spectra.spectrum import Spectrum

LAYOUTS: Final = ("lamost-table", "lamost-image")
_FLAGGED: Final = 1  # and-mask of a bad pixel whose reason is not known
_GZIP_LEVEL: Final = 6
_TYPES: Final = {"f4": ("E", -32), "f8": ("D", -64)}  # NumPy type -> TFORM letter, BITPIX


def lamost_name(meta: Mapping[str, Any]) -> str:
    """Return the name LAMOST gives to a file.

    Parameters
    ----------
    meta : mapping
        With ``lmjd, planid, spid, fiberid``.

    Returns
    -------
    str
        ``spec-{LMJD}-{PLANID}_sp{SPID}-{FIBERID}.fits``

    Raises
    ------
    SpectrumError
        When one of the four is missing.
    """
    missing = [key for key in OBSERVATION if meta.get(key) in (None, "")]
    if missing:
        raise SpectrumError(
            f"the name of a LAMOST file needs {', '.join(missing)} in the spectrum's meta; "
            "fill them in or choose the name yourself."
        )
    return (
        f"spec-{int(meta['lmjd'])}-{meta['planid']}"
        f"_sp{int(meta['spid']):02d}-{int(meta['fiberid']):03d}.fits"
    )


def write_lamost(spectrum: Spectrum, path: str | Path, layout: str = LAYOUTS[0]) -> Path:
    """Write a spectrum as LAMOST does, whole or not at all.

    Parameters
    ----------
    spectrum : Spectrum
    path : str or Path
        Gzipped when the name ends in ``.gz``; an existing file is replaced.
    layout : str
        ``lamost-table`` (DR8 and later) or ``lamost-image`` (DR2 to DR7), whose single data
        type is float64 as soon as one array needs it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    SpectrumError
        For another layout.
    ExportError
        When the file cannot be written; an older one of the same name is then untouched.
    """
    path = Path(path)
    if layout not in LAYOUTS:
        raise SpectrumError(f"unknown layout {layout!r}; choose {' or '.join(LAYOUTS)}.")
    content = _table_file(spectrum, path) if layout == LAYOUTS[0] else _image_file(spectrum, path)
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, _GZIP_LEVEL, mtime=0)  # same spectrum, same bytes
    write_file(path, content)
    return path


def coadd_arrays(spectrum: Spectrum) -> dict[str, NDArray[np.floating]]:
    """Return the columns of the table COADD of LAMOST DR8 and later, in their order."""
    return {
        "FLUX": _float(spectrum.flux),
        "IVAR": _float(spectrum.ivar),
        "WAVELENGTH": _float(spectrum.wavelength),
        "ANDMASK": _and_mask(spectrum),
        "ORMASK": _or_mask(spectrum),
        "NORMALIZATION": np.full(len(spectrum.flux), NO_VALUE, dtype="f4"),
    }


def coadd_fields(columns: Mapping[str, NDArray[np.floating]]) -> list[Field]:
    """Return how the columns of `coadd_arrays` are declared."""
    return [
        Field(name, f"{len(array)}{_TYPES[array.dtype.str[1:]][0]}")
        for name, array in columns.items()
    ]


def _table_file(spectrum: Spectrum, path: Path) -> bytes:
    """Empty primary unit and the table COADD of one row."""
    columns = coadd_arrays(spectrum)
    primary = [
        ("SIMPLE", True, "FITS standard"),
        ("BITPIX", 16, ""),
        ("NAXIS", 0, "no data here, see the extension"),
        ("EXTEND", True, ""),
        *lamost_cards(spectrum, path),
        ("NORM", 0, "1 if there exists a normalized spectrum"),
    ]
    row_bytes = sum(array.nbytes for array in columns.values())
    table = table_cards("COADD", coadd_fields(columns), 1, row_bytes)
    data = b"".join(big_endian(array) for array in columns.values())
    return header_bytes(primary) + header_bytes(table) + padded(data, b"\0")


def _image_file(spectrum: Spectrum, path: Path) -> bytes:
    """One image of five rows."""
    arrays = [spectrum.flux, spectrum.ivar, spectrum.wavelength]
    rows = [*map(_float, arrays), _and_mask(spectrum), _or_mask(spectrum)]
    dtype = np.result_type(*rows)
    cards = [
        ("SIMPLE", True, "FITS standard"),
        ("BITPIX", _TYPES[dtype.str[1:]][1], ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", len(spectrum.flux), ""),
        ("NAXIS2", len(rows), ""),
        ("EXTEND", True, ""),
        *lamost_cards(spectrum, path),
        ("EXTEN0", "Flux, Inverse, Wavelength, Andmask, Ormask", ""),
    ]
    data = b"".join(big_endian(row.astype(dtype)) for row in rows)
    return header_bytes(cards) + padded(data, b"\0")


def _float(array: NDArray[Any]) -> NDArray[np.floating]:
    """Return the values as float32 if that holds them exactly, else as float64."""
    if array.dtype in (np.float32, np.float64):
        return array
    short: NDArray[np.floating] = array.astype(np.float32)
    return short if np.array_equal(short, array) else array.astype(np.float64)


def _and_mask(spectrum: Spectrum) -> NDArray[np.floating]:
    """Bits that make the mask when read: those stored, and a flag for other bad pixels."""
    bits = np.asarray(spectrum.meta.get("andmask", np.zeros(len(spectrum.flux))), dtype=np.int64)
    shows = (spectrum.ivar <= 0) | ~np.isfinite(spectrum.flux)  # bad without a bit
    unexplained = spectrum.mask & (bits == 0) & ~shows
    return _float(np.where(unexplained, _FLAGGED, np.where(spectrum.mask, bits, 0)))


def _or_mask(spectrum: Spectrum) -> NDArray[np.floating]:
    """Bits of the soft warnings."""
    bits = spectrum.meta.get("ormask")
    return _and_mask(spectrum) if bits is None else _float(np.asarray(bits, dtype=np.int64))


def lamost_cards(spectrum: Spectrum, path: Path) -> list[Card]:
    """Cards LAMOST writes, as far as the spectrum knows their values."""
    meta = spectrum.meta
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    cards: list[Card] = [
        ("FILENAME", name[:TEXT], ""),
        ("OBSID", int(spectrum.obsid), "Unique number ID of this spectrum"),
        ("TELESCOP", "LAMOST", "GuoShouJing Telescope"),
        ("RA", float(spectrum.ra), "[deg] Right ascension of object"),
        ("DEC", float(spectrum.dec), "[deg] Declination of object"),
        ("VACUUM", True, "Wavelengths are in vacuum"),
    ]
    cards += [
        (card, meta[key], "") for key, card in META_CARDS.items() if meta.get(key) is not None
    ]
    log_wavelength = np.log10(spectrum.wavelength[[0, -1]].astype(np.float64))
    step = float(np.diff(log_wavelength)[0]) / (len(spectrum.wavelength) - 1)
    cards += [
        ("COEFF0", round(float(log_wavelength[0]), 6), "log10 of the first wavelength"),
        ("COEFF1", round(step, 9), "log10 dispersion per pixel"),
        ("Z", float(spectrum.z), "Redshift of object"),
        ("SNRG", float(spectrum.snr_g), "SNR of g filter"),
    ]
    return [card for card in cards if not isinstance(card[1], float) or np.isfinite(card[1])]
