"""`sunward demo`: the whole chain once, live on this machine, and proven at the end."""
