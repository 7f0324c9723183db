"""Is an answer that the token limit cut off complete for a metric?"""

from __future__ import annotations

from promptlab.scoring.metrics import Metric
from promptlab.scoring.normalise import without_labels

__all__ = ["complete"]


def complete(metric: Metric, text: str) -> bool:
    """Whether nothing that could have followed would change the score.

    It is where the part of the reply that the metric looks at has ended: the metric's `ends` say
    how. Metrics that read the whole reply have none, so a reply to them that was cut off is never
    complete; whether the answer seen so far is right plays no part, or cut-off wrong answers would
    be dropped more often than right ones.

    Args:
        metric: the metric that scores the reply.
        text: the reply as far as it goes.
    """
    if not metric.ends:
        return False
    # Blank lines and input labels before the answer are skipped by the metrics.
    begun = without_labels(text).lstrip()
    ends = [begun.index(end) for end in metric.ends if end in begun]
    if not ends:
        return False
    # They also cut blanks off the end of the reply, so that a blank before the end of the answer
    # counts only if more follows.
    answer, rest = begun[: min(ends)], begun[min(ends) :]
    return answer == answer.rstrip() or bool(rest.strip())
