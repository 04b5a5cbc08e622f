"""A small epoch through the whole stage: every wei is where it should be, twice the same."""

from benchmarks._epoch_inputs import Sizes, network, receipt_of, shown_work, supply_of
from benchmarks.epoch import error_wei, settled


def test_a_small_epoch_balances_and_is_the_same_again():
    roots = []
    for _ in range(2):
        sizes = Sizes(providers=40, receipts=400, seed=3)
        turn, jobs = network(sizes)
        before = turn.state.ledger.to_record()
        receipts = [receipt_of(job) for job in jobs]
        done = settled(turn, jobs, receipts, supply_of(sizes), shown_work(sizes))
        assert error_wei(before, turn.state.ledger, jobs, done) == 0
        assert done.found.total_wei > 0
        roots.append(done.found.root)
        turn.state.ledger._balances["network"] += 1
        assert error_wei(before, turn.state.ledger, jobs, done) > 0
    assert roots[0] == roots[1]
