"""The plan of an analysis beside the experiment's conditions: is it possible, what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from promptlab.errors import UnknownName, UserError, did_you_mean
from promptlab.spec import AnalysisSpec, Spec
from promptlab.tables import CONDITION_COLUMNS, condition_row
from promptlab.types import Condition

if TYPE_CHECKING:
    import pandas as pd

    from promptlab.analysis.contrast_kinds import Contrast

__all__ = ["check_analysis", "confirmatory", "named"]

_KINDS = ("vs_original", "vs_control", "valence", "theory")


def check_analysis(spec: Spec, conditions: Sequence[Condition]) -> None:
    """Find every mistake in `analysis:` that can be known before anything is asked.

    Raises:
        SpecError: with file, line, key and the nearest name.
    """
    analysis, ids = spec.experiment.analysis, [c.id for c in conditions]
    if analysis.baseline not in ids:
        message = f"the baseline '{analysis.baseline}' is not one of the conditions"
        raise spec.document.error(
            message + did_you_mean(analysis.baseline, ids), ("analysis", "baseline")
        )
    names = _check_contrasts(spec, conditions)
    raced = spec.experiment.race is not None
    for i, name in enumerate(analysis.confirmatory):
        key = ("analysis", "confirmatory", i)
        if name == analysis.baseline or name in analysis.confirmatory[:i]:
            what = "is the baseline" if name == analysis.baseline else "is named twice"
            raise spec.document.error(f"'{name}' {what}", key)
        if name in _KINDS and name not in names:
            message = f"'{name}' is not one of the contrasts; add it to analysis.contrasts"
            raise spec.document.error(message, key)
        if name not in ids and name not in names:
            known = [*ids, *names]
            raise spec.document.error(
                f"'{name}' is not one of the conditions{did_you_mean(name, known)}", key
            )
        if raced and name in names and name != "vs_original":
            raise spec.document.error(
                f"a race compares conditions with '{analysis.baseline}' and tests nothing else; "
                f"leave '{name}' out of what is confirmatory, or write 'design: full'",
                key,
            )


def _check_contrasts(spec: Spec, conditions: Sequence[Condition]) -> list[str]:
    """Names of the contrasts there will be."""
    analysis, ids = spec.experiment.analysis, [c.id for c in conditions]
    if analysis.contrasts is None:
        matched = any(s.matched_to for c in conditions for s in c.stimuli)
        found = named(analysis, conditions) if matched else []
        return ["vs_original", *dict.fromkeys(c.kind for c in found)]
    names = ["vs_original"]
    for i, contrast in enumerate(analysis.contrasts):
        key: tuple[str | int, ...] = ("analysis", "contrasts", i)
        if not isinstance(contrast, str):
            for condition in contrast.weights:
                if condition not in ids:
                    raise spec.document.error(
                        f"'{condition}' is not one of the conditions{did_you_mean(condition, ids)}",
                        (*key, "weights", condition),
                    )
            if contrast.name in (*ids, *_KINDS):
                raise spec.document.error(
                    f"the name '{contrast.name}' is taken; choose another", (*key, "name")
                )
        name = contrast if isinstance(contrast, str) else contrast.name
        if name in names[1:] or (name == "vs_original" and i):
            raise spec.document.error(f"contrast '{name}' is listed twice", key)
        try:
            named(analysis.model_copy(update={"contrasts": [contrast]}), conditions)
        except UnknownName as error:
            raise spec.document.error(str(error), key) from None
        except UserError as error:
            raise spec.document.error(str(error), key) from None
        names.append(name)
    return names


def named(analysis: AnalysisSpec, conditions: Sequence[Condition]) -> list[Contrast]:
    """The contrasts besides every condition against the baseline."""
    from promptlab.analysis.contrast_kinds import named_contrasts

    given = analysis.options()["contrasts"]
    ids = [c.id for c in conditions]
    return named_contrasts(given, _frame(conditions), ids, analysis.baseline)


def confirmatory(
    analysis: AnalysisSpec, conditions: Sequence[Condition]
) -> list[tuple[str, str, str]]:
    """(contrast, condition, baseline) of every confirmatory comparison, in a fixed order."""
    from promptlab.analysis.contrast_kinds import confirmatory_family

    ids = [c.id for c in conditions]
    others = named(analysis, conditions)
    found = confirmatory_family(
        analysis.confirmatory, _frame(conditions), ids, others, analysis.baseline
    )
    order = [("vs_original", c, analysis.baseline) for c in ids] + [c.key for c in others]
    return [key for key in order if key in found]


def _frame(conditions: Sequence[Condition]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([condition_row(c) for c in conditions], columns=list(CONDITION_COLUMNS))
