# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title GreenStaking
@license AGPL-3.0-only
@notice Holds the stake of providers, lets it out after a delay, and takes what a final verdict says.
@custom:invariants
    - `total` is the sum of all stakes and of all exits not yet paid, and this contract holds at least that
    - what was asked out is paid no earlier than its moment, and can be taken by a verdict until it is paid
    - a verdict takes once, from the stake first
@custom:kill the owner pauses; exits that were asked for mature and are paid all the same
"""

import governed
import tokens

initializes: governed

exports: governed.__interface__


event Staked:
    owner: indexed(address)
    amount: uint256


event ExitRequested:
    owner: indexed(address)
    id: indexed(uint256)
    amount: uint256
    matures_at: uint256


event Withdrawn:
    owner: indexed(address)
    id: indexed(uint256)
    amount: uint256


event Slashed:
    owner: indexed(address)
    verdict: indexed(bytes32)
    from_stake: uint256
    from_exits: uint256
    to: address


struct Exit:
    amount: uint256
    matures_at: uint256


SLASHER: public(constant(bytes32)) = keccak256("slasher")
SINK: public(constant(bytes32)) = keccak256("sink")
EXIT_DELAY: public(constant(bytes32)) = keccak256("exit_delay_s")
# Checks look at thirty days at once, and a verdict may be appealed for seven.
LEAST_EXIT_DELAY_S: public(constant(uint256)) = (30 + 7) * 86400
MOST_EXIT_DELAY_S: public(constant(uint256)) = 180 * 86400
# How many exits an owner may have at a time: a verdict looks at each of them.
OPEN_EXITS: public(constant(uint256)) = 16

token: public(immutable(address))

stake_of: public(HashMap[address, uint256])
total: public(uint256)
exits: public(HashMap[address, HashMap[uint256, Exit]])
exits_asked: public(HashMap[address, uint256])
open_exits: HashMap[address, DynArray[uint256, OPEN_EXITS]]
verdicts: public(HashMap[bytes32, bytes32])


@deploy
def __init__(token_: address, slasher: address, sink: address, exit_delay_s: uint256):
    assert token_.is_contract, "staking: no token"
    assert sink != self, "staking: would keep what it takes"
    governed.__init__()
    governed._define_role(SLASHER, slasher)
    governed._define_role(SINK, sink)
    governed._define_parameter(EXIT_DELAY, exit_delay_s, LEAST_EXIT_DELAY_S, MOST_EXIT_DELAY_S)
    token = token_


@external
def stake(amount: uint256):
    governed._not_paused()
    received: uint256 = tokens._take(token, msg.sender, amount)
    self.stake_of[msg.sender] += received
    self.total += received
    log Staked(owner=msg.sender, amount=received)


@external
def request_exit(amount: uint256) -> uint256:
    """
    @notice Asks a part of the stake out; it earns nothing from now on, and can be taken until it is paid.
    @return The number by which `withdraw` pays it.
    """
    governed._not_paused()
    assert amount != 0, "staking: nothing to ask out"
    assert amount <= self.stake_of[msg.sender], "staking: beyond the stake"
    assert len(self.open_exits[msg.sender]) < OPEN_EXITS, "staking: too many exits"
    id: uint256 = self.exits_asked[msg.sender]
    # The delay is that of this moment: a longer one later holds nobody back who asked before.
    matures_at: uint256 = block.timestamp + governed._value(EXIT_DELAY)
    self.exits_asked[msg.sender] = id + 1
    self.stake_of[msg.sender] -= amount
    self.exits[msg.sender][id] = Exit(amount=amount, matures_at=matures_at)
    self.open_exits[msg.sender].append(id)
    log ExitRequested(owner=msg.sender, id=id, amount=amount, matures_at=matures_at)
    return id


@external
def withdraw(id: uint256):
    """
    @notice Pays what is left of a matured exit; never paused.
    """
    exit: Exit = self.exits[msg.sender][id]
    assert exit.amount != 0, "staking: no such exit"
    assert block.timestamp >= exit.matures_at, "staking: not matured"
    self.exits[msg.sender][id].amount = 0
    self._close(msg.sender, id)
    self.total -= exit.amount
    tokens._give(token, msg.sender, exit.amount)
    log Withdrawn(owner=msg.sender, id=id, amount=exit.amount)


@external
def slash(owner: address, amount: uint256, verdict: bytes32):
    """
    @notice Takes at most `amount` from the stake, then from the exits in the order they were asked. The same verdict
    again changes nothing; never paused.
    """
    governed._only(SLASHER)
    terms: bytes32 = keccak256(abi_encode(owner, amount))
    if self.verdicts[verdict] != empty(bytes32):
        assert self.verdicts[verdict] == terms, "staking: verdict has other terms"
        return
    assert amount != 0, "staking: nothing to take"
    self.verdicts[verdict] = terms
    from_stake: uint256 = min(amount, self.stake_of[owner])
    self.stake_of[owner] -= from_stake
    from_exits: uint256 = self._take_from_exits(owner, amount - from_stake)
    taken: uint256 = from_stake + from_exits
    self.total -= taken
    sink: address = governed.role_holder[SINK]
    if taken != 0:
        tokens._give(token, sink, taken)
    log Slashed(owner=owner, verdict=verdict, from_stake=from_stake, from_exits=from_exits, to=sink)


@external
@view
def exiting(owner: address) -> uint256:
    """
    @notice The sum of an owner's exits that are not yet paid.
    """
    sum: uint256 = 0
    for id: uint256 in self.open_exits[owner]:
        sum += self.exits[owner][id].amount
    return sum


@external
@view
def open_exit_ids(owner: address) -> DynArray[uint256, OPEN_EXITS]:
    return self.open_exits[owner]


@internal
def _take_from_exits(owner: address, amount: uint256) -> uint256:
    left: uint256 = amount
    still_open: DynArray[uint256, OPEN_EXITS] = []
    for id: uint256 in self.open_exits[owner]:
        part: uint256 = min(left, self.exits[owner][id].amount)
        left -= part
        self.exits[owner][id].amount -= part
        if self.exits[owner][id].amount != 0:
            still_open.append(id)
    self.open_exits[owner] = still_open
    return amount - left


@internal
def _close(owner: address, closed: uint256):
    still_open: DynArray[uint256, OPEN_EXITS] = []
    for id: uint256 in self.open_exits[owner]:
        if id != closed:
            still_open.append(id)
    self.open_exits[owner] = still_open
