"""A survey of a few made-up stars for the tests of the dashboard: quick, seeded, on disk."""

from dataclasses import replace

import numpy as np
import pandas as pd

from msfa_core.balmer.fit import fit_lines
from msfa_core.constants import BALMER_LINES, HEPSILON, LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.stars.crossmatch import CATALOGUE_USE
from msfa_core.survey.folder import Survey
from msfa_core.survey.joining import join
from msfa_core.tables.door import of_frame

CLASSES = ("bhb", "a", "b", "hsd", "wd")
LINES = (*map(float, BALMER_LINES.values()), float(HEPSILON), 3890.17, 3836.48, 3934.777)
FIRST_OBSID = 900_719_925_474_099_300  # beyond the whole numbers that a browser can hold


def star_spectrum(obsid, width, depth, velocity, snr, rng, file=""):
    """One made-up spectrum: a hot continuum, Balmer lines of one width and depth, noise, masks."""
    wavelength = LAMOST_GRID.wavelength
    rest = wavelength / (1.0 + velocity / SPEED_OF_LIGHT)
    flux = 1.2e4 * (rest / 4000.0) ** -2.3
    for line in LINES:
        is_metal = line == LINES[-1]
        own = 0.25 if is_metal else depth * (0.75 if line > 6000 else 1.0)
        scale = 2.0 if is_metal else width
        flux = flux * (1.0 - own * np.exp(-(np.abs((rest - line) / scale) ** 1.1)))
    error = 1.2e4 * (wavelength / 4000.0) ** -2.3 / snr
    flux = flux + rng.normal(0.0, error)
    mask = rng.random(len(flux)) < 0.004
    flux[mask] += rng.normal(0.0, 12.0, mask.sum()) * error[mask]
    return Spectrum(
        obsid=obsid,
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        ivar=np.where(mask, 0.0, error**-2).astype(np.float32),
        mask=mask,
        z=velocity / SPEED_OF_LIGHT,
        ra=float(rng.uniform(0, 360)),
        dec=float(rng.uniform(-10, 60)),
        snr_g=float(snr),
        file=file,
        meta={
            "class": "STAR",
            "subclass": "A1V",
            "layout": "lamost-table",
            "resolution": "low",
            "data_release": "made up",
        },
    )


def add_with_catalogue(survey, spectra):
    """Store spectra; of every third one the z is in a joined catalogue and not in the header."""
    told = spectra[::3]
    bare = {one.obsid for one in told}
    survey.archive.append(
        [replace(one, z=float("nan")) if one.obsid in bare else one for one in spectra]
    )
    rows = {"obsid": [one.obsid for one in told], "z": [one.z for one in told]}
    told = of_frame(pd.DataFrame(rows), CATALOGUE_USE, "catalogue.csv", trusted=True)
    join(survey, [told])


def make_small_survey(path, n_stars=24, seed=7, first_obsid=FIRST_OBSID):
    """Make a survey of ``n_stars`` stars; every sixth has a second spectrum. All are simulated."""
    rng = np.random.default_rng(seed)
    spectra, rows = [], []
    for star in range(n_stars):
        width, depth = rng.uniform(7.0, 13.0), rng.uniform(0.62, 0.82)
        bhb = float(np.clip(rng.beta(4, 1.2) if star % 4 else rng.beta(1.2, 4), 0.002, 0.998))
        others = rng.dirichlet([4, 1, 1, 1]) * (1 - bhb)
        for _ in range(2 if star % 6 == 0 else 1):
            obsid = first_obsid + len(spectra)
            snr, velocity = rng.uniform(15, 120), rng.normal(0, 150)
            file = f"spec-55977-F5597702_sp01-{len(spectra):03d}.fits.gz"
            spectra.append(star_spectrum(obsid, width, depth, velocity, snr, rng, file))
            rows.append(
                {
                    "obsid": obsid,
                    "uid": f"G{4_000_000_000_000_000_000 + star}",
                    "in_search_domain": True,
                    **dict(zip((f"p_class_{c}" for c in CLASSES), [bhb, *others], strict=True)),
                    "predicted_class": ["BHB", "A", "B", "HSD", "WD"][
                        int(np.argmax([bhb, *others]))
                    ],
                    "p_bhb": float(np.clip(bhb + rng.normal(0, 0.05), 0, 1)),
                    "g_mag": rng.uniform(13, 17),
                    "bp_rp": rng.uniform(-0.05, 0.35),
                    "abs_mag_g": rng.normal(0.6, 0.4),
                    "parallax_mas": rng.uniform(0.1, 0.6),
                    "parallax_over_error": rng.uniform(2, 15),
                    "in_cmd_trapezoid": True,
                    "teff": rng.normal(8800, 500),
                    "logg": rng.normal(3.3, 0.2),
                    "feh": rng.normal(-1.8, 0.4),
                }
            )
    survey = Survey.create(path, simulated=True)
    add_with_catalogue(survey, spectra)
    table = survey.table().set_index("obsid")
    made = pd.DataFrame(rows).set_index("obsid")
    made["is_candidate"] = (made["predicted_class"] == "BHB") & (made["p_bhb"] >= 0.5)
    made["in_bhb_region"] = rng.random(len(made)) < 0.8
    fits = fit_lines(spectra).as_table()
    fits = fits.set_index("obsid") if "obsid" in fits.columns else fits
    for source in (made, fits):
        for name in source.columns:
            table[name] = source[name].reindex(table.index)
    survey.write_table(table.reset_index())
    return survey
