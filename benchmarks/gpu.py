"""The benchmark on a GPU: ``python3 -m benchmarks.gpu [--minutes 9] [--ledger PATH] [--only TEXT] [--continue]``.

Needs torch, NumPy and Triton, and neither a network nor a virtual environment (``PYTHONPATH=src``).
Measures the most important first, appends every result to the ledger as soon as it has it, and names what no time was
left for; ``--continue`` goes on there. ``--device cpu`` tries it out on a few small cases. ``--draw`` measures nothing:
it sums up what the ledger holds, also where a run was stopped, and draws it, which needs matplotlib. ``--tune``
measures no rival either: it times the ways in which the kernels may compute the table's shapes, and keeps the quickest
for all later calls on this machine.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

import normwise
from normwise.bench.cases import TRAIN, matching
from normwise.bench.gpu import cases, ledger, plan, summary, tune
from normwise.bench.gpu import device as devices
from normwise.bench.gpu.cases import FULL, HALF
from normwise.bench.gpu.measure import Settings
from normwise.errors import RequestError
from normwise.ops import disk
from normwise.ops.batch_norm.choice import IMPLS

LEDGER = Path(__file__).parent / "results" / "gpu.csv"
COPIED = 2**30


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--minutes", type=float, default=9.0, help="when to be done (9)")
    found.add_argument("--device", default="cuda", help="cuda, or cpu for a trial on a few small cases")
    found.add_argument("--impl", help="what ours is computed by (triton; on the CPU auto)")
    found.add_argument("--only", metavar="TEXT", help="only what has this in its name")
    found.add_argument(
        "--compile", choices=("some", "all", "none"), help="where torch.compile competes (some; on the CPU none)"
    )
    found.add_argument("--seconds", type=float, default=0.3, help="of rounds for each case and launch (0.3)")
    found.add_argument("--ledger", type=Path, help=f"append to this file ({LEDGER}; on the CPU a temporary one)")
    found.add_argument(
        "--continue", dest="go_on", action="store_true", help="pass over what the ledger, or the table, has"
    )
    found.add_argument("--tune", action="store_true", help="find out what is quickest on this GPU, and keep it")
    found.add_argument("--draw", action="store_true", help="sum up and draw what the ledger holds, and measure nothing")
    found.add_argument("--out", type=Path, help="draw to PATH-<type>.svg and .png (next to the ledger)")
    return found


def main() -> None:
    asked = parser().parse_args()
    trial = asked.device == "cpu"
    path = asked.ledger or (Path(tempfile.mkdtemp()) / "gpu.csv" if trial and not asked.draw else LEDGER)
    try:
        if asked.tune:
            tuned(asked)
            return
        if asked.draw:
            sum_up(path)
        else:
            run(asked, path)
        draw(path, asked.out or path.with_suffix(""), required=asked.draw)
    except RequestError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def run(asked: argparse.Namespace, path: Path) -> None:
    start = time.monotonic()
    device = devices.device(asked.device)
    trial = device.name == "cpu"
    impl = asked.impl or ("auto" if trial else "triton")
    if impl not in IMPLS:
        raise RequestError(f"impl is {impl!r}; allowed: {', '.join(IMPLS)}")
    ledger.check(path)
    compiled = asked.compile or ("none" if trial else "some")
    items = plan.items(plan.Request(Settings(impl, asked.seconds), trial, compiled, asked.only), device)
    if impl == "triton":
        let_layers_use_triton(device)
    described = device.described()
    if impl == "triton" and (known := tune.rows(device)):
        described["triton"] += f", {known} choices tuned"
    print(", ".join(f"{name} {value}" for name, value in described.items() if value), flush=True)
    size = 2**24 if trial else COPIED
    bandwidth = devices.copy_bandwidth(device, size)
    device.free()
    rows = [ledger.copy_row(bandwidth, size)]
    print(f"device copy: {bandwidth / 1e9:.0f} GB/s, read and written", flush=True)
    ledger.append(path, rows, impl, described)
    passed = ledger.done(ledger.read(path), device) if asked.go_on else set()
    left = []
    for name, found in plan.measured(items, device, bandwidth, start + 60 * asked.minutes, passed):
        if found is None:
            left.append(name)
            continue
        ledger.append(path, found, impl, described)
        rows += found
        print(*summary.lines(found), sep="\n", flush=True)
    conclude(ledger.newest(rows), left, path)


def tuned(asked: argparse.Namespace) -> None:
    """Time what the table's cases pose; every line that is printed has been kept."""
    until = time.monotonic() + 60 * asked.minutes
    device = devices.device(asked.device)
    if device.name == "cpu":
        raise RequestError("--tune finds out what is quickest on a GPU, and device is 'cpu'; leave --device out")
    named = matching(cases.table(), asked.only)
    problems = tune.asked(named, device, known=not asked.go_on)
    print(f"{len(problems)} problems, kept in {disk.directory()}", flush=True)
    done = 0
    for found in tune.tune(problems, device, asked.seconds, until):
        done += 1
        print(found, flush=True)
    if done < len(problems):
        print(f"no time was left for {len(problems) - done}; --continue goes on with them")


def let_layers_use_triton(device: devices.Device) -> None:
    """Networks are made of layers, which take what ``auto`` takes."""
    os.environ.setdefault("NORMWISE_TRITON", "1")
    found = normwise.explain(torch.empty(32, 64, 56, 56, dtype=torch.bfloat16, device=device.name))
    if found.impl != "triton":
        raise RequestError(f"the layers do not run by triton, so that no training step would measure it: {found}")


def sum_up(path: Path) -> None:
    """What a run says when it ends, of what the ledger has."""
    if not (rows := ledger.latest(ledger.read(path))):
        raise RequestError(f"{path} has no rows to draw; measure first: make bench-gpu")
    conclude(rows, [], path)


def conclude(rows: list[ledger.Row], left: list[str], path: Path) -> None:
    print()
    for table in (summary.means(rows), summary.memory(rows)):
        if table.rows:
            print(summary.write(table), end="\n\n")
    if slower := summary.slower(rows):
        print("slower than the best of the others by more than 5 %:", *slower, sep="\n  ", end="\n\n")
    if left:
        print(f"no time was left for {len(left)}; --continue goes on with them:", *left, sep="\n  ", end="\n\n")
    print(f"ledger: {path}")


def draw(path: Path, out: Path, *, required: bool) -> None:
    """A picture for each type that the ledger has cases of."""
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        said = f"python3 -m benchmarks.gpu --draw --ledger {path}"
        if required:
            raise RequestError(
                "--draw needs matplotlib, which this Python lacks; install it: pip install matplotlib"
            ) from None
        print(f"no picture: this Python lacks matplotlib; where there is one: {said}")
        return
    from normwise.figures import save, speed

    rows = ledger.latest(ledger.read(path))
    for dtype in (HALF, FULL):
        if cases := summary.picture_cases(rows, dtype):
            info = speed.info(cases, TRAIN if any(case["mode"] == TRAIN for case in cases) else None)
            paths = save(speed.draw(info), out.parent, f"{out.name}-{dtype}", speed.describe(info))
            print(f"picture: {', '.join(map(str, paths))}")


if __name__ == "__main__":
    main()
