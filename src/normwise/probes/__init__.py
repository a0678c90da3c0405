"""Measuring a network while it trains: pure functions, one per quantity, that leave no trace; and when to call them."""

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
