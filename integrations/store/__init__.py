"""The store: a Redis-protocol server that keeps what it says it has. Nothing that matters lives in a process."""
