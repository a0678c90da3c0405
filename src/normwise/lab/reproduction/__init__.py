"""Reproducing experiments: what a study declares, its trials, its claims and its page."""
