"""A survey is a folder: its spectra, its table, what came in, what was done, how far it is."""

from msfa_core.survey.folder import Survey

__all__ = ["Survey"]
