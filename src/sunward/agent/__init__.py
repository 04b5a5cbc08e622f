"""The provider's daemon: outward connections only."""
