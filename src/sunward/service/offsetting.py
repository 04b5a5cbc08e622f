"""Has open orders of credits carried out: each goes out once, and is asked after until there is an answer.

That it goes out is recorded before it does. So a process that dies in between, or never hears the answer, leaves an
order that its successor asks after and does not place again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sunward.engine.offset import WORDS_MAX
from sunward.errors import InputError, SourceError
from sunward.model.credit_events import CreditsOrdered, CreditsRefused, CreditsRetired
from sunward.model.credits import AnswerKind, CreditOrder, Offer, RegistryAnswer
from sunward.ports import Retirement
from sunward.service.control import ControlPlane
from sunward.units import HOUR_MS, MINUTE_MS, SECOND_MS

log = logging.getLogger("sunward.offset")

LOOK_S = 1.0
FIRST_REST_MS, LONGEST_REST_MS = SECOND_MS, 30 * MINUTE_MS
LOST_MS = HOUR_MS
"""Machine time for which a registry must have said that it has no such order until that is believed."""


@dataclass(slots=True)
class _Try:
    """What this process knows of an order, on the machine clock."""

    failures: int = 0
    next_ms: int = 0
    unknown_ms: int = 0
    """Since when the registry says that it has no such order; 0: it does not."""
    unsent: bool = False
    """It was recorded that it goes out, and it certainly did not."""
    told: str = ""


@dataclass(slots=True)
class Buyer:
    """The registries of one service, and the orders under way."""

    control: ControlPlane
    registries: Mapping[str, Retirement]
    _tries: dict[str, _Try] = field(default_factory=dict)

    async def round(self) -> None:
        """See to every open order whose time has come, one after the other."""
        now_ms = self.control.clock.elapsed_ms()
        every = self.control.state.credits.open
        self._tries = {name: one for name, one in self._tries.items() if name in every}
        for order in list(every.values()):
            one = self._tries.setdefault(order.order, _Try())
            if one.next_ms <= now_ms:
                await self._see_to(order, one)

    async def _see_to(self, order: CreditOrder, one: _Try) -> None:
        registry = self.registries.get(order.registry)
        if registry is None:
            self._rest(one, f"registry {order.registry} is not in the settings")
            return
        try:
            answer = await self._answer(registry, order, one)
            self._take(order, one, answer)
        except SourceError as reason:
            self._rest(one, reason.message)
        except InputError as reason:
            # What cannot be recorded as it is would be asked for again and again.
            log.error("credits: order %s: %s", order.order, reason.message)  # noqa: TRY400 - its place is told
            self._refuse(order, reason.message)

    async def _answer(self, registry: Retirement, order: CreditOrder, one: _Try) -> RegistryAnswer:
        """Place it, or ask after it where it went out."""
        if order.sent_ms and not one.unsent:
            return await asyncio.to_thread(registry.find, order, order.reference)
        if not order.sent_ms:
            offer = await asyncio.to_thread(registry.offer, order)
            if isinstance(offer, RegistryAnswer):
                return offer
            if (dear := _too_dear(order, offer)) is not None:
                return dear
            self.control.commit_one(CreditsOrdered(order=order.order, reference=offer.reference))
            order = self.control.state.credits.open[order.order]
        one.unsent = False
        return await asyncio.to_thread(registry.place, order, order.reference)

    def _take(self, order: CreditOrder, one: _Try, answer: RegistryAnswer) -> None:
        match answer.kind:
            case AnswerKind.RETIRED:
                self.control.commit_one(
                    CreditsRetired(
                        order=order.order,
                        credits=answer.credits,
                        paid_usd_micro=answer.paid_usd_micro,
                        certificate=answer.certificate,
                    )
                )
                log.info("credits: order %s is carried out", order.order)
            case AnswerKind.REFUSED:
                log.warning("credits: order %s: %s", order.order, answer.reason)
                self._refuse(order, answer.reason)
            case AnswerKind.UNKNOWN:
                self._unknown(order, one)
            case AnswerKind.UNSENT:
                one.unsent = True
                self._rest(one, answer.reason)
            case AnswerKind.PENDING:
                one.unknown_ms = 0
                self._rest(one, "")

    def _unknown(self, order: CreditOrder, one: _Try) -> None:
        """An order that nobody has for so long never arrived; its money goes into the next one, under another id."""
        now_ms = self.control.clock.elapsed_ms()
        one.unknown_ms = one.unknown_ms or now_ms
        if now_ms - one.unknown_ms >= LOST_MS:
            self._refuse(order, f"it never reached {order.registry}")
        else:
            self._rest(one, f"{order.registry} has no such order so far")

    def _refuse(self, order: CreditOrder, reason: str) -> None:
        words = " ".join(reason.split())[:WORDS_MAX] or "refused"
        self.control.commit_one(CreditsRefused(order=order.order, reason=words))

    def _rest(self, one: _Try, reason: str) -> None:
        """Ask again later, each time later."""
        rest_ms = min(FIRST_REST_MS << min(one.failures, 20), LONGEST_REST_MS)
        one.failures += 1
        one.next_ms = self.control.clock.elapsed_ms() + rest_ms
        if reason and reason != one.told:
            log.warning("credits: %s; it is tried again", reason)
        one.told = reason


def _too_dear(order: CreditOrder, offer: Offer) -> RegistryAnswer | None:
    if offer.usd_micro <= order.limit_usd_micro:
        return None
    line = f"{offer.usd_micro} micro-USD are asked, and {order.limit_usd_micro} are the limit"
    return RegistryAnswer(kind=AnswerKind.REFUSED, reason=line)


async def keep_buying(buyer: Buyer) -> None:
    """See to orders as they come."""
    while True:
        await buyer.round()
        await asyncio.sleep(LOOK_S)
