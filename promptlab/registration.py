"""A plan fixed before the data: what will be asked, and what its analysis will confirm.

`promptlab preregister SPEC` writes `<spec>.registered.json`. A run of the spec keeps a copy, and
its analysis says whether it is the registered one.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from promptlab.errors import UserError
from promptlab.lock import build_lock
from promptlab.tables import CONDITION_COLUMNS, condition_row

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.plan import Plan
    from promptlab.spec import Experiment, Spec

__all__ = [
    "Registration",
    "find_registration",
    "plan_content",
    "planned",
    "read_registration",
    "register",
    "registration_path",
]

FORMAT = 1
_MODEL = ("id", "endpoint", "style", "template", "params", "choices")
_TASK = ("card", "items", "n_items", "demonstrations", "protocols", "primary")


@dataclass(frozen=True)
class Registration:
    """A plan with the date it was fixed on and the hash of both.

    Attributes:
        path: its file.
        registered: UTC time, ISO 8601 in seconds.
        plan: what counts: `asked` and `analysis` (see `plan_content`).
        notes: what was known at the time: versions, detectable differences, the run's digest.
        earlier: registrations that this one amends, oldest first.
        sha256: of all of it.
    """

    path: Path
    registered: str
    plan: Mapping[str, Any]
    notes: Mapping[str, Any]
    earlier: Sequence[Mapping[str, Any]]
    sha256: str

    @property
    def time(self) -> float:
        """Seconds since the epoch."""
        return datetime.fromisoformat(self.registered).timestamp()

    @property
    def date(self) -> str:
        """`2026-11-26 04:53 UTC`."""
        return datetime.fromisoformat(self.registered).strftime("%Y-%m-%d %H:%M UTC")

    @property
    def short(self) -> str:
        """The first digits of the hash."""
        return self.sha256[:12]

    @property
    def family(self) -> list[Mapping[str, Any]]:
        """What is confirmatory: contrast, condition, baseline and weights of each."""
        return list(self.plan["analysis"]["family"])


def registration_path(spec: Spec) -> Path:
    """Where the registration of a spec is: as it says itself, or `<spec>.registered.json`."""
    named = spec.experiment.analysis.registration
    if named is not None:
        return spec.resolve(named)
    path = Path(spec.document.path)
    return path.with_name(f"{path.stem}.registered.json")


def find_registration(spec: Spec) -> Registration | None:
    """The registration of a spec, if there is one.

    Raises:
        UserError: it was changed since, it cannot be read, or the spec names a file that is not
            there.
    """
    path = registration_path(spec)
    if path.is_file():
        return read_registration(path)
    if spec.experiment.analysis.registration is not None:
        raise spec.document.error(f"no such file: {path}", ("analysis", "registration"))
    return None


def read_registration(path: Path) -> Registration:
    """Read a registration and check its hash.

    Raises:
        UserError: it is no registration, or its content is not what was registered.
    """
    try:
        data = orjson.loads(path.read_bytes())
        stored = data.pop("sha256")
        kept = {name: data[name] for name in ("registered", "plan", "notes", "earlier")}
        known = data["format"]
        datetime.fromisoformat(kept["registered"])
        kept["plan"]["analysis"]["family"], kept["plan"]["asked"]["models"]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path} is not a registration of promptlab, or is damaged") from None
    if known != FORMAT:
        raise UserError(f"{path} has format {known}; this promptlab reads format {FORMAT}")
    found = _hash(data)
    if found != stored:
        raise UserError(
            f"{path} was changed after it was registered: its content has the SHA-256 "
            f"{found[:12]}, but {str(stored)[:12]} is written in it; put the registered file back, "
            "or register anew"
        )
    return Registration(path=path, sha256=stored, **kept)


def register(
    path: Path, plan: Plan, notes: Mapping[str, Any], earlier: Registration | None = None
) -> Registration:
    """Write the registration of a plan, dated now.

    Args:
        path: the file.
        plan: what will be asked.
        notes: what else is worth keeping; not part of what is compared later.
        earlier: the registration that this one amends; it is kept inside.
    """
    content = {
        "format": FORMAT,
        "experiment": plan.spec.experiment.name,
        "description": plan.spec.experiment.description,
        "registered": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(Path(plan.spec.document.path).resolve().parent),
        "plan": planned(plan),
        "notes": dict(notes)
        | {"digest": plan.digest, "versions": build_lock(plan, {})["versions"]},
        "earlier": [*earlier.earlier, _kept(earlier)] if earlier else [],
    }
    content = orjson.loads(_canonical(content))
    text = orjson.dumps(content | {"sha256": _hash(content)}, option=orjson.OPT_INDENT_2)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(text + b"\n")
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return read_registration(path)


def _kept(registration: Registration) -> dict[str, Any]:
    return {
        "registered": registration.registered,
        "sha256": registration.sha256,
        "plan": registration.plan,
    }


def planned(plan: Plan) -> dict[str, Any]:
    """What counts of a plan, before anything is asked."""
    import pandas as pd

    rows = [condition_row(c) for c in plan.conditions]
    conditions = pd.DataFrame(rows, columns=list(CONDITION_COLUMNS))
    experiment = plan.spec.experiment
    options = experiment.analysis.options()
    return plan_content(build_lock(plan, {}), experiment, conditions, options)


def plan_content(
    lock: Mapping[str, Any],
    experiment: Experiment,
    conditions: pd.DataFrame,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What counts of a plan or a run, as JSON-ready data that can be compared.

    Args:
        lock: the run's lock, or that of a plan.
        experiment: the spec.
        conditions: the conditions table.
        options: of the analysis, as `AnalysisSpec.options` gives them.

    Returns:
        `asked`: models, tasks with hashes of items, demonstrations and cards, conditions with their
        texts, shots, replicates, parameters, seed; where they are not the usual ones wordings,
        settings of methods and joiner, and the race where there is one. `analysis`: the options,
        with the contrasts and the confirmatory family spelled out.
    """
    from promptlab.analysis.contrast_kinds import (
        Contrast,
        confirmatory_family,
        named_contrasts,
    )

    names = [str(c) for c in conditions["condition"]]
    baseline = options["baseline"]
    others = named_contrasts(options["contrasts"], conditions, names, baseline)
    single = [
        Contrast("vs_original", c, baseline, {c: 1.0, baseline: -1.0})
        for c in names
        if c != baseline
    ]
    family = confirmatory_family(options["confirmatory"], conditions, names, others, baseline)
    plain = {k: v for k, v in options.items() if k not in ("confirmatory", "contrasts")}
    columns = [c for c in CONDITION_COLUMNS if c in conditions]
    asked = {
        "models": {m: _part(facts, _MODEL) for m, facts in lock["models"].items()},
        "tasks": {t: _part(facts, _TASK) for t, facts in lock["tasks"].items()},
        "conditions": {
            str(row["condition"]): row for row in conditions[columns].to_dict("records")
        },
        "limits": [
            c.max_tokens
            for c in experiment.conditions
            if not isinstance(c, str) and c.max_tokens is not None
        ],
        "shots": list(experiment.shots),
        "replicates": experiment.replicates,
        "params": dict(experiment.params),
        "seed": experiment.seed,
    }
    if "wordings" in lock:
        asked["wordings"] = {
            task: {name: facts["sha256"] for name, facts in wordings.items()}
            for task, wordings in lock["wordings"].items()
        }
    if "methods" in lock:
        asked["methods"] = lock["methods"]
    if experiment.joiner != " ":
        asked["joiner"] = experiment.joiner
    if experiment.race is not None:
        asked["race"] = experiment.race.model_dump()
    content = {
        "asked": asked,
        "analysis": plain
        | {
            "contrasts": list(dict.fromkeys(["vs_original", *(c.kind for c in others)])),
            "family": [_spelled(c) for c in [*single, *others] if c.key in family],
        },
    }
    plain_json: dict[str, Any] = orjson.loads(_canonical(content))
    return plain_json


def _part(facts: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: facts.get(name) for name in names}


def _spelled(contrast: Any) -> dict[str, Any]:
    kind, condition, baseline = contrast.key
    weights = {c: round(w, 9) for c, w in contrast.weights.items()}
    return {"contrast": kind, "condition": condition, "baseline": baseline, "weights": weights}


def _canonical(content: Any) -> bytes:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(content, option=options)


def _hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON: sorted keys, no blanks."""
    return hashlib.sha256(_canonical(content)).hexdigest()


def _commit(folder: Path) -> str | None:
    """The commit that the spec's folder is at, where git can tell."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
