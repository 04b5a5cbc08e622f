"""Readings → energy, emissions, water, cost, receipts."""
