"""What the modules of the command line share: where they write, how errors end, and common options."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from aptstream.errors import AptstreamError

stderr, stdout = Console(stderr=True), Console()
Arguments = ParamSpec("Arguments")

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all randomness.")]


def verb(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Turn the errors that a user can mend into a message and an exit code."""

    @wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except AptstreamError as error:
            stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            stderr.print(f"[bold red]error:[/] {escape(str(error.strerror or error) + where)}", soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            stderr.print(
                "interrupted: nothing half-written was left. Stages that were complete stay in the output folder: "
                "remove it, or give another --out, to start over.",
                soft_wrap=True,
            )
            raise typer.Exit(130) from error

    return guarded


def facts(path: Path) -> dict[str, Any]:
    """Say what a file or folder of ours holds."""
    from aptstream.inspection import describe

    return describe(path)
