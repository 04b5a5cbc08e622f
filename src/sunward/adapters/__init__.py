"""Live ports: clocks, feeds, SQL, executors, meters, object store."""
