"""Who may do what in a survey: roles from a file in its folder, checked at the door of the store.

``roles.toml`` in the survey::

    blind = false         # true: reviewers work blind, only adjudicators may look
    typed_names = false   # true: a name typed on the page counts like one of a login

    [roles]
    anna = "adjudicator"
    "Bert Braun" = "reviewer"
    "*" = "reader"        # everybody else

Without the file everybody may do everything, as long as nobody else decides otherwise.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msfa_core.errors import ConfigError, RightsError, StoreError
from msfa_core.vetting.decision import reviewer_name

ROLES_FILE: Final = "roles.toml"
EVERYBODY_ELSE: Final = "*"


class Act(enum.StrEnum):
    """What needs a right, in the words of a refusal."""

    DECIDE = "give verdicts"
    SETTLE = "give final verdicts"
    REVEAL = "see what others and the machine say"
    ASSIGN = "assign stars"


class Role(enum.StrEnum):
    """What a member of a team is; each may do what the one before may, and more."""

    READER = "reader"
    REVIEWER = "reviewer"
    ADJUDICATOR = "adjudicator"
    ADMIN = "admin"


MAY: Final[Mapping[Role, frozenset[Act]]] = {
    Role.READER: frozenset(),
    Role.REVIEWER: frozenset({Act.DECIDE}),
    Role.ADJUDICATOR: frozenset({Act.DECIDE, Act.SETTLE, Act.REVEAL}),
    Role.ADMIN: frozenset(Act),
}


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of a survey.

    Attributes
    ----------
    roles : mapping of name -> Role
        ``*`` stands for everybody else; readers where it is missing.
    typed_names : bool
        A name that somebody typed proves who they are. Where it does not, only a login does, and
        whoever typed a name has the role of everybody else.
    blind : bool
        Who may not reveal works blind.
    is_open : bool
        There is no file: everybody may do everything.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    typed_names: bool = False
    blind: bool = False
    is_open: bool = False

    def role_of(self, name: str, *, is_login: bool) -> Role:
        """Return the role of a name.

        Parameters
        ----------
        name : str
        is_login : bool
            The name comes from a login, not from a field of the page.
        """
        if self.is_open:
            return Role.ADMIN
        other = self.roles.get(EVERYBODY_ELSE, Role.READER)
        if not (is_login or self.typed_names) or name.strip() == EVERYBODY_ELSE:
            return other
        return self.roles.get(name.strip(), other)

    def check(self, act: Act, name: str, *, is_login: bool) -> None:
        """Refuse what a name may not do.

        Raises
        ------
        RightsError
            Saying which role they have, which one may, and how to get it.
        """
        role = self.role_of(name, is_login=is_login)
        if act in MAY[role]:
            return
        least = next(one for one in Role if act in MAY[one])
        who = f"{name.strip()} is" if name.strip() else "without a name you are"
        how = f"ask an admin of the survey ({ROLES_FILE})"
        if not is_login and not self.typed_names and name.strip() in self.roles:
            how = "a name that is typed proves nothing here: log in"
        raise RightsError(
            f"Not saved: {who} {_a(role)} in this survey; to {act} takes {_a(least)}: {how}."
        )

    def must_be_blind(self, name: str, *, is_login: bool) -> bool:
        """Tell whether whoever has this name works blind."""
        return self.blind and Act.REVEAL not in MAY[self.role_of(name, is_login=is_login)]


def load_roles(survey: str | Path) -> Roles:
    """Read the roles of a survey.

    Parameters
    ----------
    survey : str or Path
        Its folder.

    Raises
    ------
    ConfigError
        When the file cannot be read or says something else than roles; nobody may write then.
    """
    path = Path(survey) / ROLES_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Roles(is_open=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); nothing is saved meanwhile.") from (
            error
        )
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); correct it.") from error
    unknown = sorted(set(said) - {"roles", "typed_names", "blind"})
    given = said.get("roles", {})
    if unknown or not isinstance(given, dict):
        named = ", ".join(unknown) or "roles"
        raise ConfigError(f"{path}: {named} is none of blind, typed_names, [roles].")
    for name in ("typed_names", "blind"):
        if not isinstance(said.get(name, False), bool):
            raise ConfigError(f"{path}: {name} = {said[name]!r} is neither true nor false.")
    roles = {}
    for name, role in given.items():
        if role not in list(Role):
            raise ConfigError(f"{path}: {name} = {role!r} is none of {', '.join(Role)}.")
        try:
            roles[reviewer_name(name)] = Role(role)
        except StoreError as error:
            raise ConfigError(f"{path}: {error}") from error
    return Roles(roles, said.get("typed_names", False), said.get("blind", False))


def _a(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"
