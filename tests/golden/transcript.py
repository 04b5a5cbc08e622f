"""A run as readable text: what was decided and why, what each job lived through, every entry, every receipt."""

from __future__ import annotations

from collections.abc import Iterator

from sunward.model.events import PlanProposed
from sunward.model.ledger import Entry
from sunward.model.plan import Assignment, Plan
from sunward.model.receipt import EpochStatement, Receipt
from sunward.ports import Recorded
from sunward.sim.memory import MemoryJournal
from sunward.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.support.scenarios import START_MS

MIDNIGHT_MS = START_MS - START_MS % DAY_MS


def moment(at_ms: int) -> str:
    """Day and time since the first midnight, e.g. `0 06:15:00`."""
    days, rest = divmod(at_ms - MIDNIGHT_MS, DAY_MS)
    hours, rest = divmod(rest, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    return f"{days} {hours:02d}:{minutes:02d}:{rest // SECOND_MS:02d}"


def transcript(journal: MemoryJournal) -> str:
    """The whole text."""
    parts = ["# Plans", *_plans(journal.read()), "", "# Jobs"]
    for job in sorted({one.job for one in journal.job_changes}):
        parts.append(job)
        parts += [
            f"  {moment(one.at_ms)} {one.state:9} {one.reason} {one.site} {one.detail}".rstrip()
            + f" | {one.units} units"
            for one in journal.job_changes
            if one.job == job
        ]
    parts += ["", "# Ledger", *(line for entry in journal.entries for line in _entry(entry))]
    parts += ["", "# Receipts", *(line for one in journal.receipts for line in _receipt(one))]
    parts += ["", "# Epochs", *(line for one in journal.epochs for line in _epoch(one))]
    return "\n".join(parts) + "\n"


def _plans(records: Iterator[Recorded]) -> Iterator[str]:
    """Plans that decide anything about jobs; those that only repeat the awake counts are passed over."""
    for record in records:
        payload = record.event.payload
        if isinstance(payload, PlanProposed) and (payload.plan.assignments or payload.plan.unplaced):
            yield from _plan(payload.plan)


def _plan(plan: Plan) -> Iterator[str]:
    yield f"{moment(plan.at_ms)} on event {plan.based_on} by {plan.planner}"
    for one in plan.assignments:
        yield from _assignment(one)
    for refusal in plan.unplaced:
        word = "refused" if refusal.permanent else "left"
        yield f"  {refusal.job} {word}: {refusal.reason}, {refusal.detail}"
    for target in plan.awake:
        yield f"  awake {target.count} of {target.pool} {moment(target.start_ms)} to {moment(target.end_ms)}"


def _assignment(one: Assignment) -> Iterator[str]:
    yield f"  {one.job}: {one.reason}, saves {one.saves_ppm} ppm, {one.energy_j} J, {one.carbon_mg} mg"
    for part in one.segments:
        yield f"    {part.containers} of {part.pool} {moment(part.start_ms)} to {moment(part.end_ms)}"
    terms = one.terms
    yield (
        f"    energy {terms.energy} carbon {terms.carbon} water {terms.water} ask {terms.ask} transfer {terms.transfer}"
        f" wake {terms.wake} risk {terms.risk} shadow {terms.shadow} = {terms.total} micro-USD"
    )


def _entry(entry: Entry) -> Iterator[str]:
    yield f"{entry.entry} {moment(entry.at_ms)} epoch {entry.epoch} {entry.cause} {entry.ref}"
    for posting in entry.postings:
        yield f"  {posting.account:24} {posting.amount_wei:+d}"


def _receipt(one: Receipt) -> Iterator[str]:
    yield f"{one.job} {one.state} epoch {one.epoch} {moment(one.submitted_ms)} to {moment(one.finished_ms)}"
    yield f"  gpu {one.gpu_j} J + host {one.host_j} J + overhead {one.overhead_j} J = {one.facility_j} J"
    yield f"  location {one.location_mg} mg, market {one.market_mg} mg ({one.market_basis})"
    yield f"  embodied {one.embodied_mg} mg"
    yield f"  water {one.water_ml} ml, SCI {one.sci_mg_per_unit} mg per {one.functional_unit or '-'}, {one.units} units"
    yield f"  price {one.price_usd_micro} micro-USD = {one.price_wei} wei, refund {one.refund_wei} wei"
    for promise in one.promises:
        yield f"  promise {promise.kind} {moment(promise.at_ms)}: {'kept' if promise.kept else 'broken'}"
    for counterfactual in one.counterfactuals:
        yield f"  {counterfactual.name}: {counterfactual.carbon_mg} mg, change {counterfactual.change_ppm} ppm"
    resized = len({line.gpus for line in one.attempts}) > 1
    for line in one.attempts:
        held = f" on {line.gpus}" if resized else ""
        times = f"{moment(line.start_ms)} to {moment(line.end_ms)}"
        yield f"  attempt {line.attempt} at {line.site}{held} {times} {line.ended}"
    yield f"  not proved: {', '.join(one.not_proved)}"


def _epoch(one: EpochStatement) -> Iterator[str]:
    yield f"epoch {one.epoch} {moment(one.start_ms)} to {moment(one.end_ms)}: {len(one.receipts)} receipts"
    yield f"  facility {one.facility_j} J, idle {one.idle_j} J, liability {one.liability_mg} mg"
    yield f"  paid {one.paid_wei}, providers {one.provider_wei}, network {one.network_wei}, offset {one.offset_wei} wei"
    yield f"  offset share {one.offset_share_bps} then {one.next_offset_share_bps} bps, balance {one.balance_wei}"
