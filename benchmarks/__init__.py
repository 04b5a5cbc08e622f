"""Benchmarks: `make bench NAME=x` runs one and prints one JSON object as its last line."""
