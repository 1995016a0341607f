"""From a query to SQL, and from rows to hits. Pure.

Every word must be found, in the prompt, the settings, the tags or the file's name; the last letters of a word may be
left out. Words in double quotes are found next to each other. Nothing a user types is an operator or an error.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ltx_studio.domain.library import Flag, Hit, Label, Order, Place, Query, Verdict

_QUOTED_OR_WORD = re.compile(r'"([^"]*)"?|(\S+)')
# Chinese, Japanese, Korean, Thai: written without spaces, so that a word is not where SQLite's tokenizer looks for it.
_UNSPACED = re.compile("[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")

_ORDERS = {
    Order.NEWEST: "created_s DESC, id DESC",
    Order.OLDEST: "created_s, id",
    Order.RATING: "rating DESC, created_s DESC, id DESC",
    Order.NAME: "name COLLATE NOCASE, id",
    Order.LONGEST: "duration_s DESC, id DESC",
}
_PLACES = {
    Place.LIBRARY: "trashed_s IS NULL",
    Place.MISSING: "trashed_s IS NULL AND is_missing",
    Place.TRASH: "trashed_s IS NOT NULL",
}
_VERDICTS = {
    Verdict.PICKED: f"flag = '{Flag.PICK}'",
    Verdict.NOT_REJECTED: f"flag <> '{Flag.REJECT}'",
    Verdict.REJECTED: f"flag = '{Flag.REJECT}'",
}


@dataclass(frozen=True)
class Statement:
    """One SELECT of (id), or of (id, take_group, flag, rating) for takes to be grouped, and its values."""

    sql: str
    parameters: tuple[str | int, ...]


def statement_of(query: Query) -> Statement:
    """What SQLite is asked."""
    conditions = [_PLACES[query.place]]
    parameters: list[str | int] = []
    if query.verdict in _VERDICTS:
        conditions.append(_VERDICTS[query.verdict])
    for condition, value in (
        ("rating >= ?", query.min_rating),
        ("label = ?", query.label if query.label is not Label.NONE else ""),
        ("EXISTS (SELECT 1 FROM json_each(entries.tags) WHERE value = ?)", query.tag),
        ("take_group = ?", query.take_group),
    ):
        if value:
            conditions.append(condition)
            parameters.append(value)
    match, substrings = parsed(query.text)
    if match:
        conditions.append("id IN (SELECT rowid FROM words WHERE words MATCH ?)")
        parameters.append(match)
    for substring in substrings:
        conditions.append("instr(prompt || ' ' || tags || ' ' || name, ?) > 0")
        parameters.append(substring)
    columns = "id, take_group, flag, rating" if groups(query) else "id"
    sql = f"SELECT {columns} FROM entries WHERE {' AND '.join(conditions)}"
    return Statement(f"{sql} ORDER BY {_ORDERS[query.order]}", tuple(parameters))


def parsed(text: str) -> tuple[str, list[str]]:
    """An FTS5 expression, empty when there is nothing to match, and texts to be found as they stand."""
    phrases: list[str] = []
    substrings: list[str] = []
    for found in _QUOTED_OR_WORD.finditer(text.replace("\0", " ")):
        quoted, word = found.group(1), found.group(2)
        phrase = quoted if word is None else word.replace('"', " ")
        if _UNSPACED.search(phrase):
            substrings.append(phrase)
        elif any(_is_searched(character) for character in phrase):
            phrases.append(f'"{phrase}"' if word is None else f'"{phrase}"*')
    return " AND ".join(phrases), substrings


def groups(query: Query) -> bool:
    """Whether takes become one hit; the takes of a shot that was chosen never do."""
    return query.groups_takes and not query.take_group


def grouped(rows: Iterable[tuple[int, str, str, int]]) -> list[Hit]:
    """One hit for each group, at the place of its first take: the pick, else the best rated."""
    best: dict[str, tuple[tuple[bool, int], int]] = {}
    counts: dict[str, int] = {}
    for entry_id, group, flag, rating in rows:
        worth = (flag == Flag.PICK, rating)
        counts[group] = counts.get(group, 0) + 1
        if group not in best or worth > best[group][0]:
            best[group] = (worth, entry_id)  # a key that is there keeps its place
    return [Hit(entry_id, counts[group]) for group, (_, entry_id) in best.items()]


def _is_searched(character: str) -> bool:
    """Whether SQLite's unicode61 tokenizer takes it for a part of a word: letters, numbers, private use."""
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Co"
