"""How well the lines are measured: simulated truth, real stars, repeats, and stars that are two."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from library_spectra import at_lamost, library_stars, manifest, read_miles, read_stelib
from simulated_lines import simulated_lines

from msfa_core.balmer import FitFlag, fit_lines, in_bhb_region, line_width_d02, p_in_region
from msfa_core.balmer.sws import core_flux_fm
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.spectra import read_spectrum

pytestmark = pytest.mark.benchmark
LINES, DRAWS, SNR = 4000, 50, 30
REPEATS = "lamost/JunHuiLiu2017"
BHB = ("HD002857", "HD014829", "HD060778", "HD086986", "HD109995", "HD161817")
SINGLE_LAMOST = r"A|F"
VELOCITIES = (200, 300, 400, 500, 700, 1000, 1500)


def test_bias_and_pulls_of_simulated_lines():
    print(f"\n{LINES} lines at each S/N | bias of D0.2 [Å] and fm | pulls: mean and width")
    for snr in (10, 15, 20, 30, 50, 100, 200, None):
        rng = np.random.default_rng(21)
        level = np.exp(rng.uniform(np.log(10), np.log(200), LINES)) if snr is None else snr
        spectra, truth = simulated_lines(LINES, level, rng)
        fits = fit_lines(spectra)
        for k, line in enumerate(fits.lines):
            text = f"S/N {snr or '10–200':>6} {line:6}"
            for name, true in (
                ("d02", line_width_d02(truth[line])),
                ("fm", core_flux_fm(truth[line])),
            ):
                difference = getattr(fits, name)[:, k] - true
                pull = difference / getattr(fits, f"{name}_err")[:, k]
                mean, width = np.nanmean(pull), np.nanstd(pull)
                text += f" | {name} {np.nanmean(difference):+.4f}, {mean:+.3f}, {width:.3f}"
                if snr is None or snr >= 20:
                    assert abs(np.nanmean(difference)) < {"d02": 0.13, "fm": 0.006}[name]
            print(text)


def share_inside(spectrum, selection="xue2011"):
    rng = np.random.default_rng(spectrum.obsid)
    fits = fit_lines([at_lamost(spectrum, SNR, rng) for _ in range(DRAWS)])
    values = np.nanmedian(np.concatenate([fits.d02, fits.fm], axis=1), axis=0)
    inside = in_bhb_region(fits, selection)
    return inside.mean(), np.nanmean(p_in_region(fits, selection)), values


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_real_bhb_stars_and_a_dwarfs_in_the_cuts_of_xue_2011(real_data):
    table = manifest(real_data)
    kept, dwarfs = {}, {}
    for library, read in (("miles", read_miles), ("stelib", read_stelib)):
        print(
            f"\n{library}, {DRAWS} draws at S/N {SNR}: share in xue2011, mean p, D0.2, fm of Hδ Hγ"
        )
        for path in library_stars(real_data, library):
            row = table.loc[str(path.relative_to(real_data))]
            name = str(row["notes"]) if library == "miles" else path.stem.split("_")[-1]
            name = name.replace(" ", "").upper()
            is_bhb = row["object_class"] == "BHB" or (
                library == "stelib" and any(star[2:].lstrip("0") in name for star in BHB)
            )
            is_dwarf = (
                row["object_class"] == "A"
                and float(row["logg"]) >= 4
                and float(row["feh"]) > -0.5
                and 8300 <= float(row["teff"]) <= 9500
            )
            if not (is_bhb or is_dwarf):
                continue
            inside, p, (d, g, fd, fg) = share_inside(read(path))
            kind = "BHB" if is_bhb else "A dwarf"
            print(f"  {name:14} {kind:8} {inside:.2f} {p:.2f} {d:.1f} {g:.1f} Å {fd:.3f} {fg:.3f}")
            if library == "miles":
                (kept if is_bhb else dwarfs)[name] = inside
    print(f"MILES BHB stars inside in ≥ 90 % of draws: {sum(s >= 0.9 for s in kept.values())}")
    outside = [name for name, share in dwarfs.items() if share <= 0.2]
    others = sorted(set(dwarfs) - set(outside))
    print(f"MILES A dwarfs outside in ≥ 80 %: {len(outside)} of {len(dwarfs)}; others {others}")
    assert len(kept) == 5
    assert min(kept.values()) >= 0.9
    assert len(outside) >= 0.8 * len(dwarfs)


@pytest.mark.real
def test_repeat_observations(real_data):
    table = pd.read_csv(real_data / REPEATS / "repeat_observations.csv")
    spectra = [read_spectrum(real_data / REPEATS / name) for name in table["file"]]
    subclass = pd.Series([str(s.meta.get("subclass", "")) for s in spectra])
    fits = fit_lines(spectra)
    print("\nrepeat observations | reduced χ² (degrees of freedom; 95 % of chance)")
    for kind, pattern in (("A", "A"), ("A, F0–F4", "A|F[0-4]"), ("A, F0–F5", "A|F[0-5]")):
        text, values = f"{kind:9}", []
        for k, line in enumerate(fits.lines):
            for name in ("d02", "fm"):
                value, error = (getattr(fits, end)[:, k] for end in (name, f"{name}_err"))
                chi2 = free = 0.0
                for group in table.groupby("GroupID").groups.values():
                    rows = [row for row in group if np.isfinite(value[row])]
                    if len(rows) > 1 and subclass[list(group)].str.match(pattern).all():
                        weight = error[rows] ** -2
                        mean = np.sum(weight * value[rows]) / weight.sum()
                        chi2 += np.sum(weight * (value[rows] - mean) ** 2)
                        free += len(rows) - 1
                values.append(chi2 / free)
                text += f" | {name} {line} {chi2 / free:.2f} ({free:.0f})"
        print(f"{text} | mean {np.mean(values):.2f}; chance ± {2 * np.sqrt(2 / free):.2f} each")
        assert 0.7 < np.mean(values) < 1.5


def beside(spectrum, velocity, share):
    moved = np.interp(
        spectrum.wavelength / (1 + velocity / SPEED_OF_LIGHT), spectrum.wavelength, spectrum.flux
    )
    return replace(spectrum, flux=(1 - share) * spectrum.flux + share * moved)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_two_stars_in_one_spectrum(real_data):
    table = manifest(real_data)
    paths = library_stars(real_data, "miles")
    stars = [
        (read_miles(path), table.loc[str(path.relative_to(real_data)), "object_class"])
        for path in paths
    ]
    hot = [star for star, kind in stars if kind in ("BHB", "A")]
    blended = int(FitFlag.BLENDED)
    for snr in (15, 30, 100):
        rng = np.random.default_rng(22)
        print(f"\nS/N {snr}: share flagged BLENDED | with any fatal flag | |ΔD0.2| of the others")
        single = [at_lamost(star, snr, rng) for star, _ in stars for _ in range(3)]
        flags = fit_lines(single).flags
        print(f"  {len(stars)} single stars of MILES: {((flags & blended) > 0).any(1).mean():.3f}")
        alone = fit_lines([at_lamost(star, 400, rng) for star in hot]).d02[:, 0]
        for share in (0.5, 0.3):
            for velocity in VELOCITIES:
                both = [at_lamost(beside(star, velocity, share), snr, rng) for star in hot]
                fits = fit_lines(both)
                found = ((fits.flags & blended) > 0).any(axis=1).mean()
                lost = np.isnan(fits.fm[:, 0]).mean()
                off = np.nanmedian(np.abs(fits.d02[:, 0] - alone))
                print(f"  {velocity:5} km/s, {share:.0%}: {found:.2f} | {lost:.2f} | {off:.2f} Å")
    lamost = table[table.index.str.startswith("lamost/")].index
    spectra = [read_spectrum(real_data / path) for path in lamost]
    chosen = [
        s
        for s in spectra
        if str(s.meta.get("subclass", ""))[:1] in ("A", "B", "F") and s.snr_g > 10
    ]
    flags = fit_lines(chosen).flags
    for kind in ("A", "F"):
        of_kind = [str(s.meta.get("subclass", "")).startswith(kind) for s in chosen]
        share = ((flags[of_kind] & blended) > 0).any(axis=1)
        print(f"LAMOST {kind} stars flagged BLENDED: {share.sum()} of {len(share)}")
        assert share.mean() < 0.04
