"""Writes into a file how it was made, and reads it back: a note that readers of the format skip.  Imports no torch.

| file           | where the note is                                                  |
|----------------|--------------------------------------------------------------------|
| `.png`         | a `tEXt` chunk with the keyword `zoo`, after the header            |
| `.jpg`         | a comment segment                                                  |
| `.gif`         | a comment extension before the first frame                         |
| `.wav`         | a `LIST`/`INFO` chunk with a comment `ICMT`, after the sound       |
| `.safetensors` | the metadata key `zoo`, the only one                               |
| `.npz`         | the comment of the ZIP archive                                     |
| others         | a file beside it, `FILE.zoo.json`, with the hash of the file       |

A note is text in ASCII, and the bytes of a file depend on its content and its note only.  A note that is too long for
its place (65,533 bytes in a `.jpg` or `.npz`) is written beside the file too.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from zoo_core.files.folders import write_whole

__all__ = ["LONGEST", "beside", "changed", "file_sha256", "read_note", "write_noted"]

KEY = b"zoo"
LONGEST = 1_000_000
"""Length of the longest note that is read, in bytes."""

_BLOCKS = 1000
"""Number of blocks at the start of a file among which a note is looked for."""


def write_noted(path: Path, content: bytes, note: str = "") -> str:
    """Writes a file in one step, with a note of how it was made.

    Args:
        path: path of the file; an existing file is replaced.
        content: bytes of the file without the note, in the format of the file's suffix.
        note: text in ASCII; empty for none.

    Returns:
        The SHA-256 hash of the bytes that were written.

    Raises:
        OSError: the file cannot be written; an existing file is not changed.
    """
    place = _PLACES.get(path.suffix.lower()) if note else None
    inside = place[0](content, note.encode("ascii")) if place is not None else None
    written = content if inside is None else inside
    write_whole(path, lambda to: to.write_bytes(written))
    sha256 = hashlib.sha256(written).hexdigest()
    if inside is not None or not note:
        beside(path).unlink(missing_ok=True)  # it spoke of a file that was here before
    else:
        text = f'{{"sha256": "{sha256}",\n"made": {note}}}\n'
        write_whole(beside(path), lambda to: to.write_text(text, encoding="ascii"))
    return sha256


def read_note(path: Path) -> str | None:
    """Reads the note of a file; ``None`` if it has none.

    The file is untrusted: only regular files are read, of each no more than the blocks before its content and a note of
    at most :data:`LONGEST` bytes.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
    """
    place = _PLACES.get(path.suffix.lower())
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no regular file")
    if place is not None:
        with open(path, "rb") as file:
            try:
                found = place[1](file)
            except (struct.error, ValueError, OverflowError, RecursionError, LookupError, TypeError):
                found = None  # the file is damaged, or of another format than its suffix
        if found is not None:
            return found.decode("ascii", "replace")
    table = _table_beside(path)
    return None if table is None else json.dumps(table["made"])


def beside(path: Path) -> Path:
    """Returns the path of the file that has the note of a file whose format has no place for it."""
    return path.with_name(f"{path.name}.zoo.json")


def changed(path: Path) -> bool:
    """Says whether a file differs from what its note was written with; known only where the note is beside the file."""
    found = _table_beside(path)
    return found is not None and found.get("sha256") != file_sha256(path)


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 hash of a regular file; raises ``OSError`` where there is none."""
    if not path.is_file():
        raise FileNotFoundError(str(path))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table_beside(path: Path) -> dict[str, Any] | None:
    try:
        if not beside(path).is_file() or beside(path).stat().st_size > LONGEST:
            return None
        found = json.loads(beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "made" in found else None


def _into_png(content: bytes, note: bytes) -> bytes:
    end = 8 + 25  # the signature, and the header chunk of 13 bytes
    body = b"tEXt" + KEY + b"\0" + note
    return b"".join(
        (content[:end], struct.pack(">I", len(body) - 4), body, struct.pack(">I", zlib.crc32(body)), content[end:])
    )


def _from_png(file: BinaryIO) -> bytes | None:
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return None
    for _ in range(_BLOCKS):
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"tEXt" and length <= LONGEST:
            key, _, note = file.read(length).partition(b"\0")
            if key == KEY:
                return note
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)
    return None


def _into_jpeg(content: bytes, note: bytes) -> bytes | None:
    if len(note) > 65_533:
        return None
    end = 2
    if content[2:4] == b"\xff\xe0":  # JFIF requires its segment to be the first
        end += 2 + struct.unpack(">H", content[4:6])[0]
    return b"".join((content[:end], b"\xff\xfe", struct.pack(">H", len(note) + 2), note, content[end:]))


def _from_jpeg(file: BinaryIO) -> bytes | None:
    if file.read(2) != b"\xff\xd8":
        return None
    for _ in range(_BLOCKS):
        marker, length = struct.unpack(">2sH", file.read(4))
        if marker[:1] != b"\xff" or marker == b"\xff\xda":
            break
        body = file.read(length - 2) if length >= 2 else b""
        if marker == b"\xff\xfe" and body.startswith(b"{"):
            return body
    return None


def _into_gif(content: bytes, note: bytes) -> bytes:
    end = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    if content[end : end + 2] == b"\x21\xff":  # the extension that makes a film repeat is the first by custom
        end += 2
        while content[end]:
            end += 1 + content[end]
        end += 1
    pieces = (note[i : i + 255] for i in range(0, len(note), 255))
    blocks = b"".join(bytes([len(piece)]) + piece for piece in pieces)
    return b"".join((content[:end], b"\x21\xfe", blocks, b"\0", content[end:]))


def _from_gif(file: BinaryIO) -> bytes | None:
    head = file.read(13)
    if head[:4] != b"GIF8":
        return None
    if head[10] & 0x80:
        file.seek(3 << (head[10] & 7) + 1, 1)
    for _ in range(_BLOCKS):
        mark = file.read(2)
        if mark[:1] != b"\x21" or len(mark) < 2:
            break
        pieces: list[bytes] = []
        while (size := file.read(1)) not in (b"", b"\0") and sum(map(len, pieces)) <= LONGEST:
            pieces.append(file.read(size[0]))
        body = b"".join(pieces)
        if mark == b"\x21\xfe" and body.startswith(b"{"):
            return body
    return None


def _into_wav(content: bytes, note: bytes) -> bytes:
    note += b"\0" * (1 + (len(note) + 1) % 2)  # the text ends in a zero, and a chunk has an even length
    body = b"INFOICMT" + struct.pack("<I", len(note)) + note
    whole = content[8:] + b"\0" * (len(content) % 2) + b"LIST" + struct.pack("<I", len(body)) + body
    return content[:4] + struct.pack("<I", len(whole)) + whole


def _from_wav(file: BinaryIO) -> bytes | None:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    for _ in range(_BLOCKS):
        if len(start := file.read(8)) < 8:
            break
        kind, length = struct.unpack("<4sI", start)
        if kind != b"LIST" or length > LONGEST:
            file.seek(length + length % 2, 1)
            continue
        body = file.read(length + length % 2)
        if body[:8] == b"INFOICMT":
            (size,) = struct.unpack("<I", body[8:12])
            return body[12 : 12 + size].rstrip(b"\0")
    return None


def _into_safetensors(content: bytes, note: bytes) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    header = {"__metadata__": {KEY.decode(): note.decode()}, **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((struct.pack("<Q", len(text)), text, memoryview(content)[8 + length :]))


def _from_safetensors(file: BinaryIO) -> bytes | None:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > 2 * LONGEST:
        return None
    note = json.loads(file.read(length))["__metadata__"][KEY.decode()]
    return note.encode() if len(note) <= LONGEST else None


def _into_npz(content: bytes, note: bytes) -> bytes | None:
    if len(note) > 65_533:
        return None
    return b"".join((memoryview(content)[:-2], struct.pack("<H", len(note)), note))


def _from_npz(file: BinaryIO) -> bytes | None:
    file.seek(0, 2)
    file.seek(max(file.tell() - 22 - 65_535, 0))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or struct.unpack("<H", tail[at + 20 : at + 22])[0] != len(tail) - at - 22:
        return None
    return tail[at + 22 :] or None


_Into = Callable[[bytes, bytes], "bytes | None"]
_From = Callable[[BinaryIO], "bytes | None"]
_PLACES: dict[str, tuple[_Into, _From]] = {
    ".png": (_into_png, _from_png),
    ".jpg": (_into_jpeg, _from_jpeg),
    ".jpeg": (_into_jpeg, _from_jpeg),
    ".gif": (_into_gif, _from_gif),
    ".wav": (_into_wav, _from_wav),
    ".safetensors": (_into_safetensors, _from_safetensors),
    ".npz": (_into_npz, _from_npz),
}
"""How a note is put into a file of each suffix, ``None`` where it is too long, and how it is found there."""
