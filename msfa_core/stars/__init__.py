"""Who is who: spectra become stars, stars are looked up in catalogues and on the sky."""
