"""``puretune store``: what a store holds, whether it is sound, and what can go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.cli._parameters import PATH, FiniteRange
from puretune.errors import CheckFailed
from puretune.store import Item, each, inventory, json_text, unneeded
from puretune.visible import one_line

_PLACE = click.argument("place", metavar="[DIR|URL]", required=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON lines in place of a table.")


@click.group()
def store() -> None:
    """List, verify, measure and clean what runs have kept: in their directories, or in a bucket.

    DIR is a run directory or a store; URL is s3://BUCKET/PREFIX (gs://, az://). Without either it is what the
    environment variable PURETUNE_STORE names.
    """


@store.command("ls", short_help="List the objects and who made them.")
@_PLACE
@_JSON
def list_(place: str | None, as_json: bool) -> None:
    """List the objects: kind, key, bytes, age, and what its maker noted about each."""
    kept = inventory(place)
    now, width = datetime.now(UTC), new_console().width
    if not as_json:
        say(f"{'kind':10} {'key':12} {'size':>8} {'age':>6}  about")

    def about(item: Item) -> Mapping[str, Any]:
        return kept.about(item) if item.state == "published" else {}

    for item, found in each(about, kept.items()):
        notes = {"damaged": str(found)} if isinstance(found, CheckFailed) else found
        if as_json:
            say(json_text({**_facts(item), "about": notes}))
        else:
            line = f"{one_line(item.kind, 10):10} {item.key[:12]} {size(item.bytes):>8} {age(item, now):>6}  "
            say(line + one_line(_said(item, notes), max(20, width - len(line))))


@store.command(short_help="Compare everything with its published digests.")
@_PLACE
@click.option("--set-aside", is_flag=True, help="Set what is damaged aside: the next run makes it again.")
@_JSON
def verify(place: str | None, set_aside: bool, as_json: bool) -> int:
    """Compare everything with the digests that were published. Exit code 1 if anything is damaged."""
    kept = inventory(place)
    sound = Counter[bool]()
    for item, damage in each(kept.verify, (item for item in kept.items() if item.state == "published")):
        sound[damage is None] += 1
        if damage is None:
            continue
        if as_json:
            say(json_text({**_facts(item), "damaged": str(damage)}))
        else:
            say(f"damaged: {item.kind} {item.key}\n  {one_line(damage)}")
        if set_aside:
            kept.set_aside(item, str(damage), lambda text: say(text, err=True))
    say(f"{sound.total():,} objects verified in {kept.where}: {sound[False]:,} damaged", err=as_json)
    return 1 if sound[False] else 0


@store.command()
@_PLACE
@_JSON
def du(place: str | None, as_json: bool) -> None:
    """Count objects and bytes by kind."""
    _print_totals(inventory(place).items(), as_json)


@store.command(short_help="Remove what no run needs, and leftovers.")
@_PLACE
@click.option(
    "--keep",
    type=PATH,
    multiple=True,
    metavar="RUN",
    help="A finished run whose objects stay; give it for every run. Without it only leftovers go.",
)
@click.option("--damaged", is_flag=True, help="Remove what was set aside too.")
@click.option(
    "--older-than",
    type=FiniteRange(min=0),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="Leave what is younger: a run may be at work.",
)
@click.option("--yes", is_flag=True, help="Remove it.")
@click.option("--dry-run", is_flag=True, help="Only show what --yes would remove (the default).")
@_JSON
def gc(
    place: str | None,
    keep: tuple[Path, ...],
    damaged: bool,
    older_than: float,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove adapters, answers and verdicts that none of the runs needs, and what killed processes left.

    Every run that shares the store must be named with --keep: what the others need goes too, and they would
    compute it again.
    """
    from puretune.study.plan.needed_keys import PLANNED, needed_keys

    needed = set[str]().union(*map(needed_keys, keep)) if keep else None
    kept = inventory(place)
    removes = yes and not dry_run

    def removed() -> Iterable[Item]:
        for item in unneeded(kept, needed, PLANNED, damaged, older_than * 3600):
            if removes:
                kept.remove(item)
            yield item

    if not _print_totals(removed(), as_json):
        say("Nothing to remove.", err=as_json)
    else:
        say(f"Removed from {kept.where}." if removes else "Not removed yet: --yes does.", err=as_json)


def _print_totals(items: Iterable[Item], as_json: bool) -> int:
    """One row a kind and state; returns how many items there are."""
    counts, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for item in items:
        counts[item.kind, item.state] += 1
        sizes[item.kind, item.state] += item.bytes
    rows = [(*name, count, sizes[name]) for name, count in sorted(counts.items())]
    if as_json:
        names = ("kind", "state", "objects", "bytes")
        say("".join(json_text(dict(zip(names, row, strict=True))) + "\n" for row in rows), nl=False)
        return counts.total()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kind")
    table.add_column("state")
    table.add_column("objects", justify="right")
    table.add_column("size", justify="right")
    for kind, state, count, total in rows:
        table.add_row(one_line(kind, 30), state, f"{count:,}", size(total))
    table.add_row("all", "", f"{counts.total():,}", size(sizes.total()))
    new_console().print(table)
    return counts.total()


def size(count: int) -> str:
    """Bytes for people: ``812 B``, ``1.2 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def age(item: Item, now: datetime) -> str:
    """How long ago it was written: ``5 min``, ``3 d``."""
    seconds = max(0.0, (now - item.modified).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _facts(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "key": item.key,
        "state": item.state,
        "bytes": item.bytes,
        "modified": item.modified.isoformat(),
    }


def _said(item: Item, notes: Mapping[str, Any]) -> str:
    """A maker's notes in words: ``condition CV, seed 0, step 6``."""
    first = sorted(set(notes) - {"digest"}, key=lambda name: (_FIRST.get(name, len(_FIRST)), name))
    told = [f"{name} {notes[name]}" for name in first if isinstance(notes[name], str | int | float)]
    return ", ".join([*([] if item.state == "published" else [item.state]), *told])


_FIRST = {"damaged": 0, "condition": 1, "seed": 2, "step": 3}
