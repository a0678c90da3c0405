"""The data of a study: four named sets, or a user's own, checked, split and described by a fingerprint."""

from __future__ import annotations

from normwise.lab.data.named import NAMES, load
from normwise.lab.data.parts import Data, Part
from normwise.lab.data.scaling import Scaling

__all__ = ["NAMES", "Data", "Part", "Scaling", "load"]
