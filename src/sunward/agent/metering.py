"""Turns counters and device states into signed batches, one per minute of grid time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sunward.adapters.meters import HOST, METER
from sunward.agent.devices import ASLEEP, DeviceState
from sunward.agent.outbox import Outbox
from sunward.errors import SourceError
from sunward.metering.wire import encode_batch
from sunward.model.datum import Quality
from sunward.model.hardware import PowerState, WorkClass
from sunward.model.reading import ReadingBatch, Span
from sunward.ports import Meter
from sunward.units import MINUTE_MS, ceil_to, floor_to


class DeviceMeter(Meter, Protocol):
    """A meter that is told what its devices do."""

    uncertainty_ppm: int

    def set_state(self, device: str, state: PowerState, work_class: WorkClass, at_ms: int, power_cap_w: int = 0) -> str:
        """From `at_ms` on the device is in this state; a remark where the cap could not be set."""


@dataclass(slots=True)
class _Open:
    """A span that has begun."""

    state: DeviceState
    t0_ms: int
    start_j: int


class Recorder:
    """Cuts spans at each change of a device, and at each grid minute signs them into the outbox.

    A counter that cannot be read now leaves its spans open: it is cumulative, so the next reading holds
    all of the energy, and the batch that contains it is longer instead of guessed. A batch that the outbox
    cannot keep now is not signed: the next one holds it too.
    """

    def __init__(
        self, site: str, boot: str, meter: DeviceMeter, outbox: Outbox, key: Ed25519PrivateKey, at_ms: int
    ) -> None:
        """Begin at `at_ms`, with every device asleep. Raises: SourceError when the meter cannot be read."""
        self._site = site
        self._boot = boot
        self._meter = meter
        self._outbox = outbox
        self._key = key
        self._t0_ms = at_ms
        self._cut_ms = at_ms
        self._closed: list[Span] = []
        self._open = {name: _Open(ASLEEP, at_ms, joules) for name, joules in meter.read(at_ms).items()}

    def advance(self, now_ms: int) -> tuple[str, ...]:
        """Sign every grid minute that has ended; call before changes at `now_ms`. Returns what went wrong."""
        try:
            # A meter that knows only the present takes its sample here, and interpolates the minutes before.
            self._meter.read(now_ms)
            # Where minutes could not be signed, spans may end later than the first of them.
            boundary_ms = max(floor_to(self._t0_ms, MINUTE_MS) + MINUTE_MS, ceil_to(self._cut_ms, MINUTE_MS))
            while boundary_ms <= now_ms:
                self._sign(boundary_ms)
                boundary_ms += MINUTE_MS
        except SourceError as reason:
            return (reason.message,)
        return ()

    def observe(self, states: Mapping[str, DeviceState], host: PowerState, now_ms: int) -> tuple[str, ...]:
        """Note what every device does now; a change ends its span. Returns remarks; call again on failure."""
        wanted = {**states, HOST: DeviceState(host), METER: DeviceState(host)}
        changed = {name: wanted[name] for name, span in self._open.items() if span.state != wanted[name]}
        if not changed:
            return ()
        remarks = []
        try:
            counters = self._meter.read(now_ms)
            for name, state in changed.items():
                self._close(name, now_ms, counters[name])
                self._open[name].state = state
                if name not in (HOST, METER):
                    remarks.append(
                        self._meter.set_state(name, state.state, state.work_class, now_ms, state.power_cap_w)
                    )
        except SourceError as reason:
            remarks.append(reason.message)
        return tuple(filter(None, remarks))

    def finish(self, now_ms: int) -> tuple[str, ...]:
        """Sign what has been metered up to `now_ms`, before the agent ends."""
        problems = self.advance(now_ms)
        if problems or now_ms <= self._t0_ms:
            return problems
        try:
            self._sign(now_ms)
        except SourceError as reason:
            return (reason.message,)
        return ()

    def _close(self, name: str, at_ms: int, joules: int) -> None:
        span = self._open[name]
        self._cut_ms = max(self._cut_ms, at_ms)
        if at_ms > span.t0_ms:
            self._closed.append(
                Span(
                    device=name,
                    lease=span.state.lease,
                    state=span.state.state,
                    t0_ms=span.t0_ms,
                    t1_ms=at_ms,
                    start_j=span.start_j,
                    end_j=joules,
                )
            )
        self._open[name] = _Open(span.state, at_ms, joules)

    def _sign(self, at_ms: int) -> None:
        counters = self._meter.read(at_ms)
        for name, joules in counters.items():
            self._close(name, at_ms, joules)
        head = self._outbox.head()
        batch = ReadingBatch(
            site=self._site,
            boot=self._boot,
            counter=head.counter + 1,
            t0_ms=self._t0_ms,
            t1_ms=at_ms,
            previous=head.hash,
            uncertainty_ppm=self._meter.uncertainty_ppm,
            quality=Quality(self._meter.quality),
            spans=tuple(sorted(self._closed, key=lambda span: (span.device, span.t0_ms))),
        )
        self._outbox.append(encode_batch(batch, self._key), batch.counter, at_ms, counters)
        self._closed = []
        self._t0_ms = at_ms
