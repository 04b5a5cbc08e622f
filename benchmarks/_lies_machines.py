"""Lies about GPUs, told to challenges. Answers are computed on the processor; times follow from published rates."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import replace

from benchmarks._honest import GPU
from benchmarks._lies import MY, Ends, Lie, Play, Played
from sunward.agent.challenge import Prover
from sunward.agent.challenge_store import ProcessorStore
from sunward.model.challenge import WORD_BYTES, ChallengeSize, Opening
from sunward.units import BYTES_PER_GIB, SECOND_MS, TERA
from sunward.verification.challenge import Transcript, judge
from sunward.verification.challenge_time import (
    OPS_PER_ENTRY,
    WORK_INTS_PER_WORD,
    allowed_ms,
    ideal_round_ms,
    late,
    size_for,
)
from sunward.world import catalogue
from sunward.world.catalogue import GpuModel

SIZE = ChallengeSize(rows=200, width=256, columns=8, rounds=4, mixing=16, leaf_rows=4, rounds_opened=4, rows_opened=32)
REACHED = 0.6
"""Share of its published rates that a device reaches; modelled."""
ASK_RATIO = 4.0
"""What the dearer model asks, against the cheaper one behind it."""


def transcript(draw: random.Random, change: Callable[[Prover], None] | None = None) -> Transcript:
    """One challenge, answered; `change` spoils the prover before it commits."""
    seed, nonce, question = (draw.randbytes(32) for _ in range(3))
    one = Prover(SIZE, ProcessorStore(seed, SIZE))
    one.fill()
    if change is not None:
        change(one)
    roots = one.commit(nonce)
    return Transcript(seed=seed, size=SIZE, nonce=nonce, roots=roots, question=question, openings=one.answer(question))


def forged(draw: random.Random) -> Played:
    """Rows are made up after the roots were told."""
    told = transcript(draw)
    openings = list(told.openings)
    which = draw.randrange(len(openings))
    openings[which] = spoiled(openings[which], draw)
    return judged(replace(told, openings=tuple(openings)))


def spoiled(one: Opening, draw: random.Random) -> Opening:
    """One bit of its cells turned."""
    raw = bytearray(base64.b64decode(one.cells))
    raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return replace(one, cells=base64.b64encode(bytes(raw)).decode())


def replayed(draw: random.Random) -> Played:
    """The answer to an earlier challenge comes again."""
    told = transcript(draw)
    return judged(replace(told, nonce=draw.randbytes(32)))


def judged(told: Transcript) -> Played:
    """What the verifier says."""
    found = tuple(sorted({one.key for one in judge(told)}))
    return Played(found=found, prevented=bool(found), gain_usd=MY.earned_usd)


def answer_ms(true: GpuModel, claimed: GpuModel, containers: int, *, true_devices: int) -> float:
    """How long devices of one model take for the challenge of others; what does not fit in memory is made again."""
    size = size_for(claimed, containers)
    held = true.memory_gib * BYTES_PER_GIB * true_devices * 0.95
    kept = min(1.0, held / size.bytes)
    round_ms = ideal_round_ms(size, true, true_devices) / REACHED
    again_ms = _remake_ms(true, size, true_devices) * (1 - kept)
    return size.rounds * (round_ms + again_ms)


def _remake_ms(gpu: GpuModel, size: ChallengeSize, devices: int) -> float:
    """Time to make the whole store once by integer arithmetic at the published rate of the shaders."""
    instructions = size.bytes / WORD_BYTES * size.mixing * WORK_INTS_PER_WORD
    return SECOND_MS * instructions / (gpu.fp32_tflops * TERA / OPS_PER_ENTRY * devices)


def too_slow(pick: Callable[[random.Random], tuple[GpuModel, GpuModel, int, int]], gain_usd: float) -> Play:
    """A challenge is answered by other devices than those claimed: (true, claimed, claimed count, true count)."""

    def play(draw: random.Random) -> Played:
        true, claimed, count, devices = pick(draw)
        took_ms = answer_ms(true, claimed, count, true_devices=devices)
        most_ms = allowed_ms(size_for(claimed, count), claimed, count, draw.randint(1, 300))
        found = tuple(one.key for one in late(round(took_ms), most_ms))
        return Played(found=found, prevented=bool(found), gain_usd=gain_usd)

    return play


def gpus() -> tuple[GpuModel, ...]:
    """Models of the catalogue, by memory."""
    return tuple(sorted(catalogue.load().gpus, key=lambda one: one.memory_gib))


def cheaper(draw: random.Random) -> tuple[GpuModel, GpuModel, int, int]:
    """A model with at most two thirds of the memory is enrolled as the dearer one."""
    claimed = draw.choice([one for one in gpus() if one.memory_gib >= 40])
    true = draw.choice([one for one in gpus() if one.memory_gib * 3 <= claimed.memory_gib * 2])
    return true, claimed, 1, 1


def flashed(draw: random.Random) -> tuple[GpuModel, GpuModel, int, int]:
    """The same GPU says that it has twice its memory."""
    true = draw.choice(gpus())
    return true, replace(true, memory_gib=true.memory_gib * 2), 1, 1


def proxied(draw: random.Random) -> tuple[GpuModel, GpuModel, int, int]:
    """One GPU stands behind two to eight containers, all challenged at once."""
    true = draw.choice(gpus())
    return true, true, draw.randint(2, 8), 1


def outsourced(draw: random.Random) -> Played:
    """A whole H100 in the next room answers for a cheap card, at every challenge: it must stand by for it."""
    fast = catalogue.load().gpu(GPU)
    claimed = draw.choice([one for one in gpus() if one.memory_gib <= fast.memory_gib])
    took_ms = answer_ms(fast, claimed, 1, true_devices=1)
    found = tuple(one.key for one in late(round(took_ms), allowed_ms(size_for(claimed, 1), claimed, 1, 1)))
    day_usd = MY.earned_usd / MY.containers
    return Played(found=found, gain_usd=day_usd, cost_usd=day_usd * draw.uniform(1.0, ASK_RATIO))


def throttled(draw: random.Random) -> Played:
    """Full clocks in challenges, three quarters of them in leases: power saved, more time paid up to the escrow."""
    margin = 0.05
    saved = MY.kwh * 0.2 * MY.power_usd_per_kwh
    del draw
    return Played(gain_usd=saved + MY.earned_usd * margin)


LIES = (
    Lie(key="spoofed_gpu", ends=Ends.DETECTED, play=too_slow(cheaper, MY.earned_usd * (1 - 1 / ASK_RATIO))),
    Lie(key="flashed_memory", ends=Ends.DETECTED, play=too_slow(flashed, MY.earned_usd / 4)),
    Lie(key="proxy_gpu", ends=Ends.DETECTED, play=too_slow(proxied, MY.earned_usd * 7 / 8)),
    Lie(key="shared_site", ends=Ends.DETECTED, play=too_slow(proxied, MY.earned_usd)),
    Lie(key="challenge_outsourcing", ends=Ends.BOUNDED, play=outsourced),
    Lie(key="challenge_forged", ends=Ends.DETECTED, play=forged),
    Lie(key="challenge_replayed", ends=Ends.DETECTED, play=replayed),
    Lie(key="warm_up_cheat", ends=Ends.BOUNDED, play=throttled, seen_on_visit=True),
)
