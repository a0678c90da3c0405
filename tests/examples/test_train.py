from pathlib import Path

from normwise.lab import compare

EXAMPLE = Path(__file__).parents[2] / "examples" / "train.py"


def test_the_example_compares(tmp_path):
    found = compare(
        data=f"{EXAMPLE}:make_data", model=f"{EXAMPLE}:make_model", out=tmp_path, steps=300, seeds=1, workers=0
    )
    assert [(arm.settings["norm"], arm.runs[0].status) for arm in found.arms] == [
        ("none", "finished"), ("batch", "finished")
    ]  # fmt: skip
