"""Read the body of an answer without letting whoever sends it decide how much memory that takes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable

from grantkeeper.errors import AnswerLost

LIMIT = 64 * 1024
"""The longest body that is read, in decoded bytes."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_TOO_LONG = "the answer is longer than 64 KiB"


async def read(parts: AsyncIterable[bytes], coding: str) -> bytes:
    """The body, decoded from its Content-Encoding, since some servers compress although they were asked not to.

    AnswerLost where it is too long, damaged, or in an encoding that is not known here.
    """
    raw = bytearray()
    async for part in parts:
        raw += part
        if len(raw) > LIMIT:
            raise AnswerLost(_TOO_LONG)
    match coding.strip().lower():
        case "" | "identity":
            return bytes(raw)
        case "gzip" | "x-gzip" | "deflate":
            return _decompress(bytes(raw))
    raise AnswerLost("the answer is compressed in a way that was not asked for")


def _decompress(raw: bytes) -> bytes:
    decoder = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        body = decoder.decompress(raw, LIMIT + 1)
    except zlib.error:
        raise AnswerLost("the answer is compressed, and damaged") from None
    if len(body) > LIMIT:
        raise AnswerLost(_TOO_LONG)
    if not decoder.eof:
        raise AnswerLost("the answer is compressed, and cut off")
    return body
