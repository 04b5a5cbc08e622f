"""Calls about the chain: how posting stands, closed epochs, wallets and their leaves."""

from __future__ import annotations

from urllib.parse import quote

from sunward.client._async.http import AsyncHttp
from sunward.client.answers import read
from sunward.model.onchain import ChainStatus, ClosedView, LeafView, WalletRequest, WalletView


class AsyncChain:
    """What `AsyncApiClient` has of them."""

    _http: AsyncHttp

    async def chain(self) -> ChainStatus:
        """How posting to the chain stands."""
        return read(await self._http.get("/v1/chain"), ChainStatus)

    async def closed_epoch(self, epoch: int) -> ClosedView:
        """A closed epoch byte for byte, and the record that closed it."""
        return read(await self._http.get(f"/v1/chain/epochs/{epoch:d}"), ClosedView)

    async def chain_leaf(self, address: str, epoch: int) -> LeafView:
        """What a claim of an address in an epoch's root needs."""
        return read(await self._http.get(f"/v1/chain/leaves/{quote(address, safe='')}", epoch=epoch), LeafView)

    async def wallet(self) -> WalletView:
        """Where the caller is paid on the chain."""
        return read(await self._http.get("/v1/wallet"), WalletView)

    async def bind_wallet(self, wanted: WalletRequest) -> WalletView:
        """Be paid at an address from now on."""
        return read(await self._http.post("/v1/wallet", wanted), WalletView)
