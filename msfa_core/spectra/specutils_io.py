"""LAMOST files and our products for specutils: ``Spectrum.read(path)`` once this is imported.

::

    import msfa_core.spectra.specutils_io
    from specutils import Spectrum
    spectrum = Spectrum.read("spec-55859-F5902_sp01-013.fits")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.nddata import InverseVariance
from specutils import Spectrum as SpecutilsSpectrum
from specutils.io.registers import data_loader

from msfa_core.spectra.readers import read_spectrum
from msfa_core.spectra.spectrum import Spectrum

LABEL: Final = "LAMOST"
_ABOVE_THE_GENERAL: Final = 20  # priority among loaders that recognise any table


def to_specutils(spectrum: Spectrum) -> SpecutilsSpectrum:
    """Return a spectrum as specutils has it.

    Parameters
    ----------
    spectrum : Spectrum

    Returns
    -------
    specutils.Spectrum
        Vacuum wavelengths [Å] of the observed frame, relative flux without a unit, inverse
        variances; bad pixels masked; Doppler shift as ``redshift`` where known; identity and what
        the header says in ``meta``.
    """
    known = {"redshift": spectrum.z * units.one} if np.isfinite(spectrum.z) else {}
    own = {name: getattr(spectrum, name) for name in ("obsid", "ra", "dec", "snr_g", "file")}
    return SpecutilsSpectrum(
        flux=np.asarray(spectrum.flux) * units.one,
        spectral_axis=spectrum.wavelength.astype(np.float64) * units.AA,
        uncertainty=InverseVariance(np.asarray(spectrum.ivar)),
        mask=np.asarray(spectrum.mask),
        meta={**own, **spectrum.meta},
        **known,
    )


def _is_lamost(origin: str, *arguments: Any, **options: Any) -> bool:
    """Tell whether a file is LAMOST's or one of our products."""
    path = arguments[0]
    if origin != "read" or not isinstance(path, str | Path) or not Path(path).is_file():
        return False
    with fits.open(path, memmap=False) as units_of_file:
        return str(units_of_file[0].header.get("TELESCOP", "")).strip().upper() == "LAMOST"


@data_loader(
    LABEL,
    identifier=_is_lamost,
    extensions=["fits", "fits.gz"],
    priority=_ABOVE_THE_GENERAL,
    force=True,
)
def lamost_loader(file: Any, **options: Any) -> SpecutilsSpectrum:
    """Read a LAMOST file of any layout, or a product, for specutils.

    Parameters
    ----------
    file : path or open file
        astropy's registry hands over the file that it opened to look at.
    """
    return to_specutils(read_spectrum(getattr(file, "name", file)))
