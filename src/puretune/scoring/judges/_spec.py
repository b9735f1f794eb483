"""Which judge, through which endpoint, at what price: the settings of a judge, from a mapping or a YAML file.

judge: openai                      # any OpenAI-compatible endpoint; `gpt-4` is the paper's judge
model: gpt-4-0613
base_url: https://api.openai.com/v1
api_key_env: OPENAI_API_KEY
rubric: original.txt
price: {input: 30, output: 60}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from puretune.endpoints import (
    Endpoint,
    Limits,
    check_fields,
    check_name,
    check_ranges,
    check_variable,
    located,
)
from puretune.errors import InputError, unknown
from puretune.files import checked_path, kind_of, read_yaml_value
from puretune.options import validated
from puretune.visible import visible


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 (pydantic reads it)
    input: float
    output: float

    def __post_init__(self) -> None:
        """InputError for a price below 0, or none that anybody asks."""
        check_ranges("price.", self, {"input": (0.0, _HIGHEST_PRICE), "output": (0.0, _HIGHEST_PRICE)})


_HIGHEST_PRICE = 1e6


@dataclass(frozen=True)
class JudgeSpec:
    """A judge through an OpenAI-compatible endpoint. No key is in it, only the variable that holds one."""

    model: str
    """The model's name as it is asked for. Pin a dated one: an alias moves."""
    name: str = ""
    """The judge's name in results; empty: the model's."""
    base_url: str = ""
    """The endpoint; empty: ``OPENAI_BASE_URL``, or OpenAI's own."""
    api_key_env: str | None = None
    """The environment variable with the API key; None: ``OPENAI_API_KEY``, unless ``base_url`` is given."""
    rubric: Path | None = None
    """Your own rubric with the placeholders ``{query}`` and ``{answer}``."""
    price: Price | None = None
    """Dollars per million tokens; None: costs are shown in tokens only."""
    concurrency: int = 8
    """Maximum number of concurrent requests; fewer while the endpoint is busy."""
    temperature: float | None = 0.0
    """None: not sent, for models that accept only their own."""
    max_tokens: int | None = 512
    """Longest reply; None: not sent."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the request (``seed``, ``max_completion_tokens``)."""
    attempts: int = 3
    """Replies asked for until one can be read; then the judgement is kept as unparsed."""
    mode: Literal["live", "batch"] = "live"
    """``batch``: the provider's batch files, cheaper and slower."""
    recheck: float = 0.0
    """Share of the answers that is judged a second time, to see how often the judge changes its mind."""
    longest_answer: int = 24_000
    """Characters; of a longer answer the middle is left out, and the verdict says so."""
    expect_model: str | None = None
    """Only judgements that the endpoint reports under this name count; None: the first name seen."""
    allow_model_change: bool = False
    """Continue if the endpoint reports another model than before."""
    limits: Limits = field(default_factory=Limits)
    """Timeouts and retries."""

    def __post_init__(self) -> None:
        """InputError, naming the setting, where a value makes no sense."""
        if not self.model.strip():
            raise InputError(_NO_MODEL)
        object.__setattr__(self, "name", self.name or self.model)
        for name in ("model", "name", "expect_model"):
            if (value := getattr(self, name)) is not None:
                check_name(name, value)
        check_variable("api_key_env", self.api_key_env)
        url, key = located(self.base_url, self.api_key_env)
        object.__setattr__(self, "base_url", url)
        object.__setattr__(self, "api_key_env", key)
        check_ranges("", self, _RANGES)
        check_fields("extra", self.extra, _OWN_FIELDS)

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked."""
        return Endpoint(f"judge {self.name!r}", self.base_url, self.api_key_env, self.limits)

    @property
    def loopback(self) -> bool:
        """Whether the endpoint is this machine: then no data leaves it."""
        return self.endpoint.loopback

    @property
    def decoding(self) -> dict[str, Any]:
        """The fields of a request that decide how a reply is made."""
        fixed = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {**{key: value for key, value in fixed.items() if value is not None}, **self.extra}


_RANGES: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, 1024),
    "temperature": (0.0, 2.0),
    "max_tokens": (1, 10**6),
    "attempts": (1, 20),
    "recheck": (0.0, 1.0),
    "longest_answer": (200, 10**9),
}
_OWN_FIELDS = frozenset(("model", "messages", "temperature", "max_tokens", "n", "stream"))
_NO_MODEL = "a judge through an endpoint needs a model. Add `model: NAME`."

BUILTIN_JUDGES: Mapping[str, Mapping[str, Any]] = {
    "openai": {},
    "gpt-4": {
        "name": "gpt-4",
        "model": "gpt-4-0613",
        "price": {"input": 30.0, "output": 60.0},
        "recheck": 0.05,
    },
}
"""``gpt-4`` is the paper's judge; its price is the provider's list price."""

_OF_THE_MODEL = ("name", "price")
"""What a built-in judge says about its own model only."""


def judge_spec(settings: Mapping[str, Any], where: str = "judge") -> JudgeSpec:
    """The judge that a mapping describes; ``judge`` names the built-in one to start from.

    InputError, with ``where`` in front, names each unknown key and each wrong value.
    """
    given = dict(settings)
    kind = given.pop("judge", "openai")
    if not isinstance(kind, str) or kind not in BUILTIN_JUDGES:
        raise unknown("judge", kind, BUILTIN_JUDGES, where)
    usual = dict(BUILTIN_JUDGES[kind])
    if given.get("model", usual.get("model")) != usual.get("model"):
        usual = {key: value for key, value in usual.items() if key not in _OF_THE_MODEL}
    settings = {**usual, **given}
    try:
        if "model" not in settings:
            raise InputError(_NO_MODEL)
        return validated(JudgeSpec, settings, where, "key", also=("judge",))
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(where) else f"{where}: {message}") from error


def load_judge(path: Path) -> JudgeSpec:
    """The judge behind an endpoint in a YAML file. InputError names file and key."""
    return judge_spec(read_judge(path), visible(path))


def read_judge(path: Path) -> dict[str, Any]:
    """The mapping in a judge's YAML file; paths in it are relative to the file. InputError names it."""
    value = read_yaml_value(path, "judge's file")
    if not isinstance(value, dict):
        raise InputError(
            f"{visible(path)}: a judge is a mapping, not {kind_of(value)}. Write `judge: openai`, "
            "`model: NAME`, ..."
        )
    settings = {"judge": "openai", **{str(key): item for key, item in value.items()}}
    for name in ("rubric", "lexicon"):
        if isinstance(settings.get(name), str):
            settings[name] = path.parent / checked_path(settings[name], f"{visible(path)}: {name}")
    return settings
