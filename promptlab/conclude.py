"""From a run's responses to its report: score, analyse, write. Asks no model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import NothingScored, Unjudged, UserError
from promptlab.files import only_mine
from promptlab.judges.handle import judge_sentences, judge_warnings
from promptlab.lock import items_digest, methods_of_lock, wordings_of_lock
from promptlab.plan import Plan
from promptlab.planning import build_plan
from promptlab.runs import Asked, Run, read_json, write_json
from promptlab.served import same_model
from promptlab.spec import load_spec
from promptlab.tables import write_scores

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.report.race import RaceTables

__all__ = [
    "analyse_run",
    "plan_of",
    "report_run",
    "score_run",
    "tasks_table",
    "update_status",
]

_EXAMPLES_PER_CONDITION = 3


def plan_of(run: Run) -> Plan:
    """The run's plan, drawn again from its own spec and checked against its lock.

    Needs the suites' data, but no model.

    Raises:
        UserError: the items are not the ones that were asked (another data set or version).
    """
    described = {
        label: (model["endpoint"], model["choices"] == "logprob")
        for label, model in run.lock["models"].items()
    }
    plan = build_plan(load_spec(run.path / "spec.yaml"), described=described)
    for task, recorded in run.lock["tasks"].items():
        drawn = plan.draws.get(task)
        if drawn is None or items_digest([i.item_id for i in drawn.items]) != recorded["items"]:
            raise UserError(
                f"the items of {task} are not those of {run.path.name}; its data or its card has "
                "changed since (promptlab data status)"
            )
    if wordings_of_lock(plan).get("wordings") != run.lock.get("wordings"):
        raise UserError(
            f"the wordings of the instructions are not those of {run.path.name}; the file or the "
            "cards that give them have changed since"
        )
    if methods_of_lock(plan).get("methods") != run.lock.get("methods"):
        raise UserError(
            f"the methods of the conditions are not those of {run.path.name}; a file that a "
            "condition names, or the package of a method, has changed since"
        )
    return plan


def score_run(run: Run, plan: Plan | None = None) -> int:
    """Score the run's responses under every protocol; returns the number of score rows."""
    plan = plan or plan_of(run)
    if not (run.path / "responses.parquet").is_file():
        raise UserError(
            f"{run.path.name} has no responses yet (state: {run.status.get('state')}); "
            "run the spec again to finish it"
        )
    rows = write_scores(plan, run.path / "responses.parquet", run.path / "scores.parquet")
    if plan.spec.experiment.race is not None:
        from promptlab.race_record import write_race

        with only_mine():
            update_status(run, race=write_race(run, plan))
    return rows


def analyse_run(run: Run) -> pd.DataFrame:
    """Compute and keep the run's contrasts, best-of table, protocol and wording sensitivity.

    Raises:
        NothingScored: no answer could be scored; says what they were instead.
        UserError: the baseline is missing.
    """
    from promptlab.analysis.best import best_of_stimuli
    from promptlab.analysis.contrast_table import contrasts
    from promptlab.analysis.sensitivity import protocol_sensitivity
    from promptlab.analysis.wording_table import wording_sensitivity

    scores, conditions = run.scores(), run.conditions()
    if not scores["score"].notna().any():
        found = _statuses(scores)
        if found.get("unjudged"):
            raise Unjudged(
                f"{found['unjudged']:,} answers wait for a judge; type: promptlab judge "
                f"{run.path} --judge MODEL"
            )
        raise NothingScored(
            f"no answer of {run.path.name} could be scored: "
            + ", ".join(f"{n} {status}" for status, n in found.items())
        )
    options = run.analysis.options() | {"seed": run.lock["seed"]}
    raced = (run.path / "race.parquet").is_file()
    if raced:  # its own rows know what is missing; elsewhere what was not asked would be wrong
        options["missing"] = "drop_pair"
    computed = contrasts(scores, conditions, **options)
    best = best_of_stimuli(scores, conditions, baseline=options["baseline"], seed=options["seed"])
    sensitivity = protocol_sensitivity(computed, alpha=options["alpha"])
    if raced:
        from promptlab.analysis.race_contrasts import raced_contrasts

        # How many items there are depends on the scores: no test for a fixed number holds, and
        # no verdict of one can be compared with another.
        computed, best["pvalue"] = raced_contrasts(computed, run.race()), float("nan")
        sensitivity = sensitivity[:0]
    table = run.standing().mark(computed)
    with only_mine():
        table.to_parquet(run.path / "contrasts.parquet", index=False)
        best.to_parquet(run.path / "best.parquet", index=False)
        sensitivity.to_parquet(run.path / "sensitivity.parquet", index=False)
        if "wordings" in run.lock:
            names = {"baseline", "alpha", "margin", "tasks", "missing", "seed"} & set(options)
            wordings = wording_sensitivity(scores, conditions, **{n: options[n] for n in names})
            wordings = wordings[:0] if raced else wordings
            wordings.to_parquet(run.path / "wordings.parquet", index=False)
    return table


def _statuses(scores: pd.DataFrame) -> dict[str, int]:
    primary = scores.loc[scores["primary"], "status"].astype(str)
    return {str(status): int(n) for status, n in primary.value_counts().items()}


def report_run(run: Run) -> Path:
    """Write the report of an analysed run; returns the path of its page."""
    from promptlab.report.page import write_report

    with only_mine():
        return write_report(
            run.path / "report",
            scores=run.scores(),
            contrasts=run.contrasts(),
            best=run.best(),
            conditions=run.conditions(),
            tasks=tasks_table(run),
            sensitivity=run.sensitivity(),
            wordings=run.wordings(),
            manifest=manifest(run),
            examples=_moved_items(run),
            race=_race(run),
        )


def _race(run: Run) -> RaceTables | None:
    """What the page says of a race, where the design is one."""
    if not (run.path / "race.json").is_file():
        return None
    from promptlab.report.race import RaceTables

    return RaceTables(read_json(run.path / "race.json"), run.race(), run.race(path=True))


def manifest(run: Run) -> dict[str, Any]:
    """How the run was made, for the report."""
    lock, status = run.lock, run.status
    analysis = run.analysis
    served = _served(run)
    return {
        "name": lock["name"],
        "run_id": run.path.name,
        "created": lock["created"],
        "digest": lock["digest"],
        "spec_text": (run.path / "spec.yaml").read_text(encoding="utf-8"),
        "baseline": analysis.baseline,
        "alpha": analysis.alpha,
        "margin": analysis.equivalence_margin,
        "missing": analysis.missing,
        "confirmatory": list(analysis.confirmatory),
        "registration": _registration(run),
        "seed": lock["seed"],
        "models": [
            {"label": label, **model, **served.get(label, {})}
            for label, model in lock["models"].items()
        ],
        "tasks": lock["tasks"],
        "wordings": lock.get("wordings", {}),
        "left_out": lock["left_out"],
        "versions": lock["versions"],
        "counts": status.get("responses", {}),
        "stopped": _reasons(status),
        "cost_usd": _cost(run),
        "wall_s": status.get("wall_s"),
        "warnings": _warnings(run, served),
        "judges": judge_sentences(run.path),
    }


def _registration(run: Run) -> dict[str, Any]:
    """Whether the analysis is the registered one, in words."""
    found = run.standing()
    return {
        "text": found.sentences(),
        "registered": found.registration is not None,
        "caution": found.registration is not None and not found.is_registered,
    }


def _cost(run: Run) -> float | None:
    """US dollars that all calls of the run have paid; None where a price is unknown."""
    spent, prices = run.status.get("spent", {}), run.lock.get("prices", {})
    if any(prices.get(label) is None and one["requests"] for label, one in spent.items()):
        return None
    return float(sum(one["usd"] for one in spent.values()))


def _reasons(status: Mapping[str, Any]) -> dict[str, str]:
    """Why models stopped, by label."""
    return {label: stop["reason"] for label, stop in status.get("stopped", {}).items()}


def _served(run: Run) -> dict[str, dict[str, list[str]]]:
    """Model names and fingerprints that the endpoints reported."""
    responses = run.responses(["model", "served_model", "fingerprint"])
    found: dict[str, dict[str, list[str]]] = {}
    for label, rows in responses.groupby("model", observed=True):
        found[str(label)] = {
            "served_models": sorted(rows["served_model"].dropna().unique()),
            "fingerprints": sorted(rows["fingerprint"].dropna().unique()),
        }
    return found


def _warnings(run: Run, served: dict[str, dict[str, list[str]]]) -> list[str]:
    warnings = [*run.lock["warnings"]]
    warnings += [f"{label}: {reason}" for label, reason in _reasons(run.status).items()]
    for label, found in served.items():
        asked = run.lock["models"][label]["id"]
        others = [name for name in found["served_models"] if not same_model(asked, name)]
        if others:
            warnings.append(
                f"{label}: the endpoint answered for another model than {asked}: "
                + ", ".join(others)
            )
        for what, names in (("model versions", "served_models"), ("builds", "fingerprints")):
            if len(found[names]) > 1:
                warnings.append(
                    f"{label}: answers come from several {what} ({', '.join(found[names])})"
                )
    warnings += judge_warnings(run.path)
    if run.status.get("state") not in ("complete", "running"):
        warnings.append("this run is not complete; run the spec again to finish it")
    return warnings


def tasks_table(run: Run) -> pd.DataFrame:
    """Task, low and high (scores of chance and of perfection) of a run's tasks."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"task": task, "low": row.get("low", 0.0), "high": row.get("high", 1.0)}
            for task, row in run.lock["tasks"].items()
        ]
    )


def _moved_items(run: Run) -> pd.DataFrame:
    """A few items that each stimulus gained and lost, with both answers."""
    scores = run.scores()
    scores = scores[scores["primary"] & (scores["replicate"] == 0) & scores["score"].notna()]
    key = ["model", "task", "shots", "item_id"]
    crossed = ["instruction"] if "wordings" in run.lock else []
    key += crossed
    is_base = scores["condition"] == run.analysis.baseline
    base = scores.loc[is_base, [*key, "score", "answer"]]
    paired = scores[~is_base].merge(base, on=key, suffixes=("", "_baseline"))
    paired["moved"] = paired["score"] - paired["score_baseline"]
    paired = paired[paired["moved"] != 0]
    paired["direction"] = paired["moved"].map(lambda d: "gained" if d > 0 else "lost")
    groups = ["model", "shots", "condition", "direction"]
    few = (
        paired.sort_values([*groups, "item_id", *crossed])
        .groupby(groups, observed=True)
        .head(_EXAMPLES_PER_CONDITION)
    )
    columns = [*groups, "task", *crossed, "item_id", "answer_baseline", "answer"]
    return _with_texts(run, few[columns].reset_index(drop=True))


def _with_texts(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Add input and expected answer, where the suites' data are there to be read again."""
    try:
        plan = plan_of(run)
    except UserError:
        return rows
    items = {(task, item.item_id): item for task, draw in plan.draws.items() for item in draw.items}
    found = [items[key] for key in zip(rows["task"], rows["item_id"], strict=True)]
    return rows.assign(
        input=[item.input for item in found],
        expected=[" / ".join(item.answers[:3]) for item in found],
    )


def update_status(run: Asked, **values: Any) -> None:
    """Add to a run's status file."""
    path = run.path / "status.json"
    write_json(path, (read_json(path) if path.is_file() else {}) | values)
