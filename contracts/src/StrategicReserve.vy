# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title StrategicReserve
@license AGPL-3.0-only
@notice The vault behind the network's promises: shares of what it holds, changed only at the close of an epoch.
@custom:invariants
    - this contract holds at least `held + pending + owed`; a token sent here by itself changes none of the three
    - all requests of an epoch are carried out at the value of a share before any of them, which none of them knew
    - a deposit pays at least what its shares are worth, an exit is paid at most that: no holder gains from another
    - shares of holders and of exits that wait, and those of nobody, add up to `total_shares`
@custom:kill the owner pauses; what was settled is paid all the same, requests that wait too long can be taken back
"""

from ethereum.ercs import IERC20
import governed
import tokens

initializes: governed

exports: governed.__interface__


event DepositRequested:
    owner: indexed(address)
    id: indexed(uint256)
    amount: uint256


event ExitRequested:
    owner: indexed(address)
    id: indexed(uint256)
    shares: uint256


event Settled:
    epoch: indexed(uint256)
    value_per_share_ppm: uint256
    processed_to_id: uint256
    held: uint256
    total_shares: uint256


event DepositSettled:
    id: indexed(uint256)
    taken: uint256
    shares: uint256


event ExitSettled:
    id: indexed(uint256)
    shares: uint256
    paid: uint256


event Cancelled:
    id: indexed(uint256)


event Withdrawn:
    owner: indexed(address)
    id: indexed(uint256)
    amount: uint256


event Recognised:
    ref: indexed(bytes32)
    amount: uint256


event Compensated:
    ref: indexed(bytes32)
    to: indexed(address)
    amount: uint256


flag State:
    WAITING
    SETTLED
    CANCELLED


struct Request:
    owner: address
    is_exit: bool
    # Wei of a deposit, shares of an exit.
    amount: uint256
    asked_at: uint256
    due: uint256
    state: State


struct Epoch:
    value_per_share_ppm: uint256
    processed_to_id: uint256


# What a share is a part of, as it was before the first request of the epoch.
struct Price:
    held: uint256
    total_shares: uint256
    value_per_share_ppm: uint256
    # Whether exits are paid the whole part of what is held, to the wei, or a posted value below it.
    whole: bool
    # Who asks later knows the value, and waits for the next.
    last_id: uint256


POSTER: public(constant(bytes32)) = keccak256("poster")
PAYOUT_LIMIT: public(constant(bytes32)) = keccak256("payout_limit_ppm")
FIRST_PAYOUT_LIMIT_PPM: constant(uint256) = 200_000
MOST_PAYOUT_LIMIT_PPM: public(constant(uint256)) = 500_000
# Least of a share's part of what is held at which exits may be posted: the rest stands for what is owed elsewhere.
LEAST_VALUE_PPM: public(constant(uint256)) = 500_000
DEAD_SHARES: public(constant(uint256)) = 1000
BATCH: public(constant(uint256)) = 32
PATIENCE_S: public(constant(uint256)) = 30 * 86400
DAY_S: constant(uint256) = 86400
PPM: constant(uint256) = 10**6
# 79 billion ATH; what is lost makes shares cheaper, so that there can be many more of them. The product fits a word.
WEI_BOUND: constant(uint256) = 2**96
SHARES_BOUND: constant(uint256) = 2**150

token: public(immutable(address))

held: public(uint256)
pending: public(uint256)
owed: public(uint256)
total_shares: public(uint256)
shares: public(HashMap[address, uint256])
requests: public(HashMap[uint256, Request])
last_id: public(uint256)
processed_to_id: public(uint256)
epochs: public(HashMap[uint256, Epoch])
last_epoch: public(uint256)
price: Price
refs: public(HashMap[bytes32, bytes32])
paid_in: public(HashMap[uint256, uint256])


@deploy
def __init__(token_: address, poster: address):
    assert token_.is_contract, "reserve: no token"
    governed.__init__()
    governed._define_role(POSTER, poster)
    governed._define_parameter(PAYOUT_LIMIT, FIRST_PAYOUT_LIMIT_PPM, 0, MOST_PAYOUT_LIMIT_PPM)
    token = token_


@external
def request_deposit(amount: uint256) -> uint256:
    """
    @notice Brings ATH that becomes shares at the close of an epoch.
    @return The number of the request.
    """
    governed._not_paused()
    received: uint256 = tokens._take(token, msg.sender, amount)
    assert self.held + self.pending + received < WEI_BOUND, "reserve: too much"
    self.pending += received
    id: uint256 = self._ask(False, received)
    log DepositRequested(owner=msg.sender, id=id, amount=received)
    return id


@external
def request_exit(shares: uint256) -> uint256:
    """
    @notice Asks shares out; they are paid at the value at the close of an epoch, and until then share what happens.
    @return The number by which `withdraw` pays them.
    """
    governed._not_paused()
    assert shares != 0, "reserve: nothing to ask out"
    assert shares <= self.shares[msg.sender], "reserve: beyond the shares"
    self.shares[msg.sender] -= shares
    id: uint256 = self._ask(True, shares)
    log ExitRequested(owner=msg.sender, id=id, shares=shares)
    return id


@external
def settle(epoch: uint256, value_per_share_ppm: uint256, processed_to_id: uint256):
    """
    @notice Carries out requests in their order, up to and with a number, at one value for the whole epoch: wei for 10^6
    shares. The same again changes nothing. Deposits get shares at what a share holds, exits the posted value.
    """
    governed._only(POSTER)
    known: Epoch = self.epochs[epoch]
    if known.value_per_share_ppm != 0:
        assert known.value_per_share_ppm == value_per_share_ppm, "reserve: epoch has another value"
        if processed_to_id <= known.processed_to_id:
            return
    governed._not_paused()
    assert epoch >= self.last_epoch, "reserve: epoch is past"
    first: uint256 = self.processed_to_id + 1
    assert processed_to_id >= first - 1 and processed_to_id <= self.last_id, "reserve: no such request"
    assert processed_to_id + 1 - first <= BATCH, "reserve: too many at once"
    if known.value_per_share_ppm == 0:
        self._set_price(value_per_share_ppm)
    price: Price = self.price
    assert price.value_per_share_ppm != 0, "reserve: value has changed"
    assert processed_to_id <= price.last_id, "reserve: asked after the value was posted"
    self.epochs[epoch] = Epoch(value_per_share_ppm=value_per_share_ppm, processed_to_id=processed_to_id)
    self.last_epoch = epoch
    self.processed_to_id = processed_to_id
    for id: uint256 in range(first, processed_to_id + 1, bound=BATCH):
        request: Request = self.requests[id]
        if request.state == State.WAITING:
            self.requests[id].state = State.SETTLED
            if request.is_exit:
                self._settle_exit(id, request, price)
            else:
                self._settle_deposit(id, request, price)
    log Settled(
        epoch=epoch,
        value_per_share_ppm=value_per_share_ppm,
        processed_to_id=processed_to_id,
        held=self.held,
        total_shares=self.total_shares,
    )


@external
def withdraw(id: uint256):
    """
    @notice Pays what a settled request has left to pay; never paused.
    """
    request: Request = self.requests[id]
    assert request.owner == msg.sender, "reserve: not your request"
    assert request.state != State.WAITING, "reserve: not settled"
    assert request.due != 0, "reserve: nothing to pay"
    self.requests[id].due = 0
    self.owed -= request.due
    tokens._give(token, msg.sender, request.due)
    log Withdrawn(owner=msg.sender, id=id, amount=request.due)


@external
def cancel(id: uint256):
    """
    @notice Takes back a request that nobody settled for `PATIENCE_S`; never paused. A deposit is paid by `withdraw`.
    """
    request: Request = self.requests[id]
    assert request.owner == msg.sender, "reserve: not your request"
    assert request.state == State.WAITING, "reserve: not waiting"
    assert block.timestamp >= request.asked_at + PATIENCE_S, "reserve: too early"
    self.requests[id].state = State.CANCELLED
    if request.is_exit:
        self.shares[msg.sender] += request.amount
    else:
        self.pending -= request.amount
        self._owe(id, request.amount)
    log Cancelled(id=id)


@external
def recognise(ref: bytes32, amount: uint256):
    """
    @notice Counts what came here by itself (a premium, what a verdict took) as held, once for each reference.
    """
    governed._only(POSTER)
    if self._is_known(ref, keccak256(abi_encode(amount))):
        return
    governed._not_paused()
    assert amount != 0, "reserve: nothing to count"
    counted: uint256 = self.held + self.pending + self.owed
    balance: uint256 = staticcall IERC20(token).balanceOf(self)
    # Compared without a sum, which could run over.
    assert balance >= counted and amount <= balance - counted, "reserve: nothing of that came"
    assert counted + amount < WEI_BOUND, "reserve: too much"
    self.held += amount
    self.price = empty(Price)
    log Recognised(ref=ref, amount=amount)


@external
def compensate(ref: bytes32, to: address, amount: uint256):
    """
    @notice Pays who was harmed by a broken promise, once for each reference and within the limit of a day.
    """
    governed._only(POSTER)
    if self._is_known(ref, keccak256(abi_encode(to, amount))):
        return
    governed._not_paused()
    assert to != empty(address) and to != self, "reserve: nobody to pay"
    assert amount != 0, "reserve: nothing to pay"
    assert amount <= self.held, "reserve: not enough"
    day: uint256 = block.timestamp // DAY_S
    paid: uint256 = self.paid_in[day]
    limit: uint256 = (self.held + paid) * governed._value(PAYOUT_LIMIT) // PPM
    assert paid + amount <= limit, "reserve: beyond the limit"
    self.paid_in[day] = paid + amount
    self.held -= amount
    self.price = empty(Price)
    tokens._give(token, to, amount)
    log Compensated(ref=ref, to=to, amount=amount)


@external
@view
def value_per_share_ppm() -> uint256:
    """
    @notice What 10^6 shares are of what is held: the most that `settle` takes for the next epoch.
    """
    return self._most_value()


@internal
def _ask(is_exit: bool, amount: uint256) -> uint256:
    id: uint256 = self.last_id + 1
    self.last_id = id
    self.requests[id] = Request(
        owner=msg.sender,
        is_exit=is_exit,
        amount=amount,
        asked_at=block.timestamp,
        due=0,
        state=State.WAITING,
    )
    return id


@internal
def _set_price(value_per_share_ppm: uint256):
    most: uint256 = self._most_value()
    assert value_per_share_ppm <= most, "reserve: value beyond what is held"
    assert value_per_share_ppm != 0 and value_per_share_ppm * PPM >= most * LEAST_VALUE_PPM, "reserve: value too low"
    self.price = Price(
        held=self.held,
        total_shares=self.total_shares,
        value_per_share_ppm=value_per_share_ppm,
        whole=value_per_share_ppm == most,
        last_id=self.last_id,
    )


@internal
@view
def _most_value() -> uint256:
    if self.total_shares == 0:
        return PPM
    # A share of next to nothing is still posted as something: 0 would mean that an epoch was not settled.
    return max(1, self.held * PPM // self.total_shares)


@internal
def _settle_deposit(id: uint256, request: Request, price: Price):
    shares: uint256 = request.amount
    taken: uint256 = request.amount
    if price.total_shares != 0:
        # Nobody's shares keep their part, rounded up: where there are shares, there is a wei.
        shares = request.amount * price.total_shares // price.held
        # No more is taken than the shares are worth, rounded up; the rest can be withdrawn.
        taken = self._up(shares * price.held, price.total_shares)
    elif self.total_shares == 0:
        # What was held before anybody had a share is nobody's.
        self.total_shares = DEAD_SHARES + price.held
    if self.total_shares + shares >= SHARES_BOUND:
        # Given back rather than refused: a request that reverts would hold up all behind it.
        shares = 0
        taken = 0
    self.pending -= request.amount
    self.held += taken
    self.total_shares += shares
    self.shares[request.owner] += shares
    self._owe(id, request.amount - taken)
    log DepositSettled(id=id, taken=taken, shares=shares)


@internal
def _settle_exit(id: uint256, request: Request, price: Price):
    paid: uint256 = request.amount * price.value_per_share_ppm // PPM
    if price.whole:
        paid = request.amount * price.held // price.total_shares
    self.total_shares -= request.amount
    self.held -= paid
    self._owe(id, paid)
    log ExitSettled(id=id, shares=request.amount, paid=paid)


@internal
def _owe(id: uint256, amount: uint256):
    self.requests[id].due = amount
    self.owed += amount


@internal
def _is_known(ref: bytes32, terms: bytes32) -> bool:
    known: bytes32 = self.refs[ref]
    if known == empty(bytes32):
        self.refs[ref] = terms
        return False
    assert known == terms, "reserve: reference has other terms"
    return True


@internal
@pure
def _up(dividend: uint256, divisor: uint256) -> uint256:
    return (dividend + divisor - 1) // divisor
