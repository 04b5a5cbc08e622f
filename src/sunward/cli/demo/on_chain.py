"""The last act: what the epochs owe goes onto a chain on this machine, a window passes, and a wallet is paid there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sunward.adapters.secret_file import write_secret
from sunward.cli import show
from sunward.cli.demo.proof import Check
from sunward.cli.demo.stage import Stage
from sunward.cli.text import _
from sunward.client import ApiClient
from sunward.errors import ConflictError, SourceError
from sunward.model.onchain import ChainStatus, WalletRequest, wallet_words
from sunward.model.staking import StakeRequest
from sunward.units import HOUR_S

if TYPE_CHECKING:
    from sunward.adapters.chain_embedded import EmbeddedChain
    from sunward.adapters.chain_key import ChainKey

T = TypeVar("T")
PATIENCE_S = 90.0
LOOK_S = 0.2
VETO_S = HOUR_S
"""The shortest that the contract takes; only the chain's own clock is moved on."""
GAS_WEI = 10**18
NO_CHAIN = "SW-830"


@dataclass(frozen=True, slots=True)
class Contracts:
    """The demo's chain, and the wallet that is paid on it."""

    chain: EmbeddedChain
    wallet: ChainKey


def words_file(folder: Path) -> Path:
    """The passphrase of the demo's keys, made for this run alone."""
    path = folder / "chain-words"
    if not path.exists():
        write_secret(path, secrets.token_hex(16).encode())
    return path


def deploy_contracts(stage: Stage) -> Contracts | None:
    """Put the contracts onto a chain in a file of the home folder; the service posts there from now on.

    None, and said, where the libraries are not installed.
    """
    if find_spec("web3") is None or find_spec("sunward_contracts") is None:
        show.line(_("No chain here: pip install 'sunward[chain]' and ./contracts to post to one."), "yellow")
        return None
    # They take seconds to load, and whoever has no chain never needs them.
    from sunward.adapters.chain_embedded import EmbeddedChain  # noqa: PLC0415
    from sunward.adapters.chain_key import make_key  # noqa: PLC0415
    from sunward.adapters.chain_settings import (  # noqa: PLC0415
        EMBEDDED,
        EMBEDDED_FILE,
        KEY_FILE,
        ChainSettings,
        write_settings,
    )
    from sunward.service.deploying import Roles, Terms, deploy  # noqa: PLC0415

    words = words_file(stage.folder).read_text()
    key = make_key(stage.home / KEY_FILE, words)
    chain = EmbeddedChain(key.address, stage.home / EMBEDDED_FILE)
    first = chain.height() + 1
    roles = Roles(poster=key.address, vetoer=key.address, buyer=key.address)
    own = deploy(chain, key, roles, Terms(veto_window_s=VETO_S))
    settings = ChainSettings(rpc=EMBEDDED, chain_id=chain.chain_id, contracts=own, test_token=True, first_block=first)
    write_settings(stage.home, settings)
    with stage.client("auditor") as auditor:
        _wait(lambda: _named(auditor), _("the service has found its chain"))
    show.line(
        _("Chain: on this machine alone; the service posts to distributor {address}.").format(address=own.distributor)
    )
    return Contracts(chain, make_key(stage.home / "wallet-key.json", words))


def play(stage: Stage, contracts: Contracts | None, jobs: Sequence[str]) -> list[Check]:
    """Stake, let an epoch pay for it, post, wait out the veto, claim, and walk from readings to the roots."""
    if contracts is None:
        return []
    from sunward.cli.chain import claim  # noqa: PLC0415
    from sunward.cli.chain_proof import way_of  # noqa: PLC0415

    chain, wallet = contracts.chain, contracts.wallet
    with stage.client("provider") as provider, stage.client("operator") as operator:
        owner = _bind(provider, wallet)
        pay_wei = int(operator.balances()[f"provider:{owner}"])
        provider.stake(StakeRequest(amount_wei=pay_wei // 2))
        for _epoch in range(2):
            _wait(lambda: not operator.offset().open, _("every order of credits is carried out"))
            operator.close_epoch()
        last = operator.epochs()[-1].epoch
        status = _wait(lambda: _posted(operator, last), _("the epochs are final on the chain"))
        chain.travel(VETO_S)
        chain.grant(wallet.address, GAS_WEI)
        paid = claim(chain, status, wallet, lambda epoch: provider.chain_leaf(wallet.address, epoch))
        _wait(lambda: f"rewards:{owner}" not in operator.balances(), _("the books have seen the claim"))
        checks = [_check_books(operator, chain, status), _check_credits(operator, chain, status)]
        steps = way_of(operator, chain, operator.chain(), jobs[0])
    wrong = [one.name for one in steps if not one.passed]
    reached = Check(_("signed readings lead to the root on the chain"), not wrong, "; ".join(wrong) or steps[-1].detail)
    detail = _("{amount} to {address}").format(amount=show.ath(paid.paid_wei), address=paid.address)
    claimed = Check(_("a reward was claimed on the chain once its veto window was over"), paid.paid_wei > 0, detail)
    return [claimed, *checks, reached]


def _bind(provider: ApiClient, wallet: ChainKey) -> str:
    told = provider.wallet()
    signature = wallet.sign_words(wallet_words(told.network, told.owner, wallet.address))
    return provider.bind_wallet(WalletRequest(address=wallet.address, signature=signature)).owner


def _check_books(operator: ApiClient, chain: EmbeddedChain, status: ChainStatus) -> Check:
    """The distributor holds what treasury, budgets and rewards hold in the books, wei by wei."""
    from sunward.cli.chain_proof import read_view  # noqa: PLC0415

    kinds = ("treasury", "budget:", "rewards:")
    booked = sum(int(wei) for account, wei in operator.balances().items() if account.startswith(kinds))
    (held,) = read_view(chain, "TestATH", status.token, "balanceOf", status.distributor)
    return Check(
        _("the distributor on the chain holds what the books say"),
        held == booked,
        f"{held} − {booked} = {held - booked} wei",
    )


def _check_credits(operator: ApiClient, chain: EmbeddedChain, status: ChainStatus) -> Check:
    """Test credits are retired out of the vault and listed there, and count nothing."""
    from sunward.cli.chain_proof import read_view  # noqa: PLC0415

    listed = sum(one.offset.test_kg for one in operator.epochs() if one.offset is not None)
    (test_kg,) = read_view(chain, "OffsetVault", status.vault, "test_kg")
    (counted_kg,) = read_view(chain, "OffsetVault", status.vault, "retired_kg")
    detail = _("{test} kg of test credits, {counted} kg counted").format(test=test_kg, counted=counted_kg)
    return Check(_("retired test credits stand on the chain and count 0"), test_kg == listed and not counted_kg, detail)


def _named(auditor: ApiClient) -> bool:
    try:
        auditor.chain()
    except ConflictError:
        return False
    return True


def _posted(operator: ApiClient, epoch: int) -> ChainStatus | None:
    status = operator.chain()
    if status.trouble:
        raise SourceError(status.trouble, transient=False)
    return status if status.posted >= epoch else None


def _wait(look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SourceError(
                _("waited {seconds} s in vain until {what}").format(seconds=f"{PATIENCE_S:.0f}", what=what),
                transient=False,
            )
        time.sleep(LOOK_S)
    return found
