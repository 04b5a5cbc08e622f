"""How long the settlement of an epoch takes: jobs paid, stake and savings rewarded, leaves hashed; on one core.

The stage begins with the metered price of each job and with its receipt's lines, and ends with the root that would be
posted: `settle_job` for every job, every entry posted to the ledger, what sites served counted, budgets filled, green
staking, bonus, ceiling, an entry and a line for each reward (`engine.rewards.close`), the books closed with the next
share of the offset, and the distributor's leaves and Merkle root. What lies before it (metering, receipts) and after it
(projections, the statement) is not timed, nor is the making of inputs, which are drawn from `--seed`: one owner a site,
most jobs at one site, some at sites of two or three owners, a tenth of them dearer than their escrow.

`conservation_error_wei` is worked out apart from the sums under test: what all accounts hold together, what went out of
escrows against what came in elsewhere, what the budgets lost against what was earned, leaves against rewards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks._epoch_inputs import Job, Sizes, network, receipt_of, shown_work, supply_of
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.engine import rewards
from sunward.engine.epochs import terms
from sunward.engine.turn import Turn
from sunward.model.granular import SiteSupply
from sunward.model.receipt import Receipt
from sunward.placement.crowd.many import uncollected
from sunward.settlement.bonus import SiteWork
from sunward.settlement.distribution import Distribution, distribution
from sunward.settlement.entries import Settlement, settle_job
from sunward.settlement.epoch import close as close_books
from sunward.settlement.ledger import BUDGET_BONUS, BUDGET_STAKING, NETWORK, OFFSET, TREASURY, Ledger
from sunward.units import BYTES_PER_KIB

CHAIN_ID = 31_337
CONTRACT = f"0x{'c0' * 20}"
HEAD = hashlib.sha256(b"head").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the stage made."""

    settlements: Sequence[Settlement]
    found: Distribution
    spent_s: dict[str, float]
    """CPU seconds of each part."""


def main() -> None:
    """Make an epoch, settle it, look at every wei."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--providers", type=int, default=10_000)
    parser.add_argument("--receipts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sizes = Sizes(providers=asked.providers, receipts=asked.receipts, seed=asked.seed)
    one_core = stay_on_one_core()
    print("making the epoch", file=sys.stderr)
    turn, jobs = network(sizes)
    receipts = [receipt_of(job) for job in jobs]
    works = shown_work(sizes)
    before = turn.state.ledger.to_record()
    print("settling it", file=sys.stderr)
    supplied = supply_of(sizes)
    begun_s = time.process_time()
    done = settled(turn, jobs, receipts, supplied, works)
    cpu_s = time.process_time() - begun_s
    print(
        json.dumps(
            {
                "cpu_s": round(cpu_s, 2),
                "conservation_error_wei": error_wei(before, turn.state.ledger, jobs, done),
                "providers": asked.providers,
                "receipts": len(receipts),
                "entries": len(turn.entries),
                "rewarded": len(done.found.leaves),
                "root": done.found.root.hex(),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // BYTES_PER_KIB,
                **{f"{name}_s": round(spent, 2) for name, spent in done.spent_s.items()},
                "one_core": one_core,
                "seed": asked.seed,
                **calibrate(),
            }
        )
    )


@uncollected()
def settled(
    turn: Turn,
    jobs: Sequence[Job],
    receipts: Sequence[Receipt],
    supplied: Sequence[SiteSupply],
    works: Sequence[SiteWork],
) -> Stage:
    """The stage, part by part."""
    state, clock = turn.state, Clock()
    settlements = [_pay(turn, job) for job in jobs]
    clock.part("payments")
    rewards.close(turn, receipts, settlements, supplied, works)
    clock.part("rewards")
    close_books(
        state.ledger,
        turn.world.network,
        settlements,
        offset_share_bps=state.offset_share_bps,
        liability_mg=sum(max(one.location_mg, one.market_mg) + one.embodied_mg for one in receipts),
        wei_per_usd_micro=turn.world.wei_per_usd_micro,
    )
    clock.part("books")
    found = distribution(CHAIN_ID, CONTRACT, state.epoch, HEAD, cumulative(turn))
    clock.part("leaves")
    return Stage(settlements=settlements, found=found, spent_s=clock.spent_s)


def _pay(turn: Turn, job: Job) -> Settlement:
    settlement = settle_job(
        turn.origin(),
        terms(turn.state),
        job=job.job,
        tenant=job.tenant,
        escrow_wei=job.escrow_wei,
        prices_usd_micro=job.prices_usd_micro,
    )
    turn.post(settlement.entries)
    return settlement


def cumulative(turn: Turn) -> dict[str, int]:
    """What each wallet earned so far; a wallet's address follows from its owner's name."""
    book = turn.state.stakes
    return {address(owner): book.cumulative_wei(owner) for owner in book.earned_wei}


def address(owner: str) -> str:
    """Some address."""
    return f"0x{hashlib.sha256(owner.encode()).hexdigest()[:40]}"


class Clock:
    """CPU seconds, part by part."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}
        self._last = time.process_time()

    def part(self, name: str) -> None:
        """A part is over."""
        now = time.process_time()
        self.spent_s[name] = now - self._last
        self._last = now


def error_wei(before: dict[str, int], ledger: Ledger, jobs: Sequence[Job], done: Stage) -> int:
    """Wei that are not where they should be, each way of looking added up."""
    after = ledger.to_record()

    def grew(*starts: str) -> int:
        return sum(_held(after, start) - _held(before, start) for start in starts)

    escrowed = sum(job.escrow_wei for job in jobs)
    looks = (
        sum(after.values()),
        grew("escrow:") + escrowed,
        grew(NETWORK, OFFSET, "provider:", "tenant:") - escrowed,
        grew("provider:") - sum(wei for one in done.settlements for _, wei in one.providers),
        grew("faucet:", TREASURY, BUDGET_STAKING, BUDGET_BONUS, "rewards:"),
        grew("stake:", "exit:"),
        grew("rewards:") - done.found.total_wei,
    )
    return sum(map(abs, looks))


def _held(balances: dict[str, int], start: str) -> int:
    return sum(wei for account, wei in balances.items() if account == start or account.startswith(start))


if __name__ == "__main__":
    main()
