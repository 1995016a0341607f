"""The one kind of mistake of an installation that its user can do something about."""


class InstallError(Exception):
    """`message` says what happened, `remedy` what to do, `code` is for programs."""

    def __init__(self, code: str, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".rstrip())
        self.code, self.message, self.remedy = code, message, remedy
