"""Speed, memory and errors of the layers against torch's own, measured side by side: ``normwise bench``."""

from __future__ import annotations

from normwise.bench.request import Request, request
from normwise.bench.run import Result, Status, check_ledger, run, write_ledger

__all__ = ["Request", "Result", "Status", "check_ledger", "request", "run", "write_ledger"]
