import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "adapt_to_domain.py"


def test_statistics_of_the_other_domain_restore_the_accuracy(tmp_path):
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    clean, dim, inverted = (
        [float(number) for number in re.findall(r"([\d.]+)%", line)] for line in done.stdout.splitlines()
    )
    assert clean[0] > 95
    assert dim[0] < 80
    assert dim[1] > 90
    assert max(inverted) < 20  # the example says that this does not work
