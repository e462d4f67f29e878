"""The `lakefeed` command: parse, call the core, print."""
