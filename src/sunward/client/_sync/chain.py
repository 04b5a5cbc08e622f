# Made from src/sunward/client/_async/chain.py by tools/build_sync.py; change that one.
"""Calls about the chain: how posting stands, closed epochs, wallets and their leaves."""

from __future__ import annotations

from urllib.parse import quote

from sunward.client._sync.http import Http
from sunward.client.answers import read
from sunward.model.onchain import ChainStatus, ClosedView, LeafView, WalletRequest, WalletView


class Chain:
    """What `ApiClient` has of them."""

    _http: Http

    def chain(self) -> ChainStatus:
        """How posting to the chain stands."""
        return read(self._http.get("/v1/chain"), ChainStatus)

    def closed_epoch(self, epoch: int) -> ClosedView:
        """A closed epoch byte for byte, and the record that closed it."""
        return read(self._http.get(f"/v1/chain/epochs/{epoch:d}"), ClosedView)

    def chain_leaf(self, address: str, epoch: int) -> LeafView:
        """What a claim of an address in an epoch's root needs."""
        return read(self._http.get(f"/v1/chain/leaves/{quote(address, safe='')}", epoch=epoch), LeafView)

    def wallet(self) -> WalletView:
        """Where the caller is paid on the chain."""
        return read(self._http.get("/v1/wallet"), WalletView)

    def bind_wallet(self, wanted: WalletRequest) -> WalletView:
        """Be paid at an address from now on."""
        return read(self._http.post("/v1/wallet", wanted), WalletView)
