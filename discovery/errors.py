"""The errors of the core: each says what failed, where, and what to do, in one line."""

from __future__ import annotations


class QbitelError(Exception):
    """
    Base of every error that the engine raises on purpose.

    Attributes:
        code: stable machine-readable name, used in exit codes and HTTP problems.
        where: the file, message, field or stage concerned, or an empty string.
        hint: what the reader can do, or an empty string.
        retry: whether doing the same again later may succeed.
    """

    code = "error"
    retry = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class InputError(QbitelError):
    """The input cannot be read: missing, empty, of no known format, or damaged beyond use."""

    code = "input"


class LimitError(QbitelError):
    """The input or a result passes a stated limit of bytes, depth or count."""

    code = "limit"


class SpecError(QbitelError):
    """A specification is invalid, of an unknown version, or refers to something it does not define."""

    code = "spec"


class RuleError(QbitelError):
    """A custom validation rule is malformed or names a field that the specification lacks."""

    code = "rule"


class NotFoundError(QbitelError):
    """A protocol, type, message, field or claim with that name does not exist."""

    code = "not-found"


class CancelledError(QbitelError):
    """The caller's cancel token was set."""

    code = "cancelled"
