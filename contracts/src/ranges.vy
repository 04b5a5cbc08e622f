# pragma version 0.4.3
"""
@title Ranges of numbers below 2^64 that never overlap, one set for each key
@license AGPL-3.0-only
@notice The starts lie in a tree of eight levels with 256 branches, one word of bits for each node, so that the greatest
start at or below a number is found in at most sixteen looks, whatever the number of ranges. Ranges that do not
overlap end in the order in which they start: that one alone can reach into a new range.
@custom:invariants no two ranges of a key have a number in common
"""

LEVELS: constant(uint256) = 8
BRANCH_BITS: constant(uint256) = 8
BOUND: constant(uint256) = 2**64

# key, level and prefix of the node : one bit for each branch that holds a start
nodes: HashMap[bytes32, HashMap[uint256, uint256]]
last_of: HashMap[bytes32, HashMap[uint256, uint256]]


@internal
def _insert(key: bytes32, first: uint256, last: uint256):
    assert first <= last, "ranges: ends before it starts"
    assert last < BOUND, "ranges: number too large"
    assert not self._overlaps(key, first, last), "ranges: overlap"
    self.last_of[key][first] = last
    prefix: uint256 = first
    for level: uint256 in range(LEVELS):
        bit: uint256 = 1 << (prefix & 255)
        prefix = prefix >> BRANCH_BITS
        node: uint256 = self._node(level, prefix)
        bits: uint256 = self.nodes[key][node]
        self.nodes[key][node] = bits | bit
        # Who stands above this node knows it already if it held a start before.
        if bits != 0:
            break


@internal
@view
def _overlaps(key: bytes32, first: uint256, last: uint256) -> bool:
    found: bool = False
    start: uint256 = 0
    found, start = self._start_at_or_below(key, last)
    return found and self.last_of[key][start] >= first


@internal
@view
def _start_at_or_below(key: bytes32, number: uint256) -> (bool, uint256):
    prefix: uint256 = number
    for level: uint256 in range(LEVELS):
        branch: uint256 = prefix & 255
        prefix = prefix >> BRANCH_BITS
        # On the lowest level the number itself counts; above it, its own branch was searched already.
        mask: uint256 = (1 << branch) - 1
        if level == 0:
            mask = mask | 1 << branch
        bits: uint256 = self.nodes[key][self._node(level, prefix)] & mask
        if bits != 0:
            return True, self._greatest_below(key, level, prefix << BRANCH_BITS | self._highest_bit(bits))
    return False, 0


@internal
@view
def _greatest_below(key: bytes32, level: uint256, prefix: uint256) -> uint256:
    """
    @notice The greatest start under a node that holds one.
    """
    found: uint256 = prefix
    for step: uint256 in range(LEVELS):
        if step == level:
            break
        bits: uint256 = self.nodes[key][self._node(level - step - 1, found)]
        found = found << BRANCH_BITS | self._highest_bit(bits)
    return found


@internal
@pure
def _node(level: uint256, prefix: uint256) -> uint256:
    return level << 64 | prefix


@internal
@pure
def _highest_bit(bits: uint256) -> uint256:
    left: uint256 = bits
    position: uint256 = 0
    for half: uint256 in [128, 64, 32, 16, 8, 4, 2, 1]:
        if left >> half != 0:
            left = left >> half
            position += half
    return position
