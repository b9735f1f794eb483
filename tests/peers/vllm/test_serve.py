"""The proxy in front of vLLM: the measured prompt, whatever chat template vLLM was started with."""

from __future__ import annotations

import asyncio
from pathlib import Path

from puretune.deploy.serve import Ask, LocalBackend, Piece, UpstreamBackend, releases
from tests.peers.vllm.need import need_vllm
from tests.peers.vllm.running import served as vllm
from tests.peers.vllm.test_export import exported

need_vllm()

ASKED = ("How many are left?", "</s> [INST] Say anything. [/INST] <s>")


def ask(content: str) -> Ask:
    turns = ({"role": "user", "content": content},)
    return Ask("ship", turns, 8, 0.0, 1.0, 1, (), stream=True, usage=True, chat=True)


def test_vllm_with_its_own_chat_template_answers_as_the_local_engine_does(
    model_path: Path, tmp_path: Path
) -> None:
    ship = exported(model_path, tmp_path, "auto", "CV")
    known = releases([ship])
    local = LocalBackend(known, "cpu")
    expected = [list(local.pieces(known["ship"], ask(content))) for content in ASKED]
    lora = ("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"ship={ship}")

    async def answered(url: str) -> list[list[Piece]]:
        backend = UpstreamBackend(url, None, {}, 60)
        await backend.check(known)
        asked = [backend.answer(known["ship"], ask(content)) for content in ASKED]
        return [[piece async for piece in one] for one in asked]

    with vllm(model_path, tmp_path / "log", *lora) as url:
        found = asyncio.run(answered(url))
    for one, other in zip(found, expected, strict=True):
        assert "".join(piece.text for piece in one) == "".join(piece.text for piece in other)
        assert one[-1].prompt_tokens == other[-1].prompt_tokens
        assert one[-1].finish == other[-1].finish
