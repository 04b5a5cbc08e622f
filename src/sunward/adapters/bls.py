"""Signatures of drand's chains: BLS over BLS12-381, by the arithmetic of py_ecc; a third of a second each.

Loaded only where a beacon is checked: `pip install 'sunward[chain]'` brings py_ecc.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any, TypeAlias

from py_ecc.bls.g2_primitives import subgroup_check
from py_ecc.bls.hash_to_curve import hash_to_G1, hash_to_G2
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.bls.typing import G1Compressed, G2Compressed
from py_ecc.fields import optimized_bls12_381_FQ12 as FQ12
from py_ecc.optimized_bls12_381.optimized_curve import G1, G2, is_inf, neg
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

# py_ecc lets Python recurse 100,000 deep as it is loaded: a message nested so deep would end the process.
sys.setrecursionlimit(1_000)

CHAINED, UNCHAINED, ON_G1 = "pedersen-bls-chained", "pedersen-bls-unchained", "bls-unchained-g1-rfc9380"
SCHEMES = frozenset({CHAINED, UNCHAINED, ON_G1})
"""The ways of signing that are checked; drand's quicknet is the last of them."""
ROUND_BYTES = 8
G1_BYTES, G2_BYTES = 48, 96
Point: TypeAlias = Any
"""Of either group, as py_ecc has it."""
DOMAIN = b"BLS_SIG_BLS12381%b_XMD:SHA-256_SSWU_RO_NUL_"


def round_signed(scheme: str, public_key: str, number: int, signature: str, previous: str = "") -> bool:
    """Whether the chain's key signed a round; all in hex. `previous`: the round before's signature, where chained."""
    try:
        key, told = bytes.fromhex(public_key), bytes.fromhex(signature)
        before = bytes.fromhex(previous) if scheme == CHAINED else b""
        message = hashlib.sha256(before + number.to_bytes(ROUND_BYTES, "big")).digest()
        return _on_g1(key, told, message) if scheme == ON_G1 else _on_g2(key, told, message)
    except (ValueError, OverflowError):
        return False


def _on_g1(key: bytes, signature: bytes, message: bytes) -> bool:
    """A short signature under a long key."""
    held, signer = _g1(signature), _g2(key)
    hashed = hash_to_G1(message, DOMAIN % b"G1", hashlib.sha256)  # type: ignore[arg-type]
    return _equal((G2, held), (signer, hashed))


def _on_g2(key: bytes, signature: bytes, message: bytes) -> bool:
    """A long signature under a short key."""
    held, signer = _g2(signature), _g1(key)
    hashed = hash_to_G2(message, DOMAIN % b"G2", hashlib.sha256)  # type: ignore[arg-type]
    return _equal((held, G1), (hashed, signer))


def _equal(left: tuple[Point, Point], right: tuple[Point, Point]) -> bool:
    """Whether two pairings are equal: that of one and the inverse of the other multiply to one."""
    product = pairing(*left, final_exponentiate=False) * pairing(right[0], neg(right[1]), final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())


def _g1(raw: bytes) -> Point:
    if len(raw) != G1_BYTES:
        raise ValueError("not a point of G1")
    return _sound(decompress_G1(G1Compressed(int.from_bytes(raw, "big"))))


def _g2(raw: bytes) -> Point:
    if len(raw) != G2_BYTES:
        raise ValueError("not a point of G2")
    halves = (int.from_bytes(raw[:G1_BYTES], "big"), int.from_bytes(raw[G1_BYTES:], "big"))
    return _sound(decompress_G2(G2Compressed(halves)))


def _sound(point: Point) -> Point:
    """A point that may stand for a key or a signature: in the group of prime order, and not its zero."""
    if is_inf(point) or not subgroup_check(point):
        raise ValueError("not a point of the group")
    return point
