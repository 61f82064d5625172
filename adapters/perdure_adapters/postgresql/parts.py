"""What a commit's statement is put together from: pieces of SQL, each with rows of arguments."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

#: Up to so many rows are given as VALUES, which is a fifth faster for a lone step; more of them as
#: arrays, so that there are few different statements.
FEW = 2

#: Stands for a part of the statement that is not there.
NOTHING = "(select null::text where false) as nothing (id)"


@frozen
class Part:
    """A piece of the statement, with places for `rows`, for the names of the parts that take the units' rows,
    `created` and `ended`, and for its `extra` arguments, `extra` and `other`. Its arguments are the columns of its
    rows, and then these. `answer`: what the whole statement is to select, for its effects.
    """

    template: str
    alias: str = ""
    columns: Mapping[str, str] = field(factory=dict)
    extra: int = 0
    answer: str = ""


def rows(part: Part, count: int, number: int) -> tuple[str, int]:
    """The source of a part's rows, to stand behind FROM; and the number of the last argument."""
    types = list(part.columns.values())
    if not types:
        return "", number
    name = f"{part.alias} ({', '.join(part.columns)})"
    if count > FEW:
        given = ", ".join(f"${number + n}::{type}[]" for n, type in enumerate(types, 1))
        return f"unnest({given}) as {name}", number + len(types)
    values = []
    for _ in range(count):
        values.append(", ".join(f"${number + n}::{type}" for n, type in enumerate(types, 1)))
        number += len(types)
    return f"(values {', '.join(f'({row})' for row in values)}) as {name}", number


def won(alias: str) -> str:
    """That the unit is written whose `id` and `condition` a row has: the verdict is yes, and the part of the
    statement that must have taken its instance's row has.
    """
    return (
        f"(select ok from verdict) and ({alias}.condition <> 'created' or {alias}.id in (select id from {{created}}))"
        f" and ({alias}.condition <> 'ended' or {alias}.id in (select id from {{ended}}))"
    )


#: Of rows that go along with a unit.
SENDER = {"id": "text", "condition": "text"}
