"""Rows to a Parquet file and back, as a stream, in little memory.

The arrays are made here and not by `pyarrow.array`, which imports pandas: that would cost every
run a fifth of a second and 40 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RowWriter", "read_rows", "row_writer"]

_GROUP = 2_000
_BATCH = 2_000


def read_rows(
    path: Path, columns: Sequence[str], absent: Mapping[str, Any] | None = None
) -> Iterator[tuple[Any, ...]]:
    """The rows of a Parquet file, one tuple each, with the values of these columns.

    Args:
        path: the file.
        columns: their names.
        absent: values of columns that older files do not have.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as parquet:
        known = parquet.schema_arrow.names
        filled = {name: value for name, value in (absent or {}).items() if name not in known}
        wanted = [name for name in columns if name not in filled]
        for batch in parquet.iter_batches(_BATCH, columns=wanted):
            yield from zip(
                *(
                    [filled[name]] * batch.num_rows
                    if name in filled
                    else _values(batch.column(name))
                    for name in columns
                ),
                strict=True,
            )


def _values(column: pa.Array) -> Sequence[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        # One object for each name, not one for each row.
        names = dict(enumerate(column.dictionary.to_pylist()))
        return [names.get(i) for i in column.indices.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


@contextmanager
def row_writer(path: Path, schema: pa.Schema) -> Iterator[RowWriter]:
    """A Parquet file, readable by the user alone, that appears whole or not at all.

    Args:
        path: the file.
        schema: columns of strings, whole numbers, floats, truth values, lists of floats, and
            dictionaries of strings for names that recur.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The default allocators keep what they have freed, which here is most of a run's memory.
    pa.set_memory_pool(pa.system_memory_pool())
    names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    with (
        replacing(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=names) as parquet,
    ):
        rows = RowWriter(parquet, schema)
        yield rows
        rows.flush()


class RowWriter:
    """Collects rows as columns and writes them group by group.

    Attributes:
        rows: number of rows added.
    """

    def __init__(self, parquet: Any, schema: pa.Schema) -> None:
        self._parquet, self._schema = parquet, schema
        self._pending: list[tuple[Any, ...]] = []
        self.rows = 0

    def add(self, *row: Any) -> None:
        """Add a row: one value for each column of the schema, None for a gap."""
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what has been added."""
        import pyarrow as pa

        rows, self._pending = self._pending, []
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [
                _array(values, field.type)
                for values, field in zip(columns, self._schema, strict=True)
            ]
            self._parquet.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        places: dict[str | None, int] = {}
        indices = [places.setdefault(v, len(places)) if v is not None else None for v in values]
        return pa.DictionaryArray.from_arrays(
            _array(indices, kind.index_type), _array(list(places), kind.value_type)
        )
    if pa.types.is_string(kind):
        builder = pa.lib.StringBuilder()
        builder.append_values(values)
        return builder.finish()
    if pa.types.is_list(kind):
        return _lists(values, kind)
    return _numbers(values, kind)


def _lists(values: Sequence[Sequence[float]], kind: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, values)]).tolist()
    inner = [number for numbers in values for number in numbers]
    return pa.ListArray.from_arrays(
        _numbers(ends, pa.int32()), _numbers(inner, kind.value_type), type=kind
    )


def _numbers(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    missing = np.fromiter((v is None for v in values), dtype=bool, count=len(values))
    valid = None
    if missing.any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        values = [0 if v is None else v for v in values]
    numbers = np.asarray(values, dtype=kind.to_pandas_dtype())
    if pa.types.is_boolean(kind):
        numbers = np.packbits(numbers, bitorder="little")
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(numbers)])
