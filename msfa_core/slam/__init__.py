"""Stellar labels by forward modelling (paper §V.3.1)."""
