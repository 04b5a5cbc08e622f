"""Keccak-256 as Ethereum uses it: the first padding of FIPS 202's sponge, in plain Python for who has nothing else.

Slow (a millisecond a block), and enough for the few hashes of one proof.
Source: G. Bertoni et al., The Keccak reference, version 3.0, section 1.
"""

from __future__ import annotations

RATE_BYTES = 136
LANE_BITS = 64
MASK = (1 << LANE_BITS) - 1
ROUNDS = 24
SIDE = 5


def keccak256(message: bytes) -> bytes:
    """The hash of a message, 32 bytes."""
    missing = RATE_BYTES - len(message) % RATE_BYTES
    padding = b"\x81" if missing == 1 else b"\x01" + bytes(missing - 2) + b"\x80"
    padded = message + padding
    lanes = [0] * (SIDE * SIDE)
    for start in range(0, len(padded), RATE_BYTES):
        for place in range(RATE_BYTES // 8):
            at = start + 8 * place
            lanes[place] ^= int.from_bytes(padded[at : at + 8], "little")
        _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permute(lanes: list[int]) -> None:
    """Keccak-f[1600] in place; lane (x, y) stands at x + 5y."""
    register = 1
    for _ in range(ROUNDS):
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(SIDE)]
        for x in range(SIDE):
            change = columns[(x + 4) % SIDE] ^ _turn(columns[(x + 1) % SIDE], 1)
            for y in range(0, SIDE * SIDE, SIDE):
                lanes[x + y] ^= change
        _turn_and_move(lanes)
        for y in range(0, SIDE * SIDE, SIDE):
            row = lanes[y : y + SIDE]
            for x in range(SIDE):
                lanes[x + y] = row[x] ^ (~row[(x + 1) % SIDE] & row[(x + 2) % SIDE] & MASK)
        for power in range(7):
            # The round constants are the output of a shift register; its bits stand at places 2^power - 1.
            if register & 1:
                lanes[0] ^= 1 << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register >> 7 else 0)


def _turn_and_move(lanes: list[int]) -> None:
    """Steps rho and pi along the one path through all lanes but the first."""
    x, y, carried = 1, 0, lanes[1]
    for step in range(ROUNDS):
        x, y = y, (2 * x + 3 * y) % SIDE
        place = x + SIDE * y
        carried, lanes[place] = lanes[place], _turn(carried, (step + 1) * (step + 2) // 2 % LANE_BITS)


def _turn(lane: int, by: int) -> int:
    return (lane << by | lane >> (LANE_BITS - by)) & MASK
