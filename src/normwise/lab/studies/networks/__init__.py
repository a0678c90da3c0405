"""Networks of the studies that the lab does not have: functions without arguments that return a module."""
