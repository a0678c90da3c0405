"""``python -m normwise`` is the command ``normwise``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # Python puts the working directory first, where a file that is called random.py would be taken for a module.
        del sys.path[0]

    from normwise.cli import main

    main()
