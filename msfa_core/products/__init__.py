"""Products of a survey: a FITS file per spectrum or co-added star; the report on one page."""

from msfa_core.products.writing import Products, write_products

__all__ = ["Products", "write_products"]
