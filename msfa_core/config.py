"""Settings of a survey: defaults < ``msfa.toml`` < ``MSFA_*`` variables < command line."""

from __future__ import annotations

import inspect
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from msfa_core.constants import (
    BHB_THRESHOLD,
    CMD_LATITUDE_MIN,
    FEH_OUTLIER,
    LOGG_OUTLIER,
    MATCH_RADIUS_ARCSEC,
    NOVELTY_MAX,
    SEARCH_RULES,
    SNR_MIN,
    STAGE2_FROM,
    VERDICT_RULES,
)
from msfa_core.errors import ConfigError

SETTINGS_FILE = "msfa.toml"
OWN_MODELS = "survey"  # value of the setting `models`
MODELS_OF_SURVEY = "models"  # folder in a survey
OF_RESULTS = (  # what the columns of a survey's table follow from
    *("snr_min", "bhb_threshold", "stage2_from", "rule", "prior", "selection"),
    *("match_radius_arcsec", "latitude_min"),
    *("dust_map", "deredden_cmd", "parallax_zero_point", "logg_outlier", "feh_outlier"),
    *("models", "templates"),
)
OF_SESSIONS = (
    "novelty_max",
    "verdict_rule",
    "database",
    "workers",
    "shard_size",
    "samp",
)  # not


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a user may set; each field is an option of ``msfa.toml``.

    Attributes
    ----------
    snr_min : float
        S/N in g above which a spectrum is in the search domain.
    bhb_threshold : float
        Least stage-2 probability of a candidate.
    stage2_from : float
        Least stage-1 probability of BHB of the spectra that stage 2 is asked about; of the others
        ``p_bhb`` is missing, and no rule would keep them. 0 asks about every spectrum.
    rule : str
        When the two stages keep a spectrum. ``paper``: BHB is the most probable class of stage 1,
        and ``p_bhb`` is at the threshold; ``lenient``: stage 1 gives BHB at least 0.3, whatever
        else it likes better, and ``p_bhb`` is at the threshold.
    prior : str
        Class shares that probabilities hold for: empty for those of the training, ``lamost`` for
        A and B spectra of the survey, or ``BHB 0.05, A 0.8, B 0.1, HSD 0.02, WD 0.03``.
    selection : str
        D0.2–fm selection: ``xue2008``, ``xue2011``, ``ju2024``, or limits of one's own such as
        ``mine: hdelta d02 17..28, fm 0.1..0.3; hgamma b 7..10.8, c 0.75..1.25``.
    match_radius_arcsec : float
        Radius of position matches [arcsec].
    latitude_min : float
        Least distance from the galactic plane of the exclusions of the CMD [deg].
    dust_map : str
        Where E(B−V) comes from when no column gives it: ``bayestar`` (3-D, needs dustmaps and its
        data), ``sfd`` (2-D at 0.9°), ``auto`` (the first of these that is there), ``none``.
    deredden_cmd : bool
        Judge the CMD trapezoid without dust; the paper does not.
    parallax_zero_point : bool
        Take the zero point of Lindegren et al. (2021) off parallaxes; the paper does not.
    logg_outlier : float
        log g above which a star counts as an outlier [dex].
    feh_outlier : float
        [Fe/H] above which a star counts as an outlier [dex].
    novelty_max : float
        Novelty above which a spectrum counts as unlike the training set (2: one in 100 of it).
    models : str
        Folder of the network weights; empty for the shipped ones, ``survey`` for those that learnt
        from the survey's own decisions (``msfa train --from-decisions``).
    templates : str
        Template set: of ``msfa templates build``, SDSS ``spEigen`` or redrock files (a file or a
        folder); ``+`` before it adds the kinds that the shipped one lacks; empty for the shipped
        one.
    verdict_rule : str
        How the verdicts of several reviewers become one: ``agreement`` (what all who decided
        share, else *disputed*, until a final verdict settles it) or ``latest`` (the latest
        decision of anybody).
    database : str
        URL of the decision store; empty for ``vetting.sqlite`` in the survey.
    workers : int
        Worker processes of ``msfa run``; 0 for one per core.
    shard_size : int
        Spectra per shard: the unit of work and of restart.
    samp : bool
        Offer to connect with other programs on the server's computer (TOPCAT, Aladin).
    """

    snr_min: float = float(SNR_MIN)
    bhb_threshold: float = float(BHB_THRESHOLD)
    stage2_from: float = float(STAGE2_FROM)
    rule: str = SEARCH_RULES[0]
    prior: str = ""
    selection: str = "ju2024"
    match_radius_arcsec: float = float(MATCH_RADIUS_ARCSEC)
    latitude_min: float = float(CMD_LATITUDE_MIN)
    dust_map: str = "auto"
    deredden_cmd: bool = False
    parallax_zero_point: bool = False
    logg_outlier: float = float(LOGG_OUTLIER)
    feh_outlier: float = float(FEH_OUTLIER)
    novelty_max: float = float(NOVELTY_MAX)
    models: str = ""
    templates: str = ""
    verdict_rule: str = "agreement"
    database: str = ""
    workers: int = 0
    shard_size: int = 1000
    samp: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for provenance."""
        return asdict(self)

    def of_results(self) -> dict[str, Any]:
        """Return the settings that the columns of a survey's table follow from."""
        return {name: getattr(self, name) for name in OF_RESULTS}

    @property
    def models_folder(self) -> str:
        """Folder of the weights as any process finds it; empty for the shipped ones."""
        return str(Path(self.models).absolute()) if self.models else ""

    @property
    def templates_path(self) -> str:
        """Template set as any process finds it; empty for the shipped one."""
        added = self.templates.startswith("+")  # to the shipped set, see read_templates
        path = self.templates.removeprefix("+")
        return f"{'+' if added else ''}{Path(path).absolute()}" if path else ""


def load_settings(survey: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of a survey.

    Parameters
    ----------
    survey : Path, optional
        Survey folder whose ``msfa.toml`` counts.
    **overrides
        Command-line values; ``None`` means not given.

    Raises
    ------
    ConfigError
        For an unknown setting or a value of the wrong type or beyond its range, naming where it
        came from.
    """
    values: dict[str, Any] = {}
    path = survey / SETTINGS_FILE if survey else None
    if path and path.exists():
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} is not valid TOML ({error}); correct or remove it."
            ) from error
        _merge(values, entries, str(path))
    environment = {
        key.removeprefix("MSFA_").lower(): value
        for key, value in os.environ.items()
        if key.startswith("MSFA_") and key.removeprefix("MSFA_").lower() in _TYPES
    }
    _merge(values, environment, "environment (MSFA_*)")
    _merge(values, {k: v for k, v in overrides.items() if v is not None}, "command line")
    rule = values.get("rule", SEARCH_RULES[0])
    if rule not in SEARCH_RULES:
        raise ConfigError(f"rule is {rule!r}; choose {' or '.join(SEARCH_RULES)}.")
    if survey and values.get("models") == OWN_MODELS:
        values["models"] = str(survey.absolute() / MODELS_OF_SURVEY)
    return Settings(**values)


_TYPES: dict[str, type] = {
    field.name: {"float": float, "int": int, "str": str, "bool": bool}[str(field.type)]
    for field in fields(Settings)
}
_RANGES: dict[str, tuple[float, float]] = {  # beyond it a table would be empty, and not say why
    "snr_min": (0.0, 1e5),
    "bhb_threshold": (0.0, 1.0),
    "stage2_from": (0.0, 1.0),
    "match_radius_arcsec": (0.01, 600.0),
    "latitude_min": (0.0, 90.0),
    "logg_outlier": (-2.0, 10.0),
    "feh_outlier": (-10.0, 5.0),
    "novelty_max": (0.0, 1e6),
    "workers": (0, 10_000),
    "shard_size": (1, 1_000_000),
}
_WORDS: dict[str, tuple[str, ...]] = {"verdict_rule": tuple(VERDICT_RULES)}
_SWITCHES = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def _merge(values: dict[str, Any], entries: Mapping[str, Any], origin: str) -> None:
    """Add typed entries to ``values``."""
    for name, value in entries.items():
        if name not in _TYPES:
            raise ConfigError(
                f"{origin}: unknown setting {name!r}; known are {', '.join(sorted(_TYPES))}."
            )
        kind = _TYPES[name]
        try:
            if kind is bool:
                values[name] = _SWITCHES[str(value).lower()]
                continue
            if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
                raise ValueError
            values[name] = kind(value)
            if kind is int and values[name] != float(value):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{origin}: {name} = {value!r} is not a {kind.__name__}.") from error
        if values[name] not in _WORDS.get(name, (values[name],)):
            known = " or ".join(_WORDS[name])
            raise ConfigError(f"{origin}: {name} = {value!r} is not known; it is {known}.")
        if name in _RANGES and not _RANGES[name][0] <= values[name] <= _RANGES[name][1]:
            low, high = _RANGES[name]
            raise ConfigError(
                f"{origin}: {name} = {value!r} is beyond {low:g} … {high:g}; correct it."
            )


def settings_template(simulated: bool = False, **chosen: Any) -> str:
    """Return the text of a new ``msfa.toml``: every setting, its meaning and its default."""
    load_settings(**chosen)  # refuses what is no setting
    lines = ["# Settings of this survey. Remove the # before a line to change its value."]
    if simulated:
        lines.append("# The spectra of this survey are SIMULATED (simulated = true in provenance).")
    meaning = settings_help()
    for field in fields(Settings):
        lines += ["", *(f"# {line}" for line in meaning[field.name])]
        lines.append(f"# {field.name} = {json.dumps(field.default)}")
        if field.name in chosen:
            lines.append(f"{field.name} = {json.dumps(chosen[field.name])}")
    return "\n".join(lines) + "\n"


def settings_help() -> dict[str, list[str]]:
    """Return the lines that the docstring of `Settings` says of each setting."""
    meaning: dict[str, list[str]] = {field.name: [] for field in fields(Settings)}
    names: list[str] = []
    for line in (inspect.getdoc(Settings) or "").splitlines():
        head = re.fullmatch(r"(\w+(?:, \w+)*) : \w+", line)
        if head:
            names = [name for name in head[1].split(", ") if name in meaning]
        elif line.startswith("    "):
            for name in names:
                meaning[name].append(line.strip())
    return meaning
