"""The door of the store: whatever a page writes goes through it, with the right of who asks.

What a page sends can be forged: who somebody is, is known here, on the server, and what they may
do is asked of the survey's file at each writing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from msfa_core.errors import RightsError, UnansweredError
from msfa_core.survey.folder import Survey
from msfa_core.vetting.decision import Decision, reviewer_name
from msfa_core.vetting.roles import Act, Role, Roles, load_roles

if TYPE_CHECKING:
    from msfa_core.vetting.store import Store


class Door:
    """What one page may write.

    Parameters
    ----------
    survey : Survey
    store : callable
        Gives the store in use.
    login : str
        Who has logged in; empty where names are typed.

    Raises
    ------
    StoreError
        When the login is no name.
    """

    def __init__(self, survey: Survey, store: Callable[[], Store], login: str = "") -> None:
        self._survey, self._store = survey, store
        self.login: Final = reviewer_name(login)

    @property
    def roles(self) -> Roles:
        """Who may do what: as the file says now."""
        return load_roles(self._survey.path)

    def role(self, name: str) -> Role:
        """Return the role of whoever has this name on the page."""
        return self.roles.role_of(self.who(name), is_login=bool(self.login))

    def who(self, name: str) -> str:
        """Return who it is: the login, else the name that was typed.

        Raises
        ------
        StoreError
            When it is no name.
        """
        return self.login or reviewer_name(name)

    def check(self, act: Act, name: str) -> None:
        """Refuse what somebody may not do.

        Raises
        ------
        RightsError
            Saying what they are and who may.
        """
        self.roles.check(act, self.who(name), is_login=bool(self.login))

    def must_be_blind(self, name: str) -> bool:
        """Tell whether whoever has this name works blind."""
        return self.roles.must_be_blind(self.who(name), is_login=bool(self.login))

    def keep(self, decision: Decision) -> Decision:
        """Store a decision; where the store broke off, give it again with its key.

        Raises
        ------
        RightsError
            When its reviewer may not, or is somebody else than who has logged in.
        StoreError
            As `Store.append_decision`.
        """
        if self.login and decision.reviewer != self.login:
            raise RightsError(
                f"Not saved: you are logged in as {self.login}, not as {decision.reviewer}."
            )
        self.check(Act.SETTLE if decision.is_final else Act.DECIDE, decision.reviewer)
        decision = replace(decision, key=decision.key or uuid4().hex)
        try:
            return self._store().append_decision(decision)
        except UnansweredError:
            return self._store().append_decision(decision)

    def withdraw(self, decision: Decision, name: str) -> Decision:
        """Take a decision back.

        Raises
        ------
        RightsError
            When this reviewer may not.
        StoreError
            As `Store.withdraw`.
        """
        self.check(Act.SETTLE if decision.is_final else Act.DECIDE, name)
        return self._store().withdraw(decision.decision_id or 0, self.who(name))
