"""What a page is sent, in few frames of its socket."""

from __future__ import annotations

from typing import Any, Final

from bokeh.core.serialization import Buffer, BytesRep, Serializer
from bokeh.util.serialization import make_id

SMALL: Final = 1 << 17  # bytes of an array that travels within its message


def send_in_few_frames() -> None:
    """Have small arrays travel within the message that names them.

    Bokeh sends each array in two frames of its own: a star has fifty arrays, most of a few bytes,
    and a hundred frames cost both sides more than what is in them.
    """

    def encode(self: Serializer, values: bytes | memoryview) -> BytesRep:
        buffer = Buffer(make_id(), values)
        n_bytes = values.nbytes if isinstance(values, memoryview) else len(values)
        data: Any = buffer
        if not self._deferred or n_bytes <= SMALL:
            data = buffer.to_base64()
        else:
            self._buffers.append(buffer)
        return BytesRep(type="bytes", data=data)

    Serializer._encode_bytes = encode
