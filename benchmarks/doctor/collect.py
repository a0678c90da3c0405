"""Evidence as files: what was watched of every case, for tuning rules without training again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.doctor import lab
from benchmarks.doctor.case import Case
from benchmarks.doctor.score import NOTHING


def collect(case: Case, folder: Path, seeds: int) -> Path:
    """Train a case of the lab, watched, and write ``<kind>-<name>.json``.

    It has ``case``, ``half``, ``kind``, ``label``, ``learns_at``, ``settings``, and ``runs``: of each the ``seed``, its
    ``value`` (null where it diverged), ``learned``, ``watched`` and ``evaluations``.
    """
    from normwise.doctor.diagnose import diagnose
    from normwise.probes import watched_json

    assert case.setup is not None
    with lab.folder() as out:
        asked = lab.options(case.setup)
        found = diagnose(case.setup.data, **asked, treat=False, seeds=seeds, out=str(out), workers=0)
        values = {each.settings["seed"]: lab.value(each, case.judged_at) for each in lab.records(out, NOTHING)}
    runs = [
        {
            "seed": each.seed,
            "value": values[each.seed],
            "learned": each.outcome.learned,
            "watched": watched_json.as_dict(each.watched),
            "evaluations": [evaluation._asdict() for evaluation in each.outcome.evaluations],
        }
        for each in found.evidence.trainings
    ]
    path = folder / f"{case.kind}-{case.name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    known = {key: getattr(case, key) for key in ("name", "half", "kind", "source", "learns_at")}
    known |= {"label": sorted(case.label), "settings": dict(found.evidence.settings), "runs": runs}
    path.write_text(json.dumps(known, default=_plain))
    return path


def load(folder: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every case in a folder: what its file has, and its ``Evidence``."""
    from normwise.doctor.evidence import Evidence, Training
    from normwise.doctor.outcome import Evaluation, outcome
    from normwise.probes import watched_json

    for path in sorted(folder.glob("*.json")):
        known = json.loads(path.read_text())
        trainings = []
        for run in known["runs"]:
            seen = watched_json.from_dict(run["watched"])
            made = [Evaluation(**each) for each in run["evaluations"]]
            trainings.append(Training(seen, outcome(seen, made, learned=run["learned"]), run["seed"]))
        yield known, Evidence(trainings, known["settings"])


def _plain(value: Any) -> Any:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)
