"""What a page is sent: in few frames of its socket, and every change since it was given out."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import Any, Final

import panel as pn
from bokeh.core.serialization import BytesRep, Serializer
from bokeh.server.session import ServerSession

SMALL: Final = 1 << 17  # bytes of an array that travels within its message


def send_in_few_frames() -> None:
    """Have small arrays travel within the message that names them.

    Bokeh sends each array in two frames of its own: a star has fifty arrays, most of a few bytes,
    and a hundred frames cost both sides more than what is in them.
    """

    plain = Serializer._encode_bytes

    def encode(self: Serializer, values: bytes | memoryview) -> BytesRep:
        if not self._deferred or memoryview(values).nbytes > SMALL:
            return plain(self, values)
        # the browser takes text for gzip; nothing is gained by squeezing noise, nor by unpacking it
        packed = gzip.compress(memoryview(values).tobytes(), compresslevel=0, mtime=1)
        return BytesRep(type="bytes", data=b64encode(packed).decode("ascii"))

    Serializer._encode_bytes = encode


def send_what_changes_while_it_is_drawn() -> None:
    """Have a page that was given out be told what changes, though it is not drawn yet.

    Panel takes a page for one that is still to be written until its browser has drawn it, and
    drops what changes until then. But what the browser draws was written when it asked for it.
    """
    plain = ServerSession._handle_pull

    async def give(self: ServerSession, *asked: Any) -> Any:
        answer = await plain(self, *asked)
        pn.state._connected[self.document] = True
        return answer

    ServerSession._handle_pull = give
