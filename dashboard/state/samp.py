"""Other programs on this computer (TOPCAT, Aladin) by SAMP: tables, selections, places.

Only on request, only where the browser runs on the server's own computer, and only with a hub
that runs already: none is started here. Messages count only with the key that the hub has given
to this client, which no web page knows.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.errors import SurveyError
from msfa_core.tables.export import export

TABLE: Final = "table.load.votable"
ROWS: Final = "table.select.rowList"
ROW: Final = "table.highlight.row"
PLACE: Final = "coord.pointAt.sky"
NAME: Final = "BHB vetting"
FULL_CIRCLE: Final = 360.0  # deg
POLE: Final = 90.0
HUB: Final = "hub"  # what most hubs call themselves among the programs
LOOPBACK: Final = "127.0.0.1"


def _library() -> Any:
    """Return the SAMP library: pyvo's, where it has one, else astropy's, from which it came."""
    try:
        from pyvo import samp  # noqa: PLC0415
    except ImportError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it has moved to pyvo
            from astropy import samp  # noqa: PLC0415
    return samp


@dataclass
class Heard:
    """What other programs say, given on in words of stars.

    Attributes
    ----------
    stars : callable
        Takes (n,) obsids that were selected.
    star : callable
        Takes the obsid of a row that was clicked.
    place : callable
        Takes right ascension and declination [deg].
    """

    stars: Callable[[NDArray[np.int64]], Any]
    star: Callable[[int], Any]
    place: Callable[[float, float], Any]


@dataclass
class Tools:
    """The connection of one page to other programs.

    Attributes
    ----------
    heard : Heard
        Called from a thread of the connection.
    """

    heard: Heard
    _client: Any = None
    _sent: dict[str, NDArray[np.int64]] = field(default_factory=dict)  # obsids of tables sent
    _folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a hub knows this page."""
        return self._client is not None and bool(self._client.is_connected)

    def connect(self) -> None:
        """Connect to the hub that runs.

        Raises
        ------
        SurveyError
            When none runs.
        """
        if self.is_connected:
            return
        samp = _library()
        client = samp.SAMPIntegratedClient(
            name=NAME, description="Stars of a survey, their verdicts", addr=LOOPBACK
        )
        try:
            client.connect()
        except Exception as error:  # the library raises whatever its sockets do
            raise SurveyError(
                f"No SAMP hub runs here ({error}): start TOPCAT or Aladin, then connect."
            ) from error
        self._client = client
        for message, act in ((ROWS, self._rows), (ROW, self._row), (PLACE, self._place)):
            client.bind_receive_notification(message, self._told(act))
            client.bind_receive_call(message, self._asked(act))

    def close(self) -> None:
        """Leave the hub; what was sent is taken away."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.disconnect()
            except Exception:  # the hub has gone before
                client.client.stop()
        self._sent.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def others(self) -> list[str]:
        """Return the names of the other programs at the hub, sorted."""
        if not self.is_connected:
            return []
        try:
            hub = getattr(self._client.client, "_hub_id", HUB)
            known = [one for one in self._client.get_registered_clients() if one != hub]
            said = [self._client.get_metadata(one) for one in known]
        except Exception as error:
            self.close()
            raise SurveyError(f"The SAMP hub has gone ({error}): connect again.") from error
        return sorted(str(one.get("samp.name", "?")) for one in said)

    # --- what goes out -------------------------------------------------------------------------
    def send_table(self, table: pd.DataFrame, name: str, header: Mapping[str, str]) -> None:
        """Send rows as a VOTable with every column.

        Raises
        ------
        SurveyError
            When not connected.
        ExportError
            When there is nothing to send.
        """
        self._check()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="msfa-samp-")
        key = f"msfa-{len(self._sent)}"
        path = export(table, Path(self._folder.name) / f"{key}.vot", columns="full", header=header)
        self._sent[key] = table["obsid"].to_numpy(np.int64)
        self._tell(TABLE, {"url": path.as_uri(), "table-id": key, "name": name})

    def send_stars(self, obsids: Sequence[int] | NDArray[np.int64]) -> int:
        """Select stars in the tables that were sent; return how many of the last have them.

        Raises
        ------
        SurveyError
            When not connected, or no table was sent before.
        """
        self._check()
        if not self._sent:
            raise SurveyError("Send the table first: a selection is made of its rows.")
        for key, sent in self._sent.items():
            rows = np.flatnonzero(np.isin(sent, np.asarray(obsids, dtype=np.int64)))
            self._tell(ROWS, {"table-id": key, "row-list": [str(row) for row in rows.tolist()]})
        return len(rows)

    def send_place(self, ra: float, dec: float) -> None:
        """Point the others at a place [deg].

        Raises
        ------
        SurveyError
            When not connected, or the star has no place.
        """
        self._check()
        if not np.isfinite([ra, dec]).all():
            raise SurveyError("This star has no position.")
        self._tell(PLACE, {"ra": repr(float(ra)), "dec": repr(float(dec))})

    def _check(self) -> None:
        if not self.is_connected:
            raise SurveyError("Not connected to other programs: connect first.")

    def _tell(self, message: str, said: dict[str, Any]) -> None:
        try:
            self._client.notify_all({"samp.mtype": message, "samp.params": said})
        except Exception as error:
            self.close()
            raise SurveyError(f"The SAMP hub has gone ({error}): connect again.") from error

    # --- what comes in -------------------------------------------------------------------------
    def _told(self, act: Callable[[Mapping[str, Any]], None]) -> Callable[..., None]:
        def notified(_key: str, _sender: str, _type: str, said: Any, _extra: Any) -> None:
            act(said)

        return notified

    def _asked(self, act: Callable[[Mapping[str, Any]], None]) -> Callable[..., None]:
        def called(_key: str, _sender: str, number: str, _type: str, said: Any, _more: Any) -> None:
            act(said)
            self._client.reply(number, {"samp.status": "samp.ok", "samp.result": {}})

        return called

    def _of(self, said: Mapping[str, Any]) -> NDArray[np.int64] | None:
        """Return the obsids of the table that is meant: by its key, or the place of its file."""
        key = str(said.get("table-id", "")) or Path(str(said.get("url", ""))).stem
        return self._sent.get(key)

    def _rows(self, said: Mapping[str, Any]) -> None:
        sent = self._of(said)
        rows = [int(row) for row in said.get("row-list", ()) if str(row).isdecimal()]
        if sent is not None:
            self.heard.stars(sent[[row for row in rows if row < len(sent)]])

    def _row(self, said: Mapping[str, Any]) -> None:
        sent, row = self._of(said), str(said.get("row", ""))
        if sent is not None and row.isdecimal() and int(row) < len(sent):
            self.heard.star(int(sent[int(row)]))

    def _place(self, said: Mapping[str, Any]) -> None:
        try:
            ra, dec = float(said["ra"]), float(said["dec"])
        except (KeyError, TypeError, ValueError):
            return
        if 0.0 <= ra <= FULL_CIRCLE and abs(dec) <= POLE:
            self.heard.place(ra, dec)
