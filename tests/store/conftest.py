"""An S3 server for the tests of this folder; each test has a bucket of its own."""

from tests.object_server import object_server, server, url

__all__ = ["object_server", "server", "url"]
