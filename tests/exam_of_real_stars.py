"""The exam of real stars that nobody trained on: libraries as LAMOST would see them, and LAMOST.

Classes are those of the manifest of the real data. Stars whose class or spectrum is doubtful, and
spectra that come twice, are left out with the reason, and looked at apart.
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from library_spectra import air_to_vacuum, at_lamost, library_stars, manifest, read_miles

from msfa_core.balmer.indices import line_indices
from msfa_core.constants import STELLAR_CLASSES
from msfa_core.spectra import prepare, read_spectrum
from msfa_core.spectra.spectrum import Spectrum, as_spectra
from msfa_core.training.answers import answers_of
from msfa_core.training.dataset import labelled_spectra
from msfa_core.training.sources import line_measurements

SEED, DRAWS = 5, 20
LOG_SNR = (1.0, np.log10(80.0))  # S/N 10 to 80, even in its logarithm
LEAST_SNR = 10.0

DOUBTFUL = {  # name -> why the class of the manifest, or the spectrum, is not relied on
    "HD135485": "called B, but a hot horizontal-branch star (Khalack et al. 2007, A&A 466, 667)",
    "HD338529": "called B5, but BD+26 3578: its own header says 6192 K and [Fe/H] −2.29, an F star",
    "HD269687": "called B0e: an emission-line star, not what class B stands for here",
    "HD49798": "sampled every 7 Å, coarser than LAMOST resolves",
    "LTT7987": "a smooth model, not an observation (Moehler et al. 2014, A&A 568, A9)",
}
RESPONSE = "STELIB: response near Hδ doubtful (D0.2 of BHB stars 30 Å there, 25 Å in MILES)"
_FLUX_STANDARDS = ("esookestan", "esowdstan", "esohststan", "esoxshooter")  # the first counts
_IN_AIR = {"esookestan", "esoxshooter"}  # the others have the same lines 1.2 Å to the red


@dataclass(frozen=True)
class Source:
    """A spectrum of the exam: which star, from where, and what the manifest knows of it."""

    spectrum: Spectrum
    star: str
    library: str
    object_class: str
    teff: float
    logg: float
    feh: float


def star_name(text):
    """One name for a star in all libraries: no blanks, no leading zeros, no file's suffix."""
    name = re.sub(r"[\s+]", "", str(text)).upper().replace("+", "")
    name = re.sub(r"^HD0*(\d+).*$", r"HD\1", name)
    return re.sub(r"^(FEIGE|G|HZ|LTT|LB|NGC|BD|GRW|LDS)0*", r"\1", name)


def read_standard(path):
    """A flux standard of the ESO lists as a Spectrum in vacuum; fluxes relative."""
    table = np.loadtxt(path, usecols=(0, 1))
    wavelength, flux = table[(table[:, 0] > 3300) & (table[:, 0] < 9150)].T
    wavelength, first = np.unique(wavelength, return_index=True)
    flux = flux[first] / np.median(flux)
    if path.parent.name in _IN_AIR:
        wavelength = air_to_vacuum(wavelength)
    bad = ~(np.isfinite(flux) & (flux > 0))
    return Spectrum(
        obsid=zlib.crc32(path.name.encode()) + 1,
        wavelength=wavelength,
        flux=flux,
        ivar=np.where(bad, 0.0, 1e4),
        mask=bad,
        z=0.0,
        file=str(path),
        meta={"name": path.stem, "layout": "library"},
    )


def sources(real_data):
    """Spectra of the exam, and those left out: (counted, [(Source, reason)])."""
    table = manifest(real_data)
    known = {str(c) for c in STELLAR_CLASSES}
    counted, left_out, seen = [], [], set()
    for library in ("miles", "stelib", *(f"flux_standards/{name}" for name in _FLUX_STANDARDS)):
        for path in library_stars(real_data, library):
            row = table.loc[str(path.relative_to(real_data))]
            if row["object_class"] not in known | {"O", "WR"}:
                continue
            standard = library.startswith("flux")
            if standard:
                spectrum = read_standard(path)
                star = star_name(re.sub(r"_\d{3}$", "", path.stem.removeprefix("f")))
            else:
                spectrum = read_miles(path)
                name = row["notes"] if library == "miles" else path.stem.split("_")[-1]
                star = star_name(name)
            one = Source(
                spectrum,
                star,
                library.rsplit("/", 1)[-1],
                row["object_class"],
                *(float(row[name]) for name in ("teff", "logg", "feh")),
            )
            test = at_lamost(spectrum, 100.0, np.random.default_rng(0))
            if not np.isfinite(prepare(test).flux).all():
                left_out.append((one, "less than 80 % of 4000–7000 Å observed"))
            elif star in DOUBTFUL:
                left_out.append((one, DOUBTFUL[star]))
            elif row["object_class"] not in known:
                left_out.append((one, f"class {row['object_class']}, none of the five"))
            elif standard and star in seen:
                left_out.append((one, "the same optical spectrum as in the list before"))
            else:
                counted.append(one)
                if standard:
                    seen.add(star)
    return counted, left_out


def drawn(chosen, draws=DRAWS, seed=SEED):
    """Labelled set of ``draws`` noisy spectra of each source on the LAMOST grid."""
    rng = np.random.default_rng(seed)
    names = sorted({one.star for one in chosen})
    spectra, rows = [], []
    for one in chosen:
        for _ in range(draws):
            spectra.append(at_lamost(one.spectrum, 10 ** rng.uniform(*LOG_SNR), rng))
            rows.append(
                {
                    "star": names.index(one.star),
                    "snr_g": spectra[-1].snr_g,
                    "true_name": one.star,
                    "true_library": one.library,
                    "true_teff": one.teff,
                    "true_logg": one.logg,
                    "true_feh": one.feh,
                }
            )
    table = pd.DataFrame(rows)
    batch = as_spectra(spectra)
    truth = pd.concat([table.filter(like="true_"), line_measurements(batch)], axis=1)
    labels = [one.object_class for one in chosen for _ in range(draws)]
    return labelled_spectra(
        prepare(batch),
        labels,
        star=table["star"].to_numpy(np.int64),
        snr_g=table["snr_g"].to_numpy(np.float64),
        truth=truth,
        provenance={"simulated": False, "seed": seed, "draws": draws},
    )


def answers(search, data):
    """What a search says of a set, as the figures need it."""
    said = search.classify(data.prepared)
    return answers_of(data, said.class_probability, said.p_bhb, threshold=search.threshold)


def lamost_a_stars(real_data):
    """Real LAMOST spectra with an A type in the header and S/N above 10: set and header table."""
    table = manifest(real_data)
    table = table[table.index.str.startswith("lamost/") & (table["object_class"] == "A")]
    spectra = [read_spectrum(real_data / path) for path in table.index]
    keep = np.array([spectrum.snr_g > LEAST_SNR for spectrum in spectra])
    spectra = [one for one, good in zip(spectra, keep, strict=True) if good]
    table = table[keep]
    batch = as_spectra(spectra)
    measured = pd.concat([line_measurements(batch), line_indices(batch)], axis=1)
    place = table[["ra", "dec"]].round(3).astype(str).agg(" ".join, axis=1)
    data = labelled_spectra(
        prepare(batch),
        ["A"] * len(spectra),
        star=pd.factorize(place)[0].astype(np.int64),
        snr_g=np.array([one.snr_g for one in spectra]),
        truth=measured,
        provenance={"simulated": False},
    )
    return data, table.reset_index()


def koester_models(real_data, search, seed=SEED):
    """Share of DA white-dwarf models (Koester 2010) kept, one noisy draw each: not real stars."""
    rng = np.random.default_rng(seed)
    with np.load(real_data / "koester" / "koester_da_R1800_vac.npz") as file:
        wavelength, flux = file["wave"], file["flux"].astype(np.float64)
    spectra = [
        at_lamost(
            Spectrum(
                obsid=k + 1,
                wavelength=wavelength,
                flux=row / np.median(row),
                ivar=np.full(len(row), 1e4),
                mask=np.zeros(len(row), bool),
                z=0.0,
                file="",
                meta={},
            ),
            10 ** rng.uniform(*LOG_SNR),
            rng,
        )
        for k, row in enumerate(flux)
    ]
    return search.classify(prepare(spectra)).are_bhb(search.threshold)
