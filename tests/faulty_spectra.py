"""Faults put into spectra, from slight to severe; the class of the star is not touched."""

from dataclasses import replace

import numpy as np

JOINT = 5850.0  # Å, the middle of the overlap of the arms
STEPS = (0.5, 0.71, 0.87, 1.0, 1.15, 1.41, 2.0)  # flux of the red arm over what it should be
TILTS = (0.0, 0.25, 0.5, 1.0)  # ln response from end to end of each arm
NOISE = (1.0, 0.5, 0.25, 0.1)  # of the S/N


def with_step(spectra, factor):
    """The red arm too bright or too faint by a factor."""
    scale = np.where(spectra.wavelength > JOINT, factor, 1.0)
    return scaled(spectra, scale)


def with_tilt(spectra, size, sign=1.0):
    """The response of each arm tilted: ``size`` in ln flux from end to end, as a saw."""
    wavelength = spectra.wavelength
    ends = [wavelength[0], JOINT, wavelength[-1]]
    ln_scale = np.zeros(len(wavelength))
    for low, high in zip(ends[:-1], ends[1:], strict=True):
        inside = (wavelength >= low) & (wavelength <= high)
        ln_scale[inside] = sign * size * ((wavelength[inside] - low) / (high - low) - 0.5)
    return scaled(spectra, np.exp(ln_scale))


def without_arm(spectra, arm):
    """One arm not observed: ``blue`` or ``red``."""
    gone = (spectra.wavelength < JOINT) == (arm == "blue")
    flux, ivar, mask = spectra.flux.copy(), spectra.ivar.copy(), spectra.mask.copy()
    flux[:, gone], ivar[:, gone], mask[:, gone] = 0.0, 0.0, True
    return replace(spectra, flux=flux, ivar=ivar, mask=mask)


def with_noise(spectra, share, seed=1):
    """Noise added until the S/N is a share of what it was."""
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        sigma = np.where(spectra.ivar > 0, 1.0 / np.sqrt(spectra.ivar), 0.0)
    more = np.sqrt(1.0 / share**2 - 1.0)
    flux = spectra.flux + (sigma * more * rng.normal(size=sigma.shape)).astype(np.float32)
    return replace(spectra, flux=flux, ivar=spectra.ivar * np.float32(share**2))


def scaled(spectra, scale):
    """Flux times a factor per pixel, its noise with it."""
    scale = scale.astype(np.float32)
    return replace(spectra, flux=spectra.flux * scale, ivar=spectra.ivar / scale**2)


def faults():
    """What is injected: (name, severity from 0 to 1, how)."""
    rows = [("none", 0.0, lambda s: s)]
    for factor in STEPS:
        if factor != 1.0:
            severity = abs(np.log2(factor))
            rows.append((f"step x{factor:g}", severity, lambda s, f=factor: with_step(s, f)))
    for size in TILTS[1:]:
        for sign in (1.0, -1.0):
            name = f"tilt {sign * size:+g}"
            rows.append((name, size, lambda s, a=size, b=sign: with_tilt(s, a, b)))
    for arm in ("blue", "red"):
        rows.append((f"no {arm} arm", 1.0, lambda s, a=arm: without_arm(s, a)))
    return rows
