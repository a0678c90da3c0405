"""The doctor: why a network does not train, which remedies help, and by how much.

``watch`` measures a training loop of one's own, ``examine`` a trained network, ``diagnose`` trains a network, says what
is wrong and tries the remedies: the command ``normwise doctor``.
"""

from normwise.doctor.diagnose import diagnose
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.examine import examine
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.rules import RULES
from normwise.doctor.watch import watch

__all__ = ["RULES", "Diagnosis", "Finding", "Severity", "diagnose", "examine", "watch"]
