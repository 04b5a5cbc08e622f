"""Double-entry ledger, epochs, offset share; integers only."""
