"""The parts of ``bench/fusion.py``: what is drawn, what is seen of it, how verdicts are scored."""
