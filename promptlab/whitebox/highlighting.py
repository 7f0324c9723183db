"""The heat map as inline HTML, for a notebook or a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from promptlab.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.shading import Scale

__all__ = ["Highlight", "highlight"]

_PROMPT = ["model", "task", "item_id", "condition", "shots", "instruction", "measure"]
_BLOCK = "font-family:sans-serif;font-size:14px;line-height:1.9;margin:0 0 .8em"
_HEAD = "font-size:12px;color:#6b6b6b"


@dataclass(frozen=True, slots=True)
class Highlight:
    """Prompts with their words on colours; a notebook shows it, `html` is the text of it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Highlight: {len(self.html)} characters of HTML>"


def highlight(
    importance: pd.DataFrame, *, scale: Scale = "auto", limit: int | None = 12, **chosen: Any
) -> Highlight:
    """The prompts of a table, every word on the colour of its importance.

    Colours are scaled within each prompt. Words of the stimulus are underlined; the value is shown
    when the pointer rests on a word. All texts are escaped.

    Args:
        importance: the table of `word_importance`.
        scale: as for `promptlab.analysis.figures.words`.
        limit: at most this many prompts; None for all.
        chosen: columns and the value they must have, such as `measure="occlusion"`.

    Raises:
        UserError: an unknown column, no such prompt, another scale.
    """
    rows = importance
    for column, value in chosen.items():
        if column not in rows:
            near = did_you_mean(column, map(str, rows.columns))
            raise UserError(f"word importance has no column '{column}'{near}")
        rows = rows[rows[column] == value]
    if rows.empty:
        raise UserError(f"no word importance for {chosen}" if chosen else "there is no word")
    blocks = [part for _, part in rows.groupby(_PROMPT, sort=False)]
    shown = blocks[:limit]
    parts = [_block(part.sort_values("position"), scale) for part in shown]
    if len(shown) < len(blocks):
        parts.append(f'<p style="{_HEAD}">{len(blocks) - len(shown)} more prompts</p>')
    return Highlight("".join(parts))


def _block(part: pd.DataFrame, scale: Scale) -> str:
    first = part.iloc[0]
    head = [str(first[c]) for c in ("task", "item_id", "condition", "measure") if first[c] != ""]
    said = f"{', '.join(head)}; loss of the answer {float(first['loss']):.2f} nats"
    body = "".join(_words(part, scale))
    return f'<div style="{_BLOCK}"><div style="{_HEAD}">{escape(said)}</div>{body}</div>'


def _words(part: pd.DataFrame, scale: Scale) -> Iterator[str]:
    from matplotlib.colors import to_rgb

    from promptlab.analysis.shading import shades, text_color

    line = None
    for row, color in zip(part.to_dict("records"), shades(part["value"], scale), strict=True):
        if line is not None:
            yield "<br>" if row["line"] != line else " "
        line = row["line"]
        ink = text_color(to_rgb(color))
        under = ";text-decoration:underline" if row["group"] == "stimulus" else ""
        style = f"background:{color};color:{ink};padding:1px 3px;border-radius:3px{under}"
        title = escape(f"{row['value']:.4g}", quote=True)
        yield f'<span style="{style}" title="{title}">{escape(str(row["word"]))}</span>'
