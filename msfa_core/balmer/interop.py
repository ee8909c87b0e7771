"""Batches out of whatever holds spectra: the house records or specutils."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import SIGMA_OF_MAD
from msfa_core.errors import SpectrumError
from msfa_core.spectra.spectrum import Spectra, Spectrum

if TYPE_CHECKING:
    import specutils

PIECE: Final = 256  # rows that a kernel measures at a time
_DER_SNR: Final = np.sqrt(6.0)  # of 2f(i) − f(i−2) − f(i+2), Stoehr et al. 2008


def as_batches(spectra: Any) -> list[tuple[NDArray[np.int64], Spectra]]:
    """Return batches that share a wavelength grid, with the rows they come from.

    Nothing is interpolated: single spectra keep their own wavelengths, and those that
    have the same form one batch.

    Raises
    ------
    SpectrumError
        When ``spectra`` is none of the known kinds.
    """
    if isinstance(spectra, Spectra):
        return [(np.arange(len(spectra)), spectra)]
    if isinstance(spectra, Spectrum):
        spectra = [spectra]
    elif _is_specutils(spectra):
        spectra = from_specutils(spectra)
    if not isinstance(spectra, Sequence) or isinstance(spectra, str):
        raise SpectrumError(
            f"cannot take spectra from {type(spectra).__name__}; give Spectra, a Spectrum, a "
            "sequence of them, or a specutils Spectrum."
        )
    singles: list[Spectrum] = []
    for item in spectra:
        if isinstance(item, Spectrum):
            singles.append(item)
        elif _is_specutils(item):
            singles += from_specutils(item, first=len(singles))
        else:
            raise SpectrumError(f"row {len(singles)} is a {type(item).__name__}, not a Spectrum.")
    groups: dict[bytes, list[int]] = {}
    for row, single in enumerate(singles):
        groups.setdefault(np.asarray(single.wavelength, np.float64).tobytes(), []).append(row)
    return [
        (np.array(rows, dtype=np.int64), _stack([singles[row] for row in rows]))
        for rows in groups.values()
    ]


def in_pieces(
    batches: list[tuple[NDArray[np.int64], Spectra]],
) -> Iterator[tuple[NDArray[np.int64], Spectra]]:
    """Yield the same rows, few at a time: kernels take copies, whose memory stays bounded."""
    for rows, batch in batches:
        for start in range(0, len(rows), PIECE):
            piece = slice(start, start + PIECE)
            yield rows[piece], batch[piece]


def plain_arrays(batch: Spectra) -> tuple[NDArray[Any], ...]:
    """Return wavelength, flux, ivar, mask and z as the compiled kernels take them.

    All but the mask are float64 and can be written to, whatever the spectra hold, so that one
    compiled version serves them all: a second one would cost seconds at the first start.
    """
    return (
        np.require(batch.wavelength, np.float64, ["C", "W"]),
        np.require(batch.flux, np.float64, ["C", "W"]),
        np.require(batch.ivar, np.float64, ["C", "W"]),
        np.require(batch.mask, np.bool_, ["C", "W"]),
        np.require(batch.z, np.float64, ["C", "W"]),
    )


def _stack(singles: list[Spectrum]) -> Spectra:
    """One batch of spectra that share their wavelengths."""
    return Spectra(
        obsid=np.array([s.obsid for s in singles], dtype=np.int64),
        wavelength=np.asarray(singles[0].wavelength, dtype=np.float64),
        flux=np.stack([s.flux for s in singles]),
        ivar=np.stack([s.ivar for s in singles]),
        mask=np.stack([s.mask for s in singles]),
        z=np.array([s.z for s in singles], dtype=np.float64),
    )


def _is_specutils(item: Any) -> bool:
    """Recognise a specutils spectrum without importing specutils."""
    return type(item).__module__.split(".")[0] == "specutils" and hasattr(item, "spectral_axis")


def from_specutils(spectrum: specutils.Spectrum, first: int = 0) -> list[Spectrum]:
    """Return the rows of a specutils spectrum as house records.

    The spectral axis is taken as vacuum and converted to Å; the redshift is the spectrum's own (0,
    at rest, when it has none). Without an uncertainty the noise is estimated from the scatter of
    neighbouring pixels (Stoehr et al. 2008).

    Parameters
    ----------
    spectrum : specutils.Spectrum
    first : int
        Number of the first row, its obsid where ``meta["obsid"]`` does not give one.
    """
    from astropy import units  # noqa: PLC0415
    from astropy.nddata import InverseVariance  # noqa: PLC0415

    wavelength = np.asarray(spectrum.spectral_axis.to_value(units.AA), dtype=np.float64)
    order = np.argsort(wavelength)
    flux = np.atleast_2d(np.asarray(spectrum.flux.value, dtype=np.float64))
    mask = ~np.isfinite(flux)
    if spectrum.mask is not None:
        mask |= np.atleast_2d(np.asarray(spectrum.mask, dtype=bool))
    if spectrum.uncertainty is None:
        ivar = np.array([_estimated_ivar(row) for row in flux])
    else:
        inverse = spectrum.uncertainty.represent_as(InverseVariance)
        ivar = np.atleast_2d(np.asarray(inverse.array, dtype=np.float64))
    ivar = np.where(np.isfinite(ivar) & (ivar > 0), ivar, 0.0)
    z = np.broadcast_to(np.asarray(spectrum.redshift, dtype=np.float64), (len(flux),))
    obsid = spectrum.meta.get("obsid") if spectrum.meta else None
    return [
        Spectrum(
            obsid=int(obsid) if obsid is not None and len(flux) == 1 else first + row,
            wavelength=wavelength[order],
            flux=flux[row][order],
            ivar=ivar[row][order],
            mask=(mask[row] | (ivar[row] == 0))[order],
            z=float(z[row]),
        )
        for row in range(len(flux))
    ]


def _estimated_ivar(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant inverse variance from the scatter of a spectrum against its neighbours."""
    difference = 2 * flux[2:-2] - flux[:-4] - flux[4:]
    noise = SIGMA_OF_MAD / _DER_SNR * np.nanmedian(np.abs(difference))
    return np.full_like(flux, 1 / noise**2 if noise > 0 else 0.0)
