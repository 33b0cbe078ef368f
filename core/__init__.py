"""Pure decisions: facts and `now` in, a frozen verdict with its reasons out. No I/O, no clock, no await."""
