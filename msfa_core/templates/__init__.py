"""Spectral class and redshift by template matching: a second opinion (LAMOST 1-D pipeline)."""

from msfa_core.templates.library import TemplateSet
from msfa_core.templates.matching import match, model_of
from msfa_core.templates.read_templates import read_templates
from msfa_core.templates.results import Matches

__all__ = ["Matches", "TemplateSet", "match", "model_of", "read_templates"]
