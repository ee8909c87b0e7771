"""BHB stars in LAMOST spectra: read, prepare, search, measure, identify, label, place, publish."""

from importlib.metadata import version

__version__ = version("msfa-bhb")
