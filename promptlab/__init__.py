"""promptlab: does this sentence, added to a prompt, change what the model gets right?

    import promptlab as pl
    run = pl.run("experiment.yaml")
    run.contrasts()

Names are imported when first used, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptlab.comparing import compare
    from promptlab.planning import build_plan
    from promptlab.runs import Run, load
    from promptlab.spec import load_spec
    from promptlab.workflow import arun, run

__all__ = ["Run", "arun", "build_plan", "compare", "load", "load_spec", "run"]

_HOMES = {
    "Run": "promptlab.runs",
    "arun": "promptlab.workflow",
    "build_plan": "promptlab.planning",
    "compare": "promptlab.comparing",
    "load": "promptlab.runs",
    "load_spec": "promptlab.spec",
    "run": "promptlab.workflow",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'promptlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
