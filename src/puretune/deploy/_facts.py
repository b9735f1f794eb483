"""What an export says of itself (``serving.json``), as far as a verification needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from puretune.deploy._file_names import SERVING
from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.visible import one_line, visible


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Template(_Part):
    name: str


class _Message(_Part):
    role: str
    content: str


class _Stop(_Part):
    ids: list[int]
    tokens: list[str]


class _Bos(_Part):
    id: int | None


class _Specials(_Part):
    kept_as_text_with: str


class _Training(_Part):
    trained_tokens: int | None = None
    ends_with_stop: bool | None = None


class Facts(_Part):
    """The content of ``serving.json``."""

    condition: str
    template: _Template
    messages: list[_Message]
    user: str
    stop: _Stop
    bos: _Bos
    special_ids: list[int]
    special_tokens_in_messages: _Specials
    files: dict[str, str]
    warnings: list[str]
    training: _Training | None = None
    schema_version: int = Field(ge=1, le=1)

    @classmethod
    def read(cls, directory: Path) -> Facts:
        """Those of an export; InputError for a directory that is none, CheckFailed for a damaged one."""
        file = directory / SERVING
        if not file.is_file():
            raise InputError(
                f"{visible(directory)}: no {SERVING}, so this is not an export. `puretune export` makes one."
            )
        try:
            content: Mapping[str, Any] = read_mapping(file)
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise CheckFailed(
                f"{visible(file)}: `{one_line(key, 80)}`: {one_line(first['msg'])}. Export again."
            ) from None
        except InputError as error:
            raise CheckFailed(f"{error} Export again.") from None

    @property
    def system(self) -> str:
        """The system prompt; "" for none."""
        return next((one.content for one in self.messages if one.role == "system"), "")

    @property
    def wrapper(self) -> tuple[str, str]:
        """What is written around the user's message."""
        before, _, after = self.user.partition("%s")
        return before, after
