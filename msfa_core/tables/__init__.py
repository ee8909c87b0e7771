"""Every table from outside in, every table out: CSV, FITS, VOTable, MRT, Parquet."""
