"""Commands; the only place that composes a live or a simulated run."""
