# Made from src/sunward/client/_async/reserve.py by tools/build_sync.py; change that one.
"""Calls about the reserve: its vault, promises, calls and drills."""

from __future__ import annotations

from sunward.client._sync.http import Http
from sunward.client.answers import read
from sunward.model.reserve import ReserveRules
from sunward.model.reserve_views import (
    CallRequest,
    DrillRequest,
    OfferRequest,
    PromiseLine,
    ReserveView,
    StressTest,
    UsdRequest,
    VaultDeposit,
    VaultExit,
)


class Reserve:
    """What `ApiClient` has of them."""

    _http: Http

    def reserve(self) -> ReserveView:
        """The reserve's vault, what it covers, and one's own part of it."""
        return read(self._http.get("/v1/reserve"), ReserveView)

    def set_reserve_rules(self, rules: ReserveRules) -> ReserveRules:
        """Run the reserve by these rules from now on."""
        return read(self._http.post("/v1/reserve/rules", rules), ReserveRules)

    def tell_reserve_usd(self, usd_held_micro: int) -> ReserveView:
        """Tell what the vault holds in USD."""
        return read(self._http.post("/v1/reserve/usd", UsdRequest(usd_held_micro=usd_held_micro)), ReserveView)

    def reserve_deposit(self, wanted: VaultDeposit) -> ReserveView:
        """Put ATH into the vault at the close of the epoch."""
        return read(self._http.post("/v1/reserve/deposits", wanted), ReserveView)

    def reserve_exit(self, wanted: VaultExit) -> ReserveView:
        """Take shares out of the vault once they have waited."""
        return read(self._http.post("/v1/reserve/exits", wanted), ReserveView)

    def promises(self) -> tuple[PromiseLine, ...]:
        """What is for sale, and what one has promised or bought."""
        return read(self._http.get("/v1/reserve/promises"), tuple[PromiseLine, ...])

    def offer_promise(self, wanted: OfferRequest) -> PromiseLine:
        """Promise containers of one's own sites."""
        return read(self._http.post("/v1/reserve/promises", wanted), PromiseLine)

    def withdraw_promise(self, promise: str) -> tuple[PromiseLine, ...]:
        """Take back a promise that nobody bought."""
        return read(self._http.delete(f"/v1/reserve/promises/{promise}"), tuple[PromiseLine, ...])

    def buy_promise(self, promise: str) -> PromiseLine:
        """Buy a promise, whole."""
        return read(self._http.post(f"/v1/reserve/promises/{promise}/buy", {}), PromiseLine)

    def call_promise(self, promise: str, wanted: CallRequest) -> PromiseLine:
        """Have promised containers made ready; one's waiting jobs run there."""
        return read(self._http.post(f"/v1/reserve/promises/{promise}/call", wanted), PromiseLine)

    def release_call(self, call: str) -> PromiseLine:
        """Say that called containers are no longer needed."""
        return read(self._http.delete(f"/v1/reserve/calls/{call}"), PromiseLine)

    def drill(self, owner: str) -> tuple[PromiseLine, ...]:
        """Drill every promise of an owner now."""
        return read(self._http.post("/v1/reserve/drills", DrillRequest(owner=owner)), tuple[PromiseLine, ...])

    def stress(self) -> StressTest:
        """What the reserve would still hold after each shock, and after all of them."""
        return read(self._http.get("/v1/reserve/stress"), StressTest)
