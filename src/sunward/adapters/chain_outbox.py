"""What is to stand on a chain, in order, with the signed bytes that were or will be sent.

A row is stored before anything of it is sent, and signed bytes before they are: whoever starts after a crash sends the
same bytes again, and a chain takes a number of an account once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import RowMapping, func, select, update

from sunward.adapters import tables
from sunward.adapters.database import Database
from sunward.ports import Signed, Transaction

_box = tables.chain_outbox
_c = _box.c
NEW = {"hashes": "", "max_fee_wei": 0, "tip_wei": 0, "signed_block": 0, "gas_used": 0, "final": 0}
"""What nothing has happened to yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call that is to be made once."""

    item: str
    """Its name; a second one of that name is the first."""
    epoch: int
    target: str
    """Address of the contract."""
    data: bytes
    amount_wei: int = 0
    """What it moves, for the accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the outbox."""

    place: int
    item: str
    epoch: int
    target: str
    data: bytes
    amount_wei: int
    nonce: int | None
    raw: bytes | None
    hashes: tuple[str, ...]
    """Every transaction that was signed for it under its number; the last is the one that is sent."""
    max_fee_wei: int
    tip_wei: int
    signed_block: int
    """Height when it was signed last."""
    block: int | None
    """Where it was seen last."""
    gas_used: int
    final: bool


@dataclass(frozen=True, slots=True)
class ChainOutbox:
    """The outbox of one store."""

    database: Database

    def plan(self, wanted: Iterable[Wanted]) -> None:
        """Put calls in line, all or nothing; those that are known stay as they are."""
        with self.database.writing() as connection:
            place = connection.execute(select(func.max(_c.place))).scalar() or 0
            for place_, one in enumerate(wanted, place + 1):
                row = {
                    "place": place_,
                    **{name: getattr(one, name) for name in Wanted.__slots__},
                    **NEW,
                }
                connection.execute(
                    self.database.insert(_box).values(row).on_conflict_do_nothing(index_elements=["item"])
                )

    def lines(self, after: int = -1, *, final: bool | None = None) -> tuple[Line, ...]:
        """Rows in order: of epochs after one, those that are final, or not, or all."""
        wanted = select(_box).where(_c.epoch > after).order_by(_c.place)
        if final is not None:
            wanted = wanted.where(_c.final == int(final))
        with self.database.reading() as connection:
            return tuple(_line(row) for row in connection.execute(wanted).mappings())

    def planned_wei(self, kind: str) -> int:
        """What calls of a kind, the last word of their names, move in all."""
        wanted = select(_c.amount_wei).where(_c.item.endswith(f" {kind}", autoescape=True))
        with self.database.reading() as connection:
            return sum(connection.execute(wanted).scalars())

    def last_epoch(self) -> int:
        """The newest epoch of which something is in line; -1 before the first."""
        with self.database.reading() as connection:
            found = connection.execute(select(func.max(_c.epoch))).scalar()
        return -1 if found is None else found

    def next_nonce(self) -> int:
        """The number after the highest that was used here."""
        with self.database.reading() as connection:
            found = connection.execute(select(func.max(_c.nonce))).scalar()
        return 0 if found is None else found + 1

    def sign(self, line: Line, one: Transaction, signed: Signed, height: int) -> None:
        """Keep signed bytes, which may be sent from now on."""
        self._set(
            line,
            nonce=one.nonce,
            raw=signed.raw,
            hashes=" ".join([*line.hashes, signed.hash]),
            max_fee_wei=one.max_fee_wei,
            tip_wei=one.tip_wei,
            signed_block=height,
            block=None,
        )

    def see(self, line: Line, block: int | None, gas_used: int = 0, *, final: bool = False) -> None:
        """Note where it stands."""
        if (line.block, line.final) != (block, final):
            self._set(line, block=block, gas_used=gas_used, final=int(final))

    def unsign(self, line: Line) -> None:
        """Its transaction failed for good, and changed nothing: it is to be signed again, under another number."""
        self._set(line, nonce=None, raw=None, hashes="", block=None)

    def _set(self, line: Line, **values: object) -> None:
        with self.database.writing() as connection:
            connection.execute(update(_box).where(_c.place == line.place).values(**values))


def _line(row: RowMapping) -> Line:
    told = dict(row)
    return Line(**told | {"hashes": tuple(told["hashes"].split()), "final": bool(told["final"])})
