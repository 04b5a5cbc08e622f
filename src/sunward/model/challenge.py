"""Challenges: what a device is asked to compute, and what the two sides say to each other (docs/challenges.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from sunward.errors import InputError
from sunward.model.codec import Meta
from sunward.model.identity import PoolId, SiteId
from sunward.units import DAY_MS, HOUR_MS

BAD_SIZE = "SW-770"
WIDTH_MAX = 1 << 17
"""Wider rows would let a product leave the range in which 31-bit arithmetic tells two integers apart."""
CELL_BYTES = 4
"""Of one entry of a product."""
WORD_BYTES = 4
"""Entries of the store come in words of so many."""
ROWS_MAX = 1 << 31
COLUMNS_MAX, ROUNDS_MAX, MIXING_MAX, OPENED_MAX = 1 << 10, 1 << 10, 1 << 14, 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeSize:
    """How much is asked for. A store of `rows` times `width` bytes is multiplied again and again by `columns`."""

    rows: int
    width: int
    columns: int
    rounds: int
    mixing: int
    """Steps that make one word of the store: what it costs to make it again instead of keeping it."""
    leaf_rows: int
    """Rows of a product under one leaf of its Merkle tree."""
    rounds_opened: int
    rows_opened: int

    @property
    def bytes(self) -> int:
        """Memory that the store takes."""
        return self.rows * self.width

    @property
    def leaves(self) -> int:
        """Leaves of the Merkle tree of one product."""
        return -(-self.rows // self.leaf_rows)

    @property
    def product_bytes(self) -> int:
        """Size of one product."""
        return self.rows * self.columns * CELL_BYTES

    def check(self) -> None:
        """Refuse a size that cannot be computed exactly.

        Raises: InputError.
        """
        fits = {
            "rows": 0 < self.rows <= ROWS_MAX,
            "width": 0 < self.width <= WIDTH_MAX and self.width % WORD_BYTES == 0,
            "columns": 0 < self.columns <= COLUMNS_MAX,
            "rounds": 0 < self.rounds <= ROUNDS_MAX,
            "mixing": 0 < self.mixing <= MIXING_MAX,
            "leaf_rows": 0 < self.leaf_rows <= self.rows,
            "rounds_opened": 0 < self.rounds_opened <= self.rounds,
            "rows_opened": 0 < self.rows_opened <= min(self.rows, OPENED_MAX),
        }
        wrong = [name for name, holds in fits.items() if not holds]
        if wrong:
            raise InputError(f"a challenge of that size cannot be computed: {', '.join(wrong)}", code=BAD_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeOrder:
    """A challenge that a site should answer; it stands in the orders until it is judged or its time is over."""

    challenge: str
    pool: PoolId
    containers: int
    """So many devices compute at once; their stores together are the one asked for."""
    seed: str
    """The store is made from it, 64 hex digits; making it takes as long as it takes."""
    size: ChallengeSize
    until_ms: int
    """Grid time by which the answer must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeReady:
    """The store is made, in this run of the agent."""

    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeEcho:
    """To be sent back at once: the way there and back is measured by it."""

    echo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeBegin:
    """The echo; the time runs from the answer to this."""

    boot: str
    echo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeNonce:
    """What the first round is made from; nobody knew it before."""

    nonce: str
    allowed_ms: int
    """Machine time until the roots must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRoots:
    """The Merkle root of every product, in order; with them the time stops."""

    boot: str
    nonce: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeQuestion:
    """From it follow the vector and what is to be opened; drawn after the roots were recorded."""

    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Rows of one product under one leaf, with their way to its root."""

    round: int
    leaf: int
    cells: Annotated[str, Meta(max_length=1 << 22)]
    """Rows of 32-bit integers, little end first, base64."""
    path: Annotated[tuple[str, ...], Meta(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeAnswer:
    """All that was asked to be opened."""

    boot: str
    nonce: str
    openings: Annotated[tuple[Opening, ...], Meta(max_length=ROUNDS_MAX * OPENED_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeResult:
    """What was found."""

    passed: bool
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconValue:
    """A value that nobody who takes part could choose or know before, if its source is what it says."""

    source: str
    round: int
    value: str
    """64 hex digits."""
    label: str
    """How far it can be believed, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFault:
    """Why a challenge was not passed: a stable key, and words with their figures."""

    key: str
    sentence: str
    figures: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRules:
    """How a network challenges; a pool is drawn so often on the average, whoever owns it."""

    awake_milli_per_epoch: int = 0
    """Challenges of a pool with idle containers, in thousandths an epoch; 0 = none is drawn."""
    asleep_milli_per_epoch: int = 0
    """The same of one whose containers sleep: few, since they have to be woken."""
    fill_ppm: int = 850_000
    """Share of the claimed memory that is filled."""
    answer_ms: int = HOUR_MS
    """Grid time for making the store and answering."""
    valid_ms: int = 30 * DAY_MS
    """Grid time for which a challenge that was passed counts."""
    pays: bool = False
    """What is owed for waking and answering is paid when an epoch closes; rules of before said nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pool that may be drawn, as it was when the candidates were fixed."""

    pool: PoolId
    containers: int
    asleep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Candidates that wait for a value from outside."""

    sequence: int
    """The record that fixed them."""
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The roots, and how long they took on the machine clock of the control plane."""

    boot: str
    nonce: str
    roots: tuple[str, ...]
    round_trip_ms: int
    elapsed_ms: int
    allowed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge from its draw to its end."""

    order: ChallengeOrder
    site: SiteId
    gpu_model: str
    drawn_ms: int
    asleep: bool
    """Its containers slept when it was drawn: the time that it took is owed to the site."""
    beacon: BeaconValue
    group: str = ""
    """Challenges of one owner that were drawn together begin together, so that no device stands behind several."""
    commitment: Commitment | None = None
    runs: int = 0
    """Commitments so far: an agent that crashed may begin anew."""


class Ending:
    """How a challenge ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    """By a site that was there."""
    VOID = "void"
    """Its site was away, or had work: nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a challenge."""

    challenge: Challenge
    ending: str
    at_ms: int
    faults: tuple[ChallengeFault, ...] = ()
    owed_usd_micro: int = 0
    """For waking and answering, at the site's ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeView:
    """One challenge as it is read."""

    challenge: str
    site: SiteId
    pool: PoolId
    gpu_model: str
    containers: int
    bytes: int
    drawn_ms: int
    until_ms: int
    state: str
    """`open`, `committed`, or how it ended."""
    beacon: BeaconValue
    elapsed_ms: int = 0
    allowed_ms: int = 0
    faults: tuple[ChallengeFault, ...] = ()
    owed_usd_micro: int = 0


def view(one: Challenge, ended: Ended | None = None) -> ChallengeView:
    """A challenge for those who read of it; seeds and roots stand in the journal."""
    made = one.commitment
    return ChallengeView(
        challenge=one.order.challenge,
        site=one.site,
        pool=one.order.pool,
        gpu_model=one.gpu_model,
        containers=one.order.containers,
        bytes=one.order.size.bytes,
        drawn_ms=one.drawn_ms,
        until_ms=one.order.until_ms,
        state=ended.ending if ended else "committed" if made else "open",
        beacon=one.beacon,
        elapsed_ms=made.elapsed_ms if made else 0,
        allowed_ms=made.allowed_ms if made else 0,
        faults=ended.faults if ended else (),
        owed_usd_micro=ended.owed_usd_micro if ended else 0,
    )
