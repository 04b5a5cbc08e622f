"""The hash chain of the journal: one function, shared by whoever writes it and whoever checks it."""

from __future__ import annotations

from sunward.model.codec import digest_bytes

GENESIS = "0" * 64
"""What the first record names as its previous hash."""


def record_hash(previous: str, sequence: int, term: int, kind: str, version: int, at_ms: int, body: bytes) -> str:
    """Hash of one journal record, lower-case hex.

    SHA-256 of an ASCII header, one field a line, followed by the body. No header field can hold a line
    break, so two different records never give the same bytes.
    """
    header = f"sunward-journal/1\n{previous}\n{sequence}\n{term}\n{kind}\n{version}\n{at_ms}\n"
    return digest_bytes(header.encode("ascii") + body)


def head_bytes(sequence: int, hash_: str, term: int) -> bytes:
    """What the control plane signs of the journal's head."""
    return f"sunward-head/1\n{sequence}\n{hash_}\n{term}\n".encode("ascii")


def rotation_bytes(old_public: str, new_public: str) -> bytes:
    """What a retiring key signs of the one that follows it."""
    return f"sunward-key/1\n{old_public}\n{new_public}\n".encode("ascii")
