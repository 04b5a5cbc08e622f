"""Every contract as the tests deploy it: its roles, its parameters, and what a pause stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.chain import (
    ALICE,
    ATH,
    BOB,
    BUYER,
    DAY_S,
    POSTER,
    SINK,
    SLASHER,
    VETOER,
    Contract,
    deploy,
    word,
)

VETO_WINDOW_S = DAY_S
EXIT_DELAY_S = 67 * DAY_S
EPOCH_LIMIT_WEI = 100 * ATH
WITHDRAWAL_DELAY_S = 2 * DAY_S
PATIENCE_S = 30 * DAY_S


@dataclass(frozen=True)
class Bounds:
    """A parameter: as deployed, least, most."""

    present: int
    least: int
    most: int


@dataclass(frozen=True)
class Kind:
    """A contract of the network."""

    arguments: Callable[[Contract], tuple[Any, ...]]
    roles: dict[str, str]
    parameters: dict[str, Bounds] = field(default_factory=dict)
    guarded: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Functions of a role, by role: name and arguments."""
    paused: tuple[tuple[Any, ...], ...] = ()
    """What a pause stops: caller, name, arguments."""


KINDS = {
    "ProviderRegistry": Kind(
        arguments=lambda _: (POSTER,),
        roles={"poster": POSTER},
        guarded={"poster": ("post", 1, word("root"), word("head"))},
        paused=((ALICE, "register", word("provider")), (POSTER, "post", 1, word("root"), word("head"))),
    ),
    "GreenStaking": Kind(
        arguments=lambda token: (token.address, SLASHER, SINK, EXIT_DELAY_S),
        roles={"slasher": SLASHER, "sink": SINK},
        parameters={"exit_delay_s": Bounds(EXIT_DELAY_S, 37 * DAY_S, 180 * DAY_S)},
        guarded={"slasher": ("slash", ALICE, 1, word("verdict"))},
        paused=((ALICE, "stake", 1), (ALICE, "request_exit", 1)),
    ),
    "RewardDistributor": Kind(
        arguments=lambda token: (token.address, POSTER, VETOER, VETO_WINDOW_S),
        roles={"poster": POSTER, "vetoer": VETOER},
        parameters={"veto_window_s": Bounds(VETO_WINDOW_S, 3600, 30 * DAY_S)},
        guarded={"poster": ("propose", 1, word("root"), 0), "vetoer": ("veto", 1)},
        paused=((ALICE, "fund", 1, 1), (POSTER, "propose", 1, word("root"), 0)),
    ),
    "OffsetVault": Kind(
        arguments=lambda token: (token.address, BUYER, EPOCH_LIMIT_WEI),
        roles={"buyer": BUYER},
        parameters={"epoch_limit_wei": Bounds(EPOCH_LIMIT_WEI, 0, 10**25)},
        guarded={"buyer": ("retire", word("order"), word("registry"), 1, 1, 1, False, 0, BOB)},
        paused=(
            (ALICE, "deposit", 1),
            (BUYER, "retire", word("order"), word("registry"), 1, 1, 1, False, 0, BOB),
        ),
    ),
    "StrategicReserve": Kind(
        arguments=lambda token: (token.address, POSTER),
        roles={"poster": POSTER},
        parameters={"payout_limit_ppm": Bounds(200_000, 0, 500_000)},
        guarded={"poster": ("settle", 1, 10**6, 0)},
        paused=(
            (ALICE, "request_deposit", 1),
            (ALICE, "request_exit", 1),
            (POSTER, "settle", 1, 10**6, 0),
            (POSTER, "recognise", word("ref"), 1),
            (POSTER, "compensate", word("ref"), BOB, 1),
        ),
    ),
    "Escrow": Kind(
        arguments=lambda token: (token.address, POSTER),
        roles={"poster": POSTER},
        parameters={"withdrawal_delay_s": Bounds(WITHDRAWAL_DELAY_S, 3600, 30 * DAY_S)},
        guarded={"poster": ("settle", word("batch"), [ALICE], [0], BOB)},
        paused=((ALICE, "deposit", 1), (POSTER, "settle", word("batch"), [ALICE], [1], BOB)),
    ),
}


def deployed(name: str, token: Contract) -> Contract:
    """A contract with the roles and parameters above."""
    return deploy(name, *KINDS[name].arguments(token))
