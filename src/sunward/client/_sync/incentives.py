# Made from src/sunward/client/_async/incentives.py by tools/build_sync.py; change that one.
"""Calls about what is paid and why: exchange rate and offset, stake and rewards."""

from __future__ import annotations

from sunward.client._sync.http import Http
from sunward.client.answers import read, verdict_path
from sunward.model.credits import CreditRules, OffsetView
from sunward.model.rate import ConfirmRequest, RateView
from sunward.model.staking import (
    ClaimRequest,
    HarmRequest,
    RewardLine,
    RewardPage,
    StakeRequest,
    StakeView,
    StakingRules,
)

PAGE = 500


class Incentives:
    """What `ApiClient` has of them."""

    _http: Http

    def rate(self) -> RateView:
        """The exchange rate, its sources and how it stands."""
        return read(self._http.get("/v1/rate"), RateView)

    def confirm_rate(self, usd_micro_per_ath: int) -> RateView:
        """Take the price there is for right, however far it moved."""
        wanted = ConfirmRequest(usd_micro_per_ath=usd_micro_per_ath)
        return read(self._http.post("/v1/rate/confirm", wanted), RateView)

    def stakes(self) -> tuple[StakeView, ...]:
        """What the caller has bonded and earned; everybody's, for operator and auditor."""
        return read(self._http.get("/v1/stakes"), tuple[StakeView, ...])

    def stake(self, wanted: StakeRequest, key: str = "") -> StakeView:
        """Bond what one earned; the same request with the same `key` bonds once, as with the next two."""
        return read(self._http.post("/v1/stakes", wanted, key), StakeView)

    def unstake(self, wanted: StakeRequest, key: str = "") -> StakeView:
        """Ask stake back."""
        return read(self._http.post("/v1/stakes/exits", wanted, key), StakeView)

    def claim(self, wanted: ClaimRequest, key: str = "") -> StakeView:
        """Take what stake earned."""
        return read(self._http.post("/v1/rewards/claims", wanted, key), StakeView)

    def staking_rules(self) -> StakingRules:
        """How stake is paid and taken."""
        return read(self._http.get("/v1/stakes/rules"), StakingRules)

    def set_staking_rules(self, rules: StakingRules) -> StakingRules:
        """Pay for stake and take it by these rules from now on."""
        return read(self._http.post("/v1/stakes/rules", rules), StakingRules)

    def rewards(self, epoch: int = 0) -> RewardPage:
        """What an epoch gave; 0 = the last closed one. One's own, or everybody's for operator and auditor."""
        found: list[RewardLine] = []
        after = ""
        while True:
            reply = self._http.get("/v1/rewards", epoch=epoch, after=after, limit=PAGE)
            page = read(reply, RewardPage)
            found.extend(page.lines)
            if not page.next:
                return RewardPage(epoch=page.epoch, lines=tuple(found), next=None)
            epoch, after = page.epoch, page.next

    def tell_harm(self, verdict: str, wanted: HarmRequest) -> HarmRequest:
        """Say whom a verdict's fault cost what."""
        return read(self._http.post(verdict_path(verdict, "harm"), wanted), HarmRequest)

    def offset(self) -> OffsetView:
        """The offset account, orders of credits, serials and coverage."""
        return read(self._http.get("/v1/offset"), OffsetView)

    def set_credit_rules(self, rules: CreditRules) -> CreditRules:
        """Buy credits by these rules from the next close of an epoch on."""
        return read(self._http.post("/v1/offset/rules", rules), CreditRules)
