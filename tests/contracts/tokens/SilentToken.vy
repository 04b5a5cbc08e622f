# pragma version 0.4.3
# pragma evm-version cancun
# A token whose transfers return nothing at all, as those of several old ones do.

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256):
    self.allowance[msg.sender][spender] = amount


@external
def transfer(to: address, amount: uint256):
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[to] += amount


@external
def transferFrom(payer: address, to: address, amount: uint256):
    self.allowance[payer][msg.sender] -= amount
    self.balanceOf[payer] -= amount
    self.balanceOf[to] += amount
