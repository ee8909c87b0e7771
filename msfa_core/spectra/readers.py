"""Read one spectrum from a file: the LAMOST layouts and SDSS (paper §II.1).

What the layouts have in common ends up in a :class:`Spectrum`; what tempts one to misread
them is settled here: the third row of the earliest files is a sub-continuum and not a wavelength,
``HELIO_RV`` is a correction already applied (unless ``HELIO`` says no) and not the star's velocity,
wavelengths may be those in air, a place may be of an older equinox, and some files carry
neither an observation number nor a signal-to-noise ratio.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import G_BAND, NO_VALUE
from msfa_core.spectra.fill_values import are_fill_values
from msfa_core.spectra.fits_astropy import astropy_units
from msfa_core.spectra.fits_bytes import BothCards, Hdu, PlainFits, card_unit
from msfa_core.spectra.fits_cards import UnusualFits
from msfa_core.spectra.header_numbers import as_number, as_redshift
from msfa_core.spectra.layouts import Content, read_layout, unit_of_cards
from msfa_core.spectra.names import identity_from_name, made_obsid, obsid_from_name
from msfa_core.spectra.noise import check_noise, denies
from msfa_core.spectra.places import place
from msfa_core.spectra.scale import check_flux, check_names, says_nothing, to_house
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spectra.unpacking import problem, read_bytes, unpacked
from msfa_core.tables.cells import clean, is_missing, number
from msfa_core.tables.identifiers import identifier
from msfa_core.tables.quantities import FASTEST_STAR, is_plausible

# House name -> header card, as written by LAMOST; the writers use the same list.
# Raised by whoever changes what a file gives, as an archive keeps it: what another version has read
# is told, and read anew when its file is ingested again.
READER_VERSION: Final = 1

META_CARDS: Final = {
    "class": "CLASS",
    "subclass": "SUBCLASS",
    "z_err": "Z_ERR",
    "data_release": "DATA_V",
    "designation": "DESIG",
    "lmjd": "LMJD",
    "planid": "PLANID",
    "spid": "SPID",
    "fiberid": "FIBERID",
    "date_obs": "DATE-OBS",  # UTC, middle of the observation
}
_ONCE: Final = (  # cards that change what a spectrum means
    *("OBSID", "RA", "DEC", "PLUG_RA", "PLUG_DEC", "EQUINOX", "RADESYS", "Z", "CLASS", "SUBCLASS"),
    *("SNRG", "VACUUM", "HELIO", "HELIO_RV", "SPECSYS", "COEFF0", "COEFF1", "BUNIT", "EXTEN0"),
)
_WHOLE_NUMBERS: Final = ("lmjd", "spid", "fiberid")
_SNR_CARDS: Final = ("SNRG", "SN_G")  # the latter before DR2
_PLAUSIBLE: Final = (1000.0, 30_000.0)  # Å; other units fall outside
_DAY_OF_MJD: Final = 678_576  # proleptic Gregorian ordinal of MJD 0
_IS_NINES: Final = re.compile(r"-?9+(\.9*0*)?").fullmatch
_NIGHTS_APART: Final = 1  # of the local night and the date in UTC
_FEWEST_GOOD: Final = 0.1  # of pixels; 0.48 among real spectra
_BRIGHTEST: Final = 1e12  # (S/N)² of a pixel: no instrument counts so many photons
_LARGEST_IVAR: Final = float(np.finfo(np.float32).max)
_NEAR_LARGEST: Final = 1e-3 * _LARGEST_IVAR


def read_spectrum(path: str | Path) -> Spectrum:
    """Read a LAMOST (low or medium resolution) or SDSS spectrum, plain or gzipped.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Spectrum
        Flux and inverse variance with the values and precision of the file. ``meta`` holds
        the layout, the header's class and identity, and the masks as stored.

    Raises
    ------
    ReadError
        When the file is damaged, of another kind, or without a usable pixel; one line with
        its name, the reason and the remedy.
    """
    path = path if isinstance(path, Path) else Path(path)
    return _spectrum_in(path, read_bytes(path))


def spectrum_of(path: str | Path, raw: bytes) -> Spectrum:
    """Read a spectrum out of an archive, as `read_spectrum` does a file.

    Parameters
    ----------
    path : str or Path
        What the file is called; its name may tell the observation.
    raw : bytes
        Its content, packed or not.
    """
    path = Path(path)
    return _spectrum_in(path, unpacked(path, raw))


def _spectrum_in(path: Path, raw: bytes) -> Spectrum:
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and inf are judged, not warned of
        try:
            return _read_units(path, PlainFits(path, raw))
        except UnusualFits:
            return _read_units(path, astropy_units(path, raw))


def _read_units(path: Path, found: Iterable[Hdu]) -> Spectrum:
    """Recognise the layout and make the spectrum."""
    primary = unit_of_cards(found)
    content = read_layout(path, primary, found)
    if content.layout == "lamost-table" and primary.card("OBSID") is None:
        primary = BothCards(content.units[0], primary)  # of tables that other programs wrote
    units = (primary, *content.units)
    is_plain = all(unit.answers(says_nothing) for unit in units)
    _check_twice(path, units)
    if not is_plain:
        check_names(path, units)
    _check(path, content)
    if not is_plain:
        check_flux(path, units)
    wavelength, done = to_house(path, primary, content, is_plain)
    if done:
        meta = {**content.meta, "wavelength_scale": done}
        content = replace(content, wavelength=wavelength, meta=meta)
    return _spectrum(path, primary, content)


def _check_twice(path: Path, units: Iterable[Hdu]) -> None:
    """Refuse a header that says one thing twice, and differently: readers take either."""
    for unit in units:
        for key in unit.twice(_ONCE):
            reason = f"its header has {key} more than once, with different values"
            raise problem(path, reason, "take out those that are wrong")


def _check(path: Path, content: Content) -> None:
    """Refuse arrays that are no spectrum."""
    wavelength, (flux, ivar, *masks) = content.wavelength, content.pixels
    if len({len(array) for array in (wavelength, flux, ivar, *masks)}) != 1 or len(flux) <= 1:
        raise problem(path, "its arrays differ in length or are empty", "download it again")
    if not (wavelength[1:] > wavelength[:-1]).all():
        if n := np.count_nonzero(np.isnan(wavelength)):
            reason = f"wavelengths do not increase: {n:,} of {len(wavelength):,} are NaN"
            raise problem(path, reason, "leave these pixels out, or download it again")
        at = int((wavelength[1:] <= wavelength[:-1]).argmax())
        reason = (
            f"wavelengths do not increase along the spectrum ({wavelength[at + 1]:.2f} Å behind "
            f"{wavelength[at]:.2f} Å at pixel {at + 1:,})"
        )
        if (wavelength[1:] < wavelength[:-1]).all():
            reason = f"wavelengths run backwards, {wavelength[0]:.1f} to {wavelength[-1]:.1f} Å"
        remedy = "reverse or sort all arrays by wavelength and leave out what comes twice, or "
        remedy += "download it again"
        raise problem(path, reason, remedy)
    if not _PLAUSIBLE[0] <= wavelength[0] <= wavelength[-1] <= _PLAUSIBLE[1]:
        reason = (
            f"wavelengths {wavelength[0]:.4g} to {wavelength[-1]:.4g} are not optical ones in Å"
        )
        raise problem(path, reason, "convert them to vacuum Å")


def _bad_pixels(path: Path, content: Content, snr_g: float) -> tuple[NDArray[np.bool_], float]:
    """(pixel,) mask and S/N in g of the pixels; a file without a usable pixel is refused."""
    flux, ivar, andmask, _ = content.pixels
    if flux.dtype.kind != "f":
        flux = flux.astype(np.float64)  # products of whole numbers overflow
    if (
        ivar.dtype != np.float32
        and (beyond := ivar > _LARGEST_IVAR).any()
        and (beyond := beyond & np.isfinite(ivar)).any()
    ):
        reason = f"its inverse variance reaches {ivar[beyond].max():.3g}, beyond single precision"
        raise problem(path, reason, "give the flux in another unit, such as 1e-17 erg/s/cm2/A")
    power = flux * ivar * flux
    usable = (ivar > 0) & (power < _BRIGHTEST) & (flux != NO_VALUE)
    if (fills := are_fill_values(flux, ivar, usable)) is not None and (usable & ~fills).any():
        usable &= ~fills
    n_usable = int(np.count_nonzero(usable))
    if not n_usable:
        reason = "no pixel has both a flux and an inverse variance"
        finite = np.isfinite(flux)
        if not finite.any():
            reason = "flux is NaN everywhere"
        elif not (ivar > 0).any():
            reason = "inverse variance is zero everywhere"
        elif (flux[finite] == NO_VALUE).all():
            reason = f"flux is {NO_VALUE:g} everywhere"
        elif (ivar < np.inf).any():
            reason = f"S/N beyond {_BRIGHTEST**0.5:,.0f} everywhere: is that the inverse variance?"
        raise problem(path, f"no usable pixel: {reason}", "download it again or leave it out")
    if content.pixel_bits:
        andmask = andmask >> content.pixel_bits
    good = usable & (andmask == 0)
    if n_usable < ivar.size:
        _check_overflow(path, ivar)
    _check_share(path, flux, n_usable, good)
    return ~good, check_noise(path, content, power, snr_g)


def _check_overflow(path: Path, ivar: NDArray[Any]) -> None:
    """Refuse an inverse variance that single precision turned to infinity in some pixels."""
    if (ivar == np.inf).any() and ivar[ivar < np.inf].max(initial=0.0) > _NEAR_LARGEST:
        reason = "its inverse variance went beyond single precision in some pixels, and is lost"
        raise problem(path, reason, "give the flux in another unit, such as 1e-17 erg/s/cm2/A")


def _check_share(path: Path, flux: NDArray[Any], n_usable: int, good: NDArray[np.bool_]) -> None:
    """Refuse a mask that leaves next to nothing, and a flux that is nowhere positive."""
    n_good = np.count_nonzero(good)
    if n_good < _FEWEST_GOOD * n_usable:
        n_marked = n_usable - n_good
        which = "each pixel" if not n_good else f"{n_marked:,} of {n_usable:,} pixels"
        reason = f"no usable pixel: its and-mask marks {which} as bad"
        remedy = "set the and-mask of good pixels to 0, or leave the file out"
        raise problem(path, reason, remedy)
    if not (flux.item(good.argmax()) > 0 or ((flux > 0) & good).any()):
        reason = "its flux is zero or negative in all good pixels"
        raise problem(path, reason, "download it again, or leave the file out")


def _spectrum(path: Path, primary: Hdu, content: Content) -> Spectrum:
    """Make the record from the arrays and the cards of the primary header."""
    flux, ivar = content.pixels.flux, content.pixels.ivar
    meta = _meta(primary, content)
    z, snr_g = meta.pop("z", None), meta.pop("snr_g", math.nan)
    if z is None:
        z = as_redshift(primary.card("Z"), "z", card_unit(primary, "Z"))
    if z > FASTEST_STAR and str(meta.get("class", "")).upper() == "STAR":
        z = math.nan  # a velocity in km/s, or a galaxy's
    noted = _not_understood(primary, z)
    for key in _SNR_CARDS:
        snr_g = snr_g if math.isfinite(snr_g) else as_number(primary.card(key))
    said = snr_g
    if not is_plausible("snr_g", snr_g):
        snr_g = math.nan
    mask, snr_pixels = _bad_pixels(path, content, snr_g)
    if not math.isfinite(snr_g) or denies(snr_pixels, snr_g):
        snr_g = median_snr_g(content.wavelength, flux, ivar, mask)
        if math.isfinite(said):
            noted.append(
                f"S/N in g is {said:g} in its header; that of its pixels, {snr_g:.3g}, was taken"
            )
    named = identity_from_name(path)
    _check_identity(path, named, meta)
    noted += _undated(meta)
    if noted:
        meta["noted"] = "; ".join(noted)
    planid = str(meta.get("planid") or (named[1] if named else ""))
    ra, dec = place(path, primary, content.layout, meta.pop("place", None), planid)
    return Spectrum(
        obsid=_obsid(path, primary, meta),
        wavelength=content.wavelength,
        flux=flux,
        ivar=ivar,
        mask=mask,
        z=z,
        ra=ra,
        dec=dec,
        snr_g=snr_g,
        file=str(path),
        meta=meta,
    )


def _not_understood(primary: Hdu, z: float) -> list[str]:
    """Return what to say of cards that hold another value than they should; sentinels say none."""
    noted = []
    if not math.isfinite(z):
        said = primary.card("Z")
        if math.isfinite(as_number(said)) and not _IS_NINES(str(said)):
            noted.append(f"Z = {said} is no shift of a star: left out (a velocity needs [km/s])")
    said = primary.card("OBSID")
    if said is not None and not isinstance(said, int) and identifier(said) is None:
        is_none = is_missing(clean(str(said))) or as_number(said) <= 0
        if not is_none:
            noted.append(f"OBSID = {said} is no whole number: it goes by the name of the file")
    return noted


def _undated(meta: dict[str, Any]) -> list[str]:
    """Take out dates on which no spectrum was taken; return what to say of them."""
    noted, night = [], meta.get("lmjd")
    if night is not None and not is_plausible("lmjd", night):
        noted.append(f"LMJD = {meta.pop('lmjd')} is no night of LAMOST: left out")
        night = None
    date = meta.get("date_obs")
    if date is None:
        return noted
    try:
        day = datetime.fromisoformat(date[:10]).toordinal() - _DAY_OF_MJD  # 12:59:60 is rounded
    except ValueError:
        day = None
    if day is None or not is_plausible("lmjd", day):
        noted.append(f"DATE-OBS = {meta.pop('date_obs')} is no date of a spectrum: left out")
    elif night is not None and abs(day - night) > _NIGHTS_APART:
        noted.append(f"DATE-OBS = {meta.pop('date_obs')} is not of the night {night}: left out")
    return noted


def _check_identity(path: Path, named: tuple[str | int, ...] | None, meta: dict[str, Any]) -> None:
    """Refuse a file whose name and header tell of two observations: one of them is wrong."""
    if named is None or meta["layout"] == "sdss":
        return
    for key, said in zip(("lmjd", "planid", "spid", "fiberid"), named, strict=True):
        card = meta.get(key)
        if card is not None and str(card).strip().upper() != str(said).upper():
            reason = f"its name says {key} {said} and its header {META_CARDS[key]} = {card}"
            raise problem(path, reason, "give it the name it had, or correct the header")


def _meta(primary: Hdu, content: Content) -> dict[str, Any]:
    """Collect what the cards say, by house names, and the masks as stored."""
    meta: dict[str, Any] = {"layout": content.layout, "resolution": "low"}
    for name, key in META_CARDS.items():
        value = primary.card(key)
        if value is None:
            continue
        if name in _WHOLE_NUMBERS:
            value = _whole(value)
        elif name == "z_err":
            value = as_redshift(value, name, card_unit(primary, key))
        else:
            value = _said(str(value))
        if value is not None:
            meta[name] = value
    meta["andmask"], meta["ormask"] = content.pixels.andmask, content.pixels.ormask
    return meta | content.meta


@lru_cache(maxsize=4096)
def _said(word: str) -> str | None:
    """Text of a card without what programs wrap around it; None for no value."""
    word = clean(word)
    return None if is_missing(word) else word


def _obsid(path: Path, primary: Hdu, meta: dict[str, Any]) -> int:
    """Return the number of the observation: the header's, else made from the identity."""
    obsid = identifier(primary.card("OBSID"))
    if obsid is not None:
        return obsid
    if meta["layout"] == "sdss":
        numbers = [_whole(primary.card(key)) for key in ("PLATEID", "MJD", "FIBERID")]
        if all(number is not None and number > 0 for number in numbers):  # no plates since SDSS-V
            return obsid_from_name("spec-{}-{}-{}".format(*numbers))
        return obsid_from_name(path)
    identity = identity_from_name(path)
    if identity is None and all(key in meta for key in ("lmjd", "planid", "spid", "fiberid")):
        identity = (meta["lmjd"], meta["planid"], meta["spid"], meta["fiberid"])
    return made_obsid(path, identity)


def median_snr_g(
    wavelength: NDArray[np.floating],
    flux: NDArray[np.floating],
    ivar: NDArray[np.floating],
    mask: NDArray[np.bool_],
) -> float:
    """Return the median of flux·sqrt(ivar) over the good pixels of the g band.

    Parameters
    ----------
    wavelength : (pixel,) array [Å]
    flux, ivar : (pixel,) array
    mask : (pixel,) bool array
        True = bad.

    Returns
    -------
    float
        NaN when no good pixel lies between 4000 and 5500 Å.
    """
    used = ~mask & (wavelength >= G_BAND[0]) & (wavelength <= G_BAND[1])
    if not used.any():
        return float("nan")
    return float(np.median(flux[used].astype(np.float64) * np.sqrt(ivar[used])))


def _whole(value: Any) -> int | None:
    """Card value as an int (some writers quote it); None when it is none."""
    if isinstance(value, str):
        read = number(value)
        value = None if read is None else value if value.strip().isdigit() else read
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
