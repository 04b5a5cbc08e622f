"""Forecasts learnt from a zone's own past."""
