"""(snapshot, jobs, policy) → plan: filter, score, assign, explain."""
