"""Networks that only studies have."""
