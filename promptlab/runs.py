"""The run directory and the handle on it.

    runs/<UTC time>_<name>_<hash>/
        spec.yaml  lock.json  status.json  log.jsonl  registration.json (of a registered plan)
        plan.parquet  responses.parquet  scores.parquet  conditions.parquet
        contrasts.parquet  best.parquet  sensitivity.parquet  wordings.parquet
        race.json  race.parquet  race_path.parquet      (of a race)
        judges/<rubric>_<judge>_<hash>/                 (of each judging: promptlab judge)
        report/index.html  report/tables/  report/figures/

A run of the same plan continues in the same directory; a changed spec makes a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from filelock import FileLock, Timeout

from promptlab.errors import UserError
from promptlab.files import write_private

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from promptlab.judges import Judging
    from promptlab.plan import Plan
    from promptlab.registered import Standing
    from promptlab.spec import AnalysisSpec

__all__ = ["Asked", "Run", "list_runs", "load", "locked_directory"]

_TABLES = (
    "plan",
    "responses",
    "scores",
    "conditions",
    "contrasts",
    "best",
    "sensitivity",
    "wordings",
)


class Asked(Protocol):
    """A folder with a status file, for which models are asked: a run, or a judging of one."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def status(self) -> dict[str, Any]:
        """State and counts."""


class Run:
    """A finished or unfinished run: its tables as data frames, its figures, its report.

    Attributes:
        path: the run directory.
        lock: hashes, seeds and versions.
        status: state (`running`, `complete`, `incomplete`, `interrupted`), counts and failures.
    """

    def __init__(self, path: Path | str) -> None:
        self.path: Path = Path(path)
        if not (self.path / "lock.json").is_file():
            known = [run.path.name for run in list_runs(self.path.parent)]
            hint = f"; runs there: {', '.join(known[-5:])}" if known else ""
            raise UserError(f"{self.path} is not a run directory{hint}")
        self.lock: dict[str, Any] = read_json(self.path / "lock.json")

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return str(self.lock["name"])

    @property
    def status(self) -> dict[str, Any]:
        """State and counts; read anew each time, so that a running run can be watched."""
        path = self.path / "status.json"
        return read_json(path) if path.is_file() else {"state": "running"}

    def responses(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """What every request got, one row for each step of each planned request.

        Args:
            columns: the columns to read; all unless given.
        """
        return self._table("responses", columns)

    def scores(self) -> pd.DataFrame:
        """One row for each planned request and scoring protocol, judges' protocols included."""
        from promptlab.judges.scores import with_judged

        return with_judged(self.path, self._table("scores"))

    def judge(self, judge: Any, rubric: Path | str = "human_study", **options: Any) -> Judging:
        """Have the answers judged by a model, and analyse the run again with its scores.

        Args:
            judge: model id, mapping as under `models` of a spec, or the path of such a YAML file.
            rubric: name of a built-in rubric, or the path of one.
            options: of `promptlab.judges.judge_run`.
        """
        from promptlab.judges import judge_run

        return judge_run(self, judge, rubric, **options)

    def judgings(self) -> list[Judging]:
        """What judges have been asked about this run, oldest first."""
        from promptlab.judges import list_judgings

        return list_judgings(self.path)

    def judgements(self) -> pd.DataFrame:
        """Every reply of every judge, one row for each answer, criterion and order.

        Raises:
            UserError: no judge was asked.
        """
        from promptlab.judges import judgements

        return judgements(self.path)

    def conditions(self) -> pd.DataFrame:
        """Condition, method, valence, library, text, matched_to, theory."""
        return self._table("conditions")

    def contrasts(self, baseline: str | None = None, **options: Any) -> pd.DataFrame:
        """Every condition against the baseline, and the named contrasts, paired by item.

        Where the plan was registered, only what it registered is `confirmatory` (`family`);
        `standing()` says whether the analysis is the registered one.

        Args:
            baseline: another baseline than the spec's; the contrasts are then computed anew.
            options: options of `promptlab.analysis.contrasts`; likewise.

        Raises:
            UserError: the design is a race, which was run for its own baseline, alpha, margin and
                missing-data policy, and holds for no other.
        """
        if baseline is None and not options:
            return self._table("contrasts")
        from promptlab.analysis.contrast_table import contrasts

        planned = self.analysis.options()
        given = planned | options
        if baseline:
            given["baseline"] = baseline
        raced = (self.path / "race.parquet").is_file()
        names = ("baseline", "alpha", "margin", "missing")
        changed = [name for name in names if given[name] != planned[name]]
        if raced and changed:
            raise UserError(
                f"{self.path.name} was raced with its own {changed[0]}, and what it asked depends "
                f"on that; ask for its contrasts without another {changed[0]}"
            )
        policy = {"missing": "drop_pair"} if raced else {}  # what was not asked is not wrong
        options = {"seed": self.lock["seed"]} | given | policy
        found = contrasts(self.scores(), self.conditions(), **options)
        if raced:
            from promptlab.analysis.race_contrasts import raced_contrasts

            found = raced_contrasts(found, self.race())
        return self.standing(**given).mark(found)

    def standing(self, **options: Any) -> Standing:
        """Whether the analysis is the registered one, and what differs.

        Args:
            options: of `promptlab.analysis.contrasts`, where they are not the spec's.

        Raises:
            UserError: the run's registration was changed since.
        """
        from promptlab.registered import standing
        from promptlab.registration import plan_content, read_registration
        from promptlab.spec import load_spec

        path = self.path / "registration.json"
        found = read_registration(path) if path.is_file() else None
        if found is None:
            return standing(None, {})
        experiment = load_spec(self.path / "spec.yaml").experiment
        given = experiment.analysis.options() | options
        kept = {name: given[name] for name in experiment.analysis.options()}
        now = plan_content(self.lock, experiment, self.conditions(), kept)
        answers = self.responses(["status", "created"])
        asked = answers.loc[answers["status"] != "missing", "created"]
        return standing(found, now, asked)

    def best(self) -> pd.DataFrame:
        """The best stimulus per task, beside what no effect at all would give."""
        return self._table("best")

    def sensitivity(self) -> pd.DataFrame:
        """Whether a conclusion depends on the scoring protocol."""
        return self._table("sensitivity")

    def wordings(self) -> pd.DataFrame:
        """Whether a conclusion depends on the wording of the instructions; empty if not crossed."""
        if "wordings" in self.lock:
            return self._table("wordings")
        import pandas as pd

        from promptlab.analysis.wording_table import WORDING_COLUMNS

        return pd.DataFrame(columns=list(WORDING_COLUMNS))

    def race(self, *, path: bool = False) -> pd.DataFrame:
        """What a race found of every condition: difference, interval, verdict, why it left.

        Args:
            path: instead one row for each block and condition asked in it.

        Raises:
            UserError: the design of this run is not a race.
        """
        from promptlab.spec import load_spec

        if load_spec(self.path / "spec.yaml").experiment.race is None:
            raise UserError(
                f"{self.path.name} is not a race: it asks every request; write 'design: race'"
            )
        return self._table("race_path" if path else "race")

    def figure(self, name: str, *, model: str | None = None, shots: int | None = None) -> Figure:
        """A figure of the report.

        Args:
            name: `forest`, `heatmap`, `baseline`, `moved`, `sensitivity` or `wordings`.
            model: label of the model; the first unless given.
            shots: number of demonstrations; the first unless given.
        """
        from promptlab.report import draw_figure

        return draw_figure(self, name, model=model, shots=shots)

    @property
    def analysis(self) -> AnalysisSpec:
        """The plan of the analysis in the run's own spec."""
        from promptlab.spec import load_spec

        return load_spec(self.path / "spec.yaml").experiment.analysis

    def _table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        import pandas as pd

        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise UserError(
                f"{self.path.name} has no {name} yet (state: {self.status.get('state')}); "
                "run the spec again to finish it"
            )
        try:
            return pd.read_parquet(path, columns=None if columns is None else list(columns))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); run the spec again") from None

    def __repr__(self) -> str:
        status = self.status
        return f"<Run {self.path.name}: {status.get('state')}, {status.get('planned')} planned>"


def load(path: Path | str) -> Run:
    """Open a run directory.

    Raises:
        UserError: it is not one; lists the runs beside it.
    """
    return Run(path)


def list_runs(folder: Path) -> list[Run]:
    """Runs in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return [Run(p.parent) for p in sorted(folder.glob("*/lock.json"))]


@contextmanager
def locked_directory(plan: Plan, folder: Path) -> Iterator[Path]:
    """The directory of this plan's run, held by this process alone.

    The newest directory of the same plan is continued; if another process is working in it, or
    there is none, a new one is made.

    Raises:
        UserError: the folder cannot be written.
    """
    suffix = f"{plan.spec.experiment.name}_{plan.digest[:8]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in [*sorted(folder.glob(f"*_{suffix}"), reverse=True), None]:
            path = path or _new_directory(folder, suffix)
            lock = FileLock(path / ".lock", timeout=0, mode=0o600)
            try:
                with lock:
                    yield path
                    return
            except Timeout:
                continue
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write a run in {error.filename or folder}: {reason}; free the space or name "
            "another folder with PROMPTLAB_RUNS_DIR or 'runs_dir'"
        ) from None


def _new_directory(folder: Path, suffix: str) -> Path:
    now = datetime.now(UTC)
    for n in range(1_000):
        stamp = now.strftime("%Y%m%dT%H%M%SZ") + (f"-{n}" if n else "")
        path = folder / f"{stamp}_{suffix}"
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{folder} already holds a thousand runs of this second")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run."""
    try:
        data = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged: it holds no mapping")
    return data


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file that appears whole or not at all."""
    write_private(path, orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str))
