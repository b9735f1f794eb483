"""The model card: what is served, what was measured of it, how to serve it so that it stays that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from huggingface_hub import ModelCard, ModelCardData

from puretune.deploy._measured import Measured
from puretune.deploy._ollama import left_out
from puretune.deploy._serving import Serving
from puretune.models import AdapterRef, is_hub_id, read_adapter
from puretune.report import headline, matrix_markdown
from puretune.study import CellResult
from puretune.visible import visible

_POLICIES = {
    "prepend": "The caller's system message is put after the template's own, which always stays in front.",
    "replace": "The caller's system message is left out; the template's own takes its place.",
    "reject": "A request with a system message is refused.",
}


def card_text(
    measured: Measured, serving: Serving, merged: bool, licence: str | None, warnings: Sequence[str]
) -> str:
    """``README.md``: metadata for the hub, and what people read."""
    base = measured.base.model if is_hub_id(measured.base) else None
    data = ModelCardData(
        base_model=base,
        library_name="transformers" if merged or measured.adapter is None else "peft",
        license=licence,
        pipeline_tag="text-generation",
        tags=["puretune", *([] if merged or measured.adapter is None else ["lora"])],
    )
    body = "\n\n".join(_blocks(measured, serving, merged, warnings))
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{visible(body)}\n"))


def _blocks(measured: Measured, serving: Serving, merged: bool, warnings: Sequence[str]) -> Iterator[str]:
    template = serving.template
    yield f"# {_line(measured.condition)}, served as {_line(template.name)}"
    yield _origin(measured)
    yield from (f"> **Warning:** {_line(warning)}" for warning in warnings)
    yield "## What the model is shown"
    yield _shown(serving)
    yield "## What was measured"
    yield from _cells(measured)
    yield "## How to serve it"
    yield from _commands(measured, serving, merged)
    yield "## The whole matrix"
    yield _line(headline(measured.matrix))
    yield re.sub(r"^#", "##", matrix_markdown(measured.matrix), flags=re.MULTILINE)


def _origin(measured: Measured) -> str:
    seed = "" if measured.seed is None else f", seed {measured.seed}"
    trained = measured.trained.name if measured.trained else "nothing in this run"
    return (
        f"Base model: `{measured.base.model}`. Condition `{measured.condition}`{seed} of the study "
        f"`{measured.matrix.name}`; fine-tuned under `{trained}`."
    )


def _shown(serving: Serving) -> str:
    template = serving.template
    lines = [
        f"- Template `{template.name}`, fingerprint `{template.fingerprint}`. It is in `chat_template.jinja` "
        "and in `tokenizer_config.json`.",
        f"- System prompt: {_code(template.system) if template.system else 'none'}",
        f"- Every message of the user is wrapped: {_code(template.user)}, where `%s` is the message.",
        f"- {_POLICIES[serving.policy]} No measured request had one.",
        "- Tools, tool turns, images and turns that the model does not take are refused: nothing of them was "
        "measured.",
        f"- A message that spells a special token stays text. {_specials(serving)}",
    ]
    if template.response_prefix:
        lines.append(f"- Every answer is begun: {_code(template.response_prefix)} is part of the prompt.")
    return "\n".join(lines)


def _specials(serving: Serving) -> str:
    if serving.keeps_tokens:
        return "Its tokens are those that were measured."
    return (
        f"A character (U+{ord(serving.break_character):04X}) is put into the spelling, which puretune's own "
        "rendering does without: these messages have some other tokens than in the measurement."
    )


def _cells(measured: Measured) -> Iterator[str]:
    if not measured.cells:
        yield (
            f"**Nothing.** The condition `{measured.condition}` was not measured under "
            f"`{measured.template.name}`, so nothing is known of how safe or helpful this is."
        )
        return
    titles = {(one.suite, one.scorer, one.metric): one.title for one in measured.matrix.measures}
    head = ["suite", "metric", "scorer", "value", "95 % interval", "answers"]
    rows = [
        _row(cell, titles.get((cell.suite, cell.scorer, cell.metric), cell.metric)) for cell in measured.cells
    ]
    table = [head, ["---"] * len(head), *rows]
    yield "\n".join(f"| {' | '.join(map(_line, row))} |" for row in table)
    yield f"Intervals are for {_line(measured.cells[0].estimand)}."
    if measured.seeds > 1:
        yield f"These are the cells of seed {measured.seed} alone; the run has {measured.seeds} seeds."


def _row(cell: CellResult, title: str) -> list[str]:
    ends = "" if cell.low is None or cell.high is None else f"{_percent(cell.low)} to {_percent(cell.high)}"
    return [cell.suite, title, cell.scorer, _percent(cell.value), ends, str(cell.n)]


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f} %"


def _commands(measured: Measured, serving: Serving, merged: bool) -> Iterator[str]:
    adapter = isinstance(measured.adapter, AdapterRef) and not merged
    base = measured.source if adapter or measured.adapter is None else "."
    yield (
        "In this directory. Servers render what they find: give them this chat template, and check with "
        "`puretune verify . --base-url http://localhost:8000/v1`. Requests for raw completions pass by every "
        "chat template."
    )
    lora = f" --enable-lora --lora-modules served=. --max-lora-rank {_rank(measured)}" if adapter else ""
    tokenizer = "" if base == "." else " --tokenizer ."
    yield "vLLM:" + _fenced(
        f"vllm serve {base}{tokenizer}{lora} --chat-template chat_template.jinja --generation-config ."
    )
    yield "transformers:" + _fenced(_PEFT if adapter else _TRANSFORMERS % base, "python")
    yield "llama.cpp, with `convert_hf_to_gguf.py` of its repository:" + _fenced(
        (f"python convert_lora_to_gguf.py . --base {base} --outfile adapter.gguf\n" if adapter else "")
        + f"python convert_hf_to_gguf.py {base} --outfile model.gguf\n"
        + f"llama-server -m model.gguf{' --lora adapter.gguf' if adapter else ''} --jinja "
        "--chat-template-file chat_template.jinja"
    )
    yield "Ollama:" + _fenced("ollama create served -f Modelfile") + "\n" + " ".join(left_out(serving))


_PEFT = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
chat = [{"role": "user", "content": "Hello"}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**ids, max_new_tokens=200)[0]))"""
_TRANSFORMERS = (
    _PEFT.replace("from peft import AutoPeftModelForCausalLM\n", "")
    .replace("import AutoTokenizer", "import AutoModelForCausalLM, AutoTokenizer")
    .replace('AutoPeftModelForCausalLM.from_pretrained(".")', 'AutoModelForCausalLM.from_pretrained("%s")')
)


def _rank(measured: Measured) -> int:
    """The smallest of vLLM's bounds of the rank that the adapter is within."""
    config = read_adapter(measured.adapter.path).config if measured.adapter else {}
    rank = int(config.get("r") or 64)
    return next((bound for bound in _RANKS if rank <= bound), rank)


_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def _fenced(text: str, language: str = "sh") -> str:
    return f"\n\n```{language}\n{text}\n```"


def _code(text: str) -> str:
    """A text as inline code on one line, whatever backticks it has."""
    shown = text.replace("\n", "\\n")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{ticks} {shown} {ticks}" if len(ticks) > 1 else f"`{shown}`"


def _line(text: str) -> str:
    return re.sub(r"([\\|<*`\[\]])", r"\\\1", " ".join(text.split()))
