"""Dated series with source and quality: typical years, and series a user brings."""
