"""A simulated fabric with a seed and a truth; shares nothing with the engine."""
