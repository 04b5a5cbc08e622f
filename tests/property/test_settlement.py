"""Money is neither made nor lost, nobody is overdrawn, escrows are used up, and the offset share moves by steps."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sunward.errors import InvariantError
from sunward.model.events import NetworkStarted
from sunward.model.plan import PolicyInputs
from sunward.settlement import epoch
from sunward.settlement.entries import Origin, Settlement, Terms, deposit, escrow, refund_all, settle_job, split_wei
from sunward.settlement.ledger import FAUCET, Ledger
from sunward.settlement.offset import next_share_bps

WEI = st.integers(0, 10**27)
RATE = st.integers(0, 10**15)
BPS = st.integers(0, 10_000)
OWNERS = st.dictionaries(st.sampled_from(["p-1", "p-2", "p-3", "p-4"]), st.integers(0, 10**12))
TENANTS = st.sampled_from(["t-1", "t-2"])
STEPS = st.one_of(
    st.tuples(st.just("deposit"), TENANTS, st.integers(1, 10**27)),
    st.tuples(st.just("escrow"), TENANTS, st.integers(1, 10**27)),
    st.tuples(st.just("settle"), st.integers(0, 9), OWNERS, RATE, BPS, BPS, st.integers(0, 10**12)),
    st.tuples(st.just("refund"), st.integers(0, 9)),
)


@dataclass
class Books:
    """A ledger driven by arbitrary events, with the escrows still open."""

    ledger: Ledger = field(default_factory=Ledger)
    open: list[tuple[str, str, int]] = field(default_factory=list)
    done: list[Settlement] = field(default_factory=list)
    sequence: int = 0

    def step(self, kind, *arguments):
        self.sequence += 1
        getattr(self, kind)(Origin(sequence=self.sequence, first=0, epoch=0, at_ms=self.sequence), *arguments)

    def deposit(self, origin, tenant, amount):
        self.ledger.post(deposit(origin, tenant, amount))

    def escrow(self, origin, tenant, amount):
        job = f"j-{self.sequence}"
        before = self.ledger.to_record()
        try:
            self.ledger.post(escrow(origin, tenant, job, amount))
            self.open.append((job, tenant, amount))
        except InvariantError:
            assert amount > before.get(f"tenant:{tenant}", 0)
            assert self.ledger.to_record() == before

    def settle(self, origin, index, prices, *figures):
        if not self.open:
            return
        rate, offset_bps, provider_bps, budget = figures
        job, tenant, amount = self.open.pop(index % len(self.open))
        terms = Terms(wei_per_usd_micro=rate, offset_share_bps=offset_bps, provider_share_bps=provider_bps)
        self.finish(
            settle_job(
                origin,
                terms,
                job=job,
                tenant=tenant,
                escrow_wei=amount,
                prices_usd_micro=prices,
                budget_usd_micro=budget,
            )
        )

    def refund(self, origin, index):
        if self.open:
            job, tenant, amount = self.open.pop(index % len(self.open))
            self.finish(refund_all(origin, job=job, tenant=tenant, escrow_wei=amount))

    def finish(self, settlement):
        self.done.append(settlement)
        for entry in settlement.entries:
            self.ledger.post(entry)


@given(st.lists(STEPS, max_size=30))
def test_the_ledger_conserves_for_any_order_of_events(steps):
    books = Books()
    for step in steps:
        books.step(*step)
        record = books.ledger.to_record()
        assert sum(record.values()) == 0
        assert all(balance > 0 for account, balance in record.items() if account != FAUCET)
    for job, _, amount in books.open:
        assert books.ledger.balance(f"escrow:{job}") == amount
    assert all(books.ledger.balance(f"escrow:{one.job}") == 0 for one in books.done)
    rules = NetworkStarted(network="n", policy=PolicyInputs(), epoch_ms=1)
    totals = epoch.close(books.ledger, rules, books.done, offset_share_bps=100, liability_mg=0, wei_per_usd_micro=1)
    assert totals.paid_wei == totals.offset_wei + totals.provider_wei + totals.network_wei
    assert totals.paid_wei + totals.refunded_wei == sum(one.escrow_wei for one in books.done)


@given(WEI, OWNERS.filter(lambda owners: any(owners.values())))
def test_a_split_adds_up_and_is_fair_to_one_wei(amount, weights):
    parts = dict(split_wei(amount, weights))
    total = sum(weights.values())
    assert sum(parts.values()) == amount
    for owner, weight in weights.items():
        assert abs(parts.get(owner, 0) * total - amount * weight) < total


@given(WEI, OWNERS, RATE, BPS, st.integers(0, 10**12))
def test_nobody_pays_more_than_escrow_or_budget(amount, prices, rate, bps, budget):
    terms = Terms(wei_per_usd_micro=rate, offset_share_bps=bps, provider_share_bps=8_000)
    done = settle_job(
        Origin(sequence=1, first=0, epoch=0, at_ms=0),
        terms,
        job="j",
        tenant="t",
        escrow_wei=amount,
        prices_usd_micro=prices,
        budget_usd_micro=budget,
    )
    assert 0 <= done.price_wei <= amount
    assert not budget or done.price_wei <= budget * rate
    due = min(sum(prices.values()), budget or sum(prices.values()))
    assert done.paid_usd_micro <= due <= done.price_usd_micro
    assert 0 <= done.price_wei - done.paid_usd_micro * rate < max(rate, 1)
    assert done.paid_usd_micro == due or done.price_wei in (0, amount)
    assert done.price_wei * 8_000 // 10_000 >= done.provider_wei >= 0


@given(st.lists(st.tuples(WEI, OWNERS, st.integers(0, 10**12)), max_size=8), st.integers(1, 10**15))
def test_a_statement_says_in_usd_what_was_paid_and_not_what_was_metered(jobs, rate):
    books = Books()
    for escrow_wei, prices, budget in jobs:
        books.step("deposit", "t-1", escrow_wei + 1)
        books.step("escrow", "t-1", escrow_wei + 1)
        books.step("settle", 0, prices, rate, 100, 8_000, budget)
    rules = NetworkStarted(network="n", policy=PolicyInputs(), epoch_ms=1)
    totals = epoch.close(books.ledger, rules, books.done, offset_share_bps=100, liability_mg=0, wei_per_usd_micro=rate)
    assert totals.paid_usd_micro == sum(one.paid_usd_micro for one in books.done)
    assert 0 <= totals.paid_wei - totals.paid_usd_micro * rate < max(len(jobs), 1) * rate


@given(
    share=BPS,
    liability=st.integers(0, 10**18),
    funds=st.fixed_dictionaries({"held_wei": WEI, "forecast_flow_wei": WEI, "wei_per_usd_micro": RATE}),
    bounds=st.tuples(BPS, BPS).map(sorted),
    step=st.integers(0, 1_000),
)
def test_the_share_moves_at_most_one_step_and_stays_in_bounds(share, liability, funds, bounds, step):
    floor, ceiling = bounds
    rules = NetworkStarted(
        network="n",
        policy=PolicyInputs(),
        epoch_ms=1,
        offset_floor_bps=floor,
        offset_ceiling_bps=ceiling,
        offset_step_bps=step,
    )
    after = next_share_bps(rules, share, liability_mg=liability, **funds)
    assert abs(after - share) <= step
    if floor <= share <= ceiling:
        assert floor <= after <= ceiling
    assert next_share_bps(rules, share, liability_mg=liability * 2, **funds) >= after
