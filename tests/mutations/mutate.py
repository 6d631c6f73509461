"""Damage done to files on purpose: by bytes, and by the parts that a format has, with checksums that are right."""

import random
import struct
import zlib

# Sizes, counts and offsets that readers forget.
ODD = (
    *(0, 1, 2, 3, 7, 8, 16, 255, 256, 999, 4096, 17_000, 32_767, 32_768, 65_535, 65_536),
    *(1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1),
)


def by_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change, cut, repeat or put in a few bytes anywhere, more often near the beginning, where headers are."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 12))):
        at = int(len(out) * rng.random() ** rng.choice((1, 3)))
        kind = rng.randrange(7)
        if kind == 0:
            del out[at:]
        elif kind == 1:
            out[at : at + rng.choice((1, 4, 50))] = b""
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.choice((1, 4, 50)))
        elif kind == 3:
            out[at:at] = out[at : at + 200] * rng.choice((1, 30))
        elif kind == 4:
            out[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(ODD))
        elif kind == 5:
            out[at : at + 2] = struct.pack(rng.choice("<>") + "H", rng.choice(ODD) & 0xFFFF)
        else:
            out[at : at + 1] = rng.randbytes(1)
    return bytes(out)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_extra(rng: random.Random) -> tuple[bytes, bytes]:
    """A chunk that seldom stands in a PNG: what it says may be anything."""
    kinds = b"tRNS PLTE eXIf iCCP zTXt iTXt tEXt acTL fcTL fdAT gAMA pHYs sRGB cHRM IEND IDAT IHDR"
    kind = rng.choice(kinds.split())
    words = b"Raw profile type exif\0" if rng.random() < 0.5 else b"a\0"
    body = rng.choice(
        [
            rng.randbytes(rng.choice((0, 1, 4, 6, 8, 26, 99))),
            b"Exif\0\0" + rng.randbytes(40),
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + rng.randbytes(8),
            words + b"\0" + zlib.compress(bytes(rng.choice((10, 3_000_000, 90_000_000)))),
            words + rng.randbytes(30),
            struct.pack(">II", rng.choice(ODD), rng.choice(ODD)),
        ]
    )
    return kind, body


def png(data: bytes, rng: random.Random) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    for _ in range(rng.choice((1, 1, 2, 3))):
        i = rng.randrange(len(chunks))
        kind, body = chunks[i]
        what = rng.randrange(8)
        if what == 0 and len(chunks) > 1:
            del chunks[i]
        elif what == 1:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[i])
        elif what in (2, 3):
            chunks.insert(rng.randrange(1, len(chunks) + 1), _png_extra(rng))
        elif what == 4 and kind == b"IDAT":
            try:
                plain = zlib.decompress(body)
            except zlib.error:
                continue
            chunks[i] = (kind, zlib.compress(by_bytes(plain, rng) * rng.choice((1, 1, 40))))
        elif what == 5 and chunks[0][0] == b"IHDR" and len(chunks[0][1]) == 13:
            fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
            field = rng.randrange(7)
            fields[field] = rng.choice(ODD) if field < 2 else rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
            chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
        else:
            chunks[i] = (kind, by_bytes(body, rng))
    return data[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


def jpeg(data: bytes, rng: random.Random) -> bytes:
    """Change a segment before the scan; its length stays right."""
    segments: list[bytes] = []
    at = 2
    while data[at + 1] != 0xDA:
        if data[at] != 0xFF:  # old Pillow leaves a hole in its MPO
            return by_bytes(data, rng)
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append(data[at : at + 2 + length])
        at += 2 + length
    i = rng.randrange(len(segments))
    what = rng.randrange(5)
    if what == 0:
        segments.insert(i, segments[i])
    elif what == 1:
        del segments[i]
    elif what == 2:
        body = rng.choice((b"Exif\0\0", b"ICC_PROFILE\0", b"Adobe", b"MPF\0", b"JFIF\0", b"Photoshop 3.0\0"))
        body += rng.randbytes(rng.choice((0, 3, 40, 3000)))
        segments.insert(i, bytes((0xFF, rng.randrange(0xE0, 0xFF))) + struct.pack(">H", len(body) + 2) + body)
    else:
        body = by_bytes(segments[i][4:], rng)[:65_000]
        segments[i] = segments[i][:2] + struct.pack(">H", len(body) + 2) + body
    return data[:2] + b"".join(segments) + data[at:]


def tiff(data: bytes, rng: random.Random) -> bytes:
    """Change entries of the first directory: their tag, type, count or value."""
    out = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    for _ in range(rng.choice((1, 1, 2, 4))):
        entry = at + 2 + 12 * rng.randrange(count)
        field = rng.randrange(4)
        if field == 0:
            tags = (256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325)
            struct.pack_into(order + "H", out, entry, rng.choice((*tags, 338, 339, 347, 530, 34675, 34665)))
        elif field == 1:
            struct.pack_into(order + "H", out, entry + 2, rng.choice((0, *range(1, 19), 255)))
        else:
            value = rng.choice((*ODD, rng.randrange(len(data))))
            struct.pack_into(order + "I", out, entry + 4 * field - 4, value)
    return bytes(out)


def boxes(data: bytes, rng: random.Random) -> bytes:
    """Change a box of an MP4 (anywhere in it) or a chunk of a RIFF file; the lengths around it stay as they were."""
    names = b"ftyp free mdat moov mvhd trak tkhd edts elst mdia mdhd hdlr minf stbl stsd mp4v esds stts stsc stsz stco"
    there = [at for name in [*names.split(), b"VP8 ", b"VP8X", b"VP8L", b"ANIM", b"ANMF", b"ALPH"]
             if (at := data.find(name)) > 0]  # fmt: skip
    if not there:
        return by_bytes(data, rng)
    at = rng.choice(there)
    end = at + rng.choice((4, 8, 40, 120))
    part = by_bytes(data[at:end], rng)
    if rng.random() < 0.7:
        part = (part + bytes(end - at))[: end - at]  # offsets stay right
    return data[:at] + part + data[end:]
