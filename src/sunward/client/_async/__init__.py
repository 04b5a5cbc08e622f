"""The asynchronous client; the blocking one is made out of it by `tools/build_sync.py`."""
