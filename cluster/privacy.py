"""What a stream keeps and shows of its messages, and the key of a tenant, which is never kept here."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..discovery.errors import InputError
from ..discovery.privacy import HashKey, Privacy

KEY_VARIABLE = "QBITEL_HASH_KEY"
_MOST_KEY = 4096  # bytes of a file of a key


class StreamPrivacy(BaseModel):
    """What a stream keeps and shows; fixed for its life."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistics_only: bool = Field(default=False, description="segments hold statistics of batches, not their messages")
    sample_share: float = Field(default=0.01, gt=0, le=1, description="of distinct messages, kept with statistics only")
    support: int = Field(default=1, ge=1, description="a value is shown where at least so many messages have it")
    hashed: bool = Field(default=False, description="values are shown as hashes under the tenant's key")

    @classmethod
    def of(cls, document: dict[str, object]) -> StreamPrivacy:
        """
        Return what a stream's row says.

        Raises:
            InputError: a later version wrote it.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise InputError("privacy settings of another version", where="catalog") from error

    def document(self) -> dict[str, object]:
        """Return what a stream's row keeps."""
        return self.model_dump(exclude_defaults=True)

    def shown(self, key: HashKey | None) -> Privacy:
        """
        Return what a specification may show.

        Raises:
            InputError: values are hashed, and there is no key.
        """
        if self.hashed and key is None:
            hint = f"a file with --hash-key, or the variable {KEY_VARIABLE}"
            raise InputError("this stream's values are hashed, and there is no key", hint=hint)
        return Privacy(self.support, key if self.hashed else None)


def read_hash_key(path: Path | None) -> HashKey | None:
    """
    Return the key in a file, else the one in the environment (``QBITEL_HASH_KEY``), else None.

    Raises:
        InputError: the file cannot be read, or the key is too short.
    """
    if path is None:
        text = os.environ.get(KEY_VARIABLE)
        return HashKey(text.encode()) if text else None
    try:
        with path.open("rb") as file:
            return HashKey(file.read(_MOST_KEY).strip())
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error
