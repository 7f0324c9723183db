from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from promptlab.errors import DISTRIBUTION
from tests.cli.conftest import Result, Run

ROOT = Path(__file__).resolve().parents[2]
SPEC = """\
name: c
models: ["mock/skilled?p=0.6"]
tasks: [procedural/first_letter, procedural/plural]
conditions: [original, {stimuli: [EP02, NP01]}]
items: 6
"""


def result_of(done: Result) -> dict[str, Any]:
    """The last line of `run --json`."""
    result: dict[str, Any] = json.loads(done[1].splitlines()[-1])
    assert result["event"] == "result"
    return result


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def test_help_teaches_and_is_quick() -> None:
    heavy = "litellm datasets pandas scipy matplotlib numpy pyarrow aiohttp xllamacpp pydantic"
    code = (
        "import sys; sys.argv = ['promptlab', '--help']\n"
        "from promptlab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy.split()!r} if m in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr.strip() == "[]"
    assert "promptlab run SPEC" in done.stdout
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 2  # a guard against a slow import, not a timing: it is 0.2 s in practice


@pytest.mark.parametrize(
    "verb", ["run", "status", "plan", "show", "data pull", "models pull", "analyze"]
)
def test_every_verb_has_help(promptlab: Run, verb: str) -> None:
    code, out, _ = promptlab(*verb.split(), "--help")
    assert code == 0
    assert "Usage" in out


def test_version(promptlab: Run) -> None:
    assert re.match(r"promptlab \d+\.\d+", promptlab("--version")[1])


def test_init_writes_a_spec_that_is_valid(promptlab: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "my first.yaml"
    code, out, _ = promptlab("init", path)
    assert (code, "promptlab plan" in out) == (0, True)
    first_line = path.read_text().splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=./promptlab.schema.json"
    json.loads((path.parent / "promptlab.schema.json").read_text())
    assert promptlab("validate", path, "--set", "models=[mock/echo]")[0] == 0
    code, _, err = promptlab("init", path)
    assert (code, "--force" in err) == (2, True)


@pytest.mark.parametrize("what", ["tasks", "stimuli", "models", "metrics", "methods", "runs"])
def test_list(promptlab: Run, what: str) -> None:
    code, out, _ = promptlab("list", what, "--json")
    assert code == 0
    rows = json.loads(out)
    assert len(rows) >= (0 if what == "runs" else 3)
    assert promptlab("list", what)[0] == 0


def test_list_by_pattern(promptlab: Run) -> None:
    rows = json.loads(promptlab("list", "tasks", "bigbench/*", "--json")[1])
    assert len(rows) == 21
    assert "no stimuli match" in promptlab("list", "stimuli", "ZZ*")[1]


def test_schema(promptlab: Run) -> None:
    schema = json.loads(promptlab("schema")[1])
    assert {"name", "models", "tasks", "conditions"} <= set(schema["properties"])
    assert all("description" in field or "$ref" in field for field in schema["properties"].values())


def test_validate_names_the_line(promptlab: Run, spec: Path) -> None:
    assert promptlab("validate", spec)[0] == 0
    spec.write_text(SPEC.replace("items: 6", "item: 6"))
    code, _, err = promptlab("validate", spec)
    assert code == 2
    assert f"{spec}:5: item: unknown key 'item'; did you mean 'items'?" in err


def test_plan_counts_and_prices(promptlab: Run, spec: Path) -> None:
    code, out, _ = promptlab("plan", spec, "--json")
    plan = json.loads(out)
    assert code == 0
    assert (plan["cells"], plan["answers"]) == (6, 36)
    assert plan["models"][0]["stored"] == 0
    promptlab("run", spec, "--quiet")
    assert json.loads(promptlab("plan", spec, "--json")[1])["models"][0]["stored"] == 36
    hosted = ("--set", "models=[{id: openai/unheard-of, api_base: 'http://127.0.0.1:9/v1'}]")
    (model,) = json.loads(promptlab("plan", spec, *hosted, "--json")[1])["models"]
    assert model["cost_usd"] is None
    assert "unknown" in promptlab("plan", spec, *hosted)[1]
    priced = "models=[{id: openai/x, api_base: 'http://a/v1', price: {input: 1, output: 2}}]"
    assert "$" in promptlab("plan", spec, "--set", priced)[1]


def test_plan_says_that_no_difference_could_be_found() -> None:
    from promptlab.cli.plan import detectable_sentence

    row = {
        "protocol": "induction",
        "tasks": 4,
        "items": 50,
        "family": 2,
        "single": float("nan"),
        "corrected": float("nan"),
        "note": "use more tasks",
        "assumption": "assuming a lot",
    }
    nothing = "no difference, however large, can be found"
    alone = detectable_sentence(row)
    assert alone == f"over 4 tasks of 50 items, scored by induction, {nothing}\nuse more tasks"
    assert (
        "induction: 9.0 points for one contrast; "
        f"{nothing} when 2 share alpha (assuming a lot)\nuse more tasks"
    ) in detectable_sentence(row | {"single": 0.09})
    both = detectable_sentence(row | {"single": 0.09, "corrected": 0.1, "note": ""})
    assert both.endswith(
        "9.0 points for one contrast, 10.0 points when 2 share alpha (assuming a lot)"
    )


def test_plan_names_missing_data_and_what_to_type(
    promptlab: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(tmp_path / "none"))
    override = ("--set", "tasks=[bigbench/snarks, procedural/plural]")
    code, out, _ = promptlab("plan", spec, *override)
    assert (code, "promptlab data pull bigbench" in out) == (2, True)
    code, _, err = promptlab("run", spec, *override)
    assert (code, "promptlab data pull bigbench" in err) == (2, True)


def test_run_again_is_free(promptlab: Run, spec: Path) -> None:
    first = result_of(promptlab("run", spec, "--json"))
    assert (first["state"], first["asked"]) == ("complete", 36)
    again = result_of(promptlab("run", spec, "--json"))
    assert (again["run"], again["asked"], again["from_store"]) == (first["run"], 0, 36)
    code, out, _ = promptlab("run", spec)
    assert code == 0
    assert "EP02" in out
    assert "index.html" in out


def test_run_limit_model_set_and_dry_run(promptlab: Run, spec: Path) -> None:
    code, out, _ = promptlab("run", spec, "--dry-run", "--limit", 2, "--json")
    assert (code, json.loads(out)["answers"]) == (0, 12)
    done = promptlab("run", spec, "--limit", 2, "--model", "mock/echo", "--json")
    assert result_of(done)["asked"] == 12


def test_show_prints_the_exact_prompt(promptlab: Run, spec: Path) -> None:
    code, out, _ = promptlab("show", spec, "--task", "*/plural", "--condition", "EP02")
    assert code == 0
    assert "This is very important to my career." in out
    assert "Input: " in out
    (request,) = json.loads(
        promptlab("show", spec, "--task", "*/plural", "--condition", "EP02", "--json")[1]
    )
    assert request["request"]["messages"][0]["content"] in out
    assert request["condition"] == "EP02"
    for wrong in (("--task", "x"), ("--condition", "EP2"), ("--item", "99")):
        assert promptlab("show", spec, *wrong)[0] == 2


def test_score_and_report_of_a_run(promptlab: Run, spec: Path) -> None:
    run = result_of(promptlab("run", spec, "--json"))["run"]
    code, out, _ = promptlab("score", run)
    assert (code, "no model was asked" in out) == (0, True)
    page = Path(run) / "report" / "index.html"
    page.unlink()
    assert promptlab("report", run)[0] == 0
    assert page.is_file()
    code, _, err = promptlab("report", run + "x")
    assert (code, "is not a run directory" in err) == (2, True)


def test_analyze_a_table_of_ones_own(promptlab: Run, tmp_path: Path) -> None:
    rows = ["item_id,condition,score"]
    rows += [f"i{i},{c},{i * (2 + k) % 3 // 2}" for i in range(60) for k, c in enumerate("ab")]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(rows))
    code, out, _ = promptlab("analyze", table, "--baseline", "a", "--out", tmp_path / "report")
    assert code == 0
    assert "points" in out
    assert (tmp_path / "report" / "index.html").is_file()
    table.write_text("\n".join([*rows, "i0,a,1"]))
    code, _, err = promptlab("analyze", table, "--baseline", "a")
    assert (code, "Traceback" in err) == (2, False)
    assert "i0" in err


def test_doctor_prints_no_key(promptlab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    code, out, _ = promptlab("doctor")
    assert code == 0
    assert "OPENAI_API_KEY: set" in out
    assert "sk-planted" not in out


def test_data_status_and_pull_from_a_folder(
    promptlab: Run, tmp_path: Path, suites_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLAB_DATA_DIR", str(tmp_path / "data"))
    code, out, _ = promptlab("data", "status")
    assert (code, "promptlab data pull truthfulqa" in out) == (2, True)
    assert promptlab("data", "pull", "--from", suites_dir)[0] == 0
    assert promptlab("data", "status")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "Missing argument"),
        (["runn"], "No such command"),
        (["run", "absent.yaml"], "no such file: absent.yaml"),
        (["models", "pull", "smollm"], "did you mean 'smollm2-135m'"),
        (["data", "pull", "bigbenhc"], "did you mean 'bigbench'"),
    ],
)
def test_mistakes_are_one_message(promptlab: Run, words: list[str], says: str) -> None:
    code, _, err = promptlab(*words)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_printed_install_lines_name_our_distribution() -> None:
    """`promptlab` on the package index is somebody else's."""
    stray = re.compile(r"pip install\s+['\"]?(?:-\S+\s+)*promptlab(?!-experiments)")
    files = [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".yaml", ".toml", ".j2"}]
    skipped = {".venv", "build", ".git", "node_modules"}
    checked = [p for p in files if not skipped & set(p.relative_to(ROOT).parts)]
    assert checked
    for path in checked:
        assert not stray.search(path.read_text(encoding="utf-8")), path
    assert DISTRIBUTION == "promptlab-experiments"
