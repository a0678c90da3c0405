import re
import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "adapt_to_domain.py"


def test_statistics_of_the_other_domain_restore_the_accuracy(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    clean, dim, inverted = (
        [float(number) for number in re.findall(r"([\d.]+)%", line)] for line in capsys.readouterr().out.splitlines()
    )
    assert clean[0] > 95
    assert dim[0] < 80
    assert dim[1] > 90
    assert max(inverted) < 20  # the example says that this does not work
