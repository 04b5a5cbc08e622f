# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title ProviderRegistry
@license AGPL-3.0-only
@notice Which wallet speaks for a provider, and what the network's journal held at the close of each epoch.
@custom:invariants
    - a wallet speaks for one provider, for ever; only it names who operates for it
    - epochs are posted once, each the one after the last
@custom:kill the owner pauses; what is posted stays readable
"""

import governed

initializes: governed

exports: governed.__interface__


event Registered:
    wallet: indexed(address)
    provider_id: indexed(bytes32)


event OperatorNamed:
    wallet: indexed(address)
    operator: indexed(address)


event OperatorChanged:
    wallet: indexed(address)
    previous: indexed(address)
    operator: indexed(address)


event Posted:
    epoch: indexed(uint256)
    evidence_root: bytes32
    journal_head: bytes32


struct Roots:
    evidence_root: bytes32
    journal_head: bytes32
    posted_at: uint256


POSTER: public(constant(bytes32)) = keccak256("poster")
EPOCH_BOUND: constant(uint256) = 2**32 - 1

# Several wallets may say the same provider: saying so proves nothing, the network's journal binds one of them.
provider_of: public(HashMap[address, bytes32])
operator_of: public(HashMap[address, address])
operator_named: public(HashMap[address, address])
roots: public(HashMap[uint256, Roots])
last_epoch: public(uint256)
posted: public(uint256)


@deploy
def __init__(poster: address):
    governed.__init__()
    governed._define_role(POSTER, poster)


@external
def register(provider_id: bytes32):
    """
    @notice Says which provider the calling wallet speaks for. The same again changes nothing.
    """
    governed._not_paused()
    assert provider_id != empty(bytes32), "registry: no provider"
    known: bytes32 = self.provider_of[msg.sender]
    if known == provider_id:
        return
    assert known == empty(bytes32), "registry: wallet speaks for another"
    self.provider_of[msg.sender] = provider_id
    self.operator_of[msg.sender] = msg.sender
    log Registered(wallet=msg.sender, provider_id=provider_id)


@external
def set_operator(operator: address):
    """
    @notice Names who operates for the calling wallet; who is named takes over by `accept_operator`.
    """
    assert self.provider_of[msg.sender] != empty(bytes32), "registry: wallet is not registered"
    self.operator_named[msg.sender] = operator
    log OperatorNamed(wallet=msg.sender, operator=operator)


@external
def accept_operator(wallet: address):
    assert self.operator_named[wallet] == msg.sender, "registry: not named as operator"
    previous: address = self.operator_of[wallet]
    self.operator_named[wallet] = empty(address)
    self.operator_of[wallet] = msg.sender
    log OperatorChanged(wallet=wallet, previous=previous, operator=msg.sender)


@external
def post(epoch: uint256, evidence_root: bytes32, journal_head: bytes32):
    """
    @notice Anchors an epoch; the first may have any number, each other follows the last. The same again changes nothing.
    """
    governed._only(POSTER)
    known: Roots = self.roots[epoch]
    if known.posted_at != 0:
        assert (
            known.evidence_root == evidence_root and known.journal_head == journal_head
        ), "registry: epoch has other roots"
        return
    governed._not_paused()
    assert journal_head != empty(bytes32), "registry: no journal head"
    assert epoch < EPOCH_BOUND, "registry: no such epoch"
    assert self.posted == 0 or epoch == self.last_epoch + 1, "registry: not the next epoch"
    self.roots[epoch] = Roots(evidence_root=evidence_root, journal_head=journal_head, posted_at=block.timestamp)
    self.last_epoch = epoch
    self.posted += 1
    log Posted(epoch=epoch, evidence_root=evidence_root, journal_head=journal_head)
