"""Thinks: pure functions from facts to values. No I/O, no clock, no environment."""
