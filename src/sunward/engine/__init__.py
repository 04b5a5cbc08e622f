"""advance(state, event) → commands: the only place where stages meet."""
