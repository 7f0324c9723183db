"""A small recipe of one's own: two kinds of experiment on procedural tasks, and one claim."""

from __future__ import annotations

from pathlib import Path

RECIPE = """\
title: A paper
short: Paper
authors: Us (2026)
arxiv: "0000.00000"
library: emotionprompt
protocols:
  controlled:
    description: What is done.
    parts:
      - {name: first, spec: first.yaml, set: {shots: 2}}
      - {name: warm, spec: first.yaml, role: temperature, vary: {params.temperature: [0.5, 1.0]}}
"""
CLAIMS = """\
claims:
  - {id: gain, statement: It helps., statistic: gain_of_best, benchmark: procedural, published: 8,
     unit: percent, how: somehow, status: CONFIRMED, source: us}
"""
FIRST = """\
name: first
models: ["mock/skilled?p=0.6"]
tasks: [procedural/plural, procedural/sum, procedural/first_letter]
conditions: [original, {stimuli: [EP01, EP02]}, {stimuli: [EP01-neutral, EP02-neutral]}]
"""
PUBLISHED = "table,benchmark,shots,base,row,model,quantity,value,unit,status,source\n"


def write_recipe(folder: Path) -> Path:
    """Write the recipe's files; returns the folder."""
    folder.mkdir()
    for name, text in (
        ("recipe.yaml", RECIPE),
        ("claims.yaml", CLAIMS),
        ("first.yaml", FIRST),
        ("published.csv", PUBLISHED),
    ):
        (folder / name).write_text(text)
    return folder
