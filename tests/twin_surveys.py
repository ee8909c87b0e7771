"""Two surveys of the same spectra: headers that say everything, and a catalogue that does.

Whatever is measured, drawn or written of the one must come out the same of the other.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from small_survey import star_spectrum

from msfa_core.survey.folder import Survey
from msfa_core.survey.ingest import ingest

FIRST = 3_000_000_100
N_STARS = 4
PLACES = ((10.0, 20.0), (50.0, -3.0), (120.0, 41.0), (200.0, 12.5))  # deg
NOWHERE = FIRST + 2 * N_STARS  # the obsid of a spectrum whose z nobody knows


def twin_spectra():
    """Two epochs of each star, far from rest; one more that stays without z."""
    rng = np.random.default_rng(11)
    spectra = []
    for star, (ra, dec) in enumerate(PLACES):
        for epoch in range(2):
            velocity = 280.0 - 170.0 * star + 3.0 * epoch  # km/s: a wrong frame is seen at once
            made = star_spectrum(
                FIRST + 2 * star + epoch, 8.5 + star, 0.75, velocity, 60.0 + 5 * epoch, rng
            )
            spectra.append(replace(made, ra=ra, dec=dec))
    lost = star_spectrum(NOWHERE, 9.0, 0.0, 100.0, 50.0, rng)
    noise = rng.normal(1000.0, 50.0, len(lost.flux)).astype(np.float32)  # no line, no redshift
    return [*spectra, replace(lost, flux=noise, ivar=np.full_like(noise, 50.0**-2), z=float("nan"))]


def make_twins(folder, **settings):
    """Return the survey whose headers say everything, and the one where a catalogue does.

    In the second every other spectrum lacks z, position, class and subclass in its header.
    """
    spectra = twin_spectra()
    said = Survey.create(folder / "said", **settings)
    said.archive.append(spectra)
    bare, rows = [], []
    for number, one in enumerate(spectra):
        if number % 2 or one.obsid == NOWHERE:
            bare.append(one)
            continue
        kept = {k: v for k, v in one.meta.items() if k not in ("class", "subclass")}
        bare.append(replace(one, z=float("nan"), ra=float("nan"), dec=float("nan"), meta=kept))
        rows.append(
            {
                "obsid": one.obsid, "z": one.z, "ra": one.ra, "dec": one.dec,
                "class": one.meta["class"], "subclass": one.meta["subclass"],
            }
        )  # fmt: skip
    told = Survey.create(folder / "told", **settings)
    told.archive.append(bare)
    catalogue = folder / "dr11.csv"
    pd.DataFrame(rows).to_csv(catalogue, index=False, float_format="%.17g")
    ingest(told, [], [catalogue])
    return said, told
