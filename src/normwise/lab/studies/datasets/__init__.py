"""Data sets of the studies that the lab does not have: functions without arguments that return the parts."""
