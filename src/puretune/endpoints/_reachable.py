"""Whether something answers at an address; nothing is asked of it."""

from __future__ import annotations

from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from puretune.visible import one_line


def reachable(url: str, seconds: float = 5.0, key: str | None = None) -> tuple[bool, str]:
    """Whether an http(s) address answers, and how: ``answers``, ``denies access``, or why not."""
    headers = {"User-Agent": "puretune", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        with urlopen(Request(url, headers=headers), timeout=seconds):
            return True, "answers"
    except HTTPError as error:
        denied = error.code in (401, 403)
        return not denied, "denies access (is the key right?)" if denied else f"answers ({error.code})"
    except (URLError, OSError, ValueError) as error:
        return False, f"does not answer ({one_line(getattr(error, 'reason', error), 100)})"
