"""`promptlab init`: a commented spec to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli._app import app

_SPEC = """\
# yaml-language-server: $schema={schema}
# An experiment: models x tasks x conditions x shots. `promptlab plan {file}` says what it would
# ask and cost; `promptlab run {file}` runs it, and again is free.
name: {name}

models:
  - local/smollm2-135m            # runs on this machine, no key: promptlab models pull smollm2-135m
  # - openai/gpt-4o-mini          # any provider/model of litellm; key from OPENAI_API_KEY
  # - {{id: openai/my-model, api_base: "http://127.0.0.1:8000/v1", params: {{max_tokens: 16}}}}

tasks:                            # promptlab list tasks; more tasks show smaller effects
  - procedural/plural
  - procedural/second_letter
  - procedural/word_sorting
  - procedural/last_word
  - procedural/reverse_words
  - procedural/sum
  - procedural/number_to_words

conditions:                       # promptlab list stimuli
  - original
  - {{stimuli: [EP02, EP03, NP01, NP03]}}
  - {{stimuli: [EP02-neutral, EP03-neutral, NP01-neutral, NP03-neutral]}}   # matched controls
  # - zero_shot_cot               # promptlab list methods: better than what?
  # - {{method: expert_persona, text: You are an expert in grammar.}}

shots: 5                          # demonstrations before each item; a list crosses them
items: 40                         # items a task, the same in every condition
replicates: 1
seed: 1

analysis:
  baseline: original
  alpha: 0.05
  equivalence_margin: 0.02        # differences within 2 points count as equivalent
  confirmatory: [EP02, NP01]      # decided before looking; everything else is exploratory
  contrasts: [vs_control]         # each stimulus against its control; also valence, theory

# instructions: {{paraphrases: 3}}  # other wordings of the instruction, where a task has them
# design: race                    # block by block, without what is decided
"""


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("experiment.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented spec, and its JSON Schema beside it for editors."""
    from promptlab.cli.schema import schema_text
    from promptlab.errors import UserError

    if path.exists() and not force:
        raise UserError(f"{path} exists; name another file or add --force")
    schema = path.with_name("promptlab.schema.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        schema.write_text(schema_text(), encoding="utf-8")
        name = "".join(c if c.isalnum() or c in "_-" else "-" for c in path.stem).strip("-_")
        text = _SPEC.format(file=path, name=name or "experiment", schema=f"./{schema.name}")
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from None
    typer.echo(f"wrote {path} (and {schema} for editors)\nnext: promptlab plan {path}")
