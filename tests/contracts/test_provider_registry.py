"""Which wallet speaks for whom, and what each epoch's journal held."""

from __future__ import annotations

import pytest

from tests.contracts.chain import ALICE, BOB, CAROL, POSTER, STRANGER, Contract, now_s, refuses, word
from tests.contracts.scene import deployed


@pytest.fixture
def registry(token: Contract) -> Contract:
    return deployed("ProviderRegistry", token)


def test_a_wallet_speaks_for_one_provider(registry: Contract) -> None:
    with refuses("registry: no provider"):
        registry.register(b"\0" * 32, sender=ALICE)
    registry.register(word("north"), sender=ALICE)
    assert registry.logs[0].values == {"wallet": ALICE.lower(), "provider_id": word("north")}
    registry.register(word("north"), sender=ALICE)
    assert registry.logs == []
    with refuses("registry: wallet speaks for another"):
        registry.register(word("south"), sender=ALICE)
    assert (registry.provider_of(ALICE), registry.operator_of(ALICE)) == (word("north"), ALICE.lower())


def test_nobody_keeps_another_from_its_name(registry: Contract) -> None:
    registry.register(word("north"), sender=STRANGER)
    registry.register(word("north"), sender=ALICE)
    assert registry.provider_of(ALICE) == word("north")


def test_an_operator_is_named_then_accepts(registry: Contract) -> None:
    with refuses("registry: wallet is not registered"):
        registry.set_operator(BOB, sender=ALICE)
    registry.register(word("north"), sender=ALICE)
    registry.set_operator(BOB, sender=ALICE)
    assert registry.operator_of(ALICE) == ALICE.lower()
    with refuses("registry: not named as operator"):
        registry.accept_operator(ALICE, sender=CAROL)
    registry.accept_operator(ALICE, sender=BOB)
    assert registry.operator_of(ALICE) == BOB.lower()
    with refuses("registry: not named as operator"):
        registry.accept_operator(ALICE, sender=BOB)


def test_epochs_are_posted_once_and_in_order(registry: Contract) -> None:
    registry.post(5, word("root 5"), word("head 5"), sender=POSTER)
    posted_at = now_s()
    assert registry.logs[0].values == {"epoch": 5, "evidence_root": word("root 5"), "journal_head": word("head 5")}
    registry.post(5, word("root 5"), word("head 5"), sender=POSTER)
    assert registry.logs == []
    for root, head in ((word("other"), word("head 5")), (word("root 5"), word("other"))):
        with refuses("registry: epoch has other roots"):
            registry.post(5, root, head, sender=POSTER)
    for epoch in (0, 4, 7):
        with refuses("registry: not the next epoch"):
            registry.post(epoch, word("root"), word("head"), sender=POSTER)
    with refuses("registry: no such epoch"):
        registry.post(2**256 - 1, word("root"), word("head"), sender=POSTER)
    with refuses("registry: no journal head"):
        registry.post(6, word("root"), b"\0" * 32, sender=POSTER)
    registry.post(6, b"\0" * 32, word("head 6"), sender=POSTER)
    assert (registry.last_epoch(), registry.posted()) == (6, 2)
    assert registry.roots(5) == (word("root 5"), word("head 5"), posted_at)


def test_a_pause_leaves_what_is_posted_as_it_is(registry: Contract) -> None:
    registry.post(0, word("root"), word("head"), sender=POSTER)
    registry.pause()
    registry.post(0, word("root"), word("head"), sender=POSTER)
    assert registry.roots(0)[0] == word("root")
