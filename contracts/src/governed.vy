# pragma version 0.4.3
"""
@title What every contract of Sunward shares: an owner, roles, parameters that change late, and a pause
@license AGPL-3.0-only
@custom:invariants
    - a role is held only by who accepted it, or was named at deployment
    - a parameter lies within the bounds it was defined with
    - a parameter changes no earlier than `PARAMETER_DELAY_S` after its announcement
"""

from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from snekmate.utils import pausable

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: pausable

# Ownership cannot be renounced: nobody could then lift a pause or replace a lost key.
exports: (
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
    pausable.paused,
)


event RoleNamed:
    role: indexed(bytes32)
    account: indexed(address)


event RolePassed:
    role: indexed(bytes32)
    previous: indexed(address)
    account: indexed(address)


event ParameterAnnounced:
    parameter: indexed(bytes32)
    present: uint256
    wanted: uint256
    ready_at: uint256


event ParameterWithdrawn:
    parameter: indexed(bytes32)


event ParameterChanged:
    parameter: indexed(bytes32)
    previous: uint256
    present: uint256


struct Parameter:
    present: uint256
    least: uint256
    most: uint256


struct Change:
    wanted: uint256
    ready_at: uint256


PARAMETER_DELAY_S: public(constant(uint256)) = 2 * 86400

role_holder: public(HashMap[bytes32, address])
role_named: public(HashMap[bytes32, address])
parameters: public(HashMap[bytes32, Parameter])
announced: public(HashMap[bytes32, Change])


@deploy
def __init__():
    ownable.__init__()
    ownable_2step.__init__()
    pausable.__init__()


@external
def name_role(role: bytes32, account: address):
    """
    @notice Names who may take over a role; naming somebody else, or nobody, replaces the name.
    """
    ownable._check_owner()
    assert self.role_holder[role] != empty(address), "governed: no such role"
    self.role_named[role] = account
    log RoleNamed(role=role, account=account)


@external
def accept_role(role: bytes32):
    """
    @notice Takes over a role one was named for; who held it so far holds it no longer.
    """
    assert self.role_named[role] == msg.sender, "governed: not named for the role"
    self.role_named[role] = empty(address)
    self._give_role(role, msg.sender)


@external
def announce(parameter: bytes32, wanted: uint256):
    """
    @notice Says what a parameter shall become; a later announcement replaces it and waits anew.
    """
    ownable._check_owner()
    bounds: Parameter = self.parameters[parameter]
    assert bounds.most != 0, "governed: no such parameter"
    assert wanted >= bounds.least and wanted <= bounds.most, "governed: out of bounds"
    ready_at: uint256 = block.timestamp + PARAMETER_DELAY_S
    self.announced[parameter] = Change(wanted=wanted, ready_at=ready_at)
    log ParameterAnnounced(parameter=parameter, present=bounds.present, wanted=wanted, ready_at=ready_at)


@external
def withdraw_announcement(parameter: bytes32):
    """
    @notice Takes back an announcement.
    """
    ownable._check_owner()
    assert self.announced[parameter].ready_at != 0, "governed: nothing announced"
    self.announced[parameter] = empty(Change)
    log ParameterWithdrawn(parameter=parameter)


@external
def enact(parameter: bytes32):
    """
    @notice Makes an announcement true once its time has come; anybody may.
    """
    change: Change = self.announced[parameter]
    assert change.ready_at != 0, "governed: nothing announced"
    assert block.timestamp >= change.ready_at, "governed: too early"
    previous: uint256 = self.parameters[parameter].present
    self.announced[parameter] = empty(Change)
    self.parameters[parameter].present = change.wanted
    log ParameterChanged(parameter=parameter, previous=previous, present=change.wanted)


@external
def pause():
    ownable._check_owner()
    pausable._pause()


@external
def unpause():
    ownable._check_owner()
    pausable._unpause()


@internal
def _define_role(role: bytes32, account: address):
    assert account != empty(address), "governed: role for nobody"
    self._give_role(role, account)


@internal
def _give_role(role: bytes32, account: address):
    previous: address = self.role_holder[role]
    self.role_holder[role] = account
    log RolePassed(role=role, previous=previous, account=account)


@internal
def _define_parameter(parameter: bytes32, present: uint256, least: uint256, most: uint256):
    assert present >= least and present <= most, "governed: out of bounds"
    self.parameters[parameter] = Parameter(present=present, least=least, most=most)
    log ParameterChanged(parameter=parameter, previous=0, present=present)


@internal
@view
def _only(role: bytes32):
    assert self.role_holder[role] == msg.sender, "governed: caller lacks the role"


@internal
def _not_paused():
    pausable._require_not_paused()


@internal
@view
def _value(parameter: bytes32) -> uint256:
    return self.parameters[parameter].present
