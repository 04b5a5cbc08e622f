import pytest
from eth_hash.auto import keccak

from sunward.verification.keccak import keccak256


def test_the_empty_message_has_its_published_hash() -> None:
    published = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == published


@pytest.mark.parametrize("length", [1, 31, 32, 64, 134, 135, 136, 137, 192, 271, 272, 273])
def test_it_agrees_with_another_implementation_at_every_edge_of_a_block(length: int) -> None:
    message = bytes((7 * place + length) % 256 for place in range(length))
    assert keccak256(message) == keccak(message)
