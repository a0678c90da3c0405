"""What a run leaves on disk: plain data, readable without torch."""

from normwise.records.run import RunRecord

__all__ = ["RunRecord"]
