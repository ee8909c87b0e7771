"""The layouts of LAMOST and SDSS files: where each keeps flux, wavelength and masks."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msfa_core.spectra.fits_bytes import BothCards, Hdu
from msfa_core.spectra.fits_cards import UnusualFits
from msfa_core.spectra.header_numbers import as_degrees, as_number
from msfa_core.spectra.unpacking import problem
from msfa_core.tables.cells import clean, is_missing

_IMAGE_ROWS: Final = ("flux", "inverse variance", "wavelength", "and-mask", "or-mask")
_SDSS_PIXEL_BITS: Final = 16  # bits below tell of the whole fibre, not of the pixel
_SDSS_G: Final = 1  # of SN_MEDIAN in u, g, r, i, z
_SDSS_PLACES: Final = (("PLUG_RA", "PLUG_DEC"), ("RACAT", "DECCAT"), ("FIBER_RA", "FIBER_DEC"))
_ARMS: Final = ("B", "R")  # of the medium-resolution survey
_EXPOSURES: Final = ("COADD_B", "COADD_R", "B-", "R-")  # beginnings of the names of its units
_BAD_PIXELS: Final = (  # columns that are 0 where a pixel is good, the first one counts
    *("ANDMASK", "AND_MASK", "PIXMASK", "MASK", "QUALITY", "QUAL", "DQ", "BPM", "BADPIX"),
)
_OF_LAMOST: Final = ("ANDMASK", "AND_MASK", "ORMASK", "OR_MASK")
_MOST_BAD: Final = 0.5  # of the pixels, by a mask of 0 and 1 whose meaning is not known
_SHOWN: Final = 8  # columns named in a message
_FIRST: Final = 8  # pixels looked at before all
_TELLING: Final = 50  # pixels: no flux of so many rises throughout
_LENGTHS: Final = {  # Å
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 10.0),
    **dict.fromkeys(("um", "micron", "microns", "µm", "μm"), 1e4),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 1e4),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e10),
    "cm": 1e8,
    "mm": 1e7,
    "pm": 1e-2,
}
_IN_ANGSTROMS: Final = re.compile(  # and what is no unit
    r"|.*(ang|ång).*|aa?|å|å|0?\.1\s*nm|1e-10\s*m|10\*?\*?\^?\(?-10\)?\s*m|vac\w*|air|none|-+|unitless"
)
_GIVE_A_SPECTRUM: Final = (
    "give a LAMOST or SDSS spectrum, or write yours as a table with the columns FLUX, IVAR (1/σ²) "
    "and WAVELENGTH (vacuum Å)"
)
_SAME_STEP: Final = 0.01  # of steps that two cards give
_SAME_WAVELENGTH: Final = 1e-5  # of ratios: single precision has 1e-7
_SAME_START: Final = 1e-5  # of logarithms: a tenth of a pixel
_LINEAR: Final = 100.0  # a first pixel beyond is no logarithm


class Pixels(NamedTuple):
    """What a file stores pixel by pixel, in the machine's byte order and the file's precision."""

    flux: NDArray[Any]
    ivar: NDArray[Any]
    andmask: NDArray[np.integer]
    ormask: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Content:
    """What a layout gives.

    Attributes
    ----------
    layout : str
        As in ``Spectrum.meta["layout"]``.
    wavelength : (pixel,) array [Å, vacuum]
    pixels : Pixels
    meta : dict
        What the tables of the file say of the object, by house names.
    pixel_bits : int
        Bits of the masks below this one say nothing of single pixels.
    units : tuple of Hdu
        Tables that hold the wavelengths, besides the primary unit.
    """

    layout: str
    wavelength: NDArray[Any]
    pixels: Pixels
    meta: dict[str, Any] = field(default_factory=dict)
    pixel_bits: int = 0
    units: tuple[Hdu, ...] = ()


def read_layout(path: Path, primary: Hdu, units: Iterable[Hdu]) -> Content:
    """Recognise the layout of a file and find its arrays.

    Parameters
    ----------
    path : Path
        For messages.
    primary : Hdu
    units : iterable of Hdu
        All units, the primary one included.

    Raises
    ------
    ReadError
        When the file follows none of the layouts.
    """
    image = primary.image
    if image is not None:
        return _lamost_image(path, primary, image)
    seen: list[Hdu] = []
    for unit in units:
        seen.append(unit)
        names = unit.columns
        if unit.name not in ("COADD", "") or "FLUX" not in names or "IVAR" not in names:
            continue
        if "WAVELENGTH" in names:
            _check_alone(path, unit, units)
            wavelength = _in_angstroms(path, unit)
            return Content("lamost-table", wavelength, _columns(path, unit), units=(unit,))
        if "LOGLAM" in names:
            return _sdss(path, unit, units)
    exposures = [
        unit
        for unit in seen
        if {"FLUX", "IVAR"} <= set(unit.columns) and {"LOGLAM", "WAVELENGTH"} & set(unit.columns)
    ]
    if any(unit.name.startswith(_EXPOSURES) for unit in exposures):
        return _lamost_medium(path, exposures)
    if any("V_RAD" in unit.columns for unit in exposures):
        reason = "is a star of SDSS-V (mwmStar): its wavelengths are at rest (V_RAD was taken off)"
        raise problem(path, reason, "give its spec-FIELD-MJD-CATALOGID.fits")
    if len(exposures) == 1 and "WAVELENGTH" in exposures[0].columns:  # under another name
        unit = exposures[0]
        wavelength = _in_angstroms(path, unit)
        return Content("lamost-table", wavelength, _columns(path, unit), units=(unit,))
    if exposures:
        names = ", ".join(unit.name or "(nameless)" for unit in exposures)
        reason = f"cannot tell which of its tables is the spectrum ({names})"
        raise problem(path, reason, "call it COADD, or leave the others out")
    found = [", ".join(unit.columns[:_SHOWN]) for unit in seen if unit.columns]
    raise problem(
        path,
        "no table with the columns FLUX, IVAR and WAVELENGTH (LAMOST) or LOGLAM (SDSS); "
        f"it has {' | '.join(found) if found else 'no table at all'}",
        _GIVE_A_SPECTRUM,
    )


def _check_alone(path: Path, unit: Hdu, units: Iterable[Hdu]) -> None:
    """Refuse a file of two spectra, and a table that says its wavelengths twice, and differs."""
    same = [one for one in units if one.name == unit.name and set(unit.columns) == set(one.columns)]
    if len(same) > 1:
        reason = f"holds {len(same)} tables {unit.name or 'without a name'} of a spectrum"
        raise problem(path, reason, "write each as a file of its own, with its obsid")
    if "LOGLAM" in unit.columns:
        apart = np.abs(_loglam(path, unit) / _in_angstroms(path, unit) - 1.0)
        if not np.nanmax(apart, initial=0.0) < _SAME_WAVELENGTH:
            raise problem(path, "WAVELENGTH and LOGLAM differ", "take out the column that is wrong")


def unit_of_cards(units: Iterable[Hdu]) -> Hdu:
    """Return the unit whose cards tell of the spectrum: the primary one, or its packed image."""
    found = iter(units)
    primary = next(found)
    if primary.image is not None:
        return primary
    unit = next(found, None)
    if unit is None:
        return primary
    if unit.card("ZIMAGE") is True and unit.columns:  # a compressed image, not yet unpacked
        raise UnusualFits("compressed image")
    image = unit.image
    if image is None or image.ndim != len(("row", "pixel")) or len(image) != len(_IMAGE_ROWS):
        return primary
    return BothCards(primary, unit)


def _lamost_image(path: Path, primary: Hdu, image: NDArray[Any]) -> Content:
    """Rows flux, inverse variance, wavelength *or sub-continuum*, and-mask, or-mask."""
    if "SDSS" in str(primary.card("TELESCOP")).upper():
        reason = "is an SDSS file in the layout before DR8 (spSpec)"
        raise problem(path, reason, "download it as spec-PLATE-MJD-FIBER.fits")
    if image.ndim != len(("row", "pixel")) or len(image) != len(_IMAGE_ROWS):
        shape = " × ".join(map(str, image.shape))
        reason = f"holds an image of {shape} pixels, a LAMOST spectrum has {len(_IMAGE_ROWS)} × N"
        raise problem(path, reason, _GIVE_A_SPECTRUM)
    flux, ivar, third, andmask, ormask = native(image)
    if len(flux) > _TELLING and _is_monotonic(flux):
        reason = "the first row of its image is no flux: it rises or falls throughout"
        raise problem(path, reason, f"order the rows as {', '.join(_IMAGE_ROWS)}")
    pixels = Pixels(flux, ivar, _bits(andmask), _bits(ormask))
    for name, row, bits in zip(_IMAGE_ROWS[3:], (andmask, ormask), pixels[2:], strict=True):
        if (row == bits).all():
            continue
        parts = np.mod(row[np.isfinite(row)], 1.0)  # of packed bits few, of numbers all differ
        if parts.any() and len(np.unique(parts)) > len(row) // 2:
            reason = f"the row of its image that should be the {name} holds no whole numbers"
            raise problem(path, reason, f"order the rows as {', '.join(_IMAGE_ROWS)}")
    rows = str(primary.card("EXTEN0")).lower()
    if "wavelength" in rows or ("subcontinuum" not in rows and _is_monotonic(third)):
        return Content("lamost-image", third, pixels)
    first, step = as_number(primary.card("COEFF0")), as_number(primary.card("COEFF1"))
    if not (np.isfinite(first) and np.isfinite(step)):
        reason = "has neither a wavelength row nor the cards COEFF0 and COEFF1"
        raise problem(path, reason, "download it again or give another release of the file")
    wavelength = _log_linear(_first_pixel(path, primary, first, step), step, len(flux))
    return Content("lamost-image-subcontinuum", wavelength, pixels)


def _first_pixel(path: Path, primary: Hdu, first: float, step: float) -> float:
    """Return the logarithm of the first wavelength, of cut files too.

    Whoever cuts pixels off (IRAF's imcopy) moves CRPIX1, the pixel of CRVAL1, and leaves COEFF0.
    """
    reference = as_number(primary.card("CRPIX1"))
    _check_scale(path, primary, first, step)
    if not np.isfinite(reference) or reference == 1.0:
        return float(first)
    if as_number(primary.card("CRVAL1")) != first:
        reason = (
            f"COEFF0 = {first:g} is not CRVAL1, and CRPIX1 = {reference:g} says that it was cut"
        )
        raise problem(path, reason, "give the file as it was downloaded")
    return float(first + (1.0 - reference) * step)


def _check_scale(path: Path, primary: Hdu, first: float, step: float) -> None:
    """Refuse a header whose two scales differ: whoever bins pixels changes one of them."""
    keys = [key for key in ("CD1_1", "CDELT1") if primary.card(key) not in (None, 0, 1)][:1]
    doubts = [
        (key, "COEFF1", abs(as_number(primary.card(key)) / step - 1) > _SAME_STEP) for key in keys
    ]
    if as_number(primary.card("CRPIX1")) in (1.0, 0.0):
        begins = as_number(primary.card("CRVAL1"))
        doubts.append(("CRVAL1", "COEFF0", abs(begins - first) > _SAME_START))
    if as_number(primary.card("CRVAL1")) > _LINEAR:  # the cards of another, linear scale
        return
    for key, other, differs in doubts:
        if differs:
            reason = f"{key} = {primary.card(key)} and {other} = {primary.card(other)} contradict"
            raise problem(
                path,
                f"{reason} each other: its pixels were binned or shifted",
                "give the file as it was downloaded",
            )


@lru_cache(maxsize=64)
def _log_linear(first: float, step: float, n_pixels: int) -> NDArray[np.float64]:
    """(pixel,) wavelengths [Å]; shared by all spectra of one sampling, thus read-only."""
    with np.errstate(over="ignore"):
        wavelength: NDArray[np.float64] = np.power(10.0, first + np.arange(n_pixels) * step)
    wavelength.setflags(write=False)
    return wavelength


def _is_monotonic(values: NDArray[Any]) -> bool:
    """Whether the values rise or fall throughout, as wavelengths do."""
    if len(values) <= 1:
        return True
    if values.item(1) - values.item(0) <= 0:
        values = values[::-1]
    first = values[: _FIRST + 1].tolist()  # few pixels tell a flux
    if not all(map(operator.lt, first, first[1:])):
        return False
    return bool((values[1:] > values[:-1]).all())


def _numbers(path: Path, unit: Hdu, name: str) -> NDArray[Any]:
    """Return a column of numbers in the byte order of the machine."""
    values = unit.column(name)
    if values.dtype.kind not in "fiub":
        raise problem(path, f"column {name} does not hold numbers", _GIVE_A_SPECTRUM)
    rows = unit.card("NAXIS2")
    if isinstance(rows, int) and 1 < rows < len(values):
        reason = f"holds {rows:,} spectra in one table (column {name} has an array in each row)"
        raise problem(path, reason, "write each row as a file of its own, with its obsid")
    return native(values)


def _in_angstroms(path: Path, unit: Hdu) -> NDArray[Any]:
    """Column WAVELENGTH [Å], of which the file may say another unit."""
    wavelength = _numbers(path, unit, "WAVELENGTH")
    said = str(unit.card(f"TUNIT{list(unit.columns).index('WAVELENGTH') + 1}") or "")
    factor = _in_length(said)
    if factor == 1.0:
        return wavelength
    if factor is None:
        reason = f"the unit of its wavelengths is {said.strip()!r}, which is no known length"
        raise problem(path, reason, "convert them to vacuum Å, unit Angstrom")
    return wavelength.astype(np.float64) * factor


@lru_cache(maxsize=64)
def _in_length(unit: str) -> float | None:
    """Return a unit of wavelengths [Å]; 1 where it is no other, None where it is no length."""
    word = re.sub(r"\s*\(.*\)\s*$|'", "", unit).strip().lower()
    if _IN_ANGSTROMS.fullmatch(word) or "angstrom" in unit.lower():
        return 1.0
    return _LENGTHS.get(word)


def _columns(path: Path, unit: Hdu) -> Pixels:
    """Flux, inverse variance, and-mask and or-mask; a mask that is missing is zero."""
    flux, ivar = _numbers(path, unit, "FLUX"), _numbers(path, unit, "IVAR")
    masks = []
    for names in (_BAD_PIXELS, ("ORMASK", "OR_MASK", "PIXMASK")):
        found = [_mask(path, unit, name) for name in names if name in unit.columns]
        masks.append(_bits(found[0]) if found else np.zeros(flux.shape, dtype=np.int32))
    return Pixels(flux, ivar, *masks)


def _mask(path: Path, unit: Hdu, name: str) -> NDArray[Any]:
    """Return a column that is 0 where a pixel is good; others than LAMOST's may count good ones."""
    values = _numbers(path, unit, name)
    if name in _OF_LAMOST or not np.isin(values, (0, 1)).all():
        return values
    n_marked = np.count_nonzero(values)
    if n_marked > _MOST_BAD * len(values):
        reason = f"{name} is 1 in {n_marked:,} of {len(values):,} pixels, as if it marked good ones"
        raise problem(path, reason, "give ANDMASK instead, 0 where a pixel is good")
    return values


def _bits(values: NDArray[Any]) -> NDArray[np.integer]:
    """Mask values as integers; what is no number becomes a bit, thus bad."""
    return values if values.dtype.kind in "iu" else values.astype(np.int32)


def _loglam(path: Path, unit: Hdu) -> NDArray[np.float64]:
    """(pixel,) wavelengths [Å] from their decimal logarithms."""
    logarithm = _numbers(path, unit, "LOGLAM").astype(np.float64)
    with np.errstate(over="ignore"):  # nonsense becomes infinite and is refused later
        wavelength: NDArray[np.float64] = np.power(10.0, logarithm)
    return wavelength


def _sdss(path: Path, unit: Hdu, units: Iterable[Hdu]) -> Content:
    """Co-added SDSS spectrum; the row about the object is in SPECOBJ or SPALL."""
    meta: dict[str, Any] = {}
    for other in units:
        if "CLASS" in other.columns and "SUBCLASS" in other.columns:
            meta = _sdss_object(other)
            break
    pixels = _columns(path, unit)
    is_lamost = "LAMOST" in str(next(iter(units)).card("TELESCOP")).upper()  # written anew
    bits = 0 if is_lamost or "MASK" in unit.columns else _SDSS_PIXEL_BITS  # MASK is not of SDSS
    return Content("sdss", _loglam(path, unit), pixels, meta, bits, (unit,))


def _sdss_object(unit: Hdu) -> dict[str, Any]:
    """Class, subclass, shift and S/N of the row about the object."""
    meta: dict[str, Any] = {}
    if not len(unit.column("CLASS")):
        return meta
    for key in ("CLASS", "SUBCLASS"):
        text = unit.column(key)[0]
        text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
        if not is_missing(clean(text)):
            meta[key.lower()] = clean(text)
    for key, name in (("Z", "z"), ("Z_ERR", "z_err")):
        if key in unit.columns:
            meta[name] = as_number(unit.column(key)[0], name)
    for across, up in _SDSS_PLACES:
        if {across, up} <= set(unit.columns):
            meta["place"] = tuple(
                as_degrees(float(unit.column(key)[0]), name)
                for key, name in ((across, "ra"), (up, "dec"))
            )
            break
    if "SN_MEDIAN" in unit.columns and len(unit.column("SN_MEDIAN")) > _SDSS_G:
        meta["snr_g"] = as_number(unit.column("SN_MEDIAN")[_SDSS_G])
    return meta


def _lamost_medium(path: Path, units: Sequence[Hdu]) -> Content:
    """Blue and red arm joined: the co-added spectrum of each, else its best exposure."""
    chosen = []
    for arm in _ARMS:
        coadd = [unit for unit in units if unit.name.startswith(f"COADD_{arm}")]
        single = [unit for unit in units if unit.name.startswith(f"{arm}-")]
        if coadd:
            chosen.append(coadd[0])
        elif single:
            chosen.append(max(single, key=partial(_exposure_quality, path)))
    parts = []
    reached = 0.0
    for unit in chosen:
        has_log = "LOGLAM" in unit.columns
        wavelength = _loglam(path, unit) if has_log else _in_angstroms(path, unit)
        beyond = wavelength > reached  # where the arms overlap, the blue one counts
        reached = max(reached, float(wavelength.max(initial=0.0)))
        parts.append([array[beyond] for array in (wavelength, *_columns(path, unit))])
    wavelength, *pixels = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    how = f"{' and '.join(unit.name for unit in chosen)} joined by wavelength"
    meta = {"resolution": "medium", "assembled": how}
    return Content("lamost-medium", wavelength, Pixels(*pixels), meta, units=tuple(chosen))


def _exposure_quality(path: Path, unit: Hdu) -> float:
    """Median signal-to-noise ratio of an exposure."""
    flux, ivar, *_ = _columns(path, unit)
    used = (ivar > 0) & np.isfinite(flux)
    return float(np.median(flux[used] * np.sqrt(ivar[used]))) if used.any() else 0.0


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the byte order of the machine, their precision kept."""
    return values.astype(values.dtype.newbyteorder("="))
