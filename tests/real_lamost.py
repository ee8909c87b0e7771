"""The labelled real LAMOST spectra, and the half that the confidence was not made of."""

import numpy as np
import pandas as pd
from library_spectra import manifest

from msfa_core.spectra import read_spectrum
from msfa_core.spectra.spectrum import as_spectra
from msfa_core.workshop.calibrate_confidence import is_for_calibration


def labelled(real_data, folder="lamost", least_snr=0.0):
    """Spectra and a table: path, class, subclass, z, snr_g, calibration (bool)."""
    paths = sorted((real_data / folder).rglob("*.fits.gz"))
    spectra = [read_spectrum(path) for path in paths]
    table = pd.DataFrame(
        {
            "path": [str(path.relative_to(real_data)) for path in paths],
            "obsid": [one.obsid for one in spectra],
            "class": [str(one.meta.get("class", "")).strip() for one in spectra],
            "subclass": [str(one.meta.get("subclass", "")).strip() for one in spectra],
            "z": [one.z for one in spectra],
            "snr_g": [one.snr_g for one in spectra],
            "ra": [one.ra for one in spectra],
            "dec": [one.dec for one in spectra],
        }
    )
    known = manifest(real_data)["object_class"]
    table["object_class"] = known.reindex(table["path"]).to_numpy()
    table["calibration"] = is_for_calibration(table["ra"], table["dec"])
    keep = (
        table["class"].isin(["STAR", "GALAXY", "QSO"]) & (table["snr_g"] > least_snr)
    ).to_numpy()
    kept = [one for one, good in zip(spectra, keep, strict=True) if good]
    return as_spectra(kept), table[keep].reset_index(drop=True)


def finite(values):
    """The finite ones of an array."""
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]
