"""Tiny networks after the published descriptions, by family; ``zoo`` lists them with what is known about each."""
