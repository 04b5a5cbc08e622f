# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title RewardDistributor
@license AGPL-3.0-only
@notice Pays what an epoch's root says each owner earned since the first one, less what the owner has claimed.
@custom:invariants
    - what a claimable root lets be claimed is at most its total; totals never fall, nor go beyond what was funded
    - what is funded and not covered by the claimable root stays in this contract, whatever the leaves say
    - an epoch's root draws on the budgets of its epoch and of earlier ones only
@custom:kill the owner pauses funding and proposals and the vetoer vetoes; what is claimable stays claimable
"""

from ethereum.ercs import IERC20
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


event Carried:
    epoch: indexed(uint256)
    amount: uint256


event Claimed:
    owner: indexed(address)
    amount: uint256


struct Root:
    root: bytes32
    # The sum of all leaves above the lower 64 bits, the moment from which it may be claimed in them.
    sealed: uint256


struct Newest:
    next_epoch: uint256
    opens_at: uint256
    total: uint256
    funded: uint256


POSTER: public(constant(bytes32)) = keccak256("poster")
VETOER: public(constant(bytes32)) = keccak256("vetoer")
VETO_WINDOW: public(constant(bytes32)) = keccak256("veto_window_s")
LEAST_VETO_WINDOW_S: public(constant(uint256)) = 3600
MOST_VETO_WINDOW_S: public(constant(uint256)) = 30 * 86400
PROOF_BOUND: constant(uint256) = 32
SEARCH_STEPS: constant(uint256) = 32
# Bounds of what is packed into one word; 2^96 wei are 79 billion ATH.
EPOCH_BOUND: constant(uint256) = 2**32 - 1
TIME_MASK: constant(uint256) = 2**32 - 1
WEI_MASK: constant(uint256) = 2**96 - 1

token: public(immutable(address))

claimed: public(HashMap[address, uint256])
# The newest root that stands, and what was ever funded, in one word, which is most of what a claim has to read.
newest: uint256
roots: HashMap[uint256, Root]
first_epoch: public(uint256)
proposed_any: bool
# What was funded for an epoch that no root has reached yet. All else that was funded counts at once.
budget_of: public(HashMap[uint256, uint256])
waiting: public(uint256)
vetoed: public(HashMap[uint256, HashMap[bytes32, bool]])


@deploy
def __init__(token_: address, poster: address, vetoer: address, veto_window_s: uint256):
    assert token_.is_contract, "distributor: no token"
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
    newest: Newest = self._newest()
    newest.funded += received
    assert newest.funded <= WEI_MASK, "distributor: too much"
    self._set_newest(newest)
    if not self.proposed_any or epoch >= newest.next_epoch:
        self.budget_of[epoch] += received
        self.waiting += received
    log Funded(epoch=epoch, payer=msg.sender, amount=received)


@external
def carry(epoch: uint256):
    """
    @notice Lets the budget of an epoch before the next one count, should proposals have passed it over.
    """
    assert self.proposed_any and epoch < self._newest().next_epoch, "distributor: epoch is to come"
    amount: uint256 = self.budget_of[epoch]
    self._count(epoch)
    log Carried(epoch=epoch, amount=amount)


@external
def propose(epoch: uint256, root: bytes32, cumulative_total: uint256):
    """
    @notice Puts up the root of an epoch; the first may have any number, each other follows the last one that stands.
    The same again changes nothing.
    """
    governed._only(POSTER)
    newest: Newest = self._newest()
    if self._stands(epoch, newest):
        known: Root = self.roots[epoch]
        assert known.root == root and known.sealed >> 64 == cumulative_total, "distributor: another root stands"
        return
    governed._not_paused()
    assert epoch < EPOCH_BOUND, "distributor: no such epoch"
    assert root != empty(bytes32), "distributor: no root"
    assert not self.vetoed[epoch][root], "distributor: root was vetoed"
    assert not self.proposed_any or epoch == newest.next_epoch, "distributor: not the next epoch"
    if not self.proposed_any:
        self.proposed_any = True
        self.first_epoch = epoch
    self._count(epoch)
    assert cumulative_total >= newest.total, "distributor: total falls"
    assert cumulative_total <= newest.funded - self.waiting, "distributor: beyond the budget"
    # A shorter window must not let a root overtake the one before it.
    opens_at: uint256 = max(block.timestamp + governed._value(VETO_WINDOW), newest.opens_at)
    self.roots[epoch] = Root(root=root, sealed=cumulative_total << 64 | opens_at)
    self._set_newest(
        Newest(next_epoch=epoch + 1, opens_at=opens_at, total=cumulative_total, funded=newest.funded)
    )
    log Proposed(epoch=epoch, root=root, cumulative_total=cumulative_total, claimable_at=opens_at)


@external
def veto(epoch: uint256):
    """
    @notice Strikes a root within its window, and with it those built upon it; the last one before stands.
    """
    governed._only(VETOER)
    newest: Newest = self._newest()
    assert self._stands(epoch, newest), "distributor: no such root"
    struck: Root = self.roots[epoch]
    assert block.timestamp < struck.sealed & TIME_MASK, "distributor: window is over"
    last: uint256 = 0
    if epoch != self.first_epoch:
        last = self.roots[epoch - 1].sealed
    self.vetoed[epoch][struck.root] = True
    self._set_newest(
        Newest(next_epoch=epoch, opens_at=last & TIME_MASK, total=last >> 64, funded=newest.funded)
    )
    log Vetoed(epoch=epoch, root=struck.root)


@external
def claim(
    epoch: uint256, owner: address, cumulative_wei: uint256, salt: bytes32, proof: DynArray[bytes32, PROOF_BOUND]
):
    """
    @notice Pays an owner what the newest claimable root says beyond what was claimed; anybody may ask for it.
    """
    word: uint256 = self.newest
    total: uint256 = self._claimable_total(epoch, word)
    # Pairs are hashed in order of size, as `merkle_proof_verification` of snekmate does; here the proof is read where
    # it lies, since copying it costs a claim more than all its hashes.
    node: bytes32 = keccak256(keccak256(abi_encode(chain.id, self, epoch, owner, cumulative_wei, salt)))
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(abi_encode(node, sibling))
        else:
            node = keccak256(abi_encode(sibling, node))
    assert node == self.roots[epoch].root, "distributor: proof does not fit"
    before: uint256 = self.claimed[owner]
    assert cumulative_wei > before, "distributor: nothing to claim"
    amount: uint256 = unsafe_sub(cumulative_wei, before)
    self.claimed[owner] = cumulative_wei
    tokens._give(token, owner, amount)
    # Should the leaves add up to more than the root said, they take nothing of what later roots are to pay.
    assert (
        staticcall IERC20(token).balanceOf(self) >= unsafe_sub(word & WEI_MASK, total)
    ), "distributor: beyond the total"
    log Claimed(owner=owner, amount=amount)


@external
@view
def root_of(epoch: uint256) -> (bytes32, uint256, uint256):
    """
    @notice Root, sum of its leaves and moment from which it may be claimed; nothing where no root stands.
    """
    if not self._stands(epoch, self._newest()):
        return empty(bytes32), 0, 0
    known: Root = self.roots[epoch]
    return known.root, known.sealed >> 64, known.sealed & TIME_MASK


@external
@view
def claimable_epoch() -> uint256:
    """
    @notice The epoch of the newest root whose window is over; reverts while there is none.
    """
    low: uint256 = self.first_epoch
    high: uint256 = self._newest().next_epoch
    assert self.proposed_any and low < high and self._is_open(low), "distributor: nothing claimable"
    # Windows end in the order of epochs, so half of what is left is ruled out by each look.
    for _: uint256 in range(SEARCH_STEPS):
        if high - low == 1:
            break
        middle: uint256 = (low + high) // 2
        if self._is_open(middle):
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
    return self._newest().next_epoch


@external
@view
def promised() -> uint256:
    """
    @notice The sum of all leaves of the last root that stands, claimable or not.
    """
    return self._newest().total


@external
@view
def funded() -> uint256:
    return self._newest().funded


@internal
@view
def _claimable_total(epoch: uint256, word: uint256) -> uint256:
    """
    @notice The total of an epoch's root, which must be the newest of those whose window is over.
    """
    assert epoch < word >> 224, "distributor: no such root"
    opens_at: uint256 = word >> 192 & TIME_MASK
    newer: uint256 = unsafe_sub((word >> 224) - 1, epoch)
    if newer == 0:
        assert block.timestamp >= opens_at, "distributor: window is not over"
        return word >> 96 & WEI_MASK
    if newer != 1:
        opens_at = self.roots[epoch + 1].sealed & TIME_MASK
    assert block.timestamp < opens_at, "distributor: a newer root stands"
    sealed: uint256 = self.roots[epoch].sealed
    assert block.timestamp >= sealed & TIME_MASK, "distributor: window is not over"
    return sealed >> 64


@internal
@view
def _newest() -> Newest:
    word: uint256 = self.newest
    return Newest(
        next_epoch=word >> 224,
        opens_at=word >> 192 & TIME_MASK,
        total=word >> 96 & WEI_MASK,
        funded=word & WEI_MASK,
    )


@internal
def _set_newest(newest: Newest):
    self.newest = newest.next_epoch << 224 | newest.opens_at << 192 | newest.total << 96 | newest.funded


@internal
@view
def _stands(epoch: uint256, newest: Newest) -> bool:
    return self.proposed_any and epoch >= self.first_epoch and epoch < newest.next_epoch


@internal
@view
def _is_open(epoch: uint256) -> bool:
    return block.timestamp >= self.roots[epoch].sealed & TIME_MASK


@internal
def _count(epoch: uint256):
    self.waiting -= self.budget_of[epoch]
    self.budget_of[epoch] = 0
