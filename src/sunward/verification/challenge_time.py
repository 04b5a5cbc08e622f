"""How large a challenge is for a GPU model, and how long a device of that model may take."""

from __future__ import annotations

from dataclasses import dataclass

from sunward.model.challenge import WORD_BYTES, ChallengeSize
from sunward.units import BYTES_PER_GIB, GIGA, PPM, SECOND_MS, TERA
from sunward.verification.verdict import Finding
from sunward.verification.work import KnownWork, Operations, rate_findings
from sunward.world.catalogue import GpuModel

WIDTH, COLUMNS, ROUNDS, MIXING = 1 << 17, 32, 48, 512
LEAF_ROWS, ROUNDS_OPENED, ROWS_OPENED = 32, 12, 32
FILL_PPM = 850_000
"""Share of the claimed memory that is filled: a driver, its context and a screen take the rest."""
RATE_FRAC = 0.25
"""Share of the published bandwidth and tensor rate that an honest device must reach; policy, not a measurement."""
HASH_BYTES_PER_S = 600_000_000
"""A product turned into leaves and a root with SHA-256, on one core that has instructions for it; modelled."""
EXPAND_BYTES_PER_S = 400_000_000
"""SHAKE-128, of which the matrix of a round is made, on one core; modelled."""
FIXED_MS = 500
"""To start and end a run, whatever its size."""
LARGE_PPM = 500_000
"""Share of the claimed memory from which on a store lies in no cache."""
ROUND_TRIP_MS_MAX = 300
"""More is not allowed for: a way there and back that is claimed longer buys no time."""
OPS_PER_ENTRY = 2
"""A multiplication and an addition."""
WORK_INTS_PER_WORD = 7
"""Integer instructions of one step that makes a word of the store, where a shift and a rotation count one each."""


def size_for(gpu: GpuModel, containers: int, fill_ppm: int = FILL_PPM) -> ChallengeSize:
    """A store as large as a share of the claimed memory of all the devices together."""
    wanted = gpu.memory_gib * BYTES_PER_GIB * containers * fill_ppm // PPM
    width = min(WIDTH, max(LEAF_ROWS * COLUMNS, 1 << (wanted.bit_length() // 2)))
    rows = max(2 * LEAF_ROWS, wanted // width)
    return ChallengeSize(
        rows=rows,
        width=width,
        columns=COLUMNS,
        rounds=ROUNDS,
        mixing=MIXING,
        leaf_rows=LEAF_ROWS,
        rounds_opened=ROUNDS_OPENED,
        rows_opened=min(ROWS_OPENED, rows),
    )


def ideal_round_ms(size: ChallengeSize, gpu: GpuModel, containers: int) -> float:
    """A round at the published rates: the store read once, or multiplied, whichever takes longer."""
    share = size.bytes / containers
    read_s = share / (gpu.bandwidth_gb_per_s * GIGA)
    compute_s = OPS_PER_ENTRY * share * size.columns / (gpu.fp16_tensor_tflops * TERA)
    return SECOND_MS * max(read_s, compute_s)


def host_round_ms(size: ChallengeSize) -> float:
    """What a round takes beside the device: its product is hashed, and the next matrix made."""
    expanded = size.width * size.columns
    return SECOND_MS * (size.product_bytes / HASH_BYTES_PER_S + expanded / EXPAND_BYTES_PER_S)


def allowed_ms(size: ChallengeSize, gpu: GpuModel, containers: int, round_trip_ms: int) -> int:
    """Machine time from the nonce to the roots, the way there and back among it."""
    round_ms = ideal_round_ms(size, gpu, containers) / RATE_FRAC + host_round_ms(size)
    return round(FIXED_MS + min(round_trip_ms, ROUND_TRIP_MS_MAX) + size.rounds * round_ms)


def late(elapsed_ms: int, most_ms: int) -> tuple[Finding, ...]:
    """The finding of an answer that took too long."""
    if elapsed_ms <= most_ms:
        return ()
    line = "the products took {elapsed_ms} ms; a device of that model may take {allowed_ms} ms"
    return (Finding(key="challenge_late", sentence=line, figures={"elapsed_ms": elapsed_ms, "allowed_ms": most_ms}),)


def early(elapsed_ms: int, size: ChallengeSize, gpu: GpuModel, containers: int) -> tuple[Finding, ...]:
    """The finding of an answer that came sooner than devices of the model can read their memory so often.

    A store of little memory may lie in a cache, so only a large one is held against the memory's bandwidth.
    """
    if size.bytes * PPM < gpu.memory_gib * BYTES_PER_GIB * containers * LARGE_PPM:
        return ()
    work = KnownWork(
        operations=Operations.INT8,
        count=OPS_PER_ENTRY * size.bytes * size.columns * size.rounds,
        memory_bytes=size.bytes * size.rounds,
    )
    return tuple(rate_findings(gpu, containers, work, took_ms=elapsed_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run in time shows of a device, modelled from published rates; the docs tell what is assumed."""

    allowed_ms: int
    ideal_ms: int
    memory_frac: float
    """Least share of the store that must be kept, the rest being made again with `ints_per_s`."""
    host_frac: float
    """Least share that must lie on the device, the rest being read over a link of `link_gb_per_s`."""


def bounds(
    gpu: GpuModel, *, fill_ppm: int = FILL_PPM, ints_per_s: float | None = None, link_gb_per_s: float = 64.0
) -> Bounds:
    """What keeps a smaller device from answering in time.

    The cheat makes or fetches what it lacks beside what it reads from memory, and hashes at no cost.
    """
    size = size_for(gpu, 1, fill_ppm)
    most_ms = allowed_ms(size, gpu, 1, ROUND_TRIP_MS_MAX)
    ideal_ms = ideal_round_ms(size, gpu, 1)
    # At best every lane of the shaders works on integers too; their published rate counts two operations at a time.
    ints = ints_per_s if ints_per_s is not None else gpu.fp32_tflops * TERA / OPS_PER_ENTRY
    again_ms = SECOND_MS * size.bytes / WORD_BYTES * size.mixing * WORK_INTS_PER_WORD / ints
    fetch_ms = SECOND_MS * size.bytes / (link_gb_per_s * GIGA)
    each_ms = most_ms / size.rounds
    return Bounds(
        allowed_ms=most_ms,
        ideal_ms=round(size.rounds * ideal_ms),
        memory_frac=max(0.0, 1.0 - each_ms / again_ms),
        host_frac=max(0.0, 1.0 - each_ms / fetch_ms),
    )
