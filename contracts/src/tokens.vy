# pragma version 0.4.3
"""
@title Taking and giving a token that may lie
@license AGPL-3.0-only
@custom:invariants nothing is credited that did not arrive, and nothing beyond what was asked for
"""

from ethereum.ercs import IERC20


@internal
def _take(token: address, payer: address, amount: uint256) -> uint256:
    """
    @notice Pulls `amount` from `payer` and tells what arrived: less where the token keeps a fee.
    @dev A token may return nothing; `false` and a missing contract revert.
    """
    assert amount != 0, "tokens: nothing to take"
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transferFrom(
        payer, self, amount, default_return_value=True
    ), "tokens: transfer refused"
    present: uint256 = staticcall IERC20(token).balanceOf(self)
    assert present > before, "tokens: nothing arrived"
    # What came in beside it, by a call back or a rebase, was not asked for and is nobody's.
    return min(present - before, amount)


@internal
def _give(token: address, to: address, amount: uint256):
    assert extcall IERC20(token).transfer(to, amount, default_return_value=True), "tokens: transfer refused"
