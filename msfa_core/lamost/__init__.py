"""What is asked of LAMOST's archive: rows of its general catalogue, and spectra by obsid."""
