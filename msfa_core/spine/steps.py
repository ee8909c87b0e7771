"""What each step of the spine does with a survey, and when its result can be used again.

Two kinds of step: those that look at spectra (classify, measure, match, label) work shard by
shard, in any process; those that look at the table (known, place, identify) take it whole. Each
result is a parquet file below ``steps/`` that carries the key of its inputs; equal keys mean
equal results, and the work is not done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core import __version__
from msfa_core.config import Settings
from msfa_core.constants import STELLAR_CLASSES
from msfa_core.durable import write_parquet
from msfa_core.errors import SurveyError
from msfa_core.flags import CmdFlag, UidFlag
from msfa_core.rules import are_low_resolution
from msfa_core.spectra.shards import Shard
from msfa_core.spectra.spectrum import Spectra
from msfa_core.survey.folder import ARCHIVE_FOLDER, STEPS_FOLDER, Survey

if TYPE_CHECKING:
    from msfa_core.search.two_stages import TwoStageSearch
    from msfa_core.templates.library import TemplateSet

ORDER: Final = ("classify", "measure", "match", "place", "label", "identify")  # labels need colours
SPECTRAL: Final = ("classify", "measure", "match", "label")  # the steps that look at spectra
RESULTS: Final = ("classify", "known", *("measure", "match", "label", "place", "identify"))  # kept
KEY: Final = "msfa_key"
MEASURE_RECORD: Final = 3  # counts what `measure` gives: results of another count are done again
MATCH_RECORD: Final = 1  # the same of `match`
LABEL_RECORD: Final = 2  # and of `label`
IDENTIFIED_BY: Final = (  # columns that make stars of spectra, and compare their velocities
    *("obsid", "ra", "dec", "snr_g", "gaia_source_id", "ps_id", "cmd_flags"),
    *("z", "z_err", "template_z", "template_z_err", "resolution"),
    *("class", "subclass", "template_class", "template_subclass"),
)


# --- steps that look at spectra ----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Task:
    """One step on one shard: all that a worker needs to know.

    Attributes
    ----------
    survey, shard, step : str
    z : (n,) float64 array
        Doppler shift of each spectrum: of its file, else of a catalogue.
    is_low : (n,) bool array
        True for low resolution: what the networks know.
    models : str
        Folder of the weights; empty for the shipped ones.
    key : str
        Of the result.
    colours : (n,) DataFrame, optional
        Dereddened colours, for ``label``.
    templates : str
        Template set; empty for the shipped one.
    """

    survey: str
    shard: str
    step: str
    z: NDArray[np.float64]
    is_low: NDArray[np.bool_]
    models: str
    key: str
    colours: pd.DataFrame | None = None
    templates: str = ""


def work(task: Task) -> pd.DataFrame:
    """Do one step on one shard; return its columns, one row per obsid."""
    shard = Shard(Path(task.survey) / ARCHIVE_FOLDER / task.shard)
    return _WORK[task.step](replace(shard.spectra(), z=task.z), task)


def network(models: str) -> TwoStageSearch:
    """Return the two networks, loaded once in each process (and again when retrained)."""
    from msfa_core.networks.weights import MODELS_FOLDER  # noqa: PLC0415 (torch)

    checksums = Path(models or MODELS_FOLDER) / "checksums.json"
    return _load(models, checksums.stat().st_mtime_ns if checksums.exists() else 0)


@lru_cache(maxsize=1)
def _load(models: str, _changed: int) -> TwoStageSearch:
    from msfa_core.search.two_stages import TwoStageSearch  # noqa: PLC0415 (torch)

    return TwoStageSearch.load(Path(models) if models else None)


def models_folder(settings: Settings) -> str:
    """Return the folder of the weights as workers find it; empty for the shipped ones."""
    return str(Path(settings.models).absolute()) if settings.models else ""


def _classify(spectra: Spectra, task: Task) -> pd.DataFrame:
    from msfa_core.spectra.prepare import prepare  # noqa: PLC0415

    n = len(spectra)
    p_class = np.full((n, len(STELLAR_CLASSES)), np.nan)
    p_bhb, novelty = np.full(n, np.nan), np.full(n, np.nan)
    predicted: NDArray[Any] = np.full(n, None, dtype=object)
    rows = np.flatnonzero(task.is_low)
    if len(rows):
        found = network(task.models).classify(prepare(spectra[rows]))
        p_class[rows], p_bhb[rows] = found.class_probability, found.p_bhb
        novelty[rows] = found.novelty
        predicted[rows] = [str(name) or None for name in found.predicted_class]
    columns = {f"p_class_{c.lower()}": p_class[:, k] for k, c in enumerate(STELLAR_CLASSES)}
    predicted_class = pd.Series(predicted, dtype="str")
    return pd.DataFrame(
        {
            "obsid": spectra.obsid,
            **columns,
            "predicted_class": predicted_class,
            "p_bhb": p_bhb,
            "novelty": novelty,
        }
    )


def _measure(spectra: Spectra, task: Task) -> pd.DataFrame:
    from msfa_core.balmer.fit import fit_lines  # noqa: PLC0415 (numba)
    from msfa_core.balmer.indices import line_indices  # noqa: PLC0415

    table = pd.DataFrame({"obsid": spectra.obsid})
    for part in (fit_lines(spectra).as_table(), line_indices(spectra)):
        rows = part.set_index("obsid") if "obsid" in part.columns else part
        table = table.join(rows.reindex(spectra.obsid).reset_index(drop=True))
    return table


def template_set(templates: str) -> TemplateSet:
    """Return the template set, read once in each process."""
    from msfa_core.templates.read_templates import read_templates  # noqa: PLC0415 (numba)

    return read_templates(templates)


def templates_path(settings: Settings) -> str:
    """Return the template set as workers find it; empty for the shipped one."""
    return str(Path(settings.templates).absolute()) if settings.templates else ""


def _match(spectra: Spectra, task: Task) -> pd.DataFrame:
    from msfa_core.templates.matching import match  # noqa: PLC0415 (numba)
    from msfa_core.templates.ranking import rank  # noqa: PLC0415

    rows = np.flatnonzero(task.is_low)
    table = pd.DataFrame({"obsid": spectra.obsid})
    batch = spectra[rows]
    found = rank(match(batch, template_set(task.templates)), batch).as_table().set_index("obsid")
    return table.join(found, on="obsid")


def _label(spectra: Spectra, task: Task) -> pd.DataFrame:
    from msfa_core.spine.label import label_shard  # noqa: PLC0415 (scipy)

    return label_shard(spectra, task.is_low, task.colours, task.models)


_WORK: Final[dict[str, Callable[[Spectra, Task], pd.DataFrame]]] = {
    "classify": _classify,
    "measure": _measure,
    "match": _match,
    "label": _label,
}


def tasks(survey: Survey, step: str, base: pd.DataFrame, settings: Settings) -> list[Task]:
    """Return the tasks of a step, one per shard.

    Parameters
    ----------
    survey : Survey
    step : str
        One that looks at spectra.
    base : (n,) DataFrame
        Every spectrum: what its file and the catalogues say, and for ``label`` its place.
    settings : Settings
    """
    models, templates = models_folder(settings), templates_path(settings)
    inputs: dict[str, Any] = {"record": MEASURE_RECORD}
    if step == "classify":
        inputs = {"weights": network(models).weights_checksum}
    if step == "match":
        inputs = {"record": MATCH_RECORD, "templates": templates_checksum(templates)}
    if step == "label":
        inputs = {"record": LABEL_RECORD, "model": labels_model(models)}
    place = pd.Index(base["obsid"].to_numpy(np.int64))
    all_z = base["z"].to_numpy(np.float64, na_value=np.nan)
    all_low = are_low_resolution(base)
    result = []
    for shard in survey.archive.shards:
        rows = place.get_indexer(pd.Index(shard.obsid))
        z, is_low = all_z[rows], all_low[rows]
        own = _colours(base.iloc[rows]) if step == "label" else None
        if own is not None:
            inputs["colours"] = own
        key = make_key(step, obsid=shard.obsid, z=z, is_low=is_low, **inputs)
        path = str(survey.path.absolute())
        result.append(Task(path, shard.name, step, z, is_low, models, key, own, templates))
    return result


def templates_checksum(templates: str) -> str:
    """Return the checksum of a template set and of the confidence of its matches."""
    from msfa_core.templates.library import set_checksum  # noqa: PLC0415

    return set_checksum(templates)


def labels_model(models: str) -> str:
    """Return the checksum of the model of the labels."""
    from msfa_core.slam.model import model_checksum  # noqa: PLC0415

    return model_checksum(models or None)


def _colours(table: pd.DataFrame) -> pd.DataFrame:
    from msfa_core.spine.label import colours_for_labels  # noqa: PLC0415

    return colours_for_labels(table).reset_index(drop=True)


# --- steps that look at the table ------------------------------------------------------------
def known(table: pd.DataFrame, tables: dict[str, pd.DataFrame], radius: float) -> pd.DataFrame:
    """Name the known catalogues that list each star, as ``known_in``."""
    from msfa_core.stars.crossmatch import mark_known  # noqa: PLC0415

    return pd.DataFrame(
        {"obsid": table["obsid"], "known_in": mark_known(table, tables, radius).array}
    )


def identify(table: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Group spectra into stars, and see whether the velocities of a star vary.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec``, ``z`` and what else `IDENTIFIED_BY` names, where known.
    radius_arcsec : float

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.stars.epochs import assign_uids  # noqa: PLC0415
    from msfa_core.stars.velocity import epoch_velocities  # noqa: PLC0415

    uids = assign_uids(table, radius_arcsec)
    if "cmd_flags" in table.columns:
        several = (table["cmd_flags"].fillna(0).astype("int64") & int(CmdFlag.AMBIGUOUS)) != 0
        uids.loc[several.to_numpy(bool), "uid_flags"] |= int(UidFlag.SEVERAL_SOURCES)
    velocities = epoch_velocities(pd.concat([table, uids["uid"]], axis=1))
    return pd.concat([table[["obsid"]], uids, velocities], axis=1)


# --- results that are kept -------------------------------------------------------------------
def make_key(step: str, **inputs: Any) -> str:
    """Return a digest of a step and all it depends on; arrays and tables by their content."""
    digest = hashlib.sha256(f"{step} {__version__}".encode())
    for name in sorted(inputs):
        digest.update(f"\n{name} ".encode())
        for part in _content(inputs[name]):
            digest.update(part)
    return digest.hexdigest()


def _content(value: Any) -> Iterator[bytes]:
    if isinstance(value, pd.DataFrame):
        yield json.dumps([str(name) for name in value.columns]).encode()
        yield pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, dict):
        for name in sorted(value):
            yield str(name).encode()
            yield from _content(value[name])
    else:
        yield json.dumps(value).encode()


def result_path(survey: Survey, step: str, part: str = "table") -> Path:
    """Return where the result of a step is kept: of a shard, or of the whole table."""
    return survey.path / STEPS_FOLDER / step / f"{part}.parquet"


def key_of(path: Path) -> str:
    """Return the key of a kept result; empty when there is none that can be read."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        notes = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return ""
    return str(notes.get(KEY.encode(), b"").decode())


def keep(survey: Survey, step: str, part: str, key: str, table: pd.DataFrame) -> None:
    """Keep the result of a step with its key, whole or not at all."""
    write_parquet(result_path(survey, step, part), table, {KEY: key})


def kept(survey: Survey, step: str) -> pd.DataFrame | None:
    """Return what a step gave for all shards (or the whole table), None before its first run."""
    parts = sorted((survey.path / STEPS_FOLDER / step).glob("*.parquet"))
    try:
        tables = [pd.read_parquet(path) for path in parts]
    except (OSError, ValueError) as error:
        raise SurveyError(
            f"a result below {survey.path / STEPS_FOLDER / step} cannot be read ({error}); remove "
            f"that folder and give `msfa run {survey.path} --steps {step}`."
        ) from error
    return pd.concat(tables, ignore_index=True) if tables else None
