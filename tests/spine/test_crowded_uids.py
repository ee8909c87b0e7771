"""Repeat spectra in crowded fields: one star, one name, or a flag."""

import numpy as np
import pandas as pd

from msfa_core.config import Settings
from msfa_core.photometry.gaia import house_gaia
from msfa_core.photometry.panstarrs import house_panstarrs
from msfa_core.spine.identify import identify
from msfa_core.spine.place import place

SETTINGS = Settings(dust_map="none")
OBJID = 132_331_848_012_345_679
MJD_2012, YEAR = 55_927.0, 365.25


def crowded(n=3000, seed=6):
    """A field with a star per 600 square arcsec: spectra of its stars, Gaia and Pan-STARRS rows.

    Of 100 stars 97 are in Gaia and 98 in Pan-STARRS; fibres are off by 0.3 arcsec, and stars
    move by some mas/yr between 2012, 2016 and their spectra.
    """
    rng = np.random.default_rng(seed)
    side = np.sqrt(n * 600.0) / 3600.0
    dec = 35.0 + side * (rng.random(n) - 0.5)
    ra = 120.0 + side * (rng.random(n) - 0.5) / np.cos(np.radians(35.0))
    motion = rng.normal(0, 8.0, (2, n))  # mas/yr

    def at(years, rows, scatter):
        """Places some years after 2016."""
        moved = motion[:, rows] * years / 3.6e6 + rng.normal(0, scatter / 3600, (2, len(rows)))
        return ra[rows] + moved[0] / np.cos(np.radians(35.0)), dec[rows] + moved[1]

    in_gaia, in_ps = (np.flatnonzero(rng.random(n) < share) for share in (0.97, 0.98))
    place_gaia, place_ps = at(0.0, in_gaia, 1e-4), at(-4.0, in_ps, 0.02)
    gaia = pd.DataFrame(
        {
            "source_id": 10_000_000_000_000 + in_gaia, "ra": place_gaia[0], "dec": place_gaia[1],
            "phot_g_mean_mag": 15.0, "pmra": motion[0][in_gaia], "pmdec": motion[1][in_gaia],
        }
    )  # fmt: skip
    ps = pd.DataFrame(
        {
            "objID": OBJID + in_ps, "raMean": place_ps[0], "decMean": place_ps[1],
            "epochMean": MJD_2012, "rMeanPSFMag": 16.0, "rMeanPSFMagErr": 0.01,
        }
    )  # fmt: skip
    star = np.repeat(rng.choice(n, n // 2, replace=False), 2)
    years = np.tile([-3.0, 2.0], n // 2)
    where = np.array([at(y, np.array([s]), 0.3) for y, s in zip(years, star, strict=True)])[:, :, 0]
    spectra = pd.DataFrame(
        {
            "obsid": 100 + np.arange(len(star)), "ra": where[:, 0], "dec": where[:, 1],
            "mjd": MJD_2012 + (years + 4.0) * YEAR, "z": 0.0, "snr_g": 20.0,
        }
    )  # fmt: skip
    return spectra, star, house_gaia(gaia), house_panstarrs(ps)


def test_repeat_spectra_get_one_name_and_the_rest_is_flagged():
    spectra, star, gaia, ps = crowded()
    placed = place(spectra, {"table": gaia}, SETTINGS, {"table": ps})
    rows = pd.concat([spectra, placed.drop(columns="obsid")], axis=1)
    found = identify(rows, SETTINGS.match_radius_arcsec)
    together = found.groupby(star)["uid"].transform("nunique") == 1
    alone = pd.Series(star).groupby(found["uid"]).transform("nunique") == 1
    right = (together & alone).to_numpy()
    flagged = (found["uid_flags"] != 0).to_numpy(bool)
    print(f"\nright {right.mean():.2%}, wrong and flagged {(~right & flagged).mean():.2%}, "
          f"wrong without a flag {(~right & ~flagged).mean():.2%}; "
          f"flagged {flagged.mean():.1%}")  # fmt: skip
    assert right.mean() >= 0.995
    assert (right | flagged).mean() >= 0.999
    assert flagged.mean() < 0.1
    assert {"G", "P"} <= set(found["uid"].str[0])
