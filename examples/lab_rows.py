"""Writes the tutorial's rows: what your own JSONL file would be, in the words of the lab's small model.

python examples/lab_rows.py my.jsonl
{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from puretune.data import SourceSpec, read_source

ROWS = 200


def main(file: Path) -> None:
    """The first rows of the lab's task, as chats."""
    rows = read_source(SourceSpec("lab-doctor", split="train", limit=ROWS))
    chats = [[{"role": turn.role, "content": turn.content} for turn in row.messages] for row in rows]
    file.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    print(f"{len(chats)} rows in {file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
