"""The scores of a run with those of its judges.

A judge's scores stand beside the others under protocols of their own, named
`judge:RUBRIC.CRITERION@JUDGE`, so that contrasts, sensitivity and report take them like any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.scoring.judged import JUDGED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["with_judged"]


def with_judged(run: Path, scores: pd.DataFrame) -> pd.DataFrame:
    """The table of scores with the judges' rows.

    Which protocol decides: the one that the spec names (`scoring.protocol`), with or without
    `@JUDGE`; else a task that only a judge can score is decided by the first judging's decisive
    protocol. The rows that held its place are gone then.

    Args:
        run: the run directory.
        scores: its own scores.
    """
    if not (run / "judges").is_dir():
        return scores
    import pandas as pd

    from promptlab.judges.handle import list_judgings

    judgings = list_judgings(run, finished=True)
    if not judgings:
        return scores
    judged = pd.concat([_plain(j.scores()) for j in judgings], ignore_index=True)
    own = _plain(scores)
    waiting = set(own.loc[own["metric"] == JUDGED, "task"])
    wanted = _wanted(run)
    decisive = [j.protocols[0] for j in judgings]
    for task in dict.fromkeys(judged["task"]):
        here = judged["task"] == task
        given = list(dict.fromkeys(judged.loc[here, "protocol"]))
        named = [p for p in given if wanted and wanted in (p, p.rpartition("@")[0])]
        first = named or ([p for p in decisive if p in given] if task in waiting else [])
        if first:
            judged.loc[here & (judged["protocol"] == first[0]), "primary"] = True
            own.loc[own["task"] == task, "primary"] = False
    held = (own["metric"] == JUDGED) & own["task"].isin(set(judged["task"]))
    return pd.concat([own[~held], judged], ignore_index=True)


def _wanted(run: Path) -> str | None:
    from promptlab.spec import load_spec

    return load_spec(run / "spec.yaml").experiment.scoring.protocol


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Names as text: tables with different sets of names are put together."""
    import pandas as pd

    names = [c for c in frame if isinstance(frame[c].dtype, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(names, "str"))
