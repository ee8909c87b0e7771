"""BHB stars in LAMOST spectra: read, prepare, search, measure, identify, label, place, publish."""
