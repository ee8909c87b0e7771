"""The user's own token for releases of LAMOST that are not public yet.

It comes from the environment or from a file of the user, never from the command line (others
see that), and nothing that is printed or kept ever holds it: see `hide`.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from msfa_core.errors import ConfigError

logger = logging.getLogger(__name__)

VARIABLE: Final = "MSFA_LAMOST_TOKEN"
KEY: Final = "lamost_token"
HIDDEN: Final = "***"
_IN_ADDRESS: Final = re.compile(r"([?&]token=)[^&\s'\"<>)]*", re.IGNORECASE)
_USER: Final = re.compile(r"://[^/@\s]+@")


def user_file() -> Path:
    """Return the user's configuration file, ``~/.config/msfa/config.toml``."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home else Path.home() / ".config") / "msfa" / "config.toml"


def lamost_token() -> str:
    """Return the user's token; empty when there is none.

    Raises
    ------
    ConfigError
        When the user's file cannot be understood.
    """
    if given := os.environ.get(VARIABLE, "").strip():
        return given
    path = user_file()
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): mend its rights.") from None
    try:
        token = tomllib.loads(content.decode()).get(KEY, "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # the error may quote the token
        token = None
    if not isinstance(token, str):
        raise ConfigError(f'{path} is no TOML with a line {KEY} = "…": correct it.')
    if token and mode & (stat.S_IRGRP | stat.S_IROTH):
        logger.warning("%s holds your token and others can read it: chmod 600 %s", path, path)
    return token.strip()


def hide(text: object, token: str = "") -> str:
    """Return a text in one line without the token, as such or in an address, and passwords."""
    words = " ".join(str(text).split())
    for secret in {token, quote(token), quote_plus(token)} - {""}:
        words = words.replace(secret, HIDDEN)
    return _USER.sub("://", _IN_ADDRESS.sub(rf"\1{HIDDEN}", words))
