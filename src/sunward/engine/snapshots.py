"""Snapshots of the state: what a restart loads instead of replaying from the first event."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import fields
from typing import Any

import msgspec

from sunward.engine.state import State
from sunward.errors import InputError
from sunward.model.challenge import Challenge, ChallengeRules, Draw, Ended
from sunward.model.codec import decode, encode
from sunward.model.events import NetworkStarted
from sunward.model.granular import CertificateBundle, GenerationDevice
from sunward.model.place import PlaceRules
from sunward.model.plan import Assignment, AwakeTarget, Segment, ShadowPrice, Unplaced
from sunward.model.receipt import AttemptLine
from sunward.model.reserve import Call, CallEnded, DrillDraw, Penalty, Promise, ReserveRules, VaultRequest
from sunward.model.site import Ceiling, PoolPower, SiteSpec
from sunward.model.wire import ClockMapping
from sunward.settlement.certificates import Registry
from sunward.settlement.credits import CreditBook
from sunward.settlement.ledger import Ledger
from sunward.settlement.rate import RateBook
from sunward.settlement.stakes import StakeBook
from sunward.settlement.wallets import ChainBook
from sunward.world.arrivals import ArrivalBook
from sunward.world.challenges import ChallengeBook
from sunward.world.lengths import LengthBook
from sunward.world.places import PlaceBook, Placed
from sunward.world.readings import DayRow, ReadingsBook
from sunward.world.reserve import ReserveBook
from sunward.world.served import ServedBook
from sunward.world.state import Site, World
from sunward.world.trust import Filed, Judged, TrustBook

SNAPSHOT_FORMAT = 3
_RECORDS: dict[str, tuple[Any, bool]] = {
    "segments": (tuple[Segment, ...], False),
    "attempt_lines": (tuple[AttemptLine, ...], False),
    "assignment": (Assignment, True),
    "refusal": (Unplaced, True),
}
"""Object columns that hold records, and whether a cell may be empty."""
_SUMS = ("liability_mg", "adjustments", "adjusted_location_mg", "adjusted_liability_mg")
"""Sums of the state that may exceed 64 bits."""
_BIG = ("escrow_wei",)
"""Integers beyond 64 bits travel as text."""


def dump(state: State) -> bytes:
    """The state as bytes; equal states give equal bytes."""
    return zlib.compress(msgspec.msgpack.encode(_record(state)), 1)


def state_digest(state: State) -> str:
    """SHA-256 of the state, to compare two histories."""
    return hashlib.sha256(msgspec.msgpack.encode(_record(state))).hexdigest()


def load(raw: bytes) -> State:
    """The state a snapshot holds.

    Raises: ValueError for a snapshot that is damaged or of another format; the caller replays the journal instead.
    """
    try:
        record = msgspec.msgpack.decode(zlib.decompress(raw))
        if record["format"] != SNAPSHOT_FORMAT:
            raise ValueError(f"snapshot format {record['format']} is not {SNAPSHOT_FORMAT}")
        return _state(record)
    except (zlib.error, msgspec.DecodeError, InputError, LookupError, TypeError) as reason:
        # A column that another version added or dropped is missed here.
        raise ValueError(f"the snapshot cannot be read: {reason!r}") from reason


def _state(record: dict[str, Any]) -> State:
    state = State(
        world=_load_world(record["world"]),
        ledger=Ledger.from_record({account: int(wei) for account, wei in record["ledger"].items()}),
    )
    for name in _SUMS:
        setattr(state, name, int(record[name]))
    for name in ("epoch", "epoch_start_ms", "epoch_end_ms", "offset_share_bps", "closing", "slot_armed_ms"):
        setattr(state, name, record[name])
    for at_ms, kind, ref in record["due"]:
        state.add_due(at_ms, kind, ref)
    state.blocked = record["blocked"]
    _load_supply(state, record)
    _load_incentives(state, record)
    # Written only where a key was changed, so that all other snapshots are what they were before.
    state.rotations = [(sequence, key) for sequence, key in record.get("rotations", ())]
    return state


def _record(state: State) -> dict[str, Any]:
    return (
        {
            "format": SNAPSHOT_FORMAT,
            "world": _world_record(state.world),
            "ledger": {account: str(wei) for account, wei in state.ledger.to_record().items()},
            "epoch": state.epoch,
            "epoch_start_ms": state.epoch_start_ms,
            "epoch_end_ms": state.epoch_end_ms,
            "offset_share_bps": state.offset_share_bps,
            **{name: str(getattr(state, name)) for name in _SUMS},
            "closing": state.closing,
            # A sorted list is a heap too, and does not depend on the order of pushes.
            "due": sorted(state.due),
            "blocked": dict(sorted(state.blocked.items())),
            "slot_armed_ms": state.slot_armed_ms,
        }
        | _supply_record(state)
        | ({"rotations": state.rotations} if state.rotations else {})
        | _incentives(state)
    )


def _incentives(state: State) -> dict[str, Any]:
    """Stake, prices and what else is told only where its rules are, so that all other snapshots are as before."""
    served = {"served": encode(state.world.served)} if state.world.served.sites else {}
    rates = {"rates": encode(state.rates)} if state.rates != RateBook() else {}
    credited = {"credits": encode(state.credits)} if state.credits != CreditBook() else {}
    chain = {"chain": encode(state.chain)} if state.chain.named is not None else {}
    return served | rates | credited | chain | ({} if state.stakes.is_new else {"stakes": encode(state.stakes)})


def _load_incentives(state: State, record: dict[str, Any]) -> None:
    if "served" in record:
        state.world.served = decode(record["served"], ServedBook)
    if "stakes" in record:
        state.stakes = decode(record["stakes"], StakeBook)
    if "rates" in record:
        state.rates = decode(record["rates"], RateBook)
    if "credits" in record:
        state.credits = decode(record["credits"], CreditBook)
    if "chain" in record:
        state.chain = decode(record["chain"], ChainBook)


def _supply_record(state: State) -> dict[str, Any]:
    """Certificates and idle energy by the hour, where there are any, so that all other snapshots are as before."""
    registry = state.certificates
    idle = {site: sorted(hours.items()) for site, hours in sorted(state.idle_hours.items())}
    told = {
        "next_id": registry.next_id,
        "bundles": encode(tuple(sorted(registry.bundles.values(), key=lambda one: one.first))),
        "issued_to": dict(sorted(registry.issued_to.items())),
        "serials": dict(sorted(registry.serials.items())),
        "gone_wh": dict(sorted(registry.gone_wh.items())),
        "devices": encode(tuple(state.generation[name] for name in sorted(state.generation))),
    }
    known = {"certificates": told} if state.generation or registry.next_id > 1 else {}
    return known | ({"idle_hours": idle} if idle else {})


def _load_supply(state: State, record: dict[str, Any]) -> None:
    hours = record.get("idle_hours", {})
    state.idle_hours = {site: dict(many) for site, many in hours.items()}
    told = record.get("certificates")
    if told is not None:
        state.certificates = Registry.restored(
            next_id=told["next_id"],
            bundles=decode(told["bundles"], tuple[CertificateBundle, ...]),
            issued_to=told["issued_to"],
            serials=told["serials"],
            gone_wh=told["gone_wh"],
        )
        devices = decode(told["devices"], tuple[GenerationDevice, ...])
        state.generation = {one.device: one for one in devices}


def _world_record(world: World) -> dict[str, Any]:
    jobs = world.jobs.dump()
    objects = dict(jobs["objects"])
    for name in _RECORDS:
        objects[name] = [None if cell is None else encode(cell) for cell in objects[name]]
    for name in _BIG:
        objects[name] = [None if cell is None else str(cell) for cell in objects[name]]
    return {
        "sequence": world.sequence,
        "at_ms": world.at_ms,
        "rules": None if world.rules is None else encode(world.rules),
        "clock": None if world.clock is None else encode(world.clock),
        "rate": str(world.wei_per_usd_micro),
        "sites": [_site_record(world.sites[site]) for site in sorted(world.sites)],
        "jobs": jobs | {"objects": objects},
        "leases": world.leases.dump(),
        "energy": world.energy.dump(),
        "hours_of": dict(sorted(world.hours_of.items())),
        "signals": world.signals.dump(),
        "closed": world.closed.dump(),
        "awake": {pool: encode(targets) for pool, targets in sorted(world.awake.items())},
        "on_pool": {pool: sorted(leases) for pool, leases in sorted(world.on_pool.items())},
        "added_awake": [(sequence, encode(targets)) for sequence, targets in world.added_awake],
        "late_j": world.late_j,
        "plan_changes": world.plan_changes,
    } | _learnt(world)


def _learnt(world: World) -> dict[str, Any]:
    """What was learnt, priced and judged, where anything was, so that all other snapshots are what they were before."""
    lengths = {"lengths": world.lengths.dump()} if world.lengths.classes else {}
    arrivals = {"arrivals": world.arrivals.dump()} if world.arrivals.since_ms else {}
    book = world.trust
    trust = {"trust": [encode(book.filed()), encode(tuple(book.verdicts.values()))]}
    told = (trust if book.evidence or book.verdicts else {}) | _challenges(world.challenges) | _readings(world.readings)
    told |= _places(world.places)
    told |= _reserve(world.reserve)
    return lengths | arrivals | told | ({"shadows": encode(world.shadows.prices)} if world.shadows.prices else {})


def _readings(book: ReadingsBook) -> dict[str, Any]:
    return {"readings": [encode(book.dump()), book.unseen, book.told]} if book.days or book.told else {}


def _challenges(book: ChallengeBook) -> dict[str, Any]:
    told = (book.rules, book.draw, tuple(book.open.values()), tuple(book.ended.values()))
    owed = (dict(sorted(book.owed.items())),) if book.owed else ()
    return {} if book.is_new else {"challenges": [encode(part) for part in (*told, *owed)]}


def _places(book: PlaceBook) -> dict[str, Any]:
    return {} if book.is_new else {"places": [encode(book.rules), encode(dict(sorted(book.placed.items())))]}


_RESERVE: dict[str, Any] = {
    "promises": tuple[tuple[str, Promise], ...],
    "calls": tuple[tuple[str, Call], ...],
    "ended": tuple[tuple[str, CallEnded], ...],
    "penalties": tuple[tuple[str, Penalty], ...],
    "requests": tuple[tuple[int, VaultRequest], ...],
    "shares": tuple[tuple[str, int], ...],
    "serving": tuple[tuple[str, str], ...],
    "failed": tuple[tuple[str, int], ...],
    "lows": tuple[tuple[int, int], ...],
}
"""Tables of the reserve, in order of their keys."""


def _reserve(book: ReserveBook) -> dict[str, Any]:
    if book.rules is None:
        return {}
    tables = {name: encode(tuple(sorted(getattr(book, name).items()))) for name in _RESERVE}
    figures = (book.next_request, book.dead_shares, book.usd_held_micro, book.fell_ms, book.demand_max)
    draw = b"" if book.draw is None else encode(book.draw)
    return {"reserve": [encode(book.rules), tables, [str(figure) for figure in figures], draw]}


def _load_reserve(rules: bytes, tables: dict[str, bytes], figures: list[str], draw: bytes) -> ReserveBook:
    number, dead, usd, fell_ms, demand = map(int, figures)
    return ReserveBook(
        rules=decode(rules, ReserveRules),
        next_request=number,
        dead_shares=dead,
        usd_held_micro=usd,
        fell_ms=fell_ms,
        demand_max=demand,
        draw=decode(draw, DrillDraw) if draw else None,
        **{name: dict(decode(tables[name], kind)) for name, kind in _RESERVE.items()},
    )


def _load_challenges(rules: bytes, draw: bytes, opened: bytes, ended: bytes, owed: bytes = b"{}") -> ChallengeBook:
    return ChallengeBook(
        rules=decode(rules, ChallengeRules),
        draw=None if draw == b"null" else decode(draw, Draw),
        open={one.order.challenge: one for one in decode(opened, tuple[Challenge, ...])},
        ended={one.challenge.order.pool: one for one in decode(ended, tuple[Ended, ...])},
        owed=decode(owed, dict[str, int]),
    )


def _load_trust(filed: bytes, judged: bytes) -> TrustBook:
    book = TrustBook()
    for one in decode(filed, tuple[Filed, ...]):
        book.file(one.evidence, one.at_ms)
    for verdict in decode(judged, tuple[Judged, ...]):
        book.put(verdict)
    return book


def _site_record(site: Site) -> dict[str, Any]:
    plain = {field.name: getattr(site, field.name) for field in fields(Site) if field.name != "ceilings"}
    record = plain | {
        "spec": encode(site.spec),
        "power": {pool: encode(power) for pool, power in sorted(site.power.items())},
    }
    # Written only where there are any, so that all other snapshots are what they were before.
    known = [encode(site.ceilings[name]) for name in sorted(site.ceilings)]
    return record | ({"ceilings": known} if known else {})


def _load_site(record: dict[str, Any]) -> Site:
    known = [decode(raw, Ceiling) for raw in record.get("ceilings", ())]
    return Site(
        **record
        | {
            "spec": decode(record["spec"], SiteSpec),
            "power": {pool: decode(raw, PoolPower) for pool, raw in record["power"].items()},
            "ceilings": {one.ceiling: one for one in known},
        }
    )


def _load_world(record: dict[str, Any]) -> World:
    world = World(
        sequence=record["sequence"],
        at_ms=record["at_ms"],
        rules=None if record["rules"] is None else decode(record["rules"], NetworkStarted),
        clock=None if record["clock"] is None else decode(record["clock"], ClockMapping),
        wei_per_usd_micro=int(record["rate"]),
        sites={site.spec.site: site for site in map(_load_site, record["sites"])},
        hours_of=record["hours_of"],
        awake={pool: decode(raw, tuple[AwakeTarget, ...]) for pool, raw in record["awake"].items()},
        on_pool={pool: set(leases) for pool, leases in record["on_pool"].items()},
        added_awake=[(sequence, decode(raw, tuple[AwakeTarget, ...])) for sequence, raw in record["added_awake"]],
        late_j=record["late_j"],
        plan_changes=record["plan_changes"],
    )
    jobs = record["jobs"]
    for name, (kind, _) in _RECORDS.items():
        jobs["objects"][name] = [None if cell is None else decode(cell, kind) for cell in jobs["objects"][name]]
    for name in _BIG:
        jobs["objects"][name] = [None if cell is None else int(cell) for cell in jobs["objects"][name]]
    world.jobs.load(jobs)
    world.leases.load(record["leases"])
    world.leases.objects["seals"] = [None if cell is None else tuple(cell) for cell in world.leases.objects["seals"]]
    world.energy.load(record["energy"])
    world.signals.load(record["signals"])
    world.closed.load(record["closed"])
    world.lengths = LengthBook.load(record.get("lengths", ()))
    world.arrivals = ArrivalBook.load(record.get("arrivals", ()))
    if "trust" in record:
        world.trust = _load_trust(*record["trust"])
    if "challenges" in record:
        world.challenges = _load_challenges(*record["challenges"])
    if "places" in record:
        rules, placed = record["places"]
        world.places = PlaceBook(rules=decode(rules, PlaceRules), placed=decode(placed, dict[str, Placed]))
    if "reserve" in record:
        world.reserve = _load_reserve(*record["reserve"])
    if "readings" in record:
        days, unseen, told = record["readings"]
        world.readings = ReadingsBook(unseen=unseen, told=told)
        world.readings.load(decode(days, tuple[DayRow, ...]))
    if "shadows" in record:
        world.shadows.take(decode(record["shadows"], tuple[ShadowPrice, ...]))
    world.index()
    return world
