"""The local engine: token for token what transformers generates, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, Finished, Started
from puretune.inference import Answer, Decoding, LocalEngine, Request, _local_engine, _packed_rows
from puretune.models import AdapterRef, adapter_ref, applied, new_lora, save_lora
from tests.tiny import CONTEXT, FAMILIES, tiny_base, tiny_llama

PROMPTS: list[tuple[int, ...]] = [
    (1, 300, 40, 50),
    (1, 41),
    (1, *range(290, 320)),
    (1, 33, 44, 55, 66, 77, 88),
    (1, 400, 402),
    tuple(range(300, 345)),
]
PREFIX = (1, *range(20, 40))


def requests(
    prompts: list[tuple[int, ...]] = PROMPTS, adapter: AdapterRef | None = None, **how: Any
) -> list[Request]:
    decoding = Decoding(**{"max_new_tokens": 20, **how})
    return [Request(f"r{i}", prompt, adapter, decoding) for i, prompt in enumerate(prompts)]


def answers(base: Any, asked: list[Request], **how: Any) -> dict[tuple[str, int], Answer]:
    return {(a.key, a.sample): a for a in LocalEngine(base, **how).generate(asked)}


def expected(model: Any, base: Any, request: Request) -> tuple[int, ...]:
    """What ``model.generate`` makes of the request alone."""
    ids = torch.tensor([request.prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.decoding.max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(base.renderer.stop_ids),
        pad_token_id=0,
    )
    return tuple(out[0, len(request.prompt) :].tolist())


def stopping(base: Any) -> Any:
    """The base with a stop token that its random answers do hit."""
    found = [LocalEngine(base).generate(requests([prompt])) for prompt in PROMPTS[:2]]
    base.renderer.stop_ids = base.renderer.stop_ids | {next(a).token_ids[5] for a in found}
    return base


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    make: Callable[[Path], Path] = FAMILIES[request.param]
    return stopping(tiny_base(make(tmp_path_factory.mktemp("families") / request.param)))


def fitting(base: Any) -> list[Request]:
    size = base.model.config.vocab_size
    return requests([tuple(token % size for token in prompt) for prompt in PROMPTS])


def beginning_alike(base: Any) -> list[Request]:
    """Requests of different lengths and limits behind one prefix."""
    size = base.model.config.vocab_size
    return [
        Request(
            f"p{i}", (*PREFIX, *(t % size for t in prompt)), None, Decoding(6 + 3 * i), shared=len(PREFIX)
        )
        for i, prompt in enumerate(PROMPTS)
    ]


def watched(base: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(rows, tokens) of every forward pass from now on; the model runs as a module while it is watched."""
    seen = []
    forward = base.model.forward

    def watch(*args: Any, **kwargs: Any) -> Any:
        seen.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    watch.__wrapped__ = forward  # type: ignore[attr-defined]
    monkeypatch.setattr(base.model, "forward", watch)
    return seen


def test_greedy_answers_equal_generate_token_for_token(family: Any) -> None:
    asked = fitting(family)
    found = answers(family, asked)
    for request in asked:
        answer = found[request.key, 0]
        assert answer.token_ids == expected(family.model, family, request)
        assert answer.finish == ("stop" if answer.token_ids[-1] in family.renderer.stop_ids else "length")
    assert {answer.finish for answer in found.values()} == {"stop", "length"}


def test_batching_and_order_change_no_answer(family: Any) -> None:
    asked = fitting(family)
    together = answers(family, asked)
    assert answers(family, asked[::-1], batch_size=1) == together
    assert answers(family, asked, batch_size=4) == together
    assert answers(family, asked, batch_tokens=130) == together


@pytest.mark.parametrize("switch", ["plain", "share_prefix", "refill"])
@pytest.mark.parametrize("size", [None, 2])
def test_no_way_of_being_fast_changes_an_answer(family: Any, switch: str, size: int | None) -> None:
    asked = [*fitting(family), *beginning_alike(family)]
    together = answers(family, asked)
    assert answers(family, asked, batch_size=size, **{switch: False}) == together
    module = {"plain": False, "batch_size": size}
    assert answers(family, asked, **{**module, switch: False}) == together


def test_answers_behind_a_shared_prefix_equal_generate(family: Any) -> None:
    asked = beginning_alike(family)
    for how in ({}, {"plain": False}, {"batch_size": 3}, {"plain": False, "batch_size": 3}):
        found = answers(family, asked, **how)
        for request in asked:
            assert found[request.key, 0].token_ids == expected(family.model, family, request)


def test_attention_in_parts_gives_the_same_answers(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = beginning_alike(family)
    together = answers(family, asked)
    monkeypatch.setattr(_packed_rows, "_NEAR", 1)
    assert answers(family, asked) == together


def test_a_shared_prefix_is_computed_once(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(llama_path)
    seen = watched(base, monkeypatch)
    asked = [Request(str(i), (*PREFIX, 60 + i, 7), None, Decoding(1), shared=len(PREFIX)) for i in range(5)]
    list(LocalEngine(base).generate(asked))
    assert seen == [(1, len(PREFIX)), (5, 2)]


def test_rows_enter_while_others_run(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(llama_path)
    base.renderer.stop_ids = frozenset()
    seen = watched(base, monkeypatch)
    asked = [Request(f"{n}", (1, 30 + n), None, Decoding(n)) for n in (9, 5, 4)]
    list(LocalEngine(base, batch_size=2).generate(asked))
    # 5 tokens beside 9, then 4 in its place: nobody waits for the longest
    assert seen == [(2, 2), *[(2, 1)] * 4, (1, 2), *[(2, 1)] * 3, (1, 1)]


def test_a_cache_that_cannot_lose_rows_gives_the_same_answers(
    family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.inference import _padded_rows as _module

    asked = fitting(family)
    together = answers(family, asked)
    monkeypatch.setattr(_module, "select_rows", lambda cache, rows: False)
    monkeypatch.setattr(_module, "new_cache", lambda model: None)
    assert answers(family, asked, plain=False) == together
    assert answers(family, asked, plain=False, batch_size=4) == together


def test_finished_rows_leave_the_batch(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(llama_path)
    seen = watched(base, monkeypatch)
    short = [Request(f"s{i}", p, None, Decoding(max_new_tokens=2)) for i, p in enumerate(PROMPTS[:4])]
    list(LocalEngine(base).generate([*short, Request("long", PROMPTS[4], None, Decoding(max_new_tokens=9))]))
    assert [rows for rows, _ in seen] == [5, 5] + [1] * 7


def test_the_text_has_no_stop_token(llama: Any) -> None:
    for answer in answers(llama, requests()).values():
        assert answer.text == llama.renderer.parse(answer.token_ids)


def test_limits_may_differ_within_a_batch(llama: Any) -> None:
    asked = [Request(str(n), PROMPTS[0], None, Decoding(max_new_tokens=n)) for n in (1, 3, 20)]
    found = answers(llama, asked)
    for request in asked:
        assert found[request.key, 0].token_ids == expected(llama.model, llama, request)


# what is asked twice, and what cannot be asked


def test_identical_requests_are_computed_once_and_answered_each(llama: Any) -> None:
    events: list[Event] = []
    asked = [*requests([PROMPTS[0]] * 3), Request("seed", PROMPTS[0], None, Decoding(20, seed=7, n=2))]
    found = list(LocalEngine(llama).generate(asked, events.append))
    assert events[0] == Started("answer", 1)
    assert sorted((a.key, a.sample) for a in found) == [
        ("r0", 0),
        ("r1", 0),
        ("r2", 0),
        ("seed", 0),
        ("seed", 1),
    ]
    assert len({a.token_ids for a in found}) == 1


def test_nothing_asked_is_nothing_answered(llama: Any) -> None:
    assert list(LocalEngine(llama).generate([])) == []


def test_a_query_longer_than_the_context_is_named_before_any_work(llama: Any) -> None:
    events: list[Event] = []
    asked = [*requests(), Request("too long", (1,) * (CONTEXT - 19), None, Decoding(max_new_tokens=20))]
    with pytest.raises(InputError, match="'too long': the query is longer than the context: 237 tokens"):
        list(LocalEngine(llama).generate(asked, events.append))
    assert events == []
    fits = Request("fits", (1,) * (CONTEXT - 20), None, Decoding(max_new_tokens=20))
    assert len(answers(llama, [fits])) == 1


@pytest.mark.parametrize(
    ("prompt", "how"),
    [
        ((), {}),
        ((1,), {"max_new_tokens": 0}),
        ((1,), {"n": 0}),
        ((1,), {"temperature": -1.0}),
        ((1,), {"top_p": 2.0}),
    ],
)
def test_requests_without_sense_are_refused(prompt: tuple[int, ...], how: dict[str, Any], llama: Any) -> None:
    with pytest.raises(InputError, match="request 'r0'"):
        list(LocalEngine(llama).generate(requests([prompt], **how)))


def test_events_count_the_answers(llama: Any) -> None:
    events: list[Event] = []
    list(LocalEngine(llama).generate(requests(), events.append))
    assert [e.done for e in events if isinstance(e, Advanced)] == [1, 2, 3, 4, 5, 6]
    assert events[-1] == Finished("answer", "6 answers")


# adapters


def adapter(base: Any, directory: Path, seed: int) -> AdapterRef:
    generator = torch.Generator().manual_seed(seed)
    lora = new_lora(base.model, 4, 32, ["q_proj", "v_proj"], generator)
    for _, b in lora.pairs.values():
        b.data.normal_(generator=generator)
    directory.mkdir()
    save_lora(directory, lora, base.model, base.spec.model, None)
    return adapter_ref(directory)


def test_several_adapters_in_one_run_answer_each_as_alone(
    llama: Any, llama_path: Path, tmp_path: Path
) -> None:
    refs = [None, adapter(llama, tmp_path / "a", 1), adapter(llama, tmp_path / "b", 2)]
    asked = [
        Request(f"{place}-{i}", prompt, ref, Decoding(max_new_tokens=12))
        for i, prompt in enumerate(PROMPTS)
        for place, ref in enumerate(refs)
    ]
    found = answers(llama, asked)
    for request in asked:
        with applied(llama, request.adapter) as model:
            assert found[request.key, 0].token_ids == expected(model, llama, request)
    assert len({found[f"{place}-0", 0].token_ids for place in range(3)}) == 3


def test_a_full_checkpoint_answers_in_the_same_run(llama: Any, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=1)
    both = requests() + [
        Request(f"c{i}", r.prompt, adapter_ref(other), r.decoding) for i, r in enumerate(requests())
    ]
    found = answers(llama, both)
    alone = answers(tiny_base(other), requests())
    assert [found[f"c{i}", 0].token_ids for i in range(6)] == [alone[f"r{i}", 0].token_ids for i in range(6)]
    assert found["c0", 0].token_ids != found["r0", 0].token_ids


def test_the_base_comes_back_when_the_reader_stops_early(llama: Any, tmp_path: Path) -> None:
    before = answers(llama, requests())
    reading = LocalEngine(llama).generate(requests(adapter=adapter(llama, tmp_path / "a", 1)))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert answers(llama, requests()) == before


# memory


def small_memory(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """A machine on which more than ``rows`` rows do not fit."""
    decode = _local_engine.decode

    def limited(batch: Any, items: Any, stops: Any, size: int, *more: Any) -> Any:
        found = decode(batch, items, stops, size, *more)
        yield next(found)
        if min(size, len(items)) > rows:
            raise torch.OutOfMemoryError("no room")
        yield from found

    monkeypatch.setattr(_local_engine, "decode", limited)


def test_out_of_memory_halves_the_batch_and_goes_on(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected_answers = answers(llama, requests())
    small_memory(monkeypatch, rows=2)
    events: list[Event] = []
    found = list(LocalEngine(llama).generate(requests(), events.append))
    assert len(found) == 6
    assert {(a.key, a.sample): a for a in found} == expected_answers
    assert any(isinstance(e, Advanced) and "out of memory" in e.note for e in events)


def test_one_answer_too_large_for_the_memory_is_a_fault(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small_memory(monkeypatch, rows=0)
    with pytest.raises(EnvironmentFault, match="not enough memory to write one answer"):
        list(LocalEngine(llama).generate(requests()))


def lacking(base: Any, asked: list[Request], found: dict[tuple[str, int], Answer]) -> Any:
    """How much less than the likeliest one each token of the answers has, by the same model in float32."""
    exact = tiny_base(base.path, dtype="bfloat16")
    exact.model.float()
    lacks = []
    with applied(replace(exact, spec=base.spec), asked[0].adapter) as model, torch.inference_mode():
        for request in asked:
            ids = found[request.key, 0].token_ids
            logits = model(input_ids=torch.tensor([[*request.prompt, *ids]])).logits[0, -len(ids) - 1 : -1]
            lacks.append(logits.amax(-1) - logits.gather(-1, torch.tensor(ids)[:, None])[:, 0])
    return torch.cat(lacks)


@pytest.mark.parametrize("how", [{}, {"batch_size": 2}, {"share_prefix": False, "refill": False}])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_in_half_precision_plain_tensors_choose_as_well_as_the_module(
    kind: str, how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(FAMILIES[kind](tmp_path / "model"), dtype="bfloat16")
    tuned = adapter(base, tmp_path / "adapter", 1)
    asked = [replace(request, adapter=tuned) for request in [*fitting(base), *beginning_alike(base)]]
    by_module = lacking(base, asked, answers(base, asked, plain=False))
    monkeypatch.setattr(_local_engine, "PaddedRows", None)  # nothing goes through the module
    found = lacking(base, asked, answers(base, asked, **how))
    assert float(found.max()) < 1.5 * float(by_module.max()) + 0.05
    assert int((found > 0).sum()) < 0.1 * len(found)
