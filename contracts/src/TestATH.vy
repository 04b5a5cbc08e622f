# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title TestATH
@license AGPL-3.0-only
@notice A token without value for test networks. No relation to any issuer is implied.
@custom:invariants it cannot be deployed where tokens have value
@custom:kill the owner stops minting; balances stay
"""

from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from snekmate.tokens import erc20

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: erc20[ownable := ownable]

exports: (
    erc20.IERC20,
    erc20.IERC20Detailed,
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)


# Ethereum, Optimism, Cronos, BNB Chain, Gnosis, Polygon, Sonic, zkSync Era, Polygon zkEVM, Moonbeam, Mantle, Base,
# Arbitrum One, Arbitrum Nova, Celo, Avalanche, Linea, Blast, Scroll.
MAIN_NETWORKS: constant(uint256[19]) = [
    1, 10, 25, 56, 100, 137, 146, 324, 1101, 1284, 5000, 8453, 42161, 42170, 42220, 43114, 59144, 81457, 534352
]


@deploy
def __init__():
    assert chain.id not in MAIN_NETWORKS, "test_ath: a main network"
    ownable.__init__()
    ownable_2step.__init__()
    erc20.__init__("Test ATH", "tATH", 18, "Test ATH", "1")


@external
def mint(to: address, amount: uint256):
    ownable._check_owner()
    erc20._mint(to, amount)
