"""What a page is sent, in few frames of its socket."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import Final

from bokeh.core.serialization import BytesRep, Serializer

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
