"""`sunward chain`: keys, contracts, posting, claims, and the way from a reading to a root on the chain."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from sunward.adapters.chain_embedded import EmbeddedChain
from sunward.adapters.chain_key import ChainKey, address_of, make_key, open_key, passphrase_of
from sunward.adapters.chain_rpc import Web3Chain
from sunward.adapters.chain_settings import (
    GWEI,
    KEY_FILE,
    SETTINGS_FILE,
    ChainSettings,
    open_chain,
    read_settings,
    write_settings,
)
from sunward.adapters.contracts import contract
from sunward.cli import show
from sunward.cli.chain_proof import read_view, way_of
from sunward.cli.shell import Shell, group, option, pass_shell
from sunward.cli.text import _
from sunward.errors import ChainRefusedError, InputError, SourceError
from sunward.model.onchain import ChainStatus, LeafView, WalletRequest, wallet_words
from sunward.service.deploying import Roles, Terms, deploy, transact
from sunward.units import HOUR_S

WALLET_FILE = "wallet-key.json"
GRANT_WEI = 10**18
LOOK_S = 0.5
PASSPHRASE = option(
    "--passphrase-file",
    "passphrase_file",
    type=click.Path(path_type=Path),
    help="File with the passphrase, readable to you alone; else SUNWARD_CHAIN_PASSPHRASE_FILE.",
)
RPC = option("--rpc", default="", help="Address of a node to ask; else the one of the home folder.")


@group()
def chain() -> None:
    """Bring roots, rewards and retired credits onto a chain, and check them there."""


@chain.group("key")
def key() -> None:
    """Keys that sign transactions: encrypted, one for posting and one for a wallet."""


def _file(shell: Shell, *, wallet: bool) -> Path:
    return shell.home / (WALLET_FILE if wallet else KEY_FILE)


@key.command("new")
@option("--wallet", is_flag=True, help="A key to be paid at, and not the one that posts.")
@PASSPHRASE
@pass_shell
def key_new(shell: Shell, passphrase_file: Path | None, *, wallet: bool) -> None:
    """Make a key, encrypted by a passphrase; it is never overwritten."""
    path = _file(shell, wallet=wallet)
    made = make_key(path, passphrase_of(os.environ, passphrase_file))
    _tell_key(shell, made.address, path)


@key.command("show")
@option("--wallet", is_flag=True, help="The key to be paid at.")
@pass_shell
def key_show(shell: Shell, *, wallet: bool) -> None:
    """Show a key's address, never the key."""
    path = _file(shell, wallet=wallet)
    _tell_key(shell, address_of(path), path)


def _tell_key(shell: Shell, address: str, path: Path) -> None:
    if shell.json:
        show.json_line({"address": address, "file": str(path)})
    else:
        show.line(_("{address} in {file}").format(address=address, file=path))


@chain.command("deploy")
@option("--rpc", required=True, help="Address of a node, or `embedded` for a chain on this machine alone.")
@option("--chain-id", type=click.IntRange(0), default=0, help="Refuse any other chain; 0 takes whichever answers.")
@option("--confirmations", type=click.IntRange(1), default=1, help="Blocks after which a transaction is final.")
@option("--max-fee-gwei", type=click.IntRange(1), default=100, help="Most that gas may cost; above it, posting waits.")
@option("--token", default="", help="The token to pay in; else a test token is made, on test networks only.")
@option("--vetoer", default="", help="Who may strike a root within its window; else the posting key.")
@option("--veto-hours", type=click.IntRange(1, 720), default=24, help="How long a root may be struck.")
@PASSPHRASE
@pass_shell
def chain_deploy(
    shell: Shell,
    rpc: str,
    chain_id: int,
    confirmations: int,
    max_fee_gwei: int,
    token: str,
    vetoer: str,
    veto_hours: int,
    passphrase_file: Path | None,
) -> None:
    """Put the contracts onto a chain and have the service of the home folder post there from now on."""
    known = read_settings(shell.home)
    if known is not None:
        line = _("{file} names contracts already; a network cannot move to others")
        raise InputError(line.format(file=shell.home / SETTINGS_FILE), code="SW-831")
    own = open_key(shell.home / KEY_FILE, passphrase_of(os.environ, passphrase_file))
    target = open_chain(shell.home, rpc, chain_id)
    first = target.height() + 1
    roles = Roles(poster=own.address, vetoer=vetoer.lower() or own.address, buyer=own.address)
    made = deploy(target, own, roles, Terms(veto_window_s=veto_hours * HOUR_S), token.lower())
    settings = ChainSettings(
        rpc=rpc,
        chain_id=target.chain_id,
        confirmations=confirmations,
        max_fee_wei=max_fee_gwei * GWEI,
        contracts=made,
        test_token=not token,
        first_block=first,
    )
    write_settings(shell.home, settings)
    if shell.json:
        show.json_line({"chain_id": settings.chain_id, "contracts": made})
    else:
        show.pairs(
            [
                (_("chain"), str(settings.chain_id)),
                ("TestATH" if not token else "ATH", made.token),
                ("ProviderRegistry", made.registry),
                ("RewardDistributor", made.distributor),
                ("OffsetVault", made.vault),
            ]
        )


@chain.command("status")
@pass_shell
def chain_status(shell: Shell) -> None:
    """Show contracts, the newest epoch that is final, and what waits."""
    with shell.client() as client:
        found = client.chain()
    _tell_status(shell, found)


@chain.command("post")
@pass_shell
def chain_post(shell: Shell) -> None:
    """Wait until every closed epoch is final on the chain; the service posts by itself."""
    with shell.client() as client:
        while True:
            epochs, found = client.epochs(), client.chain()
            if not epochs or found.posted >= epochs[-1].epoch:
                break
            if found.trouble:
                raise SourceError(found.trouble, transient=False, code="SW-823")
            shell.sleep(LOOK_S)
    _tell_status(shell, found)


def _tell_status(shell: Shell, found: ChainStatus) -> None:
    if shell.json:
        show.json_line(found)
        return
    show.pairs(
        [
            (_("chain"), str(found.chain_id)),
            (_("posted"), show.NOTHING if found.posted < 0 else _("epoch {epoch}").format(epoch=found.posted)),
            (_("waiting"), str(len(found.waiting))),
            (_("trouble"), found.trouble or show.NOTHING),
            ("ProviderRegistry", found.registry),
            ("RewardDistributor", found.distributor),
            ("OffsetVault", found.vault),
        ]
    )
    if found.waiting:
        rows = [
            (one.item, one.transaction or show.NOTHING, show.NOTHING if one.block < 0 else str(one.block))
            for one in found.waiting
        ]
        show.table((_("CALL"), _("TRANSACTION"), _("BLOCK")), rows)


@chain.command("bind")
@PASSPHRASE
@pass_shell
def chain_bind(shell: Shell, passphrase_file: Path | None) -> None:
    """Be paid at your wallet key's address from now on: the wallet signs that it is yours."""
    own = open_key(_file(shell, wallet=True), passphrase_of(os.environ, passphrase_file))
    with shell.client("provider") as client:
        told = client.wallet()
        signature = own.sign_words(wallet_words(told.network, told.owner, own.address))
        found = client.bind_wallet(WalletRequest(address=own.address, signature=signature))
    if shell.json:
        show.json_line(found)
    else:
        show.line(_("{owner} is paid at {address}").format(owner=found.owner, address=found.address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim brought."""

    epoch: int
    address: str
    paid_wei: int
    transaction: str


@chain.command("claim")
@RPC
@PASSPHRASE
@pass_shell
def chain_claim(shell: Shell, rpc: str, passphrase_file: Path | None) -> None:
    """Take what the newest root past its veto window owes your wallet; the wallet pays the gas."""
    own = open_key(_file(shell, wallet=True), passphrase_of(os.environ, passphrase_file))
    target = _asked(shell, rpc)
    if isinstance(target, EmbeddedChain) and not target.balance(own.address):
        target.grant(own.address, GRANT_WEI)
    with shell.client("provider") as client:
        status = client.chain()
        found = claim(target, status, own, lambda epoch: client.chain_leaf(own.address, epoch))
    if shell.json:
        show.json_line(found)
    else:
        line = _("{amount} ATH of epoch {epoch} paid to {address}")
        show.line(line.format(amount=show.ath(found.paid_wei), epoch=found.epoch, address=found.address))


def claim(target: Web3Chain, status: ChainStatus, own: ChainKey, leaf_in: Callable[[int], LeafView]) -> Claimed:
    """Claim a wallet's leaf. Raises: InputError when there is nothing to claim, SourceError."""
    distributor = contract("RewardDistributor")
    try:
        (epoch,) = read_view(target, "RewardDistributor", status.distributor, "claimable_epoch")
    except ChainRefusedError:
        raise InputError(_("no root is past its veto window yet"), code="SW-835") from None
    leaf = leaf_in(epoch)
    (before,) = read_view(target, "RewardDistributor", status.distributor, "claimed", own.address)
    if leaf.cumulative_wei <= before:
        raise InputError(_("everything that epoch {epoch} owes was claimed").format(epoch=epoch), code="SW-835")
    proof = [bytes.fromhex(step) for step in leaf.proof]
    words = (epoch, own.address, leaf.cumulative_wei, bytes.fromhex(leaf.salt), proof)
    done = transact(target, own, status.distributor, distributor.call("claim", *words))
    return Claimed(epoch=epoch, address=own.address, paid_wei=leaf.cumulative_wei - before, transaction=done.hash)


@chain.command("verify")
@click.argument("job")
@RPC
@pass_shell
def chain_verify(shell: Shell, job: str, rpc: str) -> int:
    """Walk from a job's signed readings to the roots on the chain; exit 1 if refused. --rpc asks your own node."""
    target = _asked(shell, rpc)
    with shell.client() as client:
        steps = way_of(client, target, client.chain(), job)
    passed = all(one.passed for one in steps)
    if shell.json:
        show.json_line({"ok": passed, "steps": steps})
    else:
        for one in steps:
            show.line(f"{'✓' if one.passed else '✗'} {one.name}  ({one.detail})", "green" if one.passed else "bold red")
        show.line(_("OK: nothing on the way is wrong") if passed else _("REFUSED"), "green" if passed else "bold red")
    return 0 if passed else 1


def _asked(shell: Shell, rpc: str) -> Web3Chain:
    """The chain to ask: of the address named, else of the home folder. Raises: InputError where none is known."""
    if rpc:
        return open_chain(shell.home, rpc)
    known = read_settings(shell.home)
    if known is None:
        raise InputError(_("name a node with --rpc; the home folder knows none"), code="SW-830")
    return open_chain(shell.home, known.rpc, known.chain_id)
