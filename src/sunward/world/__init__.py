"""What exists: columnar state, the facts events add to it, and immutable snapshots for the planner."""
