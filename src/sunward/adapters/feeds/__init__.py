"""Signal sources: a user's own files, and live feeds behind a cache; docs/feeds.md explains them."""
