"""A thin proxy that serves exports with the prompt that was measured: OpenAI's chat and completions.

Needs ``pip install 'puretune[serve]'``. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.deploy.serve._app import Bounds, proxy_app
    from puretune.deploy.serve._backend import Backend, Piece
    from puretune.deploy.serve._local import LocalBackend
    from puretune.deploy.serve._release import Release, releases
    from puretune.deploy.serve._requests import Ask, Refusal, read_ask
    from puretune.deploy.serve._run import listen, require_key, serve_on, server_of
    from puretune.deploy.serve._upstream import UpstreamBackend

__all__ = [
    "Ask",
    "Backend",
    "Bounds",
    "LocalBackend",
    "Piece",
    "Refusal",
    "Release",
    "UpstreamBackend",
    "listen",
    "proxy_app",
    "read_ask",
    "releases",
    "require_key",
    "serve_on",
    "server_of",
]
__getattr__ = lazy(__name__)
