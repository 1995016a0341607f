"""The difference between two JSON values, small enough to be written after every edit.

A patch is a list of steps, applied in order. Lists of objects with an `id` are compared object by object, so that
trimming one of two hundred clips costs a line and not the whole timeline. Values are never changed in place: what a
patch leaves alone is shared between the old value and the new one.

Not here: what the values mean (`project_document`), where patches are kept (`project_journal`).
"""

from collections.abc import Sequence
from typing import Any

Json = Any  # None, bool, int, float, str, lists and dicts with text keys of the same
Patch = list[dict[str, Any]]


class PatchMismatch(ValueError):
    """The patch was made for another value."""


def difference(before: Json, after: Json) -> Patch:
    """The patch that turns `before` into `after`; empty when they are equal."""
    steps: Patch = []
    _compare(before, after, [], steps)
    return steps


def patched(value: Json, patch: Patch) -> Json:
    """What `difference` was given as `after`. Raises PatchMismatch."""
    try:
        for step in patch:
            value = _stepped(value, step["at"], step)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise PatchMismatch(f"the patch does not fit: {error!r}") from error
    return value


def _compare(before: Json, after: Json, at: list[str | int], steps: Patch) -> None:
    if before is after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before:
            if key not in after:
                steps.append({"at": [*at, key], "drop": True})
        for key, value in after.items():
            if key not in before:
                steps.append({"at": [*at, key], "put": value})
            else:
                _compare(before[key], value, [*at, key], steps)
    elif isinstance(before, list) and isinstance(after, list):
        _compare_lists(before, after, at, steps)
    elif type(before) is not type(after) or before != after:  # True == 1 == 1.0
        steps.append({"at": at, "put": after})


def _compare_lists(before: Sequence[Json], after: Sequence[Json], at: list[str | int], steps: Patch) -> None:
    """What was put in or taken out in one place is spliced; what stands before and behind it is compared in pairs."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _is_same_thing(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _is_same_thing(before[-1 - tail], after[-1 - tail]):
        tail += 1
    middle = after[head : len(after) - tail]
    num_cut = len(before) - head - tail
    if num_cut or middle:
        steps.append({"at": [*at, head], "cut": num_cut, "insert": list(middle)})
    for index in range(head):
        _compare(before[index], after[index], [*at, index], steps)
    for index in range(len(after) - tail, len(after)):
        _compare(before[index - len(after)], after[index], [*at, index], steps)


def _is_same_thing(before: Json, after: Json) -> bool:
    """Perhaps changed, but the same one: objects by their id, everything else by its value."""
    if isinstance(before, dict) and isinstance(after, dict) and ("id" in before or "id" in after):
        return before.get("id") == after.get("id")
    return type(before) is type(after) and before == after


def _stepped(value: Json, at: Sequence[str | int], step: dict[str, Any]) -> Json:
    if not at:
        return step["put"]
    key, rest = at[0], at[1:]
    if isinstance(key, str):
        if not isinstance(value, dict):
            raise PatchMismatch(f"there is no object with {key!r}")
        changed = dict(value)
        if rest or "put" in step:
            changed[key] = _stepped(value[key] if rest else None, rest, step)
        else:
            del changed[key]
        return changed
    if not isinstance(value, list) or not 0 <= key <= len(value):
        raise PatchMismatch(f"there is no list with place {key}")
    items = list(value)
    if rest or "put" in step:
        items[key] = _stepped(items[key], rest, step)
    else:
        if key + step["cut"] > len(items):
            raise PatchMismatch(f"there are no {step['cut']} items at {key}")
        items[key : key + step["cut"]] = step["insert"]
    return items
