"""Packs: every token once, and nobody sees anybody else's tokens."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.tuning._dropout import DropoutStreams
from puretune.tuning._rows import Row
from puretune.tuning.gang._buckets import layout_of
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._packed import PackedRoute
from puretune.tuning.gang._packing import Part, packed
from puretune.tuning.gang._stack import Leaves
from puretune.tuning.loop import token_losses

NONE = DropoutStreams(0, 0, 0.0)
NO_ADAPTER = Leaves({}, 1.0)


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    """Up to three adapters with up to four rows each, under one or two shared prefixes."""
    made = []
    for _ in range(draw(st.integers(1, 3))):
        rows: list[Row] = []
        for _ in range(draw(st.integers(1, 2))):
            shared = draw(st.lists(st.integers(3, 200), max_size=20))
            for _ in range(draw(st.integers(1, 3))):
                own = draw(st.lists(st.integers(3, 200), min_size=2, max_size=30))
                mask = draw(st.lists(st.booleans(), min_size=len(own) - 1, max_size=len(own) - 1))
                mask[-1] = True
                ids = (*shared, *own)
                rows.append(Row(ids, (*[False] * len(shared), False, *mask), len(shared)))
        made.append(Part(tuple(rows), 0, NONE, 1.0))
    return made


def losses_alone(model: Any, made: list[Part]) -> torch.Tensor:
    return torch.cat([token_losses(model, [row], nullcontext()) for part in made for row in part.rows])


@settings(max_examples=25)
@given(made=parts(), share=st.booleans(), pack=st.booleans(), last=st.booleans(), head=st.booleans())
def test_losses_in_a_pack_are_those_of_each_row_by_itself(
    bases: dict[str, Any], made: list[Part], share: bool, pack: bool, last: bool, head: bool
) -> None:
    for family in ("grouped", "mistral"):
        model = bases[family].model
        options = GangOptions(share_prefix=share, pack=pack, last_layer=last, head=head)
        with torch.no_grad():
            found = PackedRoute(model, options).losses(made, NO_ADAPTER, False)
            assert torch.allclose(found, losses_alone(model, made), atol=2e-5)


@settings(max_examples=25)
@given(made=parts(), trained_only=st.booleans())
def test_masks_show_each_query_its_own_past_and_no_more(made: list[Part], trained_only: bool) -> None:
    pack = packed(made, torch.device("cpu"))
    layout = layout_of(pack, trained_only)
    asking = pack.places if trained_only else torch.arange(len(pack.ids))
    owner = {place: run for run in pack.runs for place in run.places}
    met = 0
    for bucket in layout.buckets:
        keys = bucket.own.places.view(bucket.families, bucket.rows, -1)
        if bucket.before is not None:
            first = bucket.before.places.view(bucket.families, 1, -1).expand(-1, bucket.rows, -1)
            keys = torch.cat([first, keys], dim=-1)
        mask = bucket.mask(None, torch.zeros(1))
        seen = (mask == 0).flatten(0, 2)
        per_query = keys.unsqueeze(2).expand(mask.shape).flatten(0, 2)
        for number, slot in zip(
            bucket.queries.targets.tolist(), bucket.queries.sources.tolist(), strict=True
        ):
            place = int(asking[number])
            run = owner[place]
            past = set(range(run.start, place + 1))
            past |= set(pack.runs[run.after].places) if run.after is not None else set()
            visible = per_query[slot][seen[slot]].tolist()
            assert sorted(visible) == sorted(past)
            met += 1
    assert met == len(asking)


@given(made=parts())
def test_every_trained_token_is_there_once_and_shared_tokens_are_not_repeated(made: list[Part]) -> None:
    pack = packed(made, torch.device("cpu"))
    before = [row.ids[place - 1] for part in made for row in part.rows for place in row.places]
    assert pack.ids[pack.places].tolist() == before
    prefixes = sum(len(prefix) for part in made for prefix in {row.ids[: row.shared] for row in part.rows})
    own = sum(len(row.ids) - 1 - row.shared for part in made for row in part.rows)
    assert len(pack.ids) == prefixes + own


def test_a_row_cannot_change_anothers_loss(bases: dict[str, Any]) -> None:
    def row(*own: int) -> Row:
        return Row((5, 6, 7, *own), (False,) * 4 + (True,) * (len(own) - 1), 3)

    route = PackedRoute(bases["llama"].model, GangOptions())
    with torch.no_grad():
        one = route.losses([Part((row(8, 9, 10), row(8, 20)), 0, NONE, 1.0)], NO_ADAPTER, False)
        two = route.losses([Part((row(8, 9, 10), row(30, 20)), 0, NONE, 1.0)], NO_ADAPTER, False)
    assert torch.equal(one[:2], two[:2])
    assert one[2] != pytest.approx(float(two[2]))
