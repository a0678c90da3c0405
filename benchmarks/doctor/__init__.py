"""How well the doctor does: networks that fail, networks that are healthy, and misuse of batch normalization.

``python -m benchmarks.doctor --help`` says how to run them. Sources of the failing ones are in ``failing``.
"""
