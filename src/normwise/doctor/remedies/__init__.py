"""The remedies that the doctor can try: one table, from a name to the settings that it changes."""

from __future__ import annotations

from normwise.doctor.remedies.choose import applicable, chosen, heads
from normwise.doctor.remedies.remedy import Given, Remedy
from normwise.doctor.remedies.table import BY_NAME, REMEDIES

__all__ = ["BY_NAME", "REMEDIES", "Given", "Remedy", "applicable", "chosen", "heads"]
