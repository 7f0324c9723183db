"""What a statistic with several estimates returns: one row a coefficient, contrast or task."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from promptlab.analysis.arrays import Array
from promptlab.analysis.results import as_sentences, format_p, number, plural, unnested
from promptlab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Several", "labels_of"]


def _none() -> Array:
    return np.empty(0)


@dataclass(frozen=True, kw_only=True, repr=False)
class Several:
    """Several estimates of one kind; the arrays have one entry each.

    Attributes:
        names: what each estimate belongs to.
        estimate: the numbers; NaN where one is undefined.
        interval: two arrays, lower and upper ends.
        pvalue: of each; NaN where there is none.
        n: what was counted: items, rows or tasks.
        method: how intervals and p values were computed.
        level: confidence level of the intervals.
        note: why something is NaN, or what to be careful about.
    """

    names: tuple[str, ...]
    estimate: Array
    n: int
    method: str
    interval: tuple[Array, Array] = field(default_factory=lambda: (_none(), _none()))
    pvalue: Array = field(default_factory=_none)
    level: float = 0.95
    note: str = ""

    label: ClassVar[str] = "estimates"
    unit: ClassVar[str] = "items"
    columns: ClassVar[tuple[str, ...]] = ()
    """Further fields that are columns of the table, one entry each."""

    def to_frame(self) -> pd.DataFrame:
        """One row for each name: name, estimate, lower, upper, pvalue and what else there is."""
        import pandas as pd

        absent = np.full(len(self.names), np.nan)
        table: dict[str, Any] = {"name": list(self.names), "estimate": self.estimate}
        for name, values in (
            ("lower", self.interval[0]),
            ("upper", self.interval[1]),
            ("pvalue", self.pvalue),
        ):
            table[name] = values if np.size(values) else absent
        for name in self.columns:
            values = getattr(self, name)
            table[name] = list(values) if isinstance(values, tuple) else values
        return pd.DataFrame(table)

    def __repr__(self) -> str:
        table, each = self.to_frame(), []
        columns = (table[c].tolist() for c in ("estimate", "lower", "upper", "pvalue"))
        for name, value, low, high, p in zip(self.names, *columns, strict=True):
            more = []
            if not (math.isnan(low) and math.isnan(high)):
                more.append(f"{number(low)} to {number(high)}")
            if not math.isnan(p):
                more.append(format_p(p))
            about = f" ({', '.join(more)})" if more else ""
            each.append(f"{number(value)}{about} for {name}")
        if len(each) > 6:
            each = [*each[:5], f"{len(each) - 5} more"]
        listed = " and ".join([", ".join(each[:-1])] * (len(each) > 1) + each[-1:])
        how = unnested(self.method)
        if np.size(self.interval[0]):
            how += f", {100 * self.level:.6g} % intervals"
        return as_sentences(
            f"the {self.label} are {listed}, from {plural(self.n, self.unit)} ({how})", self.note
        )


def labels_of(values: Any, n: int, what: str) -> np.ndarray[Any, np.dtype[Any]]:
    """One label an item, checked: tasks, clusters, raters.

    Raises:
        UserError: another number of labels than of items, or a missing label.
    """
    labels = np.asarray(values)
    if labels.shape != (n,):
        count = labels.size if labels.ndim == 1 else f"shape {labels.shape} of"
        raise UserError(f"{n} items but {count} {what} labels; give one for every item")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise UserError(f"{int(np.isnan(labels).sum())} of {n} {what} labels are missing")
    if labels.dtype.kind == "O":
        missing = sum(str(v) in ("None", "nan", "<NA>", "NaT") for v in labels.tolist())
        if missing:
            raise UserError(f"{missing} of {n} {what} labels are missing")
        labels = labels.astype(str)
    return labels
