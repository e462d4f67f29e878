"""A small online shop in an embedded PostgreSQL: the demo, and input for the tests."""
