"""A survey told on one page: what was found, by which rules, star by star, and whence.

:mod:`gather` reads the survey once; :mod:`page` writes the page that needs no server and no
network, :mod:`paper` the same as a PDF and as figures for a paper.
"""

from msfa_core.products.report.gather import gather
from msfa_core.products.report.page import write_page
from msfa_core.products.report.paper import write_figures, write_pdf

__all__ = ["gather", "write_figures", "write_page", "write_pdf"]
