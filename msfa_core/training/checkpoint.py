"""Where a training run stands, on disk: whole or not at all, and refused when of another run."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from msfa_core.errors import TrainingError
from msfa_core.networks.weights import write_atomically

_FORMAT: Final = "msfa-checkpoint-1"


def write_checkpoint(path: Path, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
    run : mapping
        What identifies the run: plain values that must be equal on resume.
    state : mapping
        Tensors, numbers, text, lists and dicts of these.

    Raises
    ------
    TrainingError
        When the disk is full or the folder cannot be written; the previous checkpoint stays.
    """
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "run": dict(run), "state": dict(state)}, buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be written ({error}); the previous one is whole. Free "
            "some space and run the same command again: it resumes there."
        ) from error


def read_checkpoint(path: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the checkpoint of a run.

    Returns
    -------
    dict or None
        The state, on the CPU; None when there is no checkpoint yet.

    Raises
    ------
    TrainingError
        When the file is damaged or belongs to a run of other data or settings.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError("not a checkpoint of this software")
        found, state = content["run"], content["state"]
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path} is damaged ({error}); delete it, or train in another run folder."
        ) from error
    differing = sorted(
        name for name in {*found, *run} if found.get(name, object()) != run.get(name, object())
    )
    if differing:
        raise TrainingError(
            f"{path} belongs to another run: {', '.join(differing)} differ. Train in another run "
            "folder, or start afresh with resume=False."
        )
    return dict(state)
