"""Brings what stands in the outbox onto a chain: each call once, in order, whatever crashes or is re-organised.

One number of the account belongs to one row. What was signed is kept before it is sent; what was sent is asked after,
and sent again only as the same bytes, or dearer ones under the same number.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sunward.adapters.chain_key import ChainKey
from sunward.adapters.chain_outbox import ChainOutbox, Line
from sunward.errors import SourceError
from sunward.ports import Chain, Fees, Mined, Transaction

log = logging.getLogger("sunward.chain")

TOO_DEAR, STRANGE_NUMBER = "SW-828", "SW-829"
STUCK_BLOCKS = 20
"""After so many blocks without it, a transaction is offered again for more."""
RAISE_PERCENT = 25
"""More than the tenth that nodes ask for before they take one transaction in another's place."""


@dataclass(frozen=True, slots=True)
class Poster:
    """One account that posts to one chain."""

    outbox: ChainOutbox
    chain: Chain
    key: ChainKey
    confirmations: int
    """Blocks, its own included, after which a transaction is final."""
    max_fee_wei: int
    """The most a unit of gas may cost; above it, posting waits."""

    def look(self) -> bool:
        """One round; whether anything is still open.

        Raises: SourceError when the chain cannot be asked, gas is too dear, or a contract refuses; nothing is lost.
        """
        height = self.chain.height()
        waiting = [line for line in self.outbox.lines(final=False) if line.nonce is not None]
        unmined = [line for line in waiting if not self._ask_after(line, height)]
        for line in unmined:
            self._send_again(line, height)
        if not unmined:
            self._sign_next(height)
        return bool(self.outbox.lines(final=False))

    def _ask_after(self, line: Line, height: int) -> bool:
        """Look what became of a transaction; whether the next one may build on it."""
        mined = self._mined(line)
        if mined is None:
            self.outbox.see(line, None)
            return False
        deep = height - mined.block + 1 >= self.confirmations
        if mined.succeeded:
            self.outbox.see(line, mined.block, mined.gas_used, final=deep)
        elif deep:
            log.warning("chain: %s failed in block %d; it is made again", line.item, mined.block)
            self.outbox.unsign(line)
        return mined.succeeded or deep

    def _mined(self, line: Line) -> Mined | None:
        return next((found for one in reversed(line.hashes) if (found := self.chain.mined(one)) is not None), None)

    def _send_again(self, line: Line, height: int) -> None:
        """No block holds it: not yet, or no longer. The same bytes do no harm; dearer ones take their place."""
        used = self.chain.next_nonce(self.key.address)
        if line.nonce is None or line.raw is None:
            return
        if used > line.nonce and self._mined(line) is None:
            text = f"number {line.nonce} of {self.key.address} was used by something else than {line.item}"
            raise SourceError(f"{text}; only one service may post with this key", transient=False, code=STRANGE_NUMBER)
        if used == line.nonce and height - line.signed_block >= STUCK_BLOCKS:
            fees = self._fees()
            dearer = Transaction(
                chain_id=self.chain.chain_id,
                nonce=line.nonce,
                to=line.target,
                data=line.data,
                gas=self.chain.gas(self.key.address, line.target, line.data),
                max_fee_wei=min(self.max_fee_wei, max(fees.most_wei, _raised(line.max_fee_wei))),
                tip_wei=min(self.max_fee_wei, max(fees.tip_wei, _raised(line.tip_wei))),
            )
            self._sign_and_send(line, dearer, height)
        else:
            self.chain.send(line.raw)

    def _sign_next(self, height: int) -> None:
        """Sign and send the next row; its turn comes when all before it are in blocks."""
        line = next((one for one in self.outbox.lines(final=False) if one.nonce is None), None)
        if line is None:
            return
        fees = self._fees()
        wanted = Transaction(
            chain_id=self.chain.chain_id,
            nonce=max(self.chain.next_nonce(self.key.address), self.outbox.next_nonce()),
            to=line.target,
            data=line.data,
            gas=self.chain.gas(self.key.address, line.target, line.data),
            max_fee_wei=min(self.max_fee_wei, fees.most_wei),
            tip_wei=min(self.max_fee_wei, fees.tip_wei),
        )
        self._sign_and_send(line, wanted, height)

    def _sign_and_send(self, line: Line, wanted: Transaction, height: int) -> None:
        signed = self.key.sign(wanted)
        self.outbox.sign(line, wanted, signed, height)
        self.chain.send(signed.raw)
        log.info("chain: %s sent as %s", line.item, signed.hash)

    def _fees(self) -> Fees:
        fees = self.chain.fees()
        if fees.base_wei + fees.tip_wei > self.max_fee_wei:
            line = f"gas costs {fees.base_wei + fees.tip_wei} wei, the limit is {self.max_fee_wei}; posting waits"
            raise SourceError(line, code=TOO_DEAR)
        return fees


def _raised(fee_wei: int) -> int:
    return fee_wei * (100 + RAISE_PERCENT) // 100 + 1
