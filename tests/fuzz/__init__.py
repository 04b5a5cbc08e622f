"""Parsers of bytes from outside, given bytes that nobody meant: only the project's own errors may come out."""
