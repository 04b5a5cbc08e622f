"""A revised intensity adjusts receipts that are final: an entry beside them, never an edit, and no new price."""

from __future__ import annotations

from sunward.engine.turn import Turn
from sunward.model.commands import PostAdjustments
from sunward.model.datum import SeriesKind
from sunward.model.receipt import SIGNAL_REVISED, Adjustment
from sunward.model.signal import Observation
from sunward.report.statement import larger_mg
from sunward.units import emissions_mg
from sunward.world.closed import ClosedLine
from sunward.world.signalbook import hours_of


def adjust(turn: Turn, observations: tuple[Observation, ...]) -> None:
    """Post an entry for every final receipt whose hours count at another intensity now."""
    posted: list[Adjustment] = []
    for observation in observations:
        if observation.kind is SeriesKind.CARBON_AVERAGE_LIFECYCLE:
            for hour_ms, value in zip(hours_of(observation), observation.values, strict=True):
                posted += _of_hour(turn, observation, hour_ms, value)
    if posted:
        turn.emit(PostAdjustments(adjustments=tuple(posted)))


def _of_hour(turn: Turn, observation: Observation, hour_ms: int, mg_per_kwh: int) -> list[Adjustment]:
    """Entries of one zone and hour, by job; each line is rounded by itself, as its receipt rounded it."""
    changed: dict[str, list[ClosedLine]] = {}
    for line in turn.world.closed.of(observation.zone, hour_ms):
        if line.mg_per_kwh != mg_per_kwh:
            changed.setdefault(line.job, []).append(line)
    posted = []
    for job, lines in sorted(changed.items()):
        old_mg = sum(emissions_mg(line.facility_j, line.mg_per_kwh) for line in lines)
        new_mg = sum(emissions_mg(line.facility_j, mg_per_kwh) for line in lines)
        posted.append(
            Adjustment(
                job=job,
                epoch=lines[0].epoch,
                posted_epoch=turn.state.epoch,
                sequence=turn.world.sequence,
                at_ms=turn.at_ms,
                cause=SIGNAL_REVISED,
                zone=observation.zone,
                hour_ms=hour_ms,
                old_mg_per_kwh=lines[0].mg_per_kwh,
                new_mg_per_kwh=mg_per_kwh,
                old_mg=old_mg,
                new_mg=new_mg,
                source=observation.source,
                quality=observation.quality,
            )
        )
        for line in lines:
            line.mg_per_kwh = mg_per_kwh
        _account(turn, lines[0].epoch, new_mg - old_mg)
    return posted


def _account(turn: Turn, epoch: int, change_mg: int) -> None:
    """Carry a change into what is left to answer for: the larger basis of the receipt's own epoch."""
    state, sums = turn.state, turn.world.closed.epochs[epoch]
    _, location_mg, market_mg = sums
    sums[1] += change_mg
    difference_mg = larger_mg(sums[1], market_mg) - larger_mg(location_mg, market_mg)
    state.liability_mg += difference_mg
    state.adjustments += 1
    state.adjusted_location_mg += change_mg
    state.adjusted_liability_mg += difference_mg
