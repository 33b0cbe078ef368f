"""Inbound edges: verify, acknowledge, keep, parse to a command, call one use case, render."""
