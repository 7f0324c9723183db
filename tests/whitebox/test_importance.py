from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tiny import llama, t5

from promptlab import whitebox
from promptlab.errors import MissingData, UserError
from promptlab.stimuli import library
from promptlab.whitebox import opening
from promptlab.whitebox.examples import Example, as_examples
from promptlab.whitebox.importance import IMPORTANCE_COLUMNS, word_importance

SPEC: dict[str, Any] = {
    "name": "w",
    "models": ["openai/anything"],
    "tasks": ["procedural/plural", "procedural/sum"],
    "conditions": [
        "original",
        "EP02",
        "zero_shot_cot",
        {"stimuli": ["EP03"], "position": "system"},
    ],
    "items": 3,
    "style": "completion",
}


def said(one: Example, positions: frozenset[int]) -> str:
    prompt = one.prompt if isinstance(one.prompt, str) else " ".join(m.content for m in one.prompt)
    return " ".join(w for i, w in enumerate(prompt.split()) if i in positions)


TEXTS = {s.id: s.text for s in library()}
TRIGGER = "Let's think step by step."
PERSONA = "You are an expert with many years of experience in tasks like this one."
PLACED: list[tuple[str, str, str, Any]] = [
    ("original", "", "", "original"),
    ("EP02", TEXTS["EP02"], "", "EP02"),
    ("EP03@system", TEXTS["EP03"], "", {"stimuli": ["EP03"], "position": "system"}),
    ("zero_shot_cot", "", TRIGGER, "zero_shot_cot"),
    (
        *("zero_shot_cot+EP02", TEXTS["EP02"], TRIGGER),
        {"method": "zero_shot_cot", "stimuli": ["EP02"]},
    ),
    (
        *("expert_persona+EP02", TEXTS["EP02"], PERSONA),
        {"method": "expert_persona", "stimuli": ["EP02"]},
    ),
    (
        *("EP01@before_instruction", TEXTS["EP01"], ""),
        {"stimuli": ["EP01"], "position": "before_instruction"},
    ),
    ("EP01@after_input", TEXTS["EP01"], "", {"stimuli": ["EP01"], "position": "after_input"}),
    (
        *("shout+EP04", TEXTS["EP04"].upper(), "Please: Q:"),
        {
            "method": "template",
            "name": "shout",
            "text": "Please: {{ instruction }} {{ stimulus | upper }} Q: {{ input }}",
            "stimuli": ["EP04"],
        },
    ),
    (
        *("cut+EP04", "", "sure? you"),
        {
            "method": "template",
            "name": "cut",
            "text": "{{ instruction }} {{ stimulus.split() | reverse | join(' ') | truncate(9) }}"
            " {{ input }}",
            "stimuli": ["EP04"],
        },
    ),
]


@pytest.mark.parametrize("style", ["completion", "chat"])
def test_a_spec_gives_its_prompts_item_by_item_with_the_words_of_every_part(style: str) -> None:
    conditions = [condition for *_, condition in PLACED]
    spec = {**SPEC, "style": style, "shots": [0, 2], "conditions": conditions}
    found = as_examples(spec, limit=2)
    assert len(found) == 2 * len(PLACED) * 2 * 2
    first = found[: len(found) // 2]
    assert len({(e.task, e.item_id) for e in first}) == 2, "the first item of each task"
    assert {e.condition: said(e, e.stimulus) for e in found} == {i: s for i, s, *_ in PLACED}
    methods = {e.condition: said(e, e.method) for e in found if e.shots == 0}
    assert methods == {i: m for i, _, m, _ in PLACED} | {"cut+EP04": methods["cut+EP04"]}
    assert methods["cut+EP04"], "what a template makes of a sentence is the template's"
    assert {e.shots for e in found} == {0, 2}
    assert all(e.answer for e in found)


def test_a_replaced_instruction_is_the_methods() -> None:
    texts = {"procedural/plural": "Write many of the word."}
    condition = {"method": "instructions", "texts": texts, "stimuli": ["EP04"]}
    spec = {**SPEC, "tasks": ["procedural/plural"], "conditions": ["original", condition]}
    one = as_examples(spec, limit=1)[1]
    assert said(one, one.stimulus) == TEXTS["EP04"]
    assert said(one, one.method) in ("Write many of the word.", "many of the word.")


def test_the_opened_models_own_prompts_are_taken() -> None:
    spec = {**SPEC, "models": ["openai/gpt-4o", "local/m"], "conditions": ["original"]}
    del spec["style"]
    ends = {}
    for opened in ("local/m", "m", "google/other", "openai/gpt-4o"):
        one = as_examples(spec, opened=opened)[0]
        ends[opened] = "chat" if not isinstance(one.prompt, str) else one.prompt[-7:]
    own = ends["local/m"]
    assert ends == {"local/m": own, "m": own, "google/other": own, "openai/gpt-4o": "chat"}
    assert own == "Output:"


@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("paper", "\nAnswer: "),
        ({"variant": "paper"}, "\nAnswer: "),
        ({"variant": "paper", "answer_label": "So:"}, "\nSo: "),
        ({"variant": "paper", "trailing_space": False}, "\nAnswer:"),
        ("plain", "\nOutput:"),
        ({"variant": "plain"}, "\nOutput:"),
    ],
)
def test_text_for_a_model_without_chat_template_has_the_layout(template: Any, end: str) -> None:
    spec = {**SPEC, "style": "chat", "template": template, "conditions": ["original"]}
    one = as_examples(spec, can_chat=False)[0]
    assert isinstance(one.prompt, str)
    assert one.prompt.endswith(end)


def test_a_model_without_chat_template_reads_text() -> None:
    found = as_examples({**SPEC, "style": "chat"}, can_chat=False)
    assert all(isinstance(e.prompt, str) and e.prompt.endswith("Answer: ") for e in found[:1])


def test_the_table_has_a_row_a_word_and_measure() -> None:
    spec = {**SPEC, "conditions": ["original", "EP07"], "tasks": ["procedural/plural"]}
    told: list[tuple[int, int]] = []
    found = word_importance(llama(), spec, limit=1, on_progress=lambda *n: told.append(n))
    assert tuple(found) == IMPORTANCE_COLUMNS
    assert told == [(1, 2), (2, 2)]
    assert found["value"].notna().all()
    stimulated = found[(found["condition"] == "EP07") & (found["measure"] == "occlusion")]
    assert stimulated["position"].tolist() == list(range(len(stimulated)))
    text = next(s.text for s in library() if s.id == "EP07")
    assert stimulated.loc[stimulated["group"] == "stimulus", "word"].tolist() == text.split()
    positive = set(stimulated.loc[stimulated["positive"], "word"])
    assert positive == {"sure", "Believe", "abilities", "strive", "excellence.", "remarkable"}
    again = word_importance(llama(), spec, limit=1)
    pd.testing.assert_frame_equal(found, again)


def test_sentences_of_ones_own() -> None:
    rows = [
        {"prompt": "Plural of goose? Be sure.", "answer": "geese", "stimulus": "Be sure."},
        {"prompt": "Plural of goose?", "answer": "geese", "item_id": "g", "task": "plural"},
    ]
    for source in (rows, pd.DataFrame(rows).fillna("")):
        found = word_importance(t5(), source, measures="gradient_norm", positive=["Goose"])
        assert found["group"].tolist() == ["task"] * 3 + ["stimulus"] * 2 + ["task"] * 3
        assert found["item_id"].unique().tolist() == ["item-1", "g"]
        assert found.loc[found["positive"], "word"].tolist() == ["goose?", "goose?"]
        assert found["condition"].unique().tolist() == ["stimulus", "original"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "no prompt"),
        (7, "not int"),
        ([{"prompt": "a", "answer": ""}], "prompt 1 has no 'answer'"),
        ([{"prompt": "a", "answr": "b"}], "did you mean 'answer'"),
        ([{"prompt": "a b", "answer": "b", "stimulus": "c"}], "prompt 1: .* not in the prompt"),
        ([{"prompt": "a a", "answer": "b", "stimulus": "a"}], "2 times in the prompt"),
        ([("a", "b")], "is no example"),
        ("nothing.yaml", "no such file"),
    ],
)
def test_what_is_no_prompt_is_said(source: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        word_importance(llama(), source)


def test_measures_have_names() -> None:
    with pytest.raises(UserError, match="did you mean 'occlusion'"):
        word_importance(llama(), [], measures=["oclusion"])
    with pytest.raises(UserError, match="at least one measure"):
        word_importance(llama(), [], measures=[])


def test_html_is_escaped() -> None:
    rows = [{"prompt": '<b>bold</b> "q" & more', "answer": "x", "task": "<script>"}]
    found = word_importance(llama(), rows)
    shown = whitebox.highlight(found)._repr_html_()
    assert "<b>" not in shown
    assert "<script>" not in shown
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown
    assert shown.count("<span") == 3 * 4
    assert "2 more prompts" in whitebox.highlight(found, limit=1).html
    with pytest.raises(UserError, match="did you mean 'measure'"):
        whitebox.highlight(found, measur="occlusion")


def test_positive_words_of_the_paper_and_ours() -> None:
    paper, ours = whitebox.positive_words("paper"), whitebox.positive_words("ours")
    assert paper == {"confidence", "sure", "success", "achievement"}
    assert not paper & ours
    assert whitebox.positive_words() == paper | ours
    with pytest.raises(UserError, match="unknown source"):
        whitebox.positive_words("theirs")  # type: ignore[arg-type]


def test_models_of_a_folder_open_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made, kind in ((t5(), "encoder-decoder"), (llama(), "decoder")):
        folder = tmp_path / made.name
        made._model.save_pretrained(folder)
        made._tokenizer.save_pretrained(folder)
        opened = whitebox.load(folder)
        assert opened.kind == kind
        assert opened.loss("a goose", "b") == pytest.approx(made.loss("a goose", "b"), rel=1e-4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot open"):
        whitebox.load(tmp_path / "empty")
    with pytest.raises(MissingData, match="no such file"):
        whitebox.load("local/nothing.gguf")
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'promptlab-experiments\[whitebox\]'"):
        whitebox.load("local/smollm2-135m")


def test_the_verb_writes_tables_and_pictures_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from promptlab.cli import importance  # noqa: F401
    from promptlab.cli._app import app
    from promptlab.whitebox import importance as table

    spec = tmp_path / "s.yaml"
    spec.write_text(
        yaml.safe_dump({**SPEC, "models": ["local/m"], "conditions": ["original", "EP07"]})
    )
    monkeypatch.setattr(opening, "load", lambda name: llama())
    command = ["importance", str(spec), "--limit", "2", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "EP07, all tasks: the words of the stimulus carry" in done.output
    assert "original, all tasks" not in done.output
    assert "Positive words of EP07 carry more than 50 %" in done.output
    assert done.output.endswith(f"written: {tmp_path / 'out'} (8 of 8 prompts)\n")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"importance.csv", "shares.csv", "positive.csv", "words.html"} <= names
    assert {f"words_gradient_norm.{kind}" for kind in ("pdf", "svg", "png")} <= names
    assert len(pd.read_csv(tmp_path / "out" / "importance.csv").groupby(["item_id", "condition"]))

    stream = table.stream_importance

    def interrupted(*given: Any, **options: Any) -> Any:
        for number, frame in enumerate(stream(*given, **options)):
            if number == 3:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(table, "stream_importance", interrupted)
    done = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "part")])
    assert done.exit_code == 130, done.output
    assert "interrupted: 3 of 8 prompts are written" in done.output
    assert f"written: {tmp_path / 'part'} (3 of 8 prompts)" in done.output
    kept = pd.read_csv(tmp_path / "part" / "importance.csv")
    assert kept.groupby(["task", "item_id", "condition"]).ngroups == 3


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The verb on a tiny model; gives its result, and its folder as `folder`."""
    from typer.testing import CliRunner

    from promptlab.cli import importance  # noqa: F401
    from promptlab.cli._app import app

    monkeypatch.setattr(opening, "load", lambda name: llama())

    def done(*options: str, **changed: Any) -> Any:
        spec = tmp_path / "s.yaml"
        conditions = ["original", "EP02", "EP07"]
        spec.write_text(
            yaml.safe_dump({**SPEC, "models": ["local/m"], "conditions": conditions, **changed})
        )
        command = ["importance", str(spec), "--limit", "1", "--out", str(tmp_path / "out")]
        return CliRunner().invoke(app, [*command, *options])

    done.folder = tmp_path / "out"  # type: ignore[attr-defined]
    return done


def test_several_stimuli_have_their_positive_words_written_and_named(run: Any) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    positive = pd.read_csv(run.folder / "positive.csv")
    assert set(positive["pooled"]) == {"EP07"}, "EP02 has no positive word"
    assert "Positive words of EP07 carry" in done.output
    assert "nan" not in done.output


def test_one_item_has_no_interval(run: Any) -> None:
    done = run(tasks=["procedural/plural"])
    assert "EP02, procedural/plural" in done.output
    assert "(one item: no interval)" in done.output
    assert "nan" not in done.output


def test_a_prompt_that_is_too_long_is_left_out_counted_and_named(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [len(c) for c in _tokens(run)]
    most = sorted(tokens)[-2]
    monkeypatch.setattr(opening, "load", lambda name: _reading(most))
    done = run()
    assert done.exit_code == 0, done.output
    assert "1 of 6 prompts" in done.output
    assert "item " in done.output
    assert "EP07, 0 shots: the prompt has" in done.output
    assert "(5 of 6 prompts)" in done.output
    assert pd.read_csv(run.folder / "importance.csv").groupby(["item_id", "condition"]).ngroups == 5
    monkeypatch.setattr(opening, "load", lambda name: _reading(3))
    done = run()
    assert isinstance(done.exception, UserError)
    assert "can read none of the 6 prompts" in str(done.exception)


def _reading(most: int) -> Any:
    model = llama()
    model._model.config.max_position_embeddings = most
    return model


def _tokens(run: Any) -> list[list[int]]:
    conditions = ["original", "EP02", "EP07"]
    examples = as_examples({**SPEC, "conditions": conditions}, limit=1)
    model = llama()
    return [list(model._encode(str(e.prompt), e.answer, False).ids) for e in examples]


def test_what_is_wrong_is_said_before_the_weights_are_opened(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: str) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(opening, "load", opened)
    file = tmp_path / "file"
    file.touch()
    for options, changed, message in (
        ([], {"conditions": ["original", "EP99"]}, "EP99"),
        ([], {"tasks": ["bigbench/snarks"], "data_dir": str(tmp_path)}, "promptlab data pull"),
        (["--out", str(file)], {}, f"cannot write to {file}: .*--out FOLDER"),
    ):
        done = run(*options, **changed)
        assert isinstance(done.exception, UserError), done.output
        assert re.search(message, str(done.exception))


def test_an_error_loses_nothing_that_is_finished(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptlab.whitebox import importance as table

    measure, calls = table.measure_words, []

    def breaks(*given: Any, **options: Any) -> Any:
        calls.append(given)
        if len(calls) == 4:
            raise RuntimeError("no memory")
        return measure(*given, **options)

    monkeypatch.setattr(table, "measure_words", breaks)
    (run.folder).mkdir()
    (run.folder / "words_occlusion.png").touch()
    done = run()
    assert isinstance(done.exception, RuntimeError)
    assert "(3 of 6 prompts)" in done.output
    kept = pd.read_csv(run.folder / "importance.csv")
    assert kept.groupby(["task", "item_id", "condition"]).ngroups == 3
    assert (run.folder / "shares.csv").is_file()
    assert not (run.folder / "words_occlusion.png").exists(), "of an earlier run"


def test_pictures_come_last_and_a_failure_of_theirs_loses_nothing(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptlab.report import pictures

    def breaks(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "save", breaks)
    done = run()
    assert done.exit_code == 130
    assert "written: " in done.output
    names = {p.name for p in run.folder.iterdir()}
    assert names == {"importance.csv", "shares.csv", "positive.csv", "words.html"}
