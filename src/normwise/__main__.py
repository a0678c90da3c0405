"""``python -m normwise`` is the command ``normwise``."""

import sys

if __name__ == "__main__":
    # Python puts the working directory first, where a file that is called random.py would be taken for a module.
    first = None if sys.flags.safe_path else sys.path.pop(0)

    from pathlib import Path

    if first is not None and Path(__file__).parents[1] == Path(first).resolve():
        sys.path.append(first)  # the package itself lies there

    from normwise.cli import main

    main()
