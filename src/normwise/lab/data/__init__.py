"""The data of a study: named sets, tables, or a user's own, in memory or streamed, and checked."""

from __future__ import annotations

from normwise.lab.data.given import Given
from normwise.lab.data.named import NAMES, load
from normwise.lab.data.parts import Data, Part
from normwise.lab.data.scaling import Scaling

__all__ = ["NAMES", "Data", "Given", "Part", "Scaling", "load"]
