# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title OffsetVault
@license AGPL-3.0-only
@notice Holds what was set aside for carbon credits, pays for retired ones, and lists them.
@custom:invariants
    - a serial of a registry is retired once
    - an order is paid once; what is paid in an epoch of the vault is at most its limit
    - credits marked as a test count 0 kg
@custom:kill the owner pauses; what is held waits for a new buyer
"""

import governed
import ranges
import tokens

initializes: governed
initializes: ranges

exports: governed.__interface__


event Deposited:
    payer: indexed(address)
    amount: uint256


event Retired:
    order: indexed(bytes32)
    registry: indexed(bytes32)
    first_serial: uint256
    last_serial: uint256
    kg: uint256
    test: bool
    amount: uint256
    to: address


struct Order:
    registry: bytes32
    first_serial: uint256
    last_serial: uint256
    kg: uint256
    test: bool
    amount: uint256
    to: address
    retired_at: uint256


BUYER: public(constant(bytes32)) = keccak256("buyer")
EPOCH_LIMIT: public(constant(bytes32)) = keccak256("epoch_limit_wei")
MOST_EPOCH_LIMIT_WEI: public(constant(uint256)) = 10**25
# An epoch here is a day of the chain: the vault must hold its limit whatever the network's journal says.
EPOCH_S: public(constant(uint256)) = 86400
# A serial stands for a tonne at most.
KG_PER_SERIAL: constant(uint256) = 1000

token: public(immutable(address))

held: public(uint256)
retired_kg: public(uint256)
test_kg: public(uint256)
orders: public(HashMap[bytes32, Order])
spent_in: public(HashMap[uint256, uint256])


@deploy
def __init__(token_: address, buyer: address, epoch_limit_wei: uint256):
    assert token_.is_contract, "vault: no token"
    governed.__init__()
    governed._define_role(BUYER, buyer)
    governed._define_parameter(EPOCH_LIMIT, epoch_limit_wei, 0, MOST_EPOCH_LIMIT_WEI)
    token = token_


@external
def deposit(amount: uint256):
    governed._not_paused()
    received: uint256 = tokens._take(token, msg.sender, amount)
    self.held += received
    log Deposited(payer=msg.sender, amount=received)


@external
def retire(
    order: bytes32,
    registry: bytes32,
    first_serial: uint256,
    last_serial: uint256,
    kg: uint256,
    test: bool,
    amount: uint256,
    to: address,
):
    """
    @notice Pays for credits whose serials were retired, and lists them. The same order again changes nothing.
    """
    governed._only(BUYER)
    wanted: Order = Order(
        registry=registry,
        first_serial=first_serial,
        last_serial=last_serial,
        kg=kg,
        test=test,
        amount=amount,
        to=to,
        retired_at=block.timestamp,
    )
    if self.orders[order].retired_at != 0:
        self._same(self.orders[order], wanted)
        return
    governed._not_paused()
    self._check(wanted)
    self.orders[order] = wanted
    ranges._insert(registry, first_serial, last_serial)
    if test:
        self.test_kg += kg
    else:
        self.retired_kg += kg
    self._spend(amount)
    tokens._give(token, to, amount)
    log Retired(
        order=order,
        registry=registry,
        first_serial=first_serial,
        last_serial=last_serial,
        kg=kg,
        test=test,
        amount=amount,
        to=to,
    )


@external
@view
def is_retired(registry: bytes32, serial: uint256) -> bool:
    """
    @notice Whether a serial of a registry was retired here, as a test or not.
    """
    assert serial < 2**64, "vault: no such serial"
    return ranges._overlaps(registry, serial, serial)


@internal
@view
def _same(known: Order, wanted: Order):
    wanted.retired_at = known.retired_at
    assert keccak256(abi_encode(known)) == keccak256(abi_encode(wanted)), "vault: order has other terms"


@internal
@view
def _check(wanted: Order):
    assert wanted.to != empty(address) and wanted.to != self, "vault: nobody to pay"
    assert wanted.kg != 0, "vault: nothing retired"
    assert wanted.first_serial <= wanted.last_serial, "vault: ends before it starts"
    serials: uint256 = wanted.last_serial - wanted.first_serial
    # Divided, since the product could run over; the serials count one more than their difference.
    assert (wanted.kg - 1) // KG_PER_SERIAL <= serials, "vault: more than the serials stand for"


@internal
def _spend(amount: uint256):
    epoch: uint256 = block.timestamp // EPOCH_S
    assert amount <= self.held, "vault: not enough"
    spent: uint256 = self.spent_in[epoch] + amount
    assert spent <= governed._value(EPOCH_LIMIT), "vault: beyond the limit"
    self.held -= amount
    self.spent_in[epoch] = spent
