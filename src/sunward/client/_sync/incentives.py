# Made from src/sunward/client/_async/incentives.py by tools/build_sync.py; change that one.
"""Calls about what is paid and why: exchange rate and offset."""

from __future__ import annotations

from sunward.client._sync.http import Http
from sunward.client.answers import read
from sunward.model.rate import ConfirmRequest, RateView


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
