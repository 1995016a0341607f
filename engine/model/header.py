"""Typed reading of the JSON object in a checkpoint's header; a failed read is an error that names the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError


@dataclass(frozen=True)
class Section:
    """One object of a header's config. Getters raise CheckpointError for a missing key or a value of another type."""

    path: Path
    name: str
    values: Mapping[str, Any]

    def section(self, key: str) -> "Section":
        return Section(self.path, f"{self.name}.{key}", self._typed(key, dict, None))

    def optional_section(self, key: str) -> "Section | None":
        return self.section(key) if self.values.get(key) is not None else None

    def integer(self, key: str, default: int | None = None) -> int:
        return self._typed(key, int, default)

    def number(self, key: str, default: float | None = None) -> float:
        return float(self._typed(key, (int, float), default))

    def text(self, key: str, default: str | None = None) -> str:
        return self._typed(key, str, default)

    def flag(self, key: str, default: bool | None = None) -> bool:
        return self._typed(key, bool, default)

    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        return tuple(self._typed(key, (list, tuple), default))

    def entries(self, key: str) -> list[Any]:
        return self._typed(key, list, None)

    def require(self, key: str, actual: object, *supported: object) -> None:
        """Refuse a value that this engine does not implement."""
        if actual not in supported:
            wanted = " or ".join(repr(value) for value in supported)
            raise self.error(key, f"is {actual!r}; this engine implements {wanted}")

    def error(self, key: str, problem: str) -> CheckpointError:
        return CheckpointError(
            self.path,
            f"config entry '{self.name}.{key}' {problem}.",
            remedy="Use an LTX-2.3 checkpoint in the official layout.",
        )

    def _typed(self, key: str, kind: Any, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.error(key, f"has the wrong type: {value!r}")
        return value
