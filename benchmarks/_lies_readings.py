"""Lies about energy, overhead and time, told in signed readings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks._honest import (
    DEVICES,
    GPU,
    OVERHEAD,
    UNCERTAINTY_PPM,
    a_site,
    chained,
    found_in,
    signed,
    true_minutes,
)
from benchmarks._lies import MY, Ends, Lie, Play, Played, rewarded_usd
from sunward.metering.wire import HOST, METER
from sunward.model.reading import ReadingBatch
from sunward.model.trust import Dimension, Level
from sunward.units import MINUTE_MS, PPM, SECOND_MS
from sunward.verification.bounds import declared_findings, overhead_least
from sunward.verification.work import KnownWork, Operations, roofline_s, work_findings, work_least_j
from sunward.world import catalogue

MINUTES = 30
BONUS_USD_PER_KWH = 0.10
"""What the efficiency bonus may pay for a kWh saved; above it half the fees end it anyhow."""
CLEANER_USD_PER_KWH = 0.03
"""What an hour 600 g/kWh cleaner is worth to a provider: 0.6 kg at 50 USD/t, as margin of the jobs it wins."""
DEVICE_NAMES = tuple(f"d{n}" for n in range(DEVICES))
COUNTERS = (*DEVICE_NAMES, HOST, METER)
WORK = KnownWork(operations=Operations.FP32, count=10**15, tests_a_year=365)
"""Of a challenge, one a day."""
TRUE_OF_ROOFLINE = 1.5
"""A challenge takes half as long again as the datasheet's peak; modelled."""


def bonus_usd(kwh: float, dimension: Dimension, level: Level) -> float:
    """The efficiency bonus for so many kWh a day that seem saved."""
    return rewarded_usd(kwh, BONUS_USD_PER_KWH, dimension, level)


def scaled(draw: random.Random, names: Sequence[str], factor: float) -> tuple[str, ...]:
    """Sign a course of work with some counters scaled; what is found."""
    course = true_minutes(draw, MINUTES)
    return found_in(a_site(), signed(draw, course, scale=dict.fromkeys(names, factor)))


def known_work(draw: random.Random, factor: float) -> tuple[str, ...]:
    """A challenge inside the day whose energy is told scaled."""
    gpu, work = catalogue.load().gpu(GPU), WORK
    took_s = roofline_s(gpu, 1, work) * TRUE_OF_ROOFLINE
    true_j = took_s * gpu.power_w_max * draw.uniform(0.75, 1.0)
    told_j = round(true_j * factor * (1 + draw.gauss(0, UNCERTAINTY_PPM / PPM / 2)))
    took_ms = round(took_s * SECOND_MS)
    found = work_findings(gpu, 1, work, took_ms=took_ms, energy_j=told_j, uncertainty_ppm=UNCERTAINTY_PPM)
    return tuple(sorted(one.key for one in found))


def least_share() -> float:
    """The least share of the true energy of known work that no bound contradicts."""
    gpu, work = catalogue.load().gpu(GPU), WORK
    true_j = roofline_s(gpu, 1, work) * TRUE_OF_ROOFLINE * gpu.power_w_max
    return work_least_j(gpu, 1, work) / true_j


def counted_less(factor: float) -> Play:
    """All counters, the meter too, tell a share of the truth; a lie of 90 % and more meets every bound there is."""

    def play(draw: random.Random) -> Played:
        found = (*scaled(draw, COUNTERS, factor), *known_work(draw, factor))
        kwh = MY.kwh * (1 - max(factor, least_share() if found else factor))
        return Played(
            found=found,
            prevented=bool(found),
            gain_usd=bonus_usd(kwh, Dimension.ENERGY, Level.METERED) + kwh * CLEANER_USD_PER_KWH,
        )

    return play


def inflated(draw: random.Random) -> Played:
    """Counters run at twice the truth, for weight in green staking."""
    found = scaled(draw, COUNTERS, 2.0)
    return Played(found=found, prevented=bool(found), gain_usd=bonus_usd(MY.kwh, Dimension.ENERGY, Level.METERED))


def partial_sensor(draw: random.Random) -> Played:
    """A sensor that sees a quarter of the run time, at the quiet moments, is read as if it saw all."""
    missed = draw.uniform(0.05, 0.2)
    found = scaled(draw, DEVICE_NAMES, 1 - missed)
    kwh = MY.kwh * missed * 0.8
    return Played(found=found, gain_usd=bonus_usd(kwh, Dimension.ENERGY, Level.METERED))


def burned(draw: random.Random) -> Played:
    """Real energy is burned inside bought leases, for the weight it brings."""
    kwh = MY.kwh * draw.uniform(0.2, 1.0)
    weight_usd = bonus_usd(kwh * 0.1, Dimension.ENERGY, Level.METERED)
    return Played(gain_usd=weight_usd, cost_usd=kwh * MY.power_usd_per_kwh)


def idle_padding(draw: random.Random) -> Played:
    """The end of a lease is told late: pay of the padded time, up to what the escrow holds over the price."""
    minutes = draw.uniform(1, 10)
    escrow_over_price = 0.05
    gain = min(minutes / 60 * MY.ask_usd_per_h, escrow_over_price * MY.ask_usd_per_h * 4)
    return Played(gain_usd=gain * MY.provider_share * (1 - MY.offset_share))


def changed(change: Callable[[random.Random, list[ReadingBatch]], list[ReadingBatch]], gain_usd: float) -> Play:
    """A lie that handles batches rather than joules."""

    def play(draw: random.Random) -> Played:
        batches = signed(draw, true_minutes(draw, MINUTES))
        found = found_in(a_site(), change(draw, batches))
        return Played(found=found, prevented=bool(found), gain_usd=gain_usd)

    return play


def dropped(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """Some minutes never arrive."""
    first = draw.randrange(2, MINUTES - 5)
    return batches[:first] + batches[first + draw.randint(1, 4) :]


def replayed(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """An old batch comes once more at the end."""
    return [*batches, batches[draw.randrange(len(batches) - 1)]]


def shifted(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """From some moment on all is said to have been earlier, in a cleaner hour."""
    at, back_ms = draw.randrange(5, MINUTES), draw.randint(2, 5) * MINUTE_MS
    moved = [
        replace(
            one,
            t0_ms=one.t0_ms - back_ms,
            t1_ms=one.t1_ms - back_ms,
            spans=tuple(replace(s, t0_ms=s.t0_ms - back_ms, t1_ms=s.t1_ms - back_ms) for s in one.spans),
        )
        for one in batches[at:]
    ]
    return chained([*batches[:at], *moved])


def reset(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """A new boot begins at zero, and what the counters counted before it is gone."""
    at = draw.randrange(5, MINUTES - 5)
    fresh = []
    for one in batches[at + 3 :]:
        zero = {s.device: s.start_j for s in batches[at + 3].spans}
        spans = (replace(s, start_j=s.start_j - zero[s.device], end_j=s.end_j - zero[s.device]) for s in one.spans)
        fresh.append(replace(one, boot="boot-2", counter=one.counter - 3, spans=tuple(spans)))
    return chained([*batches[:at], *fresh])


def between_spans(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """Each span of a minute ends where the next begins in joules, but for some that fall between."""
    at = draw.randrange(5, MINUTES - 5)
    hidden = {s.device: (s.end_j - s.start_j) // 2 for s in batches[at].spans}
    spans = tuple(replace(s, end_j=s.end_j - hidden[s.device]) for s in batches[at].spans)
    return chained([*batches[:at], replace(batches[at], spans=spans), *batches[at + 1 :]])


def hollow(draw: random.Random, batches: list[ReadingBatch]) -> list[ReadingBatch]:
    """Three minutes are left empty; what was drawn in them is signed into the fourth."""
    at = draw.randrange(5, MINUTES - 6)
    ends = {s.device: s.end_j for s in batches[at].spans}
    later = batches[at + 4]
    filled = replace(later, spans=tuple(replace(s, start_j=ends[s.device]) for s in later.spans))
    numbered = [replace(one, counter=at + 2 + number) for number, one in enumerate([filled, *batches[at + 5 :]])]
    return chained([*batches[: at + 1], *numbered])


def overhead_declared(draw: random.Random) -> Played:
    """A ratio that nobody meters: above the floor nothing contradicts it, and it brings nothing."""
    spec = a_site(overhead_ppm=round(draw.uniform(overhead_least("air") + 0.01, 1.15) * PPM))
    found = tuple(one.key for one in declared_findings(spec))
    gain_usd = bonus_usd(MY.kwh * 0.1, Dimension.OVERHEAD, Level.DECLARED)
    return Played(found=found, capped=gain_usd == 0, gain_usd=gain_usd)


def overhead_floor(_: random.Random) -> Played:
    """A ratio no plant of its kind reaches."""
    spec = a_site(overhead_ppm=round((overhead_least("air") - 0.005) * PPM))
    found = tuple(one.key for one in declared_findings(spec))
    return Played(found=found, prevented=bool(found))


def denominator(draw: random.Random) -> Played:
    """Pumps and fans of 3 kW are wired behind the hosts' counter, so that they count as computers."""
    course = [replace(one, host_w=one.host_w + 3_000.0) for one in true_minutes(draw, MINUTES)]
    overhead = 1 + (OVERHEAD - 1) / 10
    found = found_in(a_site(), signed(draw, course, overhead=overhead))
    kwh = MY.kwh * (OVERHEAD - overhead_least("air"))
    return Played(
        found=found,
        prevented=bool(found),
        gain_usd=bonus_usd(kwh, Dimension.OVERHEAD, Level.METERED),
    )


def behind_meter(draw: random.Random) -> Played:
    """The site meter does not see the cooling, as far down as the floor of its kind lets it."""
    seen = overhead_least("air") + 0.02
    found = found_in(a_site(), signed(draw, true_minutes(draw, MINUTES), overhead=seen))
    kwh = MY.kwh * (OVERHEAD - seen) / OVERHEAD
    return Played(found=found, gain_usd=bonus_usd(kwh, Dimension.OVERHEAD, Level.METERED))


def meter_low(draw: random.Random) -> Played:
    """The site meter counts less than the equipment behind it."""
    found = found_in(a_site(), signed(draw, true_minutes(draw, MINUTES), overhead=draw.uniform(0.4, 0.8)))
    return Played(found=found, prevented=bool(found))


def power_limit(draw: random.Random) -> Played:
    """A power limit that no plan asked for: a tenth slower, a fifth less energy, paid by time up to the escrow."""
    course = [
        replace(one, devices_w=tuple(watts * 0.8 for watts in one.devices_w)) for one in true_minutes(draw, MINUTES)
    ]
    slower = 0.1
    gain = MY.kwh * 0.2 * MY.power_usd_per_kwh + MY.earned_usd * min(slower, 0.05)
    # The work of a challenge comes late by as much, and jobs that end late refund a part of what they paid.
    return Played(found=found_in(a_site(), signed(draw, course)), gain_usd=gain, cost_usd=MY.earned_usd * slower)


def attempt_twice(draw: random.Random) -> Played:
    """Two attempts of a job are billed for the same minutes of the same devices."""
    batches = signed(draw, true_minutes(draw, MINUTES))
    again = [replace(one, counter=MINUTES + 1 + number) for number, one in enumerate(batches[-3:])]
    found = found_in(a_site(), chained([*batches, *again]))
    return Played(found=found, prevented=bool(found), gain_usd=MY.earned_usd)


LIES = (
    Lie(key="halved_energy", ends=Ends.BOUNDED, play=counted_less(0.5), seen_on_visit=True),
    Lie(key="energy_of_rest", ends=Ends.DETECTED, play=counted_less(0.1)),
    Lie(key="shaved_energy", ends=Ends.BOUNDED, play=counted_less(0.93), seen_on_visit=True),
    Lie(key="partial_sensor", ends=Ends.BOUNDED, play=partial_sensor, seen_on_visit=True),
    Lie(key="inflated_energy", ends=Ends.DETECTED, play=inflated),
    Lie(key="burned_energy", ends=Ends.BOUNDED, play=burned),
    Lie(key="idle_padding", ends=Ends.BOUNDED, play=idle_padding, seen_on_visit=True),
    Lie(key="dropped_batches", ends=Ends.DETECTED, play=changed(dropped, MY.kwh * CLEANER_USD_PER_KWH)),
    Lie(key="replayed_batch", ends=Ends.DETECTED, play=changed(replayed, MY.earned_usd)),
    Lie(key="clock_shift", ends=Ends.DETECTED, play=changed(shifted, MY.kwh * CLEANER_USD_PER_KWH)),
    Lie(key="late_signing", ends=Ends.DETECTED, play=changed(hollow, MY.kwh * CLEANER_USD_PER_KWH)),
    Lie(key="counter_reset", ends=Ends.DETECTED, play=changed(reset, MY.kwh * CLEANER_USD_PER_KWH)),
    Lie(key="unmetered_joules", ends=Ends.DETECTED, play=changed(between_spans, MY.kwh * CLEANER_USD_PER_KWH)),
    Lie(key="double_attempt", ends=Ends.DETECTED, play=attempt_twice),
    Lie(key="hidden_power_limit", ends=Ends.BOUNDED, play=power_limit, seen_on_visit=True),
    Lie(key="overhead_declared", ends=Ends.UNDETECTABLE, play=overhead_declared),
    Lie(key="overhead_below_floor", ends=Ends.DETECTED, play=overhead_floor),
    Lie(key="overhead_denominator", ends=Ends.BOUNDED, play=denominator, seen_on_visit=True),
    Lie(key="meter_behind_meter", ends=Ends.BOUNDED, play=behind_meter, seen_on_visit=True),
    Lie(key="meter_low", ends=Ends.DETECTED, play=meter_low),
)
