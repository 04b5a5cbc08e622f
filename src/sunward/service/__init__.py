"""The control plane: REST API, ingest, the writer's shell."""
