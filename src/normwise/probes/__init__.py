"""Measuring a network while it trains, without leaving a trace.

Here are pure functions, one per quantity, that measure on a batch of their own, and when to call them. The recorder,
which measures the steps of a loop, is ``normwise.probes.recorder``.
"""

from normwise.nn.trace import no_trace
from normwise.probes.activation import histogram
from normwise.probes.gradient import gradient_norms
from normwise.probes.measure import measure
from normwise.probes.preactivation import preactivation
from normwise.probes.saturation import saturated
from normwise.probes.schedule import Schedule
from normwise.probes.update import snapshot, update_norms

__all__ = [
    "Schedule",
    "gradient_norms",
    "histogram",
    "measure",
    "no_trace",
    "preactivation",
    "saturated",
    "snapshot",
    "update_norms",
]
