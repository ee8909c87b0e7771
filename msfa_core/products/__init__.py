"""Products of a survey: one FITS file per spectrum, and per co-added star (LAMOST 1-D pipeline)."""

from msfa_core.products.writing import Products, write_products

__all__ = ["Products", "write_products"]
