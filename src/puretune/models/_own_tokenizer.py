"""A checkpoint's or adapter's own tokenizer and chat template against the base's.

All conditions of a study are asked with the base's renderer. A directory that brings another one was made for
other prompts: its answers under the base's would be read as the condition's, and are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puretune.errors import InputError, PuretuneError
from puretune.models._json_files import read_config, stop_ids, vocabulary_size
from puretune.models._resolve import TOKENIZER_FILES, resolve_model_path
from puretune.models._tokenizer import tokenizer_in
from puretune.models._types import CheckpointRef, ModelSpec, ServedModel, TunedModel
from puretune.models._weights import named
from puretune.store import sha256_file
from puretune.templates import Message, PromptTemplate, Renderer, markup_named
from puretune.visible import one_line, visible

_FILES = (
    *TOKENIZER_FILES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_TEXTS = (
    "How many are there?\n\nAnswer: 1,234.5 (about 17 %)  two  spaces\tand a tab",
    "  leading space, don't, naïve, 東京, العربية, 🙂, <b>tags</b> and [INST] or <|im_start|>user",
    "### Instruction:\nA\n\n\n### Response:\n",
    "def f(x):\n    return x ** 2  # 0123456789\r\n",
)
_TURNS = (
    (Message("user", "One question?"),),
    (Message("system", "Be brief."), Message("user", "One question?")),
    (Message("user", "A?"), Message("assistant", "B."), Message("user", "C?")),
)
_TEXT = PromptTemplate("text", mode="text", user="%s")
_CHAT = PromptTemplate("chat", mode="chat", user="%s")


def check_own_tokenizer(ref: TunedModel, base: ModelSpec, accepted: bool = False) -> str:
    """InputError if the directory of an adapter or checkpoint has a tokenizer, a chat template or stop
    tokens that differ from the base's; with ``accepted`` the note that says so ("" where nothing differs).

    What differs is found by rendering; another chat template is none if the markup is an explicit one.
    """
    if isinstance(ref, ServedModel) or not _brings_one(ref.path):
        return ""
    theirs = resolve_model_path(base, weights=False)
    if _contents(ref.path) == _contents(theirs):
        return ""
    own, known = _Side(ref.path, base), _Side(theirs, base)
    found = next((said for difference in _DIFFERENCES if (said := difference(own, known))), "")
    if found and not accepted:
        advice = (
            f"test it in its own study (`model: {visible(ref.path)}`)"
            if ref.kind == "checkpoint"
            else "use a base that has the tokenizer which the adapter was tuned with"
        )
        raise InputError(
            f"{visible(ref.path)}: {found}. All conditions of a study are asked with the base's: {advice}, "
            "or write `tokenizer: base` in its condition to ask it with the base's all the same."
        )
    return f"{visible(ref.path)}: {found}; it was asked with the base's." if found else ""


def check_rows(ref: TunedModel, base: ModelSpec) -> None:
    """InputError if a checkpoint's embedding has fewer rows than the base's tokenizer has ids."""
    if not isinstance(ref, CheckpointRef):
        return
    rows = vocabulary_size(read_config(ref.path))
    path = resolve_model_path(base, weights=False)
    if rows is None or rows >= (vocabulary_size(read_config(path)) or 0):
        return
    ids: Mapping[str, int] = tokenizer_in(path, base.trust_remote_code).get_vocab()
    beyond = [token for token, number in ids.items() if number >= rows]
    if beyond:
        raise InputError(
            f"{visible(ref.path)}: the embedding of this checkpoint has {rows:,} rows, and the base's "
            f"tokenizer has {len(ids):,} tokens, {named(beyond)} among those without a row. Test it in a "
            "study of its own with its own tokenizer."
        )


class _Side:
    """One directory's tokenizer, as prompts for a model of this spec are rendered with it."""

    def __init__(self, directory: Path, spec: ModelSpec) -> None:
        self.tokenizer = tokenizer_in(directory, spec.trust_remote_code)
        stops = stop_ids(directory, read_config(directory))
        markup = markup_named(spec.markup, self.tokenizer, "keep")
        self.renderer = Renderer(self.tokenizer, markup, stops)

    def prompts(self, template: PromptTemplate, turns: tuple[tuple[Message, ...], ...]) -> list[Any]:
        """The ids of every conversation, or why it cannot be rendered."""
        return [self._prompt(template, messages) for messages in turns]

    def _prompt(self, template: PromptTemplate, messages: tuple[Message, ...]) -> Any:
        try:
            return self.renderer.prompt(template, messages).ids
        except PuretuneError as error:
            return one_line(error)


def _tokens(own: _Side, base: _Side) -> str:
    mine, theirs = own.tokenizer.get_vocab(), base.tokenizer.get_vocab()
    moved = [token for token, number in theirs.items() if mine.get(token) != number]
    if moved:
        return f"its tokenizer differs from the base's: other ids for {named(moved)}"
    added = set(mine) - set(theirs) - {own.tokenizer.pad_token}
    if added:
        return f"its tokenizer differs from the base's: it adds {named(added)}"
    return ""


def _texts(own: _Side, base: _Side) -> str:
    turns = tuple((Message("user", text),) for text in _TEXTS)
    same = own.prompts(_TEXT, turns) == base.prompts(_TEXT, turns)
    return "" if same else "its tokenizer differs from the base's: the same text becomes other tokens"


def _chats(own: _Side, base: _Side) -> str:
    same = own.prompts(_CHAT, _TURNS) == base.prompts(_CHAT, _TURNS)
    return "" if same else "its chat template differs from the base's: the same messages become other tokens"


def _stops(own: _Side, base: _Side) -> str:
    more = own.renderer.stop_ids - base.renderer.stop_ids
    if not more:
        return ""
    tokens = named(map(str, own.tokenizer.convert_ids_to_tokens(sorted(more))))
    return f"its tokenizer differs from the base's: answers end with {tokens} too"


_DIFFERENCES = (_tokens, _texts, _chats, _stops)


def _brings_one(directory: Path) -> bool:
    return any((directory / name).is_file() for name in TOKENIZER_FILES)


def _contents(directory: Path) -> dict[str, str]:
    """Digests of the files that a prompt's tokens and an answer's end come from."""
    stops = sorted(stop_ids(directory, read_config(directory)))
    digests = {name: sha256_file(directory / name) for name in _FILES if (directory / name).is_file()}
    return {**digests, "stops": str(stops)}
