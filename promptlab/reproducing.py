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

    from promptlab.analysis.pairing import Missing
    from promptlab.analysis.papers import Evidence, Part

__all__ = ["check_folder", "conclude", "followed", "parts_of", "plans", "runs_in", "write_dossier"]


def plans(experiments: Sequence[Planned]) -> list[Plan]:
    """The plans of a recipe's experiments, checked before any of them is asked.

    Raises:
        MissingData: a suite's files are not there; says the command to type.
    """
    return [build_plan(e.spec) for e in experiments]


def runs_in(folder: Path) -> list[Run]:
    """Runs with scores in a folder, oldest first; of several of one name and models the newest.

    Raises:
        UserError: there is none.
    """
    scored = [run for run in list_runs(folder) if (run.path / "scores.parquet").is_file()]
    found = list({(run.name, *run.lock["models"]): run for run in scored}.values())
    if not found:
        raise UserError(f"{folder} holds no run with scores; name a folder of run directories")
    return found


def followed(recipe: Recipe, runs: Sequence[Run], protocol: str | None) -> tuple[str, list[Run]]:
    """The protocol that runs followed, and those of them that did, or that the recipe did not make.

    Args:
        recipe: of the paper.
        runs: whoever made them; a run of the recipe is known by its name.
        protocol: which one is wanted; that of the first run of the recipe unless given, else the
            recipe's first.

    Raises:
        UserError: all of the runs followed another protocol.
    """
    made = recipe.made
    of = [made[run.name][0] if run.name in made else "" for run in runs]
    chosen = protocol or next(filter(None, of), next(iter(recipe.paper.protocols)))
    kept = [run for run, name in zip(runs, of, strict=True) if name in ("", chosen)]
    if not kept:
        raise UserError(f"these runs followed the protocol '{of[0]}'; add --protocol {of[0]}")
    return chosen, kept


def parts_of(recipe: Recipe, runs: Sequence[Run]) -> list[Part]:
    """Runs as parts of a recipe: which kind of instruction, and which table each is for.

    A run that was made by the recipe is known by its name; any other is told by its own spec.
    """
    made = recipe.made
    return [
        part
        for run in runs
        for part in _parts(run, made[run.name][1] if run.name in made else None)
    ]


def _parts(run: Run, given: PartSpec | None) -> list[Part]:
    from promptlab.analysis.papers import Part

    experiment = load_spec(run.path / "spec.yaml").experiment
    temperatures = {
        float({**experiment.params, **model.params}.get("temperature", 0))
        for model in experiment.models
    }
    if len(temperatures) > 1:
        raise UserError(
            f"{run.path.name} asks its models at different temperatures; give each a run of its own"
        )
    conditions = run.conditions()
    roles = [given.role] if given else ["main"]
    if not given and conditions["condition"].str.contains("+", regex=False).any():
        roles.append("combinations")  # what it asked one by one is for both tables
    base = "ape" if experiment.instructions == "ape" else "human"
    (temperature,) = temperatures
    scores, tasks = run.scores(), tasks_table(run)
    return [
        Part(
            name=run.name,
            scores=scores,
            conditions=conditions,
            tasks=tasks,
            role=role,
            base=given.base if given else base,
            temperature=temperature,
        )
        for role in roles
    ]


def conclude(run: Run) -> None:
    """Analyse a run whose answers are there; one without a single score stays as it is."""
    try:
        analyse_run(run)
    except NothingScored:
        return


def check_folder(folder: Path) -> None:
    """Whether a dossier may be written here: only an earlier one is replaced.

    Raises:
        UserError: something else is there.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "dossier.json").is_file():
        raise UserError(f"{folder} is not empty and holds no dossier; name another folder (--out)")


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
        folder: made if absent; an earlier dossier in it is replaced, nothing else.
        judge: label of the judge whose scores count; the first one's unless given.
        importance: `positive.csv` of `promptlab importance`.
        recalled: show published values that were only recalled, too.

    Raises:
        UserError: nothing to report, or the folder cannot be written to.
    """
    from promptlab.analysis.papers import gather
    from promptlab.report.dossier import Dossier, write

    check_folder(folder)
    parts = parts_of(recipe, runs)
    shares = _shares(importance) if importance else None
    second = recipe.protocol(protocol).second_protocol

    def under(name: str | None, missing: Missing = "drop_pair") -> Evidence:
        return gather(
            parts, recipe.paper.library, protocol=name, missing=missing, importance=shares
        )

    dossier = Dossier(
        recipe=recipe,
        protocol=protocol if all(run.name in recipe.made for run in runs) else "",
        evidence=under(None),
        as_wrong=under(None, "as_wrong"),
        second=(f"read by the scorer {second}", under(second)) if second else None,
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
