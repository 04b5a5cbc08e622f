"""No order of deposits, exits and donations lets one holder gain from another; a container backs one promise."""

from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sunward.model.reserve import VaultRequest
from sunward.model.reserve_events import PromiseWithdrawn, ReserveRulesSet
from sunward.settlement.reserve import DEAD_SHARES, Vault, settle_requests
from sunward.units import HOUR_MS
from tests.support.network import Network
from tests.support.reserve import RULES, offer
from tests.support.scenarios import START_MS

HOLDERS = ("a", "b", "c")
AMOUNTS = st.one_of(st.integers(1, 2_000), st.integers(1, 10**24))
ACTS = st.lists(
    st.tuples(st.sampled_from(("put", "leave", "earn", "lose")), st.sampled_from(HOLDERS), AMOUNTS), max_size=12
)
EPOCHS = st.lists(ACTS, min_size=1, max_size=6)


def claim(vault, holder):
    """What a holder's shares are of what is held, unrounded."""
    total = vault.total_shares
    return Fraction(vault.held_wei * vault.shares.get(holder, 0), total) if total else Fraction(0)


def requests_of(vault, acts):
    """Requests of an epoch; a share is asked out once at most."""
    found, left = [], dict(vault.shares)
    for number, (kind, holder, amount) in enumerate(acts, 1):
        if kind == "put":
            found.append(VaultRequest(number=number, holder=holder, wei=amount))
        elif kind == "leave" and left.get(holder):
            shares = min(amount, left[holder])
            left[holder] -= shares
            found.append(VaultRequest(number=number, holder=holder, shares=shares))
    return found


def moved(vault, acts):
    """The vault after what it earned and paid before the close."""
    held = vault.held_wei
    for kind, _, amount in acts:
        held += amount if kind == "earn" else -min(held, amount) if kind == "lose" else 0
    return Vault(held_wei=held, shares=vault.shares, dead_shares=vault.dead_shares)


def settle(vault, requests):
    return settle_requests(vault, requests, at_ms=1, spare=10**40)


def flow(settled, holder):
    return sum(-one.wei if one.request.wei else one.wei for one in settled.done if one.request.holder == holder)


@settings(max_examples=60)
@given(EPOCHS)
def test_no_close_moves_wealth_between_holders(epochs):
    """What a holder has after a close is what it had and put in, but for a wei for each request, rounded down."""
    vault = Vault()
    for acts in epochs:
        vault = moved(vault, acts)
        had = {holder: claim(vault, holder) for holder in HOLDERS} if vault.held_wei else dict.fromkeys(HOLDERS, 0)
        new = not vault.shares or not vault.held_wei
        settled = settle(vault, requests_of(vault, acts))
        for holder in HOLDERS:
            gain = claim(settled.vault, holder) + flow(settled, holder) - had[holder]
            assert gain <= len(settled.done)
            # The first ones give what the shares of nobody are worth.
            assert gain >= -len(settled.done) - (DEAD_SHARES if new else 0)
        inside = sum(one.wei if one.request.wei else -one.wei for one in settled.done)
        assert settled.vault.held_wei == vault.held_wei + inside
        vault = settled.vault


@settings(max_examples=60)
@given(EPOCHS, st.randoms(use_true_random=False))
def test_the_order_of_requests_changes_nothing(epochs, random):
    vault = Vault()
    for acts in epochs:
        vault = moved(vault, acts)
        requests = requests_of(vault, acts)
        numbers = [one.number for one in requests]
        random.shuffle(numbers)
        mixed = [
            VaultRequest(number=number, holder=one.holder, wei=one.wei, shares=one.shares)
            for number, one in zip(numbers, requests, strict=True)
        ]
        settled, again = settle(vault, requests), settle(vault, mixed)
        assert settled.vault == again.vault
        assert all(flow(settled, holder) == flow(again, holder) for holder in HOLDERS)
        vault = settled.vault


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_who_comes_first_and_gives_gains_nothing_from_who_follows(first, gift, second):
    """The attacker comes first, has the vault given something, and leaves after the victim came."""
    vault = settle(Vault(), [VaultRequest(number=1, holder="a", wei=first)]).vault
    vault = Vault(held_wei=vault.held_wei + gift, shares=vault.shares, dead_shares=vault.dead_shares)
    came = settle(vault, [VaultRequest(number=1, holder="b", wei=second)])
    out = settle(came.vault, [VaultRequest(number=1, holder="a", shares=came.vault.shares["a"])])
    assert flow(out, "a") <= first + gift + 1
    # The victim has what it gave but for two wei; a deposit that is too small for a share is not taken.
    assert claim(out.vault, "b") >= -flow(came, "b") - 2


def test_a_year_of_random_closes_keeps_what_each_put_in():
    """Without earnings or losses everyone gets back what it put in, but for a wei each time."""
    random, vault, put_in, steps = Random(11), Vault(), dict.fromkeys(HOLDERS, 0), 0
    for _ in range(365):
        acts = [(random.choice(("put", "leave")), random.choice(HOLDERS), random.randint(1, 10**21)) for _ in range(4)]
        settled = settle(vault, requests_of(vault, acts))
        for holder in HOLDERS:
            put_in[holder] -= flow(settled, holder)
        steps += len(settled.done)
        vault = settled.vault
    for holder in HOLDERS:
        assert abs(claim(vault, holder) - put_in[holder]) <= DEAD_SHARES + steps


OFFERS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 20), st.integers(1, 12), st.booleans()), max_size=10)


@settings(max_examples=25)
@given(OFFERS)
def test_a_container_backs_one_promise_at_a_time(offers):
    """At no moment more is promised of a pool than it has; and nothing is refused that would have fitted."""
    network = Network()
    network.tell(ReserveRulesSet(rules=RULES))
    taken: list[tuple[int, int, int]] = []
    for number, (containers, start_h, hours, withdraw) in enumerate(offers):
        name, end_h = f"r-{number}", start_h + hours
        wanted = offer(name, containers, start_ms=START_MS + start_h * HOUR_MS, end_ms=START_MS + end_h * HOUR_MS)
        fits = all(
            containers + sum(count for count, first, last in taken if first <= hour < last) <= 4
            for hour in range(start_h, end_h)
        )
        refused = network.propose(wanted).refused
        assert (refused is None) == fits
        if fits and withdraw:
            network.tell(PromiseWithdrawn(promise=name))
        elif fits:
            taken.append((containers, start_h, end_h))
