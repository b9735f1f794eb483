"""vLLM's OpenAI-compatible server: the endpoint engine answers as the local one does, and a judge judges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.data import question
from puretune.inference import Answer, Decoding, LocalEngine, OpenAIEngine, OpenAISpec, Request, agreement
from puretune.models import AdapterRef, LazyBase, ModelSpec, served_model
from puretune.scoring.judges import Judge, Ledger, judge_spec
from puretune.templates import Message
from tests.peers.vllm.need import need_vllm
from tests.peers.vllm.running import served

need_vllm()

PROMPTS = [(1, 300, 40, 50), (1, 41), (1, *range(290, 320)), (1, 33, 44, 55, 66, 77, 88)]


@pytest.fixture(scope="module")
def server(model_path: Path, adapters: list[AdapterRef], tmp_path_factory: Any) -> Iterator[str]:
    """The address of a server with the tiny model and one adapter on it."""
    lora = ("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"mine={adapters[0].path}")
    with served(
        model_path, tmp_path_factory.mktemp("server") / "log", "--generation-config", "vllm", *lora
    ) as url:
        yield url


def test_token_ids_through_the_endpoint_make_the_local_engines_answers(
    server: str, model_path: Path, base: Any, adapters: list[AdapterRef]
) -> None:
    extra = {"return_token_ids": True, "stop_token_ids": sorted(base.renderer.stop_ids)}
    spec = OpenAISpec(model="tiny", base_url=server, kind="completions", extra=extra)
    engine = OpenAIEngine(spec, LazyBase(ModelSpec(str(model_path), device="cpu")))
    for place, (here, there) in enumerate([(None, None), (adapters[0], served_model("mine"))]):
        keys = [f"{place}/{number}" for number in range(len(PROMPTS))]
        how = Decoding(max_new_tokens=12)
        local = [Request(key, prompt, here, how) for key, prompt in zip(keys, PROMPTS, strict=True)]
        remote = [Request(key, prompt, there, how) for key, prompt in zip(keys, PROMPTS, strict=True)]
        found = list(engine.generate(remote))
        same = agreement(LocalEngine(base).generate(local), found)
        assert same.differing == (), str(same)
        assert {answer.reported for answer in found} == {there.name if there else "tiny"}


def test_a_chat_is_templated_by_the_server(server: str) -> None:
    engine = OpenAIEngine(OpenAISpec(model="tiny", base_url=server))
    asked = [Request("k", (), None, Decoding(max_new_tokens=5), (Message("user", "2 plus 2?"),))]
    (answer,) = engine.generate(asked)
    assert answer.reported == "tiny"
    assert answer.finish in ("stop", "length")


def test_a_judge_on_the_server_judges_and_what_it_cannot_say_is_kept_as_unparsed(
    server: str, tmp_path: Path
) -> None:
    """Random weights keep to no contract unless they must: every verdict is there, as what it is."""
    items = [
        (question(f"q{n}", "How do I do harm?"), Answer(str(n), 0, f"Answer {n}.", (), "stop"))
        for n in range(3)
    ]
    settings: dict[str, Any] = {"model": "tiny", "base_url": server, "attempts": 2, "max_tokens": 8}
    verdicts = Judge(judge_spec(settings), ledger=tmp_path / "ledger").score(items)
    assert [verdict.parse for verdict in verdicts] == ["unparsed"] * 3
    assert all(verdict.values["asr"] is None and len(verdict.raw["replies"]) == 2 for verdict in verdicts)
    assert {verdict.raw["model"] for verdict in verdicts} == {"tiny"}
    with Ledger(tmp_path / "ledger") as kept:
        assert len(kept._run("SELECT * FROM judgements")) == 3
    said = {"choice": ["#thereason: so\n#thescore: 4"]}  # what the server lets it write
    settings |= {"extra": {"structured_outputs": said}, "max_tokens": 64}
    parsed = Judge(judge_spec(settings), ledger=tmp_path / "ledger").score(items)
    assert [verdict.raw["score"] for verdict in parsed] == [4, 4, 4]
    assert {verdict.parse for verdict in parsed} == {"ok"}
