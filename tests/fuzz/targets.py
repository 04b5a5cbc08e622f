"""What is fuzzed: each target takes any bytes, and real messages to begin with.

A target raises nothing for bytes that its parser refuses with the project's own errors; whatever else comes out of
it is a finding. Where two authors read the same message, they must agree on what is one.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Self
from unittest.mock import patch

import cbor2

from sunward.adapters import openadr
from sunward.adapters.embedded import read_units
from sunward.adapters.feeds.eia import Eia
from sunward.adapters.feeds.electricity_maps import ElectricityMaps
from sunward.adapters.feeds.energy_charts import EnergyCharts
from sunward.adapters.feeds.files import FileSource
from sunward.adapters.feeds.neso import Neso
from sunward.adapters.feeds.open_meteo import OpenMeteo
from sunward.adapters.feeds.watttime import WattTime
from sunward.adapters.feeds.web import Web
from sunward.adapters.registry_files import FORMATS, read_export, read_hours
from sunward.agent.archive import unpack
from sunward.agent.config import CONFIG_FILE, load_config, site_spec
from sunward.client.jobfile import job_of, template
from sunward.client.yamlfile import read_yaml
from sunward.errors import InputError, SourceError
from sunward.metering.wire import decode_batch, encode_batch
from sunward.model.codec import decode, encode
from sunward.model.datum import SeriesKind
from sunward.model.events import read_event
from sunward.model.identity import SiteId, TenantId
from sunward.model.reading import ReadingBatch
from sunward.model.records import EnrollRequest
from sunward.model.request import JobRequest
from sunward.model.site import Ceiling, SiteSpec
from sunward.model.trust import Consequence, Dimension, Evidence, Level, VerdictRecord, slots_of
from sunward.model.wire import RecordedEvent, SyncRequest
from sunward.service.routes_agents import _batches
from sunward.units import HOUR_MS, SECOND_MS
from sunward.verification.bundle import Bundle
from sunward.verification.journal import verify_chain
from sunward.verification.reading import faults, message_signed, read_message
from sunward.verification.receipt import verify
from tests.fuzz import evidence
from tests.fuzz.target import PUBLIC, SIGNER, Target
from tests.support.bundles import as_signed, genuine, genuine_journal
from tests.support.feed_server import KEY, NOW_S, FeedServer
from tests.unit.adapters.test_registry_files import HEADS, ROWS

PROTECTED = bytes.fromhex("a10127")
OWN_ERRORS = (InputError, SourceError)
SEED_BYTES_MAX = 64_000
GOLDEN = Path(__file__).parents[1] / "golden"


def reading(data: bytes) -> None:
    """A whole message as it stands: the two readers accept the same ones, and read the same in them."""
    mine = _by_metering(data)
    theirs = _by_verification(data)
    assert (mine is None) == (theirs is None), (mine, theirs)
    assert mine == theirs


def reading_payload(data: bytes) -> None:
    """A payload that the site's key did sign, so that both readers look at every field of it."""
    reading(framed(data))


def registry_file(data: bytes) -> None:
    """An export of any registry, and a meter's hours."""
    for registry in FORMATS:
        with contextlib.suppress(InputError):
            read_export(data, registry, "ES")
    with contextlib.suppress(InputError):
        read_hours(data)


def _export(registry: str) -> bytes:
    return f"{HEADS[registry]}\n{ROWS[registry]}\n".encode()


def framed(payload: bytes) -> bytes:
    """A payload as a signed message."""
    signature = SIGNER.sign(cbor2.dumps(["Signature1", PROTECTED, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [PROTECTED, {}, payload, signature]))


def _by_metering(raw: bytes) -> ReadingBatch | None:
    with contextlib.suppress(InputError):
        batch = decode_batch(raw, PUBLIC)
        assert encode_batch(batch, SIGNER) == raw
        return batch
    return None


def _by_verification(raw: bytes) -> ReadingBatch | None:
    with contextlib.suppress(InputError):
        text = base64.b64encode(raw).decode()
        batch, _, signed, signature = read_message(text)
        if message_signed(signed, signature, PUBLIC) and not list(faults(batch)):
            return as_signed(text)
    return None


def readings_array(data: bytes) -> None:
    """What an agent posts: an array of messages, each read as far as it goes."""
    for raw in _batches(data):
        _by_metering(raw)


def bundle(data: bytes) -> None:
    """A receipt's bundle from a stranger, checked as `sunward verify` does."""
    verify(decode(data, Bundle), genuine().public_key)


def journal(data: bytes) -> None:
    """Records of a journal, one a line, as `journal verify` and a mirror read them."""
    records = [decode(line, RecordedEvent) for line in data.splitlines() if line.strip()]
    verify_chain(records)
    for record in records:
        read_event(record.kind, record.version, record.at_ms, record.body.encode("utf-8", "surrogatepass"))


def job_file(data: bytes) -> None:
    """A job.yaml of a tenant."""
    with _file(data, "job.yaml") as path:
        read = read_yaml(path)
        job_of(read.values, lambda at: f"{path.name}:{read.lines.get(at, 1)}")


def agent_settings(data: bytes) -> None:
    """An agent.toml of a provider, up to what the site would declare."""
    with _file(data, CONFIG_FILE) as path:
        site_spec(load_config(path.parent), "s-1", PUBLIC, None)


def own_series(data: bytes) -> None:
    """A user's own hourly series."""
    with _file(data, "series.csv") as path:
        FileSource(path, SeriesKind.CARBON_AVERAGE_LIFECYCLE)


def archive(data: bytes) -> None:
    """A job's folder as it is unpacked on a provider's machine."""
    with _file(data, "packed.tar") as path:
        unpack(path, path.parent / "into")
        inside = (path.parent / "into").resolve()
        assert all(one.resolve().is_relative_to(inside) for one in inside.rglob("*"))


def progress(data: bytes) -> None:
    """The progress file that a job writes."""
    with _file(data, "units") as path:
        assert (read_units(path) or 0) >= 0


BODIES: tuple[type, ...] = (JobRequest, EnrollRequest, SyncRequest, SiteSpec, Ceiling, Evidence, VerdictRecord)


def request_body(data: bytes) -> None:
    """A body of a REST request: the first byte says of which record."""
    record = decode(data[1:], BODIES[data[0] % len(BODIES)]) if data else None
    if isinstance(record, VerdictRecord):
        slots_of(record.sentence)
    if record is not None:
        assert decode(encode(record), type(record)) == record


class _Told(Web):
    """A source whose next answer is given."""

    answer = b""

    def _read(self, path: str, query: object, headers: object, login: object) -> bytes:
        return b'{"token": "t"}' if path.endswith("login") else _Told.answer


FEEDS = (
    lambda: Eia(place="CISO", key=KEY),
    lambda: ElectricityMaps(place="DE", key=KEY),
    lambda: EnergyCharts(place="DE-LU", usd_per_eur=1.1),
    Neso,
    lambda: Neso(place="13"),
    lambda: OpenMeteo(place="52.5,13.4"),
    lambda: WattTime(place="CAISO_NORTH", key=f"ada:{KEY}"),
)


def feed(data: bytes) -> None:
    """A reply of a grid or weather service: the first byte says of which."""
    if not data:
        return
    source = _feeds()[data[0] % len(FEEDS)]
    _Told.answer = data[1:]
    start_ms = NOW_S * SECOND_MS - 24 * HOUR_MS
    for kind in source.kinds:
        for ask in (source.observed, source.ahead):
            with contextlib.suppress(*OWN_ERRORS):
                ask(kind, start_ms, NOW_S * SECOND_MS)


@cache
def _feeds() -> tuple:
    made = tuple(make() for make in FEEDS)
    for source in made:
        source._web.__class__ = _Told
    return made


class _Server:
    """An OpenADR server that answers every request alike."""

    answer = b""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_events(self, **_: object) -> _Server:
        return self

    get_programs = get_events

    def raise_for_status(self) -> None:
        pass

    def json(self) -> object:
        return json.loads(_Server.answer)


def grid_events(data: bytes) -> None:
    """Events of an OpenADR server."""
    asked_of_server(data)


def asked_of_server(data: bytes) -> openadr.Answer:
    """What is read in the answer of an OpenADR server."""
    _Server.answer = data
    with patch.object(openadr, "OpenADRClient", _Server):
        return openadr.Vtn("https://vtn.example", target="site-1").ask()


@contextlib.contextmanager
def _file(data: bytes, name: str):
    folder = Path(tempfile.mkdtemp(prefix="sunward-fuzz-", dir=_memory()))
    try:
        (folder / name).write_bytes(data)
        yield folder / name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _messages() -> list[bytes]:
    return [base64.b64decode(one.message) for one in genuine().batches]


def _signed_here() -> list[bytes]:
    return [framed(cbor2.loads(raw).value[2]) for raw in _messages()]


def _payloads() -> list[bytes]:
    return [cbor2.loads(raw).value[2] for raw in _messages()]


def _journals() -> list[bytes]:
    lines = [line for file in sorted(GOLDEN.glob("journal-v1*.jsonl")) for line in file.read_bytes().splitlines()]
    kinds = {json.loads(line)["kind"]: line for line in lines if len(line) < 8_000}
    return [*kinds.values(), b"\n".join(lines[:3])]


def _archives() -> list[bytes]:
    seeds = []
    for mode in ("w", "w:gz"):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode=mode) as packed:
            for name, kind in (("a/b.txt", tarfile.REGTYPE), ("a", tarfile.DIRTYPE), ("l", tarfile.SYMTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type, entry.size = kind, 3 if kind == tarfile.REGTYPE else 0
                entry.linkname = "a/b.txt" if kind == tarfile.SYMTYPE else ""
                packed.addfile(entry, io.BytesIO(b"abc"))
        seeds.append(held.getvalue())
    return seeds


def _replies() -> list[bytes]:
    """What the documented sources answer, as the tests of feeds serve it."""
    server = FeedServer()
    seeds: dict[tuple[str, int], bytes] = {}

    class Recorded(_Told):
        number = 0

        def _read(self, path, query, headers, login):
            sent = {**self._http.headers, **headers}
            if login:
                sent["authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
            _, body = server.answer(path, dict(query), {name.lower(): value for name, value in sent.items()})
            return json.dumps(body).encode()

        def get(self, path, kind, query=None, **more):
            raw = self._read(path, self._query | dict(query or {}), more.get("headers") or {}, more.get("login"))
            if path != "/login":
                seeds[path.split("/")[1], self.number] = bytes([self.number]) + raw
            return decode(raw, kind)

    start_ms = NOW_S * SECOND_MS - 3 * HOUR_MS
    for Recorded.number, make in enumerate(FEEDS):
        source = make()
        source._web.__class__ = Recorded
        for kind in source.kinds:
            source.observed(kind, start_ms, NOW_S * SECOND_MS)
            with contextlib.suppress(*OWN_ERRORS):
                source.ahead(kind, NOW_S * SECOND_MS, NOW_S * SECOND_MS + 2 * HOUR_MS)
        source.close()
    server._server.server_close()
    return [seed for seed in seeds.values() if len(seed) < SEED_BYTES_MAX]


_EVENT = {
    "id": "e-1",
    "programID": "p-1",
    "createdDateTime": "2026-06-11T10:00:00Z",
    "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
    "intervalPeriod": {"start": "2026-06-11T12:00:00Z", "duration": "PT1H"},
    "targets": ["site-1"],
    "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [12.5]}]}],
}
_TOML = b"""server = "https://sunward.example"
site = "home"
owner = "ada"
zone = "NO-NO2"
country = "NO"
cooling = "air"
overhead_ppm = 1200000
ask_usd_micro_per_gpu_h = 500000
closed_hours_utc = [17, 18]

[[pools]]
gpu_model = "A100-80GB"
count = 2
"""
_CSV = b"zone,ts_utc,value,unit,quality,source\nDE,2026-06-11T13:00:00Z,120.5,gCO2e/kWh,measured,mine\n"


_EVIDENCE = Evidence(
    evidence="e",
    site=SiteId("s"),
    dimension=Dimension.PLACE,
    level=Level.METERED,
    statement="it answers within 3 ms from Oslo",
    filed_by=TenantId("ada"),
    valid_until_ms=2,
)
_REQUEST = {
    "name": "train",
    "command": ["python", "a.py"],
    "origin_zone": "DE",
    "length_s": 60,
    "units": 3,
}
_VERDICT = VerdictRecord(
    verdict="v",
    dimension=Dimension.ENERGY,
    fault="gap",
    sentence="{batches} batches are missing",
    figures={"batches": 3},
    consequence=Consequence.LEVEL_LOWERED,
    at_ms=1,
    appeal_until_ms=2,
    issued_by="network",
)


def _requests() -> list[bytes]:
    held = json.loads((GOLDEN / "wire_v0_1.json").read_text(encoding="utf-8"))
    spec = json.loads(held["enroll_request"])["spec"]
    return [
        b"\x00" + json.dumps(_REQUEST).encode(),
        b"\x01" + held["enroll_request"].encode(),
        b"\x02" + held["sync_request"].encode(),
        b"\x03" + json.dumps(spec).encode(),
        b"\x05" + encode(_EVIDENCE),
        b"\x06" + encode(_VERDICT),
    ]


TARGETS: dict[str, Target] = {
    "reading": Target(reading, lambda: [*_messages(), *_signed_here()]),
    "reading_payload": Target(reading_payload, _payloads),
    "readings_array": Target(readings_array, lambda: [cbor2.dumps(_messages()), cbor2.dumps(_signed_here()[:1])]),
    "bundle": Target(bundle, lambda: [encode(genuine()), encode(genuine_journal(certificates=True)[1])]),
    "registry_file": Target(registry_file, lambda: [*map(_export, HEADS), b"hour,wh\n2026-06-01T01:00Z,1500\n"]),
    "journal": Target(journal, _journals),
    "job_file": Target(job_file, lambda: [template().encode(), b"command: python train.py\ngpus:\n  count: 2\n"]),
    "agent_settings": Target(agent_settings, lambda: [_TOML]),
    "own_series": Target(own_series, lambda: [_CSV]),
    "archive": Target(archive, _archives),
    "progress": Target(progress, lambda: [b"12\n"]),
    "request_body": Target(request_body, _requests),
    "feed": Target(feed, _replies),
    "grid_events": Target(grid_events, lambda: [json.dumps([_EVENT]).encode()]),
} | evidence.TARGETS


def attempt(name: str, data: bytes) -> bool:
    """Give bytes to a target; whether they were taken. Raises: what should not have come out."""
    with contextlib.suppress(*OWN_ERRORS):
        TARGETS[name].run(data)
        return True
    return False
