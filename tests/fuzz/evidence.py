"""What others say of sites and journals: signed words on a key, proofs of a fork."""

from __future__ import annotations

from sunward.model.codec import encode
from sunward.model.trust import Dimension
from sunward.verification.endorsement import LINES, Endorsement, endorsement_bytes, read_endorsement
from sunward.verification.forks import ForkProof, ForkSide, read_fork, verify_fork
from tests.fuzz.target import PUBLIC, SIGNER, Target
from tests.support.bundles import genuine


def endorsement(data: bytes) -> None:
    """A signed word on a site's key; every other one is signed, to reach what stands behind that."""
    lines = data.split(b"\n")
    if len(lines) == LINES + 1 and len(data) % 2:
        signed = b"".join(line + b"\n" for line in lines[: LINES - 1])
        data = signed + SIGNER.sign(signed).hex().encode() + b"\n"
    one = read_endorsement(data)
    assert data.startswith(endorsement_bytes(one))


def _endorsements() -> list[bytes]:
    told = endorsement_bytes(
        Endorsement(
            site="s-1",
            key="ab" * 32,
            dimension=Dimension.ENERGY,
            what="meter 1234, class 1",
            coverage_ppm=1_000_000,
            valid_from_ms=0,
            valid_until_ms=86_400_000,
            endorser=PUBLIC,
        )
    )
    return [told + SIGNER.sign(told).hex().encode() + b"\n"]


def fork(data: bytes) -> None:
    """Two signed statements of one record, from whoever says that a journal forked."""
    assert not verify_fork(read_fork(data), genuine().public_key).ok


def _forks() -> list[bytes]:
    told = genuine()
    sides = tuple(ForkSide(source=name, head=told.head, public_key=told.public_key) for name in ("a", "b"))
    return [encode(ForkProof(sequence=told.head.sequence, sides=(sides[0], sides[1])))]


TARGETS = {
    "fork": Target(fork, _forks),
    "endorsement": Target(endorsement, _endorsements),
}
