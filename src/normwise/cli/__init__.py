"""The command ``normwise``. Commands load what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated, cast

import typer

from normwise import __version__
from normwise.cli.bench import bench
from normwise.cli.compare import compare
from normwise.cli.console import fail
from normwise.cli.doctor import doctor
from normwise.cli.fold import fold
from normwise.cli.reproduce import reproduce
from normwise.cli.runs import runs
from normwise.cli.warmup import warmup
from normwise.errors import JobError, NormwiseError

# typer carries click's exceptions and names only some of them.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)
app.command()(compare)
app.command()(doctor)
app.command()(reproduce)
app.command()(bench)
app.command()(fold)
app.command()(runs)
app.command()(warmup)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from; allowed anywhere.")] = False,
) -> None:
    """Make deep networks train: batch normalization, and what it did.

    Example: normwise compare --data digits
    """
    if version:
        typer.echo(f"normwise {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line: exit 0 when done, 2 for a wrong request, 1 for a failed job, 130 when interrupted.

    The doctor exits with 3 where something is wrong with the network. Every error is one red line on stderr;
    ``--debug`` shows where it came from.
    """
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = app(args=arguments, standalone_mode=False) or 0
    except UsageError as error:
        fail(error.format_message(), code=2)
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        if not isinstance(error, NormwiseError):
            fail(f"{type(error).__name__}: {error}; give --debug to see where it came from", code=1)
        fail(str(error), code=1 if isinstance(error, JobError) else 2)
    if status == INTERRUPTED:
        fail("interrupted; run the same command again to continue", code=INTERRUPTED)
    sys.exit(status)
