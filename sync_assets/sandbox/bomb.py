"""A small answer that unpacks to a large one: JSON, and nothing but spaces within."""

import struct
import zlib
from functools import lru_cache


@lru_cache(maxsize=2)
def bomb(megabytes: int) -> bytes:
    """A gzip file. One megabyte is pressed; the others are its bytes again."""
    press, spaces = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS), b" " * 2**20

    def pressed(part: bytes, end: int = zlib.Z_FULL_FLUSH) -> bytes:
        return press.compress(part) + press.flush(end)

    packed = pressed(b"[") + pressed(spaces) * megabytes + pressed(b"]", zlib.Z_FINISH)
    check = zlib.crc32(b"[")
    for _ in range(megabytes):
        check = zlib.crc32(spaces, check)
    sizes = struct.pack("<II", zlib.crc32(b"]", check), (megabytes * 2**20 + 2) % 2**32)
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + packed + sizes
