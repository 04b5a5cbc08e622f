"""What calls of the contracts cost in gas, by receipts of a real chain in memory (eth-tester, py-evm).

Printed are all calls of the table in contracts/gas.json, which a test compares with what they cost now. Of a claim
there are four, all against a root over `--leaves` leaves: the first of an owner whose wallet holds the token already,
the first into an empty wallet, a later one, and the first with the next root already waiting for its window to end.
Providers stake before they earn, so that their wallets have held the token; an empty one costs 17,100 gas more, as any
ERC-20 does for a new balance. `propose_gas_N` is that of a root over N leaves, of which nothing but the root is sent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_tester import EthereumTester, PyEVMBackend
from eth_utils import keccak
from tests.contracts.tree import Leaf, Tree

from benchmarks.calibration import calibrate

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
SNAPSHOT = CONTRACTS / "gas.json"
ETH_TESTER_CHAIN = 131277322940537
LEAVES = 10_000
DAY_S = 86_400
ATH = 10**18
MUCH = 10**6 * ATH
PAR = 10**6


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a contract at its address."""

    address: str
    signature: str

    def data(self, arguments: Sequence[object]) -> bytes:
        """The bytes of the call."""
        types = split(self.signature[self.signature.index("(") + 1 : -1])
        return keccak(text=self.signature)[:4] + encode(types, arguments)


def split(types: str) -> list[str]:
    """The types of a signature; none of ours holds another list of types."""
    return types.split(",") if types else []


class Chain:
    """A chain in memory, and what was spent on it by name of call."""

    def __init__(self) -> None:
        self.tester = EthereumTester(PyEVMBackend())
        self.people: tuple[str, ...] = self.tester.get_accounts()
        self.gas: dict[str, int] = {}

    def deploy(self, name: str, types: Sequence[str] = (), arguments: Sequence[object] = ()) -> str:
        """The address of a new contract, spent on as `NAME`."""
        made = json.loads((CONTRACTS / "build" / f"{name}.json").read_text())
        code = bytes.fromhex(made["bytecode"].removeprefix("0x")) + encode(types, arguments)
        receipt = self._send(self.people[0], None, code)
        self.gas[name] = receipt["gas_used"]
        return str(receipt["contract_address"])

    def call(self, name: str | None, sender: str, address: str, signature: str, *arguments: object) -> None:
        """Call and note what it cost; nothing is noted without a name."""
        receipt = self._send(sender, address, Call(address, signature).data(arguments))
        if name is not None:
            self.gas[name] = receipt["gas_used"]

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.tester.time_travel(self.tester.get_block_by_number("latest")["timestamp"] + seconds)
        self.tester.mine_block()

    def _send(self, sender: str, to: str | None, data: bytes) -> dict[str, Any]:
        fields = {"from": sender, "gas": 12_000_000, "data": "0x" + data.hex(), "value": 0}
        fees = {"max_fee_per_gas": 10**10, "max_priority_fee_per_gas": 0}
        receipt = self.tester.get_transaction_receipt(
            self.tester.send_transaction(fields | fees | ({"to": to} if to else {}))
        )
        if receipt["status"] != 1:
            raise AssertionError(f"a call of {to} was refused: 0x{data[:4].hex()}")
        return dict(receipt)


def measure(leaves: int = LEAVES) -> dict[str, int]:
    """Gas by name of call."""
    chain = Chain()
    token = chain.deploy("TestATH")
    owner, payer, other = chain.people[0], chain.people[1], chain.people[2]
    for person in (payer, other):
        chain.call("TestATH.mint", owner, token, "mint(address,uint256)", person, MUCH)
    registry(chain)
    for part in (staking, vault, reserve, escrow):
        part(chain, token)
    for count in (10, leaves):
        distributor(chain, token, count)
    return chain.gas


def allowed(chain: Chain, token: str, address: str) -> None:
    """Let a contract take the tokens of who pays in."""
    for person in chain.people[1:3]:
        chain.call(None, person, token, "approve(address,uint256)", address, 2**256 - 1)


def registry(chain: Chain) -> None:
    """Names and anchors."""
    at = chain.deploy("ProviderRegistry", ["address"], [chain.people[0]])
    chain.call("ProviderRegistry.register", chain.people[1], at, "register(bytes32)", keccak(text="provider"))
    for epoch, name in ((1, None), (2, "ProviderRegistry.post")):
        root, head = keccak(text=f"root {epoch}"), keccak(text=f"head {epoch}")
        chain.call(name, chain.people[0], at, "post(uint256,bytes32,bytes32)", epoch, root, head)


def staking(chain: Chain, token: str) -> None:
    """Stake, its exit, and verdicts on little and on much."""
    owner, staker = chain.people[0], chain.people[1]
    types = ["address", "address", "address", "uint256"]
    at = chain.deploy("GreenStaking", types, [token, owner, chain.people[9], 37 * DAY_S])
    allowed(chain, token, at)
    for _ in range(2):
        chain.call("GreenStaking.stake", staker, at, "stake(uint256)", 1000 * ATH)
    slash = "slash(address,uint256,bytes32)"
    chain.call("GreenStaking.slash of stake", owner, at, slash, staker, ATH, keccak(text="first"))
    for _ in range(16):
        chain.call("GreenStaking.request_exit", staker, at, "request_exit(uint256)", ATH)
    chain.wait(37 * DAY_S)
    chain.call("GreenStaking.withdraw", staker, at, "withdraw(uint256)", 7)
    chain.call("GreenStaking.slash of 15 exits", owner, at, slash, staker, MUCH, keccak(text="second"))


def vault(chain: Chain, token: str) -> None:
    """Deposit and purchases: the first of a registry, and one beside it."""
    buyer, seller = chain.people[0], chain.people[9]
    at = chain.deploy("OffsetVault", ["address", "address", "uint256"], [token, buyer, MUCH])
    allowed(chain, token, at)
    chain.call("OffsetVault.deposit", chain.people[1], at, "deposit(uint256)", 1000 * ATH)
    signature = "retire(bytes32,bytes32,uint256,uint256,uint256,bool,uint256,address)"
    for number, name in ((0, "first of a registry"), (1, "next")):
        order, first = keccak(text=f"order {number}"), 10**9 + 1000 * number
        terms = (order, keccak(text="registry"), first, first + 999, 10**6, False, ATH, seller)
        chain.call(f"OffsetVault.retire, {name}", buyer, at, signature, *terms)


def reserve(chain: Chain, token: str) -> None:
    """A full batch of requests."""
    owner, holder = chain.people[0], chain.people[1]
    at = chain.deploy("StrategicReserve", ["address", "address"], [token, owner])
    allowed(chain, token, at)
    for _ in range(32):
        chain.call("StrategicReserve.request_deposit", holder, at, "request_deposit(uint256)", 1000 * ATH)
    chain.call("StrategicReserve.settle 32", owner, at, "settle(uint256,uint256,uint256)", 1, PAR, 32)
    chain.call("StrategicReserve.request_exit", holder, at, "request_exit(uint256)", ATH)
    value = 32_000 * ATH * PAR // (32_000 * ATH + 1000)
    chain.call("StrategicReserve.settle 1", owner, at, "settle(uint256,uint256,uint256)", 2, value, 33)
    chain.call("StrategicReserve.withdraw", holder, at, "withdraw(uint256)", 33)


def escrow(chain: Chain, token: str) -> None:
    """Batches of one and of the most payers."""
    owner, tenants = chain.people[0], chain.people[1:3]
    at = chain.deploy("Escrow", ["address", "address"], [token, owner])
    allowed(chain, token, at)
    for tenant in tenants:
        chain.call("Escrow.deposit", tenant, at, "deposit(uint256)", 1000 * ATH)
    for count in (1, 64):
        payers, amounts = [tenants[i % 2] for i in range(count)], [ATH] * count
        batch = keccak(text=f"batch {count}")
        arguments = (batch, payers, amounts, chain.people[9])
        chain.call(f"Escrow.settle {count}", owner, at, "settle(bytes32,address[],uint256[],address)", *arguments)
    chain.call("Escrow.request_withdraw", tenants[0], at, "request_withdraw(uint256)", ATH)
    chain.wait(2 * DAY_S)
    chain.call("Escrow.withdraw", tenants[0], at, "withdraw()")


def distributor(chain: Chain, token: str, count: int) -> None:
    """Roots over so many leaves, and claims from them."""
    poster, vetoer, payer, holder = chain.people[0], chain.people[3], chain.people[1], chain.people[2]
    types = ["address", "address", "address", "uint256"]
    at = chain.deploy("RewardDistributor", types, [token, poster, vetoer, DAY_S])
    allowed(chain, token, at)
    newcomer, waiting = f"0x{count:040x}", chain.people[4]
    chain.call(None, chain.people[0], token, "mint(address,uint256)", waiting, ATH)
    owners = [holder, newcomer, waiting] + [f"0x{2**80 + i:040x}" for i in range(count - 3)]
    claims = {1: ((0, "first, wallet with tokens"), (1, "first, empty wallet")), 2: ((0, "later"),), 3: ()}
    trees: dict[int, list[Leaf]] = {}
    for epoch in (1, 2, 3):
        leaves = [leaf_of(at, epoch, one, index) for index, one in enumerate(owners)]
        trees[epoch] = leaves
        total = sum(one.cumulative_wei for one in leaves)
        fund = "RewardDistributor.fund" if epoch > 1 else None
        chain.call(fund, payer, at, "fund(uint256,uint256)", epoch, total)
        name = f"RewardDistributor.propose {count}" if epoch == 2 else None
        tree = Tree([one.node() for one in leaves])
        chain.call(name, poster, at, "propose(uint256,bytes32,uint256)", epoch, tree.root, total)
        if epoch == 3:
            claim(chain, at, trees[2], 2, f"RewardDistributor.claim of {count}, first, next root waiting")
            chain.call("RewardDistributor.veto", vetoer, at, "veto(uint256)", epoch)
            break
        chain.wait(DAY_S)
        for index, what in claims[epoch]:
            claim(chain, at, leaves, index, f"RewardDistributor.claim of {count}, {what}", tree)


def leaf_of(contract: str, epoch: int, owner: str, index: int) -> Leaf:
    """What an owner earned: amounts and salts without a pattern of zeros, which would be cheaper."""
    salt = keccak(text=f"salt {epoch} {index}")
    amount = epoch * (10**16 + int.from_bytes(salt[:6], "big"))
    return Leaf(contract, epoch, owner, amount, ETH_TESTER_CHAIN, salt)


def claim(chain: Chain, at: str, leaves: list[Leaf], index: int, name: str, tree: Tree | None = None) -> None:
    """Somebody claims for the owner of a leaf."""
    one = leaves[index]
    proof = (tree or Tree([leaf.node() for leaf in leaves])).proof(index)
    signature = "claim(uint256,address,uint256,bytes32,bytes32[])"
    chain.call(name, chain.people[5], at, signature, one.epoch, one.owner, one.cumulative_wei, one.salt, proof)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--leaves", type=int, default=LEAVES, help=f"leaves of the large root ({LEAVES})")
    parser.add_argument("--update", action="store_true", help="write contracts/gas.json; review the diff")
    options = parser.parse_args()
    gas = measure(options.leaves)
    for name, amount in sorted(gas.items()):
        print(f"{amount:>10,}  {name}")
    if options.update:
        SNAPSHOT.write_text(json.dumps(dict(sorted(gas.items())), indent=1) + "\n")
        print(f"written: {SNAPSHOT.name}", file=sys.stderr)
    prefix = f"RewardDistributor.claim of {options.leaves}, "
    keys = {
        "leaves": options.leaves,
        "propose_gas_10": gas["RewardDistributor.propose 10"],
        f"propose_gas_{options.leaves}": gas[f"RewardDistributor.propose {options.leaves}"],
        "claim_gas_first": gas[prefix + "first, wallet with tokens"],
        "claim_gas_empty_wallet": gas[prefix + "first, empty wallet"],
        "claim_gas_later": gas[prefix + "later"],
        "claim_gas_next_root_waiting": gas[prefix + "first, next root waiting"],
    }
    print(json.dumps(keys | calibrate()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
