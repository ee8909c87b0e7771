"""Exceptions of the project: what is wrong with a *call*, and its remedy.

What is wrong with one star is never an exception but a flag and a NaN.

::

    MsfaError
    ├── ConfigError       a setting, option or msfa.toml entry
    ├── SpectrumError     arrays that do not form a spectrum
    ├── ReadError         a file that cannot be read (names the file)
    ├── SurveyError       a survey folder that is missing, half made or in use
    ├── DownloadError     an archive on the network that does not give what was asked
    ├── CatalogueError    a table without the columns or rows that a step needs
    ├── StoreError        the decision store
    │   ├── ConflictError a decision made for another star than the one on screen
    │   ├── AwayError     the database server cannot be reached; nothing was stored
    │   ├── RightsError   somebody may not do this in this survey
    │   └── UnansweredError the store did not say whether a decision is stored
    ├── ExportError       a table that cannot be written as asked
    ├── ModelError        weights or model files: missing, altered, of another architecture
    └── TrainingError     a training set or run that cannot give a model
"""

import shlex


class MsfaError(Exception):
    """Base of all exceptions that this project raises on purpose."""


class ConfigError(MsfaError):
    """A setting, option or entry of ``msfa.toml`` is wrong."""


class SpectrumError(MsfaError):
    """Arrays do not form a spectrum or a batch of spectra."""


class ReadError(MsfaError):
    """A file cannot be read; the message names it and says why."""


class SurveyError(MsfaError):
    """A survey folder is missing, half made, or in use by another process."""


class DownloadError(MsfaError):
    """An archive on the network does not answer, or not with what was asked."""


class CatalogueError(MsfaError):
    """A table lacks the columns or rows that a step needs."""


class StoreError(MsfaError):
    """The decision store cannot be opened, read or written."""


class ConflictError(StoreError):
    """A decision names another star than the one that was on screen."""


class AwayError(StoreError):
    """The database server cannot be reached: nothing is stored; the same may be given again."""


class RightsError(StoreError):
    """Somebody has no right to do this in this survey; nothing is stored."""


class UnansweredError(StoreError):
    """It is not known whether a decision is stored: given again with its key, it is stored once."""


class ExportError(MsfaError):
    """A table cannot be written as asked."""


class ModelError(MsfaError):
    """Weights or model files are missing, altered or of another architecture."""


class TrainingError(MsfaError):
    """A training set or run cannot give a model."""


def shown(path: object) -> str:
    """Return a path, or words about one, as any table holds it: what is no UTF-8 as escapes."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def typed(path: object) -> str:
    """Return a path as one types it in a shell: quoted where it has blanks or signs."""
    return shlex.quote(str(path))
