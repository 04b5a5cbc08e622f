# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title RewardDistributor
@license AGPL-3.0-only
@notice Pays what an epoch's root says each owner earned since the first one, less what the owner has claimed.
@custom:invariants
    - claimed ≤ total of the newest root whose window is over ≤ promised ≤ funded
    - what is promised and not claimed, and what is funded and not promised, lies in this contract
    - an epoch's root draws on the budgets of its epoch and of earlier ones only
@custom:kill the owner pauses funding and proposals and the vetoer vetoes; what is claimable stays claimable
"""

import governed
import tokens

initializes: governed

exports: governed.__interface__


event Funded:
    epoch: indexed(uint256)
    payer: indexed(address)
    amount: uint256


event Proposed:
    epoch: indexed(uint256)
    root: bytes32
    cumulative_total: uint256
    claimable_at: uint256


event Vetoed:
    epoch: indexed(uint256)
    root: bytes32
    first_free: uint256


event Claimed:
    epoch: indexed(uint256)
    owner: indexed(address)
    amount: uint256
    cumulative_wei: uint256


struct Root:
    root: bytes32
    # The sum of all leaves in the upper bits, the moment from which it may be claimed in the lower 64: one slot
    # less to read in a claim.
    sealed: uint256


POSTER: public(constant(bytes32)) = keccak256("poster")
VETOER: public(constant(bytes32)) = keccak256("vetoer")
VETO_WINDOW: public(constant(bytes32)) = keccak256("veto_window_s")
LEAST_VETO_WINDOW_S: public(constant(uint256)) = 3600
MOST_VETO_WINDOW_S: public(constant(uint256)) = 30 * 86400
PROOF_BOUND: constant(uint256) = 32
SEARCH_STEPS: constant(uint256) = 64
EPOCH_BOUND: constant(uint256) = 2**63
WEI_BOUND: constant(uint256) = 2**128
TIME_BITS: constant(uint256) = 64
TIME_MASK: constant(uint256) = 2**64 - 1

token: public(immutable(address))

claimed: public(HashMap[address, uint256])
# The epoch a proposal must have in the upper bits, what was claimed by all in the lower 128: read together by a claim.
ledger: uint256
roots: HashMap[uint256, Root]
first_epoch: public(uint256)
proposed_any: bool
funded: public(uint256)
# What was funded for an epoch that no root has reached yet. All else that was funded counts at once.
budget_of: public(HashMap[uint256, uint256])
waiting: public(uint256)
vetoed: public(HashMap[uint256, HashMap[bytes32, bool]])


@deploy
def __init__(token_: address, poster: address, vetoer: address, veto_window_s: uint256):
    assert token_ != empty(address), "distributor: no token"
    governed.__init__()
    governed._define_role(POSTER, poster)
    governed._define_role(VETOER, vetoer)
    governed._define_parameter(VETO_WINDOW, veto_window_s, LEAST_VETO_WINDOW_S, MOST_VETO_WINDOW_S)
    token = token_


@external
def fund(epoch: uint256, amount: uint256):
    """
    @notice Adds to the budget of an epoch; for one that was proposed already it counts from the next proposal on.
    """
    governed._not_paused()
    assert epoch < EPOCH_BOUND, "distributor: no such epoch"
    received: uint256 = tokens._take(token, msg.sender, amount)
    self.funded += received
    assert self.funded < WEI_BOUND, "distributor: too much"
    if not self.proposed_any or epoch >= self._next_epoch():
        self.budget_of[epoch] += received
        self.waiting += received
    log Funded(epoch=epoch, payer=msg.sender, amount=received)


@external
def carry(epoch: uint256):
    """
    @notice Lets the budget of an epoch before the next one count, should proposals have passed it over.
    """
    assert self.proposed_any and epoch < self._next_epoch(), "distributor: epoch is to come"
    self._count(epoch)


@external
def propose(epoch: uint256, root: bytes32, cumulative_total: uint256):
    """
    @notice Puts up the root of an epoch; the first may have any number, each other follows the last one that stands.
    The same again changes nothing.
    """
    governed._only(POSTER)
    if self._stands(epoch):
        known: Root = self.roots[epoch]
        assert known.root == root and known.sealed >> TIME_BITS == cumulative_total, "distributor: another root stands"
        return
    governed._not_paused()
    assert epoch < EPOCH_BOUND, "distributor: no such epoch"
    assert root != empty(bytes32), "distributor: no root"
    assert not self.vetoed[epoch][root], "distributor: root was vetoed"
    assert not self.proposed_any or epoch == self._next_epoch(), "distributor: not the next epoch"
    if not self.proposed_any:
        self.proposed_any = True
        self.first_epoch = epoch
    last: uint256 = self._last_sealed(epoch)
    self._count(epoch)
    assert cumulative_total >= last >> TIME_BITS, "distributor: total falls"
    assert cumulative_total <= self.funded - self.waiting, "distributor: beyond the budget"
    # A shorter window must not let a root overtake the one before it.
    claimable_at: uint256 = max(block.timestamp + governed._value(VETO_WINDOW), last & TIME_MASK)
    self.roots[epoch] = Root(root=root, sealed=cumulative_total << TIME_BITS | claimable_at)
    self._set_next_epoch(epoch + 1)
    log Proposed(epoch=epoch, root=root, cumulative_total=cumulative_total, claimable_at=claimable_at)


@external
def veto(epoch: uint256):
    """
    @notice Strikes a root within its window, and with it those built upon it; the last one before stands.
    """
    governed._only(VETOER)
    assert self._stands(epoch), "distributor: no such root"
    assert block.timestamp < self.roots[epoch].sealed & TIME_MASK, "distributor: window is over"
    root: bytes32 = self.roots[epoch].root
    self.vetoed[epoch][root] = True
    self._set_next_epoch(epoch)
    log Vetoed(epoch=epoch, root=root, first_free=epoch)


@external
def claim(
    epoch: uint256, owner: address, cumulative_wei: uint256, salt: bytes32, proof: DynArray[bytes32, PROOF_BOUND]
):
    """
    @notice Pays an owner what the newest claimable root says beyond what was claimed; anybody may ask for it.
    """
    state: uint256 = self.ledger
    next_epoch: uint256 = state >> 128
    sealed: uint256 = self.roots[epoch].sealed
    assert epoch < next_epoch and self._is_open(sealed), "distributor: root is not claimable"
    if epoch + 1 < next_epoch:
        assert not self._is_open(self.roots[epoch + 1].sealed), "distributor: a newer root stands"
    leaf: bytes32 = keccak256(
        keccak256(abi_encode(chain.id, self, epoch, owner, cumulative_wei, salt))
    )
    # Pairs are hashed in order of size, as `merkle_proof_verification` of snekmate does; here the proof is read where it
    # lies, since a copy of it costs a claim more than all its hashes.
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    assert node == self.roots[epoch].root, "distributor: proof does not fit"
    before: uint256 = self.claimed[owner]
    assert cumulative_wei > before, "distributor: nothing to claim"
    amount: uint256 = cumulative_wei - before
    total: uint256 = (state & (WEI_BOUND - 1)) + amount
    # A root whose leaves add up to more than it says pays no further than what it says.
    assert total <= sealed >> TIME_BITS, "distributor: beyond the total"
    self.claimed[owner] = cumulative_wei
    self.ledger = next_epoch << 128 | total
    tokens._give(token, owner, amount)
    log Claimed(epoch=epoch, owner=owner, amount=amount, cumulative_wei=cumulative_wei)


@external
@view
def root_of(epoch: uint256) -> (bytes32, uint256, uint256):
    """
    @notice Root, sum of its leaves and moment from which it may be claimed; nothing where no root stands.
    """
    if not self._stands(epoch):
        return empty(bytes32), 0, 0
    known: Root = self.roots[epoch]
    return known.root, known.sealed >> TIME_BITS, known.sealed & TIME_MASK


@external
@view
def claimable_epoch() -> uint256:
    """
    @notice The epoch of the newest root whose window is over; reverts while there is none.
    """
    low: uint256 = self.first_epoch
    high: uint256 = self._next_epoch()
    assert low < high and self._is_open(self.roots[low].sealed), "distributor: nothing claimable"
    # Windows end in the order of epochs, so half of what is left is ruled out by each look.
    for _: uint256 in range(SEARCH_STEPS):
        if high - low == 1:
            break
        middle: uint256 = (low + high) // 2
        if self._is_open(self.roots[middle].sealed):
            low = middle
        else:
            high = middle
    return low


@external
@view
def next_epoch() -> uint256:
    """
    @notice The epoch a proposal must have; any before the first.
    """
    return self._next_epoch()


@external
@view
def promised() -> uint256:
    """
    @notice The sum of all leaves of the last root that stands, claimable or not.
    """
    if not self.proposed_any:
        return 0
    return self._last_sealed(self._next_epoch()) >> TIME_BITS


@internal
@view
def _next_epoch() -> uint256:
    return self.ledger >> 128


@internal
def _set_next_epoch(epoch: uint256):
    self.ledger = epoch << 128 | self.ledger & (WEI_BOUND - 1)


@internal
@view
def _stands(epoch: uint256) -> bool:
    return self.proposed_any and epoch >= self.first_epoch and epoch < self._next_epoch()


@internal
@view
def _is_open(sealed: uint256) -> bool:
    return sealed != 0 and block.timestamp >= sealed & TIME_MASK


@internal
@view
def _last_sealed(epoch: uint256) -> uint256:
    if epoch == self.first_epoch:
        return 0
    return self.roots[epoch - 1].sealed


@internal
def _count(epoch: uint256):
    self.waiting -= self.budget_of[epoch]
    self.budget_of[epoch] = 0
