"""Whatever order events come in, and whatever nonsense stands among them: the books balance, nobody is paid twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.engine.epochs import PATIENCE_MS
from sunward.engine.snapshots import state_digest
from sunward.engine.writer import replay
from sunward.model.commands import IssueReceipt
from sunward.model.datum import Quality
from sunward.model.events import (
    AgentLost,
    AgentSeen,
    CancelRequested,
    Deposited,
    EpochRequested,
    JobsSubmitted,
    LeasesReported,
    PlanProposed,
    RateObserved,
    ReadingsSealed,
    TimerFired,
)
from sunward.model.identity import JobId, SiteId
from sunward.model.plan import Plan
from sunward.model.reading import LeaseSeals, SiteSeal
from sunward.model.site import PHASE_ORDER, LeaseReport, Phase
from sunward.settlement.ledger import FAUCET
from sunward.sim.checkers import check_books, check_energy, check_jobs
from sunward.units import HOUR_MS, MINUTE_MS
from tests.support.network import COAL, HYDRO, SLOT_MS, SOLAR, Network, assignment, segment, unplaced
from tests.support.scenarios import START_MS, TENANT, job

JOBS = tuple(f"j-{n}" for n in range(4))
SITES = (SiteId("no-hydro"), SiteId("es-solar"), SiteId("pl-coal"), SiteId("nowhere"))
names = st.sampled_from(JOBS)
leases = st.builds(lambda name, attempt: f"{name}.{attempt}", names, st.integers(1, 3))
sites = st.sampled_from(SITES)
units = st.integers(-5, 1_500)
boots = st.builds(lambda site, boot: (site, f"{site}-{boot}"), sites, st.integers(1, 2))

specs = st.builds(
    lambda name, gpus, pausable, retries, escrow, budget: job(
        name,
        gpus=gpus,
        interruptible=pausable,
        retries=retries,
        escrow_wei=escrow,
        budget_usd_micro=budget,
        deadline_ms=START_MS + 3 * HOUR_MS,
    ),
    names,
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 1),
    st.integers(0, 6 * 10**20),
    st.sampled_from([0, 1_000]),
)
segments = st.builds(
    lambda pool, start, length, count: segment(pool, start / 4, (start + length) / 4, count),
    st.sampled_from([HYDRO, SOLAR, COAL, "nowhere/L4"]),
    st.integers(0, 8),
    st.integers(1, 8),
    st.integers(1, 4),
)
assignments = st.builds(
    lambda name, parts, revision: replace(
        assignment(name, *sorted(parts, key=lambda one: one.start_ms)), revision=revision
    ),
    names,
    st.lists(segments, min_size=1, max_size=2),
    st.integers(0, 3),
)
refusals = st.builds(
    lambda name, revision, permanent: unplaced(name, revision=revision, permanent=permanent),
    names,
    st.integers(0, 2),
    st.booleans(),
)
plans = st.builds(
    lambda chosen, left, at: PlanProposed(
        plan=Plan(
            based_on=0,
            at_ms=START_MS + at * SLOT_MS,
            slot_ms=SLOT_MS,
            slots=96,
            planner="hand",
            assignments=tuple({one.job: one for one in chosen}.values()),
            unplaced=tuple({one.job: one for one in left}.values()),
            awake=(),
        )
    ),
    st.lists(assignments, max_size=4),
    st.lists(refusals, max_size=2),
    st.integers(0, 8),
)
reports = st.builds(
    lambda lease, phase, done, safe: LeaseReport(
        lease=lease,
        attempt=int(lease[-1]),
        phase=phase,
        at_ms=START_MS,
        units=done,
        checkpoint_units=safe,
        checkpoint="c" * 64 if safe > 0 else "",
    ),
    leases,
    st.sampled_from([*PHASE_ORDER, "dancing"]),
    units,
    units,
)
seals = st.builds(
    lambda site, rows, to: ReadingsSealed(
        shard="0",
        start_ms=START_MS,
        end_ms=START_MS,
        root="0" * 64,
        batches=1,
        sites=(
            SiteSeal(
                site=site,
                first_counter=1,
                last_counter=1,
                covered_to_ms=START_MS + to * HOUR_MS,
                idle_gpu_j=9,
                idle_host_j=1,
                idle_overhead_j=1,
                gap_ms=0,
            ),
        ),
        leases=LeaseSeals(
            lease=tuple(lease for lease, _ in rows),
            hour_ms=(START_MS,) * len(rows),
            gpu_j=tuple(amount for _, amount in rows),
            host_j=(1,) * len(rows),
            overhead_j=(2,) * len(rows),
            gpu_ms=tuple(amount * MINUTE_MS for _, amount in rows),
        ),
    ),
    st.sampled_from(SITES[:3]),
    st.lists(st.tuples(leases, st.integers(0, 10_000)), max_size=4),
    st.integers(0, 9),
)
payloads = st.one_of(
    st.lists(specs, max_size=3).map(lambda batch: JobsSubmitted(jobs=tuple(batch))),
    st.builds(lambda name: CancelRequested(job=JobId(name)), names),
    st.builds(lambda amount: Deposited(tenant=TENANT, amount_wei=amount), st.integers(-1, 10**21)),
    plans,
    plans,
    st.builds(
        lambda boot, heard: LeasesReported(site=boot[0], boot=boot[1], reports=tuple(heard)),
        boots,
        st.lists(reports, max_size=4),
    ),
    seals,
    st.builds(lambda boot: AgentSeen(site=boot[0], boot=boot[1]), boots),
    st.builds(lambda site: AgentLost(site=site), sites),
    st.builds(
        lambda rate: RateObserved(wei_per_usd_micro=rate, sources=("x",), quality=Quality.MODELLED),
        st.sampled_from([0, 1, 2 * 10**12]),
    ),
    st.just(TimerFired()),
    st.just(EpochRequested()),
)
steps = st.lists(st.tuples(payloads, st.integers(0, HOUR_MS)), max_size=40)
BEGUN = tuple(
    job(name, interruptible=name == "j-1", escrow_wei=10**20, deadline_ms=START_MS + 9 * HOUR_MS) for name in JOBS[:3]
)


def begin(network: Network) -> None:
    """Three jobs, one of them running and metered."""
    network.submit(*BEGUN)
    network.plan(*(assignment(one.job, segment(HYDRO, 0, 2)) for one in BEGUN))
    network.report("j-0.1", Phase.RUNNING)
    network.seal("no-hydro", {"j-0.1": 3_600_000})


def settle(network: Network) -> None:
    """End every job, let the patience with missing readings pass, and close."""
    world = network.state.world
    for name in [name for name in world.jobs if not network.job_state(name).final]:
        network.tell(CancelRequested(job=JobId(name)))
        lease = network.cell("lease", name)
        if lease:
            network.report(str(lease), Phase.SUSPENDED)
    network.at_ms += PATIENCE_MS + 1
    network.tell(EpochRequested())


@settings(max_examples=100)
@given(steps, st.booleans())
def test_the_books_balance_in_any_order_of_events(chosen, begun):
    network = Network()
    if begun:
        begin(network)
    paid: set[str] = set()
    for payload, gap_ms in chosen:
        network.at_ms += gap_ms
        if isinstance(payload, JobsSubmitted) and any(spec.job in paid for spec in payload.jobs):
            # Identifiers are minted once; the state forgets a job that is paid.
            continue
        outcome = network.propose(payload)
        paid |= {one.receipt.job for one in outcome.commands if isinstance(one, IssueReceipt)}
        held = network.state.ledger.to_record()
        assert sum(held.values()) == 0
        assert [account for account, wei in held.items() if wei < 0 and account != FAUCET] == []
    settle(network)
    records, commands = list(network.journal.read()), list(network.journal.projected.values())
    assert check_books(commands) == []
    assert check_jobs(records, commands, settled=True) == []
    assert check_energy(records, commands, network.state) == []
    assert state_digest(replay(iter(records))) == state_digest(network.state)
    assert not any(account.startswith("escrow:") for account in network.state.ledger.to_record())
