"""Sunward: AI jobs run where and when power is clean, with a receipt anyone can check."""

__version__ = "0.1.0"
