"""Drafts: what an answer will probably say, so that many of its tokens are checked in one forward pass.

Speculative decoding (Leviathan et al., arXiv 2211.17192) without a second model: in a matrix the same query
is asked of many adapters under many templates, and one's answer is a good guess at another's. A token is
taken only where it is the one that would have been chosen anyway, so a bad draft costs time and nothing else.
Where an answer leaves its draft, the draft is taken up again behind the last two tokens that both have (as
prompt lookup does with n-grams).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

_FIRST, _AGAIN = 32, 4
"""Most tokens that are checked at once: at first, and after a wrong one. It doubles while all are right."""

_Pair = tuple[int, int]


class Draft:
    """Where one answer is in its draft. ``stops`` end a draft: nothing follows them."""

    def __init__(self, ids: Sequence[int], stops: frozenset[int]) -> None:
        end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
        self._ids = tuple(ids[:end])
        self._most = _FIRST
        self._at = 0
        self._behind: dict[_Pair, list[int]] | None = None

    def ahead(self, made: Sequence[int], most: int) -> tuple[int, ...]:
        """What probably follows the tokens ``made`` so far: at most ``most`` tokens, perhaps none."""
        if not self._ids:
            return ()
        if made:
            place = self._place(made)
            if place is None:
                return ()
            self._at = place
        return self._ids[self._at : self._at + min(most, self._most)]

    def checked(self, asked: int, right: int) -> None:
        """Notes how many tokens were checked, and how many of the first ones were accepted."""
        if asked:
            self._most = 2 * self._most if right == asked else _AGAIN
            self._at += right + 1

    def _place(self, made: Sequence[int]) -> int | None:
        """Behind the last two tokens, where they occur in the draft: as near as possible to its last
        position."""
        if len(made) < 2:
            return 1 if made[0] == self._ids[0] else None
        if self._behind is None:
            self._behind = _behind(self._ids)
        places = self._behind.get((made[-2], made[-1]), ())
        return min(places, key=lambda place: abs(place - self._at), default=None)


def _behind(ids: Sequence[int]) -> dict[_Pair, list[int]]:
    """Pairs of neighbours -> the places behind them."""
    found: dict[_Pair, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairwise(ids), 2):
        found[pair].append(place)
    return found
