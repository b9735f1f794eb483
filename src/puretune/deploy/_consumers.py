"""Programs that render an export's chat template: transformers, minijinja, llama-cpp-python.

Each is given the directory as a user would give it, and a request; it returns the prompt's token ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from puretune.deploy._file_names import CHAT_TEMPLATE, TOKENIZER_CONFIG
from puretune.errors import InputError
from puretune.files import read_mapping, read_text
from puretune.models import quiet, reading
from puretune.visible import one_line

Render = Callable[[Mapping[str, Any]], tuple[int, ...] | None]
"""A request -> the ids of its prompt; None if it is refused."""


@dataclass(frozen=True)
class Consumer:
    """A program that renders, or why it does not."""

    name: str
    render: Render | None
    missing: str = ""
    """Why it cannot be asked: not installed, or it cannot load the directory."""
    file: str = ""
    """The file whose chat template it reads."""
    counts: bool = False
    """Whether only the number of tokens is known (an endpoint without ``/tokenize``)."""


def installed(directory: Path, decode_with: Tokens) -> Iterator[Consumer]:
    """Every consumer that this machine could have."""
    yield _transformers(directory)
    for name, module, render in (
        ("minijinja", "minijinja", _minijinja),
        ("llama-cpp-python", "llama_cpp", _llama_cpp),
    ):
        for file in (CHAT_TEMPLATE, TOKENIZER_CONFIG):
            named = f"{name}, {file}"
            if find_spec(module) is None:
                yield Consumer(named, None, "not installed", file)
                continue
            source = template_in(directory, file)
            if source is None:
                yield Consumer(named, None, f"{file} has no chat template", file)
            else:
                yield Consumer(named, _encoding(render(directory, source), decode_with), file=file)


class Tokens:
    """The export's tokenizer, as servers have it: ``tokenizer.json`` alone, else transformers'."""

    def __init__(self, directory: Path) -> None:
        file = directory / "tokenizer.json"
        if file.is_file():
            from tokenizers import Tokenizer

            with reading(file, "tokenizer"):
                known = Tokenizer.from_file(str(file))
            self.encode: Callable[[str], tuple[int, ...]] = lambda text: tuple(
                known.encode(text, add_special_tokens=False).ids
            )
            self.decode: Callable[[Any], str] = lambda ids: str(
                known.decode(list(ids), skip_special_tokens=False)
            )
        else:
            slow = _auto_tokenizer(directory)
            self.encode = lambda text: tuple(slow(text, add_special_tokens=False)["input_ids"])
            self.decode = lambda ids: str(slow.decode(list(ids)))


def template_in(directory: Path, file: str) -> str | None:
    """The default chat template in one of its two places; None if there is none."""
    if not (directory / file).is_file():
        return None
    if file == CHAT_TEMPLATE:
        return read_text(directory / file, "chat template")
    found = read_mapping(directory / file, "model file", infinite=True).get("chat_template")
    if isinstance(found, list):
        named = {row.get("name"): row.get("template") for row in found if isinstance(row, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _encoding(render: Callable[[Mapping[str, Any]], str], tokens: Tokens) -> Render:
    return lambda request: tokens.encode(render(request))


def refusing(render: Render) -> Callable[[Mapping[str, Any]], tuple[tuple[int, ...] | None, str]]:
    """The ids and "", or None and what the consumer says: it may raise anything."""

    def asked(request: Mapping[str, Any]) -> tuple[tuple[int, ...] | None, str]:
        try:
            return render(request), ""
        except Exception as error:
            return None, one_line(error)

    return asked


def _transformers(directory: Path) -> Consumer:
    try:
        with quiet():
            tokenizer = _auto_tokenizer(directory)
    except Exception as error:  # what transformers raises for files that it cannot load has no common kind
        return Consumer("transformers", None, f"it cannot load the tokenizer: {one_line(error)}")

    def render(request: Mapping[str, Any]) -> tuple[int, ...]:
        made = tokenizer.apply_chat_template(
            json.loads(json.dumps(request["messages"])),
            tools=request.get("tools"),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        return tuple(made["input_ids"])

    return Consumer("transformers", render, file=CHAT_TEMPLATE)


def _auto_tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)


def _minijinja(directory: Path, source: str) -> Callable[[Mapping[str, Any]], str]:
    """The engine of servers in Rust, set up as they do."""
    import minijinja

    named = _special_tokens(directory)
    environment = minijinja.Environment(
        templates={"chat": source},
        globals={"raise_exception": _raise},
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return lambda request: str(
        environment.render_template("chat", **named, **request, add_generation_prompt=True)
    )


def _llama_cpp(directory: Path, source: str) -> Callable[[Mapping[str, Any]], str]:
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    named = _special_tokens(directory)
    formatter = Jinja2ChatFormatter(
        template=source, eos_token=named.get("eos_token", ""), bos_token=named.get("bos_token", "")
    )
    return lambda request: str(formatter(**request).prompt)


def _special_tokens(directory: Path) -> dict[str, str]:
    """``bos_token`` and ``eos_token`` as the tokenizer's files spell them."""
    file = directory / TOKENIZER_CONFIG
    config = read_mapping(file, "model file", infinite=True) if file.is_file() else {}
    named = {key: config.get(key) for key in ("bos_token", "eos_token")}
    texts = {key: one.get("content") if isinstance(one, dict) else one for key, one in named.items()}
    return {key: one for key, one in texts.items() if isinstance(one, str)}


def _raise(message: str) -> None:
    raise InputError(str(message))
