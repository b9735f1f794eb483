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
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from puretune.errors import InputError, unknown
from puretune.inference.endpoint import Endpoint, Limits, located


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


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
    """A rubric of your own with the placeholders ``{query}`` and ``{answer}``."""
    price: Price | None = None
    """Dollars per million tokens; None: costs are shown in tokens only."""
    concurrency: int = 8
    """Most requests at once; fewer while the endpoint is busy."""
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
    """Go on where the endpoint reports another model than before."""
    limits: Limits = field(default_factory=Limits)
    """Timeouts and retries."""

    def __post_init__(self) -> None:
        """InputError, naming the setting, where a value makes no sense."""
        if not self.model.strip():
            raise InputError("a judge through an endpoint needs a model. Add `model: NAME`.")
        object.__setattr__(self, "name", self.name or self.model)
        url, key = located(self.base_url, self.api_key_env)
        object.__setattr__(self, "base_url", url)
        object.__setattr__(self, "api_key_env", key)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name}: {value} is out of range. Give a value from {low:g} to {high:g}.")
        clash = set(self.extra) & {"model", "messages", "temperature", "max_tokens", "n", "stream"}
        if clash:
            raise InputError(f"extra: {sorted(clash)[0]!r} cannot be set here; it has a place of its own.")

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
    "temperature": (0, 2),
    "max_tokens": (1, 10**6),
    "attempts": (1, 20),
    "recheck": (0, 1),
    "longest_answer": (200, 10**9),
}

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
        raise unknown("judge", str(kind), BUILTIN_JUDGES, where)
    usual = dict(BUILTIN_JUDGES[kind])
    if given.get("model", usual.get("model")) != usual.get("model"):
        usual = {key: value for key, value in usual.items() if key not in _OF_THE_MODEL}
    try:
        return _validated({**usual, **given}, where)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(where) else f"{where}: {message}") from error


def load_judge(path: Path) -> JudgeSpec:
    """The judge behind an endpoint in a YAML file. InputError names file and key."""
    return judge_spec(read_judge(path), str(path))


def read_judge(path: Path) -> dict[str, Any]:
    """The mapping in a judge's YAML file; the rubric's path is relative to the file. InputError names it."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: a judge is a mapping. Write `judge: openai`, `model: NAME`, ...")
    settings = {str(key): item for key, item in value.items()}
    settings.setdefault("judge", "openai")
    if isinstance(settings.get("rubric"), str):
        settings["rubric"] = path.parent / Path(settings["rubric"]).expanduser()
    return settings


def _validated(settings: dict[str, Any], where: str) -> JudgeSpec:
    from pydantic import TypeAdapter, ValidationError

    known = {one.name for one in fields(JudgeSpec)}
    for key in settings:
        if key not in known:
            raise unknown("key", str(key), known | {"judge"}, where)
    if "model" not in settings:
        raise InputError("a judge through an endpoint needs a model. Add `model: NAME`.")
    for key, kind in (("price", Price), ("limits", Limits)):
        if isinstance(settings.get(key), kind):
            settings[key] = vars(settings[key])
    try:
        return TypeAdapter(JudgeSpec).validate_python(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place}: {first['msg']} (given: {first['input']!r}).") from error
