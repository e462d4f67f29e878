"""PostgreSQL: connecting, asking the catalogue, the snapshot and its safe horizon, the types."""
