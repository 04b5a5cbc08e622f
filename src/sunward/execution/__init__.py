"""State machines of jobs, leases and node power."""
