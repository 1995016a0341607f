"""What a plan decided and why, collected in order while it decides."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One decision, in words."""

    what: str
    value: str
    why: str


class Decisions:
    """Choices and warnings of one plan."""

    def __init__(self) -> None:
        self.choices: list[Choice] = []
        self.warnings: list[str] = []

    def add(self, what: str, value: object, why: str) -> None:
        self.choices.append(Choice(what, str(value), why))

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
