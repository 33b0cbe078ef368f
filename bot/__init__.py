"""Starts and wires: the only place that names an implementation of each port."""
