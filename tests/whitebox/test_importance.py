from __future__ import annotations

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


def added(one: Example) -> str:
    prompt = one.prompt if isinstance(one.prompt, str) else " ".join(m.content for m in one.prompt)
    return " ".join(w for i, w in enumerate(prompt.split()) if i in one.stimulus)


@pytest.mark.parametrize("style", ["completion", "chat"])
def test_a_spec_gives_its_prompts_item_by_item_with_the_words_added(style: str) -> None:
    found = as_examples({**SPEC, "style": style, "shots": [0, 2]}, limit=2)
    assert len(found) == 2 * 4 * 2 * 2
    assert len({(e.task, e.item_id) for e in found[:16]}) == 2, "the first item of each task"
    texts = {s.id: s.text for s in library()}
    wanted = {
        "original": "",
        "EP02": texts["EP02"],
        "EP03@system": texts["EP03"],
        "zero_shot_cot": "Let's think step by step.",
    }
    assert {e.condition: added(e) for e in found} == wanted
    assert {e.shots for e in found} == {0, 2}
    assert all(e.answer for e in found)


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
    assert "EP07, all tasks: the words that it added carry" in done.output
    assert "Positive words carry more than 50 %" in done.output
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
    assert "3 of 8 prompts are written" in done.output
    kept = pd.read_csv(tmp_path / "part" / "importance.csv")
    assert kept.groupby(["task", "item_id", "condition"]).ngroups == 3
