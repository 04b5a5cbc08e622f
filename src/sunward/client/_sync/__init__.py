# Made from src/sunward/client/_async/__init__.py by tools/build_sync.py; change that one.
"""The blocking client, made out of the asynchronous one by `tools/build_sync.py`."""
