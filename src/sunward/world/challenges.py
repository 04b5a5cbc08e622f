"""Challenges that are open, how each pool's last one ended, and the draw that waits for a value from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sunward.model.challenge import Challenge, ChallengeRules, Draw, Ended


@dataclass(slots=True)
class ChallengeBook:
    """Bounded by the pools: one open challenge and one ended one of each."""

    rules: ChallengeRules = field(default_factory=ChallengeRules)
    draw: Draw | None = None
    open: dict[str, Challenge] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    """By pool."""
    owed: dict[str, int] = field(default_factory=dict)
    """Micro-USD by owner that the network has yet to pay for waking and answering."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever said of challenges."""
        return not (self.open or self.ended or self.draw or self.owed) and self.rules == ChallengeRules()

    def of_pool(self, pool: str) -> Challenge | None:
        """The open challenge of a pool."""
        return next((one for one in self.open.values() if one.order.pool == pool), None)

    def at(self, site: str) -> Iterator[Challenge]:
        """Open challenges of a site, in order of their names."""
        return (one for _, one in sorted(self.open.items()) if one.site == site)

    def together(self, one: Challenge) -> list[Challenge]:
        """Challenges that begin together with one, itself and those that ended among them."""
        every = [*self.open.values(), *(ended.challenge for ended in self.ended.values())]
        return [other for other in every if other.group == one.group]

    def end(self, ended: Ended) -> None:
        """Close a challenge."""
        del self.open[ended.challenge.order.challenge]
        self.ended[ended.challenge.order.pool] = ended
