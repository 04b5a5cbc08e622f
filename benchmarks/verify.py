"""How fast a stranger checks: readings of whole sites, and receipts, on one core.

A reading is one span: one counter (a GPU, `host` or `meter`) over one minute, in the batch its site signs each minute.
Checking it is what `sunward verify` does with it: the message in its one form, that nothing in it cannot be, that it
follows the batch before, its way to the root of its seal, its energy split by lease and hour, and its signature: its
own, or that of a later batch which names it by its hash, and so on. `readings_per_s` is for a site of `--devices` GPUs
(spans and bytes of its batches are printed), `readings_per_s_N` for one of N; `readings_per_s_each_N` is with every
batch held against its own signature, as the ingest does that cannot wait for later ones.

A receipt is checked from the bytes of its file to the verdict: `receipt_ms` is that of a job of `--minutes` on one GPU
of a site of eight (the median job of the PAI trace takes 40 minutes), the median of `--receipts` different ones, with
the whole bundle's signature counting for the records in it; `receipt_apart_ms` with the signature of each record
besides, as `sunward verify` does; `receipt_24h_ms` is that of a day on all of the site.
Times are CPU time of the process on one core; of each receipt, and of each site, the least of some rounds.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.support.bundles import public_hex

from benchmarks._receipts import KEYS, Work, bundle_of, sealed, signed_batch, signed_batches, site_of
from benchmarks.calibration import calibrate, stay_on_one_core
from sunward.errors import InvariantError
from sunward.model.codec import encode
from sunward.verification.bundle import read_bundle
from sunward.verification.energy import of_batch
from sunward.verification.merkle import leads_to
from sunward.verification.reading import faults, read_message, unsigned
from sunward.verification.receipt import verify
from sunward.verification.verdict import Verdict

DAY_MINUTES = 24 * 60
SMALL = (1, 8)
SITE_GPUS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A batch with what it is held against."""

    message: str
    path: tuple[str, ...]
    index: int
    size: int
    root: str


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--devices", type=int, default=80, help="GPUs of the site (80)")
    parser.add_argument("--minutes", type=int, default=40, help="length of the job (40)")
    parser.add_argument("--batches", type=int, default=120, help="batches of each site (120)")
    parser.add_argument("--receipts", type=int, default=40, help="different receipts (40)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the best counts (5)")
    parser.add_argument("--no-day", action="store_true", help="leave the day's job out")
    options = parser.parse_args()
    figures: dict[str, object] = {"one_core": stay_on_one_core()}
    for devices in (*SMALL, options.devices):
        told = of_readings(Work(devices=devices, minutes=options.batches), options.rounds)
        figures |= {f"{name}_{devices}": value for name, value in told.items()}
    figures["readings_per_s"] = figures[f"readings_per_s_{options.devices}"]
    usual = Work(devices=SITE_GPUS, minutes=options.minutes)
    figures |= of_receipts(usual, "receipt", options.rounds, options.receipts)
    if not options.no_day:
        day = Work(devices=SITE_GPUS, minutes=DAY_MINUTES, gpus=SITE_GPUS)
        figures |= of_receipts(day, "receipt_24h", min(options.rounds, 2), 1)
    print(json.dumps(figures | calibrate()))


def of_readings(work: Work, rounds: int) -> dict[str, float]:
    """Readings checked in a second, and what a batch holds."""
    batches = sealed_batches(work)
    spans = work.devices + 2
    overhead_ppm = site_of(work).overhead_ppm
    seconds = best(lambda: check(batches, overhead_ppm), rounds)
    each = best(lambda: check(batches, overhead_ppm, each=True), rounds)
    return {
        "readings_per_s": round(spans * len(batches) / seconds),
        "readings_per_s_each": round(spans * len(batches) / each),
        "spans_per_batch": spans,
        "batch_bytes": len(base64.b64decode(batches[-1].message)),
        "batch_us": round(seconds / len(batches) * 1e6),
    }


def sealed_batches(work: Work) -> list[Sealed]:
    """Every batch of a site with its way to its seal."""
    found = []
    for seal, raws in sealed(work, signed_batches(work)):
        for index in range(len(raws)):
            item = signed_batch(0, raws, index)
            found.append(Sealed(message=item.message, path=item.path, index=index, size=seal.batches, root=seal.root))
    return found


def check(batches: list[Sealed], overhead_ppm: int, *, each: bool = False) -> int:
    """All of the check of readings; what they add up to. `each`: no batch counts as signed by a later one."""
    before, joules = "", 0
    messages = []
    key = public_hex(KEYS.site)
    for one in batches:
        message = read_message(one.message)
        batch, digest = message.batch, message.hash
        sound = not any(faults(batch)) and batch.previous == before
        if not sound or not leads_to(one.root, digest, one.index, one.size, one.path):
            raise InvariantError(f"batch {batch.counter} is refused")
        before = digest
        messages.append((message, key))
        joules += sum(of_batch(batch, overhead_ppm).gpu_j.values())
    groups = [[one] for one in messages] if each else [messages]
    if any(refused for group in groups for refused in unsigned(group)):
        raise InvariantError("a batch is not signed")
    return joules


def of_receipts(work: Work, name: str, rounds: int, receipts: int) -> dict[str, float]:
    """Milliseconds from the bytes of a bundle to an accepting verdict: the median of different receipts."""
    raws = [encode(bundle_of(work, seed)) for seed in range(receipts)]
    figures: dict[str, float] = {}
    for kind, apart in ((name, False), (f"{name}_apart", True)):
        for raw in raws:
            if wrong := _verify(raw, apart=apart).findings:
                raise InvariantError(wrong[0].text)
        seconds = [best(partial(_verify, raw, apart=apart), rounds) for raw in raws]
        figures[f"{kind}_ms"] = round(median(seconds) * 1e3, 2)
    return figures | {
        f"{name}s": receipts,
        f"{name}_bytes": round(median(map(len, raws))),
        f"{name}_batches": work.minutes,
    }


def _verify(raw: bytes, *, apart: bool) -> Verdict:
    return verify(read_bundle(raw), apart=apart)


def best(work: Callable[[], object], rounds: int) -> float:
    """The least time of some rounds."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main()
