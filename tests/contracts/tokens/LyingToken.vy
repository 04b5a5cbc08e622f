# pragma version 0.4.3
# pragma evm-version cancun
# A token that keeps a fee, says `false`, or calls somebody back in the middle of a transfer, as it is told to; it can
# also act as a member itself, so that what it calls back is its own.

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
fee_bps: public(uint256)
lies: public(bool)
target: public(address)
payload: public(Bytes[2048])
called_back: public(bool)
call_back_passed: public(bool)
call_back_answer: public(Bytes[256])


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def set_fee_bps(fee_bps: uint256):
    self.fee_bps = fee_bps


@external
def set_lies(lies: bool):
    self.lies = lies


@external
def set_call_back(target: address, payload: Bytes[2048]):
    self.target = target
    self.payload = payload


@external
def act(target: address, payload: Bytes[2048]):
    raw_call(target, payload)


@external
def act_approve(spender: address, amount: uint256):
    self.allowance[self][spender] = amount


@external
def transfer(to: address, amount: uint256) -> bool:
    return self._move(msg.sender, to, amount)


@external
def transferFrom(payer: address, to: address, amount: uint256) -> bool:
    if not self.lies:
        self.allowance[payer][msg.sender] -= amount
    return self._move(payer, to, amount)


@internal
def _move(payer: address, to: address, amount: uint256) -> bool:
    if self.lies:
        return False
    if self.target != empty(address):
        target: address = self.target
        self.target = empty(address)
        self.called_back = True
        self.call_back_passed, self.call_back_answer = raw_call(
            target, self.payload, max_outsize=256, revert_on_failure=False
        )
    self.balanceOf[payer] -= amount
    self.balanceOf[to] += amount - amount * self.fee_bps // 10_000
    return True
