"""The chain: how posting stands, where owners are paid, and what a claim or a check needs."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import ModuleType
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from sunward.engine.onchain import require
from sunward.errors import InputError
from sunward.model.identity import TenantId
from sunward.model.onchain import (
    ChainStatus,
    ClosedView,
    ItemView,
    LeafView,
    WalletRequest,
    WalletView,
    wallet_words,
)
from sunward.model.onchain_events import WalletBound
from sunward.service.audit import note
from sunward.service.auth import PROVIDER, Anyone, Caller, Plane, allow
from sunward.service.bodies import answer, once, record_of, takes
from sunward.service.chain_watch import Presence
from sunward.service.control import ControlPlane

router = APIRouter(tags=["chain"])

NOT_SIGNED, NO_EXTRA = "SW-820", "SW-826"
Provider = Annotated[Caller, Depends(allow(PROVIDER))]
Epoch = Annotated[int, Path(ge=0, le=2**62)]
Address = Annotated[str, Path(pattern=r"^0x[0-9a-f]{40}$")]


def presence_of(request: Request) -> Presence:
    """What this service's posting is doing."""
    found: Presence = request.app.state.posting
    return found


@router.get("/v1/chain", response_model=ChainStatus)
async def get_chain(control: Plane, _caller: Anyone, presence: Annotated[Presence, Depends(presence_of)]) -> Response:
    """Contracts, the newest epoch that is final, and what waits."""
    named, posted = require(control.state), control.state.chain.posted
    lines = await asyncio.to_thread(control.store.chain_outbox.lines, posted)
    waiting = tuple(
        ItemView(
            item=one.item,
            transaction=one.hashes[-1] if one.hashes else "",
            block=-1 if one.block is None else one.block,
        )
        for one in lines
        if not one.final
    )
    return answer(
        ChainStatus(
            chain_id=named.chain_id,
            token=named.token,
            registry=named.registry,
            distributor=named.distributor,
            vault=named.vault,
            posted=posted,
            waiting=waiting,
            trouble=presence.trouble,
        )
    )


@router.get("/v1/chain/epochs/{epoch}", response_model=ClosedView)
async def get_closed(control: Plane, _caller: Anyone, epoch: Epoch) -> Response:
    """A closed epoch byte for byte, and the record that closed it."""
    one = await asyncio.to_thread(control.store.queries.closed_epoch, epoch)
    return answer(ClosedView(epoch=one.epoch, statement=one.body, sequence=one.sequence, journal_head=one.head))


@router.get("/v1/chain/leaves/{address}", response_model=LeafView)
async def get_leaf(
    control: Plane, _caller: Anyone, address: Address, epoch: Annotated[int, Query(ge=0, le=2**62)]
) -> Response:
    """The leaf of an address in an epoch's root, with its way there; leaves are public."""
    require(control.state)
    found: LeafView = await asyncio.to_thread(_extra().leaf_of, control, address, epoch)
    return answer(found)


@router.get("/v1/wallet", response_model=WalletView)
async def get_wallet(control: Plane, caller: Provider) -> Response:
    """Where the caller is paid."""
    return answer(_view(control, caller.subject))


@router.post("/v1/wallet", response_model=WalletView, openapi_extra=takes(WalletRequest))
async def post_wallet(
    control: Plane,
    caller: Provider,
    request: Request,
    wanted: Annotated[WalletRequest, Depends(record_of(WalletRequest))],
) -> Response:
    """Pay the caller at an address from now on; the wallet has signed that it belongs to this owner."""

    async def act(_key: str) -> Response:
        owner = TenantId(caller.subject)
        signer = _extra().signer_of(
            wallet_words(control.state.world.network.network, owner, wanted.address), wanted.signature
        )
        if signer != wanted.address:
            line = f"that was signed by {signer}, not by {wanted.address}; docs/chain.md says what is signed"
            raise InputError(line, code=NOT_SIGNED)
        if control.state.chain.present.get(owner) != wanted.address:
            control.commit_one(WalletBound(owner=owner, address=wanted.address, signature=wanted.signature))
            note(control, caller, "bind_wallet", wanted.address)
        return answer(_view(control, owner))

    return await once(control, caller.subject, request, act)


def _view(control: ControlPlane, owner: str) -> WalletView:
    network = control.state.world.network.network
    return WalletView(network=network, owner=owner, address=control.state.chain.present.get(owner, ""))


def _extra() -> ModuleType:
    """What only the extra can do. Raises: InputError where it is not installed."""
    try:
        return import_module("sunward.service.posting")
    except ModuleNotFoundError as reason:
        line = f"the service lacks {reason.name}: pip install 'sunward[chain]'"
        raise InputError(line, code=NO_EXTRA) from None
