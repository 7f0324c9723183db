"""The table of word importance: one row a prompt, measure and word."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.whitebox.examples import Example, as_examples
from promptlab.whitebox.measures import MEASURES, check_measures, measure_words
from promptlab.whitebox.model import Unreadable, WhiteboxModel
from promptlab.whitebox.opening import load
from promptlab.whitebox.positive import positive_words
from promptlab.whitebox.words import bare, split_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IMPORTANCE_COLUMNS", "stream_importance", "word_importance"]

IMPORTANCE_COLUMNS = (
    *("model", "task", "item_id", "condition", "shots", "instruction", "measure"),
    *("position", "line", "word", "group", "positive", "value", "loss"),
)
"""Columns of the table.

`position` identifies a word in its prompt, `line` is where it stands, `group` is `stimulus` for the
words of the stimulus, `method` for those of a method (a trigger, a persona, another instruction)
and `task` for all others, `positive` whether it is in the list of
positive words, `value` the measure, `loss` that of the gold answer to the whole prompt, in nats.
"""


def stream_importance(
    model: WhiteboxModel,
    examples: Iterable[Example],
    *,
    measures: Sequence[str] | str = tuple(MEASURES),
    positive: Collection[str] | None = None,
    on_unreadable: Callable[[Unreadable], None] | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of one prompt after the other, as they are finished.

    Arguments as those of `word_importance`, and `on_unreadable`: told of a prompt that the model
    cannot read, which is then left out; unless given, that is an error.
    """
    wanted = check_measures(measures)
    good = positive_words() if positive is None else {bare(word) for word in positive}
    for one in examples:
        try:
            rows = _rows(model, one, wanted, good)
        except Unreadable as error:
            told = Unreadable(f"{one}: {error}")
            if on_unreadable is None:
                raise told from None
            on_unreadable(told)
            continue
        yield rows


def word_importance(
    model: WhiteboxModel | str | Path,
    prompts: object,
    *,
    measures: Sequence[str] | str = tuple(MEASURES),
    limit: int | None = None,
    positive: Collection[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """How much each word of each prompt matters for its gold answer.

    The same model, prompts and machine give the same numbers; nothing is drawn at random.

    Args:
        model: from `load`, or what `load` takes.
        prompts: a spec (path, mapping or `Spec`), a run, a plan, a list of `Example`, or a table
            with `prompt`, `answer` and optionally `stimulus`, `item_id`, `task`, `condition`.
        measures: names of `MEASURES`; all unless given. Occlusion costs one evaluation a word.
        limit: at most this many items a task; of a list or table, at most this many prompts.
        positive: words that count as positive; those of `positive_words()` unless given.
        on_progress: told how many prompts are done, of how many.

    Returns:
        A table with `IMPORTANCE_COLUMNS`, prompts in their order, words by position.

    Raises:
        Unreadable: a prompt that the model cannot read; says which.
        UserError: nothing to look at, an unknown measure.
    """
    import pandas as pd

    wanted = check_measures(measures)
    opened = model if isinstance(model, WhiteboxModel) else load(model)
    examples = as_examples(
        prompts, limit=limit, can_chat=opened.has_chat_template, opened=opened.name
    )
    frames: list[pd.DataFrame] = []
    for frame in stream_importance(opened, examples, measures=wanted, positive=positive):
        frames.append(frame)
        if on_progress is not None:
            on_progress(len(frames), len(examples))
    return pd.concat(frames, ignore_index=True)


def _rows(
    model: WhiteboxModel, one: Example, measures: Sequence[str], good: Collection[str]
) -> pd.DataFrame:
    import pandas as pd

    chat = not isinstance(one.prompt, str)
    text, spans = model.text_of(one.prompt)
    words = split_words(text, spans)
    if not words:
        raise Unreadable("the prompt has no words")
    loss, values = measure_words(model, text, words, one.answer, measures, chat=chat)
    frame = pd.DataFrame(
        {
            "position": [word.position for word in words],
            "line": [word.line for word in words],
            "word": [word.text for word in words],
            "group": [_group(one, word.position) for word in words],
            "positive": [bare(word.text) in good for word in words],
        }
    )
    common: dict[str, Any] = {
        "model": model.name,
        "task": one.task,
        "item_id": one.item_id,
        "condition": one.condition,
        "shots": one.shots,
        "instruction": one.instruction,
        "loss": loss,
    }
    parts = [frame.assign(**common, measure=name, value=values[name]) for name in measures]
    return pd.concat(parts, ignore_index=True)[list(IMPORTANCE_COLUMNS)]


def _group(one: Example, position: int) -> str:
    if position in one.stimulus:
        return "stimulus"
    return "method" if position in one.method else "task"
