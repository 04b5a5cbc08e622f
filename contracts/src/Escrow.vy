# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Escrow
@license AGPL-3.0-only
@notice Holds what tenants deposit, settles it in batches, and gives back what they ask for after a delay.
@custom:invariants
    - `held` is the sum of all deposits, and this contract holds at least that
    - no batch takes more from a depositor than is deposited, and none is settled twice
    - what was asked for is paid as far as it is still there, no earlier than its moment
@custom:kill the owner pauses; deposits can be asked for before that, and are paid all the same
"""

import governed
import tokens

initializes: governed

exports: governed.__interface__


event Deposited:
    owner: indexed(address)
    amount: uint256


event WithdrawalRequested:
    owner: indexed(address)
    amount: uint256
    matures_at: uint256


event Withdrawn:
    owner: indexed(address)
    amount: uint256


event Settled:
    batch: indexed(bytes32)
    to: indexed(address)
    amount: uint256


event Paid:
    batch: indexed(bytes32)
    payer: indexed(address)
    amount: uint256


struct Request:
    amount: uint256
    matures_at: uint256


POSTER: public(constant(bytes32)) = keccak256("poster")
WITHDRAWAL_DELAY: public(constant(bytes32)) = keccak256("withdrawal_delay_s")
# Long enough that an epoch is settled before what its jobs cost is gone.
FIRST_WITHDRAWAL_DELAY_S: constant(uint256) = 2 * 86400
LEAST_WITHDRAWAL_DELAY_S: public(constant(uint256)) = 3600
MOST_WITHDRAWAL_DELAY_S: public(constant(uint256)) = 30 * 86400
BATCH: public(constant(uint256)) = 64

token: public(immutable(address))

deposits: public(HashMap[address, uint256])
held: public(uint256)
requests: public(HashMap[address, Request])
batches: public(HashMap[bytes32, bytes32])


@deploy
def __init__(token_: address, poster: address):
    assert token_.is_contract, "escrow: no token"
    governed.__init__()
    governed._define_role(POSTER, poster)
    governed._define_parameter(
        WITHDRAWAL_DELAY, FIRST_WITHDRAWAL_DELAY_S, LEAST_WITHDRAWAL_DELAY_S, MOST_WITHDRAWAL_DELAY_S
    )
    token = token_


@external
def deposit(amount: uint256):
    governed._not_paused()
    received: uint256 = tokens._take(token, msg.sender, amount)
    self.deposits[msg.sender] += received
    self.held += received
    log Deposited(owner=msg.sender, amount=received)


@external
def request_withdraw(amount: uint256):
    """
    @notice Asks for a part of the deposit; a later request replaces it and waits anew, one of nothing takes it back.
    Until it is paid the part still pays for jobs.
    @dev Not paused: a pause must not keep deposits that nothing else can free.
    """
    assert amount <= self.deposits[msg.sender], "escrow: beyond the deposit"
    matures_at: uint256 = block.timestamp + governed._value(WITHDRAWAL_DELAY)
    self.requests[msg.sender] = Request(amount=amount, matures_at=matures_at)
    log WithdrawalRequested(owner=msg.sender, amount=amount, matures_at=matures_at)


@external
def withdraw():
    """
    @notice Pays what was asked for, or what is left of the deposit where jobs took of it; never paused.
    """
    request: Request = self.requests[msg.sender]
    assert request.amount != 0, "escrow: nothing asked for"
    assert block.timestamp >= request.matures_at, "escrow: not matured"
    amount: uint256 = min(request.amount, self.deposits[msg.sender])
    assert amount != 0, "escrow: nothing left"
    self.requests[msg.sender] = empty(Request)
    self.deposits[msg.sender] -= amount
    self.held -= amount
    tokens._give(token, msg.sender, amount)
    log Withdrawn(owner=msg.sender, amount=amount)


@external
def settle(batch: bytes32, payers: DynArray[address, BATCH], amounts: DynArray[uint256, BATCH], to: address):
    """
    @notice Moves what jobs cost from deposits to who is paid, all of it or nothing. The same batch again changes nothing.
    """
    governed._only(POSTER)
    terms: bytes32 = keccak256(abi_encode(payers, amounts, to))
    if self.batches[batch] != empty(bytes32):
        assert self.batches[batch] == terms, "escrow: batch has other terms"
        return
    governed._not_paused()
    assert to != empty(address) and to != self, "escrow: nobody to pay"
    assert len(payers) == len(amounts), "escrow: payers and amounts differ in number"
    self.batches[batch] = terms
    sum: uint256 = 0
    for i: uint256 in range(len(payers), bound=BATCH):
        assert amounts[i] <= self.deposits[payers[i]], "escrow: beyond the deposit"
        self.deposits[payers[i]] -= amounts[i]
        sum += amounts[i]
        log Paid(batch=batch, payer=payers[i], amount=amounts[i])
    assert sum != 0, "escrow: nothing to settle"
    self.held -= sum
    tokens._give(token, to, sum)
    log Settled(batch=batch, to=to, amount=sum)
