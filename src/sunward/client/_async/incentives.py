"""Calls about what is paid and why: exchange rate and offset."""

from __future__ import annotations

from sunward.client._async.http import AsyncHttp
from sunward.client.answers import read
from sunward.model.rate import ConfirmRequest, RateView


class AsyncIncentives:
    """What `AsyncApiClient` has of them."""

    _http: AsyncHttp

    async def rate(self) -> RateView:
        """The exchange rate, its sources and how it stands."""
        return read(await self._http.get("/v1/rate"), RateView)

    async def confirm_rate(self, usd_micro_per_ath: int) -> RateView:
        """Take the price there is for right, however far it moved."""
        wanted = ConfirmRequest(usd_micro_per_ath=usd_micro_per_ath)
        return read(await self._http.post("/v1/rate/confirm", wanted), RateView)
