"""One spectrum: what it is, where it comes from, how it is made ready."""

from msfa_core.spectra.coadd import coadd
from msfa_core.spectra.prepare import prepare
from msfa_core.spectra.readers import read_spectrum
from msfa_core.spectra.spectrum import PreparedSpectra, Spectra, Spectrum

__all__ = ["PreparedSpectra", "Spectra", "Spectrum", "coadd", "prepare", "read_spectrum"]
