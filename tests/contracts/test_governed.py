"""Who may do what, and when: roles in two steps, parameters after a delay within bounds, what a pause stops."""

from __future__ import annotations

from typing import Any

import pytest
from vyper import ast as vy_ast
from vyper.ast import parse_to_ast

from tests.conftest import ROOT
from tests.contracts.chain import (
    ALICE,
    BOB,
    DAY_S,
    OWNER,
    STRANGER,
    Contract,
    Reverted,
    deploy,
    now_s,
    pass_time,
    refuses,
    word,
)
from tests.contracts.scene import KINDS, Bounds, deployed

ROLES = [(name, role) for name, kind in KINDS.items() for role in kind.roles]
GUARDED = [(name, role) for name, kind in KINDS.items() for role in kind.guarded]
PARAMETERS = [(name, parameter) for name, kind in KINDS.items() for parameter in kind.parameters]
PAUSED = [(name, call) for name, kind in KINDS.items() for call in kind.paused]
DELAY_S = 2 * DAY_S
NOT_OWNER = "ownable: caller is not the owner"
ZERO = "0x" + "00" * 20


@pytest.fixture(params=sorted(KINDS))
def any_contract(request: pytest.FixtureRequest, token: Contract) -> Contract:
    return deployed(request.param, token)


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_a_role_is_named_then_accepted(name: str, role: str, token: Contract) -> None:
    contract, holder = deployed(name, token), KINDS[name].roles[role].lower()
    with refuses(NOT_OWNER):
        contract.name_role(word(role), ALICE, sender=STRANGER)
    contract.name_role(word(role), ALICE)
    assert contract.logs[0].values == {"role": word(role), "account": ALICE.lower()}
    assert contract.role_holder(word(role)) == holder
    with refuses("governed: not named for the role"):
        contract.accept_role(word(role), sender=BOB)
    contract.accept_role(word(role), sender=ALICE)
    assert contract.logs[0].values == {"role": word(role), "previous": holder, "account": ALICE.lower()}
    assert contract.role_holder(word(role)) == ALICE.lower()
    with refuses("governed: not named for the role"):
        contract.accept_role(word(role), sender=ALICE)


def test_a_name_can_be_taken_back(any_contract: Contract) -> None:
    role = word("poster") if any_contract.role_holder(word("poster")) != ZERO else None
    role = role or next(word(one) for one in ("slasher", "buyer") if any_contract.role_holder(word(one)) != ZERO)
    any_contract.name_role(role, ALICE)
    any_contract.name_role(role, ZERO)
    with refuses("governed: not named for the role"):
        any_contract.accept_role(role, sender=ALICE)


def test_there_are_no_other_roles(any_contract: Contract) -> None:
    with refuses("governed: no such role"):
        any_contract.name_role(word("minter"), ALICE)
    with refuses("governed: not named for the role"):
        any_contract.accept_role(word("minter"), sender=ALICE)


@pytest.mark.parametrize(("name", "role"), GUARDED)
@pytest.mark.parametrize("caller", [OWNER, STRANGER])
def test_only_the_role_does_its_work(name: str, role: str, caller: str, token: Contract) -> None:
    contract, call = deployed(name, token), KINDS[name].guarded[role]
    with refuses("governed: caller lacks the role"):
        contract.call(call[0], *call[1:], sender=caller)


@pytest.mark.parametrize(("name", "role"), GUARDED)
def test_who_passed_a_role_on_has_it_no_longer(name: str, role: str, token: Contract) -> None:
    contract, kind = deployed(name, token), KINDS[name]
    contract.name_role(word(role), ALICE)
    contract.accept_role(word(role), sender=ALICE)
    with refuses("governed: caller lacks the role"):
        contract.call(kind.guarded[role][0], *kind.guarded[role][1:], sender=kind.roles[role])


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_no_role_is_deployed_for_nobody(name: str, role: str, token: Contract) -> None:
    kind = KINDS[name]
    arguments = [ZERO if one == kind.roles[role] else one for one in kind.arguments(token)]
    with refuses("governed: role for nobody"):
        deploy(name, *arguments)


def test_ownership_passes_in_two_steps_and_cannot_be_renounced(any_contract: Contract) -> None:
    any_contract.transfer_ownership(ALICE)
    assert any_contract.owner() == OWNER.lower()
    with refuses("ownable_2step: caller is not the new owner"):
        any_contract.accept_ownership(sender=BOB)
    any_contract.accept_ownership(sender=ALICE)
    with refuses(NOT_OWNER):
        any_contract.pause()
    assert "renounce_ownership" not in any_contract.functions


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_parameter_changes_late_and_within_bounds(name: str, parameter: str, token: Contract) -> None:
    contract, bounds, key = deployed(name, token), KINDS[name].parameters[parameter], word(parameter)
    assert contract.parameters(key) == (bounds.present, bounds.least, bounds.most)
    for wanted in outside(bounds):
        with refuses("governed: out of bounds"):
            contract.announce(key, wanted)
    with refuses(NOT_OWNER):
        contract.announce(key, bounds.most, sender=STRANGER)
    contract.announce(key, bounds.most)
    assert contract.logs[0].values["ready_at"] == now_s() + DELAY_S
    pass_time(DELAY_S - 1)
    with refuses("governed: too early"):
        contract.enact(key, sender=STRANGER)
    pass_time(1)
    contract.enact(key, sender=STRANGER)
    assert contract.logs[0].values == {"parameter": key, "previous": bounds.present, "present": bounds.most}
    assert contract.parameters(key)[0] == bounds.most
    with refuses("governed: nothing announced"):
        contract.enact(key)


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_an_announcement_is_replaced_or_taken_back(name: str, parameter: str, token: Contract) -> None:
    contract, bounds, key = deployed(name, token), KINDS[name].parameters[parameter], word(parameter)
    contract.announce(key, bounds.most)
    pass_time(DELAY_S - 1)
    contract.announce(key, bounds.least)
    pass_time(1)
    with refuses("governed: too early"):
        contract.enact(key)
    with refuses(NOT_OWNER):
        contract.withdraw_announcement(key, sender=STRANGER)
    contract.withdraw_announcement(key)
    with refuses("governed: nothing announced"):
        contract.withdraw_announcement(key)
    pass_time(DELAY_S)
    with refuses("governed: nothing announced"):
        contract.enact(key)


def test_there_are_no_other_parameters(any_contract: Contract) -> None:
    with refuses("governed: no such parameter"):
        any_contract.announce(word("owner"), 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("GreenStaking", (BOB, BOB, 37 * DAY_S - 1)),
        ("GreenStaking", (BOB, BOB, 180 * DAY_S + 1)),
        ("RewardDistributor", (BOB, BOB, 3599)),
        ("RewardDistributor", (BOB, BOB, 30 * DAY_S + 1)),
        ("OffsetVault", (BOB, 10**25 + 1)),
    ],
)
def test_deployment_keeps_the_bounds(name: str, arguments: tuple[Any, ...], token: Contract) -> None:
    with refuses("governed: out of bounds"):
        deploy(name, token.address, *arguments)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GreenStaking", "staking: no token"),
        ("RewardDistributor", "distributor: no token"),
        ("OffsetVault", "vault: no token"),
        ("StrategicReserve", "reserve: no token"),
        ("Escrow", "escrow: no token"),
    ],
)
def test_no_contract_is_deployed_without_a_token(name: str, reason: str, token: Contract) -> None:
    for nothing in (ZERO, ALICE):
        with refuses(reason):
            deploy(name, nothing, *KINDS[name].arguments(token)[1:])


@pytest.mark.parametrize(("name", "call"), PAUSED)
def test_a_pause_stops_what_begins_something(name: str, call: tuple[Any, ...], token: Contract) -> None:
    contract = deployed(name, token)
    contract.pause()
    with refuses("pausable: contract is paused"):
        contract.call(call[1], *call[2:], sender=call[0])
    contract.unpause()
    # It may still be refused, but for its own reasons.
    try:
        contract.call(call[1], *call[2:], sender=call[0])
    except Reverted as refusal:
        assert not refusal.reason.startswith("pausable")  # noqa: PT017 - what passes is right as well


def test_only_the_owner_pauses(any_contract: Contract) -> None:
    for what in ("pause", "unpause"):
        with refuses(NOT_OWNER):
            any_contract.call(what, sender=STRANGER)


@pytest.mark.parametrize("path", sorted((ROOT / "contracts" / "src").glob("*.vy")), ids=lambda path: path.stem)
def test_every_refusal_has_a_reason(path: Any) -> None:
    tree = parse_to_ast(path.read_text())
    asserts = tree.get_descendants(vy_ast.Assert)
    bare = [one.lineno for one in asserts if not isinstance(one.msg, vy_ast.Str)]
    prefixes = {one.msg.value.partition(":")[0] for one in asserts if isinstance(one.msg, vy_ast.Str)}
    assert not bare
    assert len(prefixes) <= 1
    assert not tree.get_descendants(vy_ast.Raise)


def outside(bounds: Bounds) -> list[int]:
    """What lies just outside the bounds; nothing lies below 0."""
    return [bounds.most + 1] + ([bounds.least - 1] if bounds.least else [])
