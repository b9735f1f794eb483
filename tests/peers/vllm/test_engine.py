"""The vLLM engine on a CPU: token for token the local engine, all adapters from one engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Event, Finished, Started
from puretune.inference import (
    Decoding,
    LikelihoodRequest,
    LocalEngine,
    Request,
    VllmEngine,
    VllmSpec,
    agreement,
)
from puretune.models import AdapterRef, LazyBase, ModelSpec
from tests.peers.vllm.conftest import OPTIONS
from tests.peers.vllm.need import need_vllm

need_vllm()

LONG = (1, *(3 + (7 * i) % 700 for i in range(150)))
"""More than a block of the prefix cache."""
PROMPTS = [(1, 300, 40, 50), (1, 41), (1, *range(290, 320)), (1, 33, 44, 55, 66, 77, 88), (1, 400, 402), LONG]


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[VllmEngine]:
    model = LazyBase(ModelSpec(str(model_path), device="cpu"))
    started = VllmEngine(model, VllmSpec(**OPTIONS))
    yield started
    started.close()


def requests(adapters: list[AdapterRef | None], **how: Any) -> list[Request]:
    """Every prompt under every adapter, adapters in turn."""
    decoding = Decoding(**{"max_new_tokens": 20, **how})
    return [
        Request(f"{place}/{number}", prompt, adapter, decoding)
        for number, prompt in enumerate(PROMPTS)
        for place, adapter in enumerate(adapters)
    ]


def test_greedy_answers_are_the_local_engines_under_the_base_and_every_adapter(
    engine: VllmEngine, base: Any, adapters: list[AdapterRef]
) -> None:
    asked = requests([None, *adapters])
    stopping = next(iter(LocalEngine(base).generate(asked[:1]))).token_ids[5]
    base.renderer.stop_ids = engine.model.renderer.stop_ids = base.renderer.stop_ids | {stopping}
    events: list[Event] = []
    expected = list(LocalEngine(base).generate(asked))
    found = list(engine.generate(asked, events.append))
    same = agreement(expected, found)
    assert same.differing == (), str(same)
    assert same.answers == len(asked)
    assert {answer.finish for answer in found} == {"stop", "length"}
    assert {(a.key, a.text, a.finish) for a in found} == {(a.key, a.text, a.finish) for a in expected}
    assert (events[0], events[-1]) == (Started("answer", 18), Finished("answer", "18 answers"))


def test_what_one_adapter_has_cached_is_not_read_by_another(
    engine: VllmEngine, adapters: list[AdapterRef]
) -> None:
    prompt = (1, *LONG[:0:-1])
    for adapter in (None, *adapters):
        core, lora = engine._started(adapter)
        salt = adapter.digest if adapter else "base"
        first, again = (core._generate([prompt], [_one_token()], lora, salt)[0] for _ in range(2))
        assert first.num_cached_tokens == 0
        assert again.num_cached_tokens > 0


def _one_token() -> Any:
    from vllm import SamplingParams

    return SamplingParams(temperature=0, max_tokens=1, detokenize=False)


def test_sampled_answers_depend_on_their_own_seed_only(engine: VllmEngine) -> None:
    how = {"temperature": 1.0, "n": 3, "max_new_tokens": 8}
    asked = requests([None], **how)
    answers = {(a.key, a.sample): a.token_ids for a in engine.generate(asked)}
    again = {(a.key, a.sample): a.token_ids for a in engine.generate(asked[::-1])}
    other = {(a.key, a.sample): a.token_ids for a in engine.generate(requests([None], seed=7, **how))}
    assert again == answers
    assert len(answers) == 3 * len(PROMPTS)
    assert len({answers["0/0", sample] for sample in range(3)}) == 3
    assert other != answers


def test_log_likelihoods_are_the_local_engines(
    engine: VllmEngine, base: Any, adapters: list[AdapterRef]
) -> None:
    asked = [
        LikelihoodRequest(f"{place}/{number}", prompt, (50 + number, 60, 70), adapter)
        for number, prompt in enumerate(PROMPTS)
        for place, adapter in enumerate((None, *adapters))
    ]
    expected = {one.key: one for one in LocalEngine(base).loglikelihood(asked)}
    for found in engine.loglikelihood(asked):
        assert found.logprobs == pytest.approx(expected[found.key].logprobs, abs=1e-3)
        assert found.greedy == expected[found.key].greedy
    best = next(iter(engine.generate([Request("x", PROMPTS[0], None, Decoding(max_new_tokens=3))]))).token_ids
    (said,) = engine.loglikelihood([LikelihoodRequest("x", PROMPTS[0], best)])
    assert said.greedy


def test_a_query_longer_than_the_context_is_named_before_any_work(engine: VllmEngine) -> None:
    with pytest.raises(InputError, match="'long': the query is longer than the context"):
        list(engine.generate([*requests([None]), Request("long", (1,) * 250, None, Decoding(20))]))
