"""``correlator explain A B``."""


def explain() -> None:
    """Explain."""
