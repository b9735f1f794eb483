"""What other libraries raise over a model's files, as one message.

transformers, huggingface_hub, tokenizers, safetensors and torch raise two dozen classes of errors over a
directory that is not what they expect, one of them no ``Exception``. Here each becomes one InputError that
names the file, or an EnvironmentFault if memory is short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puretune import memory
from puretune.errors import InputError, PuretuneError
from puretune.visible import one_line, visible

SMALLER = "Use a smaller model, `dtype: bfloat16` in the study's `model`, or a machine with more memory."
_LONGEST = 300
_WORDS = (
    (re.compile(r"<class '(?:\w+\.)*(\w+)'>"), r"\1"),
    (re.compile(r"\bNoneType\b"), "null"),
    (re.compile(r"<(?:\w+\.)*(\w+) object at 0x[0-9a-f]+>"), r"\1"),
)
"""Python's own words for things, and what they are called in a message."""


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Another library reads ``path``, which is ``what`` ("model", "tokenizer"); its errors become ours."""
    try:
        yield
    except (PuretuneError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # tokenizers' own panic is no Exception
        if memory.is_shortage(error):
            raise memory.shortage(f"load the {what} in {visible(path)}", SMALLER) from error
        raise InputError(_message(path, what, error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without its progress bars and advice, while the block runs."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def reason(error: BaseException, longest: int = _LONGEST) -> str:
    """What an error of another library says, on one line, without Python's own words."""
    text = str(error).strip()
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    elif not text:
        text = type(error).__name__
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return one_line(text, longest).rstrip(". ")


def _message(path: Path, what: str, error: BaseException) -> str:
    return (
        f"{visible(path)}: this {what} cannot be loaded: {reason(error)}. "
        "Correct the file, or copy or download the model again."
    )
