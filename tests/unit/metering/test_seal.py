from __future__ import annotations

from dataclasses import replace

import pytest

from sunward.errors import InvariantError
from sunward.metering import merkle
from sunward.metering.seal import SiteFacts, batch_energy, seal
from sunward.metering.split import by_hour, largest_remainder, overlap_ms
from sunward.model.datum import Quality
from sunward.model.reading import LeaseSeals
from tests.unit.metering.samples import GOLDEN, HOUR, MINUTE, batch, shifted, span

HOUR_MS = 60 * MINUTE
FACTS = {"s-1": SiteFacts(overhead_ppm=1_250_000), "s-2": SiteFacts(overhead_ppm=1_000_000)}


def sealed(*batches, previous=None):
    return seal("shard-0", [(f"{i:064x}", one) for i, one in enumerate(batches)], FACTS, previous or {})


def test_the_golden_batch_by_hand() -> None:
    result = sealed(GOLDEN)
    # Host 9,000 J over two awake containers; meter 44,640 - (24,000 + 4,200 + 9,000) = 7,440 J of overhead,
    # of which 28,500/37,200 to the lease.
    assert result.leases == LeaseSeals(
        lease=("j-abcdefghij.1",),
        hour_ms=(HOUR,),
        gpu_j=(24_000,),
        host_j=(4_500,),
        overhead_j=(5_700,),
        gpu_ms=(MINUTE,),
    )
    (site,) = result.sites
    assert (site.idle_gpu_j, site.idle_host_j, site.idle_overhead_j) == (4_200, 4_500, 1_740)
    assert (site.first_counter, site.last_counter, site.covered_to_ms, site.gap_ms) == (1, 1, HOUR + MINUTE, 0)
    assert (site.faults, site.quality) == ((), Quality.MODELLED)
    assert (result.start_ms, result.end_ms, result.batches) == (HOUR, HOUR + MINUTE, 1)
    assert result.root == merkle.root([f"{0:064x}"])


def test_without_a_meter_the_declared_overhead_stands_in() -> None:
    energy, faults = batch_energy(replace(GOLDEN, spans=GOLDEN.spans[:3]), FACTS["s-1"])
    # The host runs from 7 to 9,007 J: a quarter of it, cumulative and rounded down, runs from 1 to 2,251.
    assert sum(energy.overhead_j.values()) == 6_000 + 1_050 + 2_250
    assert faults == ()


def test_a_meter_that_misses_part_of_the_batch_is_not_used() -> None:
    short = replace(GOLDEN.spans[3], t1_ms=GOLDEN.t1_ms - 1)
    energy, _ = batch_energy(replace(GOLDEN, spans=(*GOLDEN.spans[:3], short)), FACTS["s-1"])
    assert sum(energy.overhead_j.values()) == 9_300


def test_a_meter_below_its_equipment_is_named_and_never_makes_energy_negative() -> None:
    low = replace(GOLDEN.spans[3], end_j=37_209)
    (site,) = sealed(replace(GOLDEN, spans=(*GOLDEN.spans[:3], low))).sites
    assert site.faults == ("meter_low",)
    assert site.idle_overhead_j == 0


def test_a_meter_over_dead_equipment_is_idle_overhead() -> None:
    (site,) = sealed(batch(span("meter", end=77))).sites
    assert site.idle_overhead_j == 77


def test_host_energy_with_nobody_awake_is_idle() -> None:
    result = sealed(batch(span(state="asleep", end=60), span("host", state="asleep", end=600)))
    assert result.sites[0].idle_host_j == 600
    assert result.leases == LeaseSeals()


def test_sleeping_neighbours_carry_no_host_energy() -> None:
    result = sealed(
        batch(span("gpu0", "j-1.1", "busy", end=9), span("gpu1", state="asleep"), span("host", state="busy", end=600))
    )
    assert result.leases.host_j == (600,)


def test_host_energy_follows_container_time_to_the_joule() -> None:
    result = sealed(
        batch(
            span("gpu0", "j-1.1", "busy", t1=20_000, end=10),
            span("gpu0", "j-2.1", "busy", t0=20_000, start=10, end=20),
            span("gpu1", "j-2.1", "busy", end=5),
            span("host", state="busy", end=100),
        )
    )
    # 20 s against 100 s of container time: 16.67 and 83.33 J; the joule left over goes to the larger remainder.
    assert result.leases.lease == ("j-1.1", "j-2.1")
    assert result.leases.host_j == (17, 83)
    assert result.leases.gpu_ms == (20_000, 100_000)


def test_a_span_over_the_hour_is_split_by_time() -> None:
    one = batch(span(lease="j-1.1", state="busy", t0=HOUR_MS - 20_000, t1=HOUR_MS + 40_000, end=100), t1=2 * HOUR_MS)
    result = sealed(one)
    assert result.leases.hour_ms == (HOUR, HOUR + HOUR_MS)
    assert result.leases.gpu_j == (33, 67)
    assert result.leases.gpu_ms == (20_000, 40_000)


def test_a_gap_a_reset_and_unmetered_joules_are_named() -> None:
    second = shifted(GOLDEN, 2, "ab" * 32, by=3 * MINUTE)
    third = replace(shifted(second, 3, "ab" * 32), boot="b-2", quality=Quality.ESTIMATED)
    (site,) = sealed(third, second, previous={"s-1": GOLDEN}).sites
    assert (site.first_counter, site.last_counter, site.gap_ms) == (2, 3, 2 * MINUTE)
    assert site.faults == ("reset",)
    jumped = replace(second, spans=(replace(second.spans[0], start_j=24_001), *second.spans[1:]))
    assert sealed(jumped, previous={"s-1": GOLDEN}).sites[0].faults == ("unmetered",)


def test_what_the_site_meter_counted_between_two_batches_is_the_sites_own() -> None:
    meter = shifted(GOLDEN, 2, "ab" * 32, by=3 * MINUTE)
    later = replace(meter, spans=tuple(replace(s, start_j=s.start_j + 5, end_j=s.end_j + 9) for s in meter.spans))
    assert sealed(later, previous={"s-1": GOLDEN}).sites[0].unmetered_j == 5
    assert sealed(replace(later, boot="b-2"), previous={"s-1": GOLDEN}).sites[0].unmetered_j == 0


def test_without_a_site_meter_the_declared_ratio_is_put_on_what_no_span_holds() -> None:
    first = batch(span("gpu0", end=100), span("host", end=50))
    second = batch(
        span("gpu0", t0=MINUTE, t1=2 * MINUTE, start=108, end=110),
        span("host", t0=MINUTE, t1=2 * MINUTE, start=54, end=60),
        counter=2,
        t0=MINUTE,
        t1=2 * MINUTE,
        previous="ab" * 32,
    )
    facts = {"s-1": SiteFacts(overhead_ppm=1_500_000)}
    (site,) = seal("0", [("00" * 32, second)], facts, {"s-1": first}).sites
    assert site.unmetered_j == (8 + 4) + (4 + 2)
    assert site.faults == ("unmetered",)


def test_the_worst_quality_is_kept() -> None:
    mixed = (replace(GOLDEN, quality=Quality.MEASURED), shifted(GOLDEN, 2, "ab" * 32, quality=Quality.ESTIMATED))
    assert sealed(*mixed).sites[0].quality is Quality.ESTIMATED


@pytest.mark.parametrize(
    ("told", "uncertainty_ppm", "kept"),
    [
        (Quality.MEASURED, 100_000, Quality.MEASURED),
        (Quality.MEASURED, 100_001, Quality.ESTIMATED),
        (Quality.MODELLED, 100_001, Quality.MODELLED),
    ],
)
def test_wide_counters_are_an_estimate(told: Quality, uncertainty_ppm: int, kept: Quality) -> None:
    assert sealed(replace(GOLDEN, quality=told, uncertainty_ppm=uncertainty_ppm)).sites[0].quality is kept


def test_order_of_arrival_changes_nothing() -> None:
    first, other = GOLDEN, replace(GOLDEN, site="s-2")
    second = shifted(GOLDEN, 2, "ab" * 32)
    hashed = [("01" * 32, first), ("02" * 32, second), ("03" * 32, other)]
    forward = seal("shard-0", hashed, FACTS, {})
    assert seal("shard-0", hashed[::-1], FACTS, {}) == forward
    assert forward.root == merkle.root(["01" * 32, "02" * 32, "03" * 32])


def test_what_ingest_must_never_hand_over() -> None:
    with pytest.raises(InvariantError, match="at least one"):
        sealed()
    with pytest.raises(InvariantError, match="never enrolled"):
        sealed(replace(GOLDEN, site="s-9"))
    with pytest.raises(InvariantError, match="batch 3 of s-1"):
        sealed(GOLDEN, shifted(GOLDEN, 3, "ab" * 32))


def test_splits() -> None:
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(0, [0, 5]) == [0, 0]
    for amount, weights in ((1, [0]), (-1, [1]), (1, [2, -1]), (1, [])):
        with pytest.raises(ValueError, match="cannot split"):
            largest_remainder(amount, weights)
    assert by_hour(HOUR + 1, HOUR + HOUR_MS) == [(HOUR, HOUR + 1, HOUR + HOUR_MS)]
    assert overlap_ms(0, 5, 3, 9) == 2
    assert overlap_ms(0, 5, 5, 9) == 0
