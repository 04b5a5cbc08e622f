"""The same engine in virtual time: simulated fleet, faults, checkers."""
