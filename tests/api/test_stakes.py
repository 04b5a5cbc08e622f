"""Stake over the API and the command line: earned, bonded, rewarded, asked back, slashed; everybody sees their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sunward.adapters.queries import Queries
from sunward.cli.main import cli
from sunward.cli.shell import Shell
from sunward.engine import snapshots
from sunward.metering import merkle
from sunward.model.codec import decode, digest
from sunward.model.receipt import EpochStatement
from sunward.model.staking import RewardLine
from sunward.service.bootstrap import LOCAL_STAKING
from sunward.settlement.ledger import provider_account
from sunward.units import DAY_MS, WEI_PER_ATH
from tests.api.harness import URL, Agent, Bridge, Service, finish, start

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def owner(service: Service, agent: Agent) -> str:
    """The account that owns the agent's site; it has earned something."""
    _, lease = start(service, agent)
    finish(service, agent, lease)
    service.ok("POST", "/v1/epochs/close", "operator")
    return str(service.control.state.world.sites["no-hydro"].spec.owner)


@pytest.fixture
def token(service: Service, owner: str) -> str:
    return service.token(owner, "provider")


@pytest.fixture
def run(service: Service, token: str, tmp_path: Path) -> Run:
    """One command line with the provider's token; its exit code, and its JSON or text."""

    def invoke(*words: str, role: str = "") -> tuple[int, Any]:
        spoken = service.token("a-eve", role) if role else token
        shell = Shell(transport=Bridge(service))
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), "--url", URL, "--token", spoken, *words], obj=shell)
        return done.exit_code, json.loads(done.stdout) if "--json" in words and not done.exit_code else done.output

    return invoke


def test_a_fresh_network_has_rules_and_only_the_operator_changes_them(service: Service, run: Run) -> None:
    assert service.control.state.stakes.rules == LOCAL_STAKING.rules
    code, told = run("stake", "rules")
    assert code == 0
    assert "a kWh backs" in told
    assert "67" in told
    rules = service.ok("GET", "/v1/stakes/rules")
    short = rules | {"exit_delay_ms": rules["exit_delay_ms"] - 1}
    refused = service.ask("POST", "/v1/stakes/rules", "operator", json=short)
    assert (refused.status_code, refused.json()["code"]) == (400, "SW-791")
    assert service.ok("POST", "/v1/stakes/rules", "operator", json=rules | {"movement_bps": 0})["movement_bps"] == 0
    assert service.control.state.stakes.rules.movement_bps == 0


def test_what_was_earned_is_bonded_rewarded_claimed_and_asked_back(
    service: Service, agent: Agent, owner: str, token: str, run: Run
) -> None:
    earned = service.control.state.ledger.balance(provider_account(owner))
    assert earned > WEI_PER_ATH // 10**4
    code, told = run("stake", "add", "0.0001")
    assert code == 0
    assert "0.0001 ATH" in told
    for _ in range(2):
        service.ok("POST", "/v1/epochs/close", "operator")
    code, told = run("rewards", "show", "--json")
    (line,) = told["lines"]
    assert (line["owner"], line["base_wei"], line["bonus_wei"]) == (owner, 50 * WEI_PER_ATH, 0)
    assert [site["site"] for site in line["sites"]] == [agent.site]
    code, told = run("rewards", "show", "--as", "operator", role="operator")
    assert (code, "50.0000 ATH" in told) == (0, True)
    epochs = service.ok("GET", "/v1/epochs")
    statement = decode(json.dumps(epochs[-1]), EpochStatement)
    assert statement.rewards is not None
    assert statement.rewards.base_wei == line["base_wei"]
    assert statement.rewards.lines_root == merkle.root([digest(decode(json.dumps(line), RewardLine))])
    assert run("rewards", "claim")[0] == 0
    assert run("rewards", "claim")[0] == 2
    stake = service.ok("GET", "/v1/stakes", token=token)[0]["stake_wei"]
    code, told = run("stake", "exit", str(stake / WEI_PER_ATH), "--json")
    assert (code, told["exit_wei"], told["stake_wei"]) == (0, stake, 0)
    service.pass_grid(66 * DAY_MS)
    assert service.ok("GET", "/v1/stakes", token=token)[0]["exits"]
    service.pass_grid(DAY_MS)
    view = service.ok("GET", "/v1/stakes", token=token)[0]
    assert (view["exits"], view["exit_wei"], view["stake_wei"]) == ([], 0, 0)


def test_a_restart_finds_stake_and_rewards_as_they_were(
    service: Service, owner: str, token: str, tmp_path: Path
) -> None:
    headers = {"Idempotency-Key": "stake-1"}
    service.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**9}, headers=headers)
    service.ok("POST", "/v1/stakes/exits", token=token, json={"amount_wei": 10**8})
    for _ in range(2):
        service.ok("POST", "/v1/epochs/close", "operator")
    paths = ("/v1/stakes", "/v1/rewards", "/v1/ledger/balances")
    before = [service.ok("GET", path, "auditor") for path in paths]
    held = snapshots.dump(service.control.state)
    again = Service(tmp_path / "home", service.machine)  # The first one is killed: it closes nothing before.
    assert snapshots.dump(again.control.state) == held
    again.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**9}, headers=headers)
    assert [again.ok("GET", path, "auditor") for path in paths] == before
    assert owner in {line["owner"] for line in before[1]["lines"]}
    again.close()


def test_the_same_request_moves_once(service: Service, owner: str, token: str) -> None:
    headers = {"Idempotency-Key": "stake-1"}
    before = service.control.state.ledger.balance(provider_account(owner))
    told = [
        service.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**6}, headers=headers) for _ in range(2)
    ]
    assert told[0] == told[1]
    assert service.control.state.ledger.balance(provider_account(owner)) == before - 10**6
    other = service.ask("POST", "/v1/stakes", token=token, json={"amount_wei": 10**7}, headers=headers)
    assert other.status_code == 409
    service.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**6})
    assert service.control.state.ledger.balance(provider_account(owner)) == before - 2 * 10**6


def test_nobody_sees_or_moves_what_is_anothers(service: Service, owner: str, token: str) -> None:
    service.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**9})
    for _ in range(2):
        service.ok("POST", "/v1/epochs/close", "operator")
    stranger = service.token("p-other", "provider")
    (view,) = service.ok("GET", "/v1/stakes", token=stranger)
    assert (view["owner"], view["stake_wei"]) == ("p-other", 0)
    assert service.ok("GET", "/v1/rewards", token=stranger)["lines"] == []
    assert service.ask("POST", "/v1/stakes/exits", token=stranger, json={"amount_wei": 1}).status_code == 409
    assert service.ask("POST", "/v1/rewards/claims", token=stranger, json={}).json()["code"] == "SW-793"
    assert [one["owner"] for one in service.ok("GET", "/v1/stakes", "auditor")] == [owner]
    assert [one["owner"] for one in service.ok("GET", "/v1/rewards", "auditor")["lines"]] == [owner]


def test_a_verdict_takes_stake_and_pays_who_was_harmed(service: Service, agent: Agent, owner: str, token: str) -> None:
    service.ok("POST", "/v1/stakes", token=token, json={"amount_wei": 10**9})
    # Less than the floor of 100 ATH is all taken, what was bonded and what was earned.
    taken = sum(service.control.state.ledger.balance(f"{kind}:{owner}") for kind in ("stake", "provider"))
    wrong = {"dimension": "identity", "fault": "forged", "sentence": "another card answered", "slashable": True}
    path = f"/v1/sites/{agent.site}/verdicts"
    verdict = service.ok("POST", path, "auditor", json=wrong)["record"]["verdict"]
    harm = {"tenant": "t-lost", "ref": "j-1", "amount_wei": 10**8}
    told = service.ask("POST", f"/v1/verdicts/{verdict}/harm", token=service.token(owner, "auditor"), json=harm)
    assert (told.status_code, told.json()["code"]) == (409, "SW-798")
    assert (
        service.ok("POST", f"/v1/verdicts/{verdict}/harm", token=service.token("a-adam", "auditor"), json=harm) == harm
    )
    service.pass_grid(8 * DAY_MS)
    (view,) = service.ok("GET", "/v1/stakes", token=token)
    assert (view["stake_wei"], view["slashed_wei"]) == (0, taken)
    balances = service.ok("GET", "/v1/ledger/balances", "auditor")
    assert (balances["tenant:t-lost"], balances["reserve"], balances["total"]) == (str(10**8), str(taken - 10**8), "0")


def test_an_epoch_is_listed_and_shown(service: Service, run: Run) -> None:
    service.ok("POST", "/v1/epochs/close", "operator")
    assert len(run("epoch", "list", "--json")[1]) == 2
    code, told = run("epoch", "show", "1")
    assert (code, "given for stake" in told) == (0, True)
    assert run("epoch", "show", "--json")[1]["epoch"] == 2
    code, told = run("epoch", "show", "9")
    assert (code, "epoch 9 is not closed" in told) == (2, True)


def test_rewards_come_page_by_page(service: Service, monkeypatch: pytest.MonkeyPatch, run: Run, token: str) -> None:
    del token
    monkeypatch.setattr(Queries, "rewards", lambda _self, epoch, _owner, after, limit: lines(epoch, after)[:limit])
    found = service.ok("GET", "/v1/rewards", "operator", params={"epoch": 7, "limit": 2})
    assert ([one["owner"] for one in found["lines"]], found["next"]) == (["p-0", "p-1"], "p-1")
    assert len(run("rewards", "show", "--epoch", "7", "--json")[1]["lines"]) == 5


def lines(epoch: int, after: str) -> tuple[RewardLine, ...]:
    names = ("owner", "stake_wei", "backed_wei", "base_wei", "green_wei", "bonus_wei", "pue_part_j", "it_part_j")
    names += ("counted_j", "fees_wei", "cut_wei")
    made = (RewardLine(epoch=epoch, **dict.fromkeys(names, 0) | {"owner": f"p-{number}"}) for number in range(5))
    return tuple(one for one in made if one.owner > after)


@pytest.mark.parametrize("words", [("add", "0"), ("add", "much"), ("exit", "0.0000000000000000001"), ("add", "-- -1")])
def test_an_amount_that_is_none_is_one_clear_line(run: Run, words: tuple[str, str]) -> None:
    code, told = run("stake", words[0], "--", words[1].removeprefix("-- "))
    assert code == 2
    assert "no amount of ATH" in told


def test_who_has_nothing_is_told_so(run: Run) -> None:
    code, told = run("rewards", "show")
    assert (code, "nobody had stake" in told) == (0, True)
    code, told = run("stake", "exit", "1")
    assert (code, "0 wei bonded" in told) == (2, True)
