"""Use cases: facts read through ports, decided in core, done once, written down. The store is all they name."""
