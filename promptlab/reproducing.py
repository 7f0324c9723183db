"""From a recipe to the dossier: run the experiments, gather what they say, write it up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.conclude import analyse_run, tasks_table
from promptlab.errors import NothingScored, UserError
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.recipes import PartSpec, Planned, Recipe
from promptlab.runs import Run, list_runs
from promptlab.spec import load_spec

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.papers import Evidence, Part

__all__ = ["conclude", "parts_of", "plans", "runs_in", "write_dossier"]


def plans(experiments: Sequence[Planned]) -> list[Plan]:
    """The plans of a recipe's experiments, checked before any of them is asked.

    Raises:
        MissingData: a suite's files are not there; says the command to type.
    """
    return [build_plan(e.spec) for e in experiments]


def runs_in(folder: Path) -> list[Run]:
    """Runs with scores in a folder, oldest first; of several of one name the newest.

    Raises:
        UserError: there is none.
    """
    scored = [run for run in list_runs(folder) if (run.path / "scores.parquet").is_file()]
    found = list({run.name: run for run in scored}.values())
    if not found:
        raise UserError(f"{folder} holds no run with scores; name a folder of run directories")
    return found


def parts_of(recipe: Recipe, runs: Sequence[Run]) -> list[Part]:
    """Runs as parts of a recipe: which kind of instruction, and which table each is for.

    A run that was made by the recipe is known by its name; any other is told by its own spec.
    """
    known = {
        e.spec.experiment.name: e.part
        for protocol in recipe.paper.protocols
        for e in recipe.experiments(protocol)
    }
    return [_part(run, known.get(run.name)) for run in runs]


def _part(run: Run, given: PartSpec | None) -> Part:
    from promptlab.analysis.papers import Part

    experiment = load_spec(run.path / "spec.yaml").experiment
    temperatures = {
        float({**experiment.params, **model.params}.get("temperature", 0))
        for model in experiment.models
    }
    conditions = run.conditions()
    combined = conditions["condition"].str.contains("+", regex=False).any()
    return Part(
        name=run.name,
        scores=run.scores(),
        conditions=conditions,
        tasks=tasks_table(run),
        role=given.role if given else "combinations" if combined else "main",
        base=given.base if given else "ape" if experiment.instructions == "ape" else "human",
        temperature=min(temperatures),
    )


def conclude(run: Run) -> None:
    """Analyse a run whose answers are there; one without a single score stays as it is."""
    try:
        analyse_run(run)
    except NothingScored:
        return


def write_dossier(
    recipe: Recipe,
    protocol: str,
    runs: Sequence[Run],
    folder: Path,
    *,
    judge: str = "",
    importance: Path | None = None,
    recalled: bool = False,
) -> Path:
    """Write the dossier of finished runs; returns the path of its page.

    Args:
        recipe: of the paper.
        protocol: which of its protocols the runs followed.
        runs: finished runs.
        folder: made if absent; an earlier dossier in it is replaced.
        judge: label of the judge whose scores count; the first one's unless given.
        importance: `positive.csv` of `promptlab importance`.
        recalled: show published values that were only recalled, too.

    Raises:
        UserError: nothing to report, or the folder cannot be written to.
    """
    from promptlab.analysis.papers import gather
    from promptlab.report.dossier import Dossier, write

    parts = parts_of(recipe, runs)
    shares = _shares(importance) if importance else None
    second = recipe.protocol(protocol).second_protocol

    def under(name: str | None) -> Evidence:
        return gather(parts, recipe.paper.library, protocol=name, importance=shares)

    dossier = Dossier(
        recipe=recipe,
        protocol=protocol,
        evidence=under(None),
        second=under(second) if second else None,
        judged={
            c.protocol: under(f"{c.protocol}@{judge}" if judge else c.protocol)
            for c in recipe.claims
            if c.protocol
        },
        runs=tuple(runs),
        published=recipe.published(recalled=recalled),
    )
    return write(dossier, folder)


def _shares(path: Path) -> pd.DataFrame:
    """Shares of positive words by task, of one measure: the paper's."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    lacking = [c for c in ("measure", "task", "share", "lower", "upper") if c not in table]
    if lacking:
        raise UserError(
            f"{path} has no column '{lacking[0]}'; name the positive.csv of promptlab importance"
        )
    one = table[(table["measure"] == "gradient_norm") & (table["task"] != "*")]
    if "group" in one:
        one = one[one["group"] == "positive"]
    return one.reset_index(drop=True)
