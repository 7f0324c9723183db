"""The command line, one file a verb. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import sys

from promptlab.cli._app import app, report_error
from promptlab.errors import PromptlabError

__all__ = ["load", "main"]


def load() -> None:
    """Add every verb to the application."""
    # Each import adds its verb, in the order of `promptlab --help`.
    from promptlab.cli import (  # noqa: F401
        analyze,
        calibrate,
        compare,
        data,
        doctor,
        importance,
        init,
        judge,
        list_,
        models,
        plan,
        preregister,
        report,
        reproduce,
        run,
        schema,
        score,
        show,
        status,
        store,
        validate,
    )


def main() -> None:
    """Entry point: a person's mistake is one message and exit code 2, never a traceback."""
    load()
    try:
        app()
    except PromptlabError as error:
        sys.exit(report_error(error))
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        sys.stderr.close()
