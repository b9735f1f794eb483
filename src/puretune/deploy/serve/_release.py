"""An export as it is served: a request becomes the tokens that were measured, whatever the client sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from puretune.deploy._consumers import Tokens, template_in
from puretune.deploy._facts import Facts
from puretune.deploy._file_names import CHAT_TEMPLATE, SERVING
from puretune.deploy._formats import sentence
from puretune.deploy._verify import verify
from puretune.deploy.serve._requests import Ask, Refusal
from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.inference import Decoding
from puretune.templates import Exceeded, run_chat_template
from puretune.visible import one_line, visible


@dataclass(frozen=True)
class Release:
    """One export under the name that clients ask for."""

    name: str
    directory: Path
    facts: Facts
    untuned: bool = False
    """Whether the base model answers in its place, under the same template."""

    @cached_property
    def tokens(self) -> Tokens:
        """Its tokenizer."""
        return Tokens(self.directory)

    @cached_property
    def source(self) -> str:
        """Its chat template."""
        found = template_in(self.directory, CHAT_TEMPLATE)
        if found is None:
            raise CheckFailed(f"{visible(self.directory)}: chat_template.jinja is missing. Export again.")
        return found

    @cached_property
    def decoding(self) -> Decoding:
        """How the measured answers were decoded: what a request gets that does not say otherwise."""
        said = read_mapping(self.directory / SERVING).get("decoding") or {}
        usual = Decoding()
        return Decoding(
            max_new_tokens=int(said.get("max_new_tokens", usual.max_new_tokens)),
            temperature=float(said.get("temperature", usual.temperature)),
            top_p=float(said.get("top_p", usual.top_p)),
            seed=int(said.get("seed", usual.seed)),
        )

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """The prompt's token ids; Refusal for what the export refuses."""
        request = {"messages": [dict(one) for one in messages], "add_generation_prompt": True}
        try:
            return self.tokens.encode(run_chat_template(self.source, request))
        except Exceeded as error:
            raise Refusal(400, "too-long", f"the conversation is too long: {one_line(error)}") from None
        except Exception as error:  # whatever the template raises, or half a character that has no tokens
            raise Refusal(400, "refused-by-template", one_line(error)) from None

    def decoded(self, ask: Ask) -> Decoding:
        """How a request is decoded."""
        usual = self.decoding
        return Decoding(
            max_new_tokens=ask.max_tokens or usual.max_new_tokens,
            temperature=usual.temperature if ask.temperature is None else ask.temperature,
            top_p=usual.top_p if ask.top_p is None else ask.top_p,
            seed=usual.seed if ask.seed is None else ask.seed,
        )


def releases(directories: Sequence[Path]) -> dict[str, Release]:
    """The exports by name: that of the directory, or NAME of ``NAME=DIR``.

    InputError for two of one name or a directory that is no export; CheckFailed where one would not be
    rendered as it was measured.
    """
    found: dict[str, Release] = {}
    for said in directories:
        name, equals, path = str(said).partition("=")
        directory = Path(path) if equals and not said.is_dir() else said
        name = name if equals and not said.is_dir() else directory.resolve().name
        if name in found:
            raise InputError(f"two exports are called {name!r}. Name one of them otherwise: NAME=DIR.")
        checked = verify(directory)
        if not checked.passed:
            raise CheckFailed(f"{visible(directory)}: {sentence(checked.findings[0])}")
        found[name] = Release(name, directory, Facts.read(directory))
    return found
