"""BHB stars in LAMOST spectra, from files on a disk to a vetted table (table of contents).

The science stands here in the order of the paper; the dashboard draws it and asks.

One spectrum and one star

  spectra     one spectrum: what it is, where it comes from, how it is made ready (§II)
  networks    the architectures: prepared spectra in, logits out (§III)
  search      the two stages, what model stars say, novelty, which wavelengths spoke (§IV, §V.1)
  balmer      line fits, the D0.2–fm plane, line indices (§V.2)
  templates   class and redshift by template matching, a second opinion
  slam        Teff, log g and [Fe/H] by forward modelling (§V.3.1)
  photometry  what Gaia and 2MASS say: diagram, dust, motions (§V.3.2)
  stars       who is who: crossmatch, epochs, velocities, sky (§V.1)
  tables      every table from outside in, every table out (§V.4)
  vetting     decisions: how they are stored, and what they add up to

A survey

  lamost      which spectra of the archive to fetch, and the fetching of them
  survey      a folder: its spectra, its table, what came in and what was done
  spine       every step in the order of the paper, and the run through all of them
  products    a FITS file per spectrum, and the report: a survey on one page
  validation  a survey beside a reference table
  cli         the command line, in the order of the journey

Where it comes from

  simulate    a survey with known truth
  training    how the networks get their weights
  workshop    how the other shipped files are made

Beneath all of them

  machine     kernels compiled and kept on disk; worker processes

and single modules: constants and columns, settings, errors, flags, rules, types, whole files,
numbers with their nouns, and where the shipped files lie.
"""

from importlib.metadata import version

DISTRIBUTION = "msfa-bhb"
__version__ = version(DISTRIBUTION)
