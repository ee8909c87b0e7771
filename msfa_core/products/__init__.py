"""Products of a survey: one FITS file per spectrum, and per co-added star (FACTS §6)."""

from msfa_core.products.writing import Products, write_products

__all__ = ["Products", "write_products"]
