"""Tables in, verdicts out: pure functions."""
