"""HTTP to a server that the user named: no redirects, no more headers than needed, replies of a bounded size.

Everything that sends a key goes through this client.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

# What a request may carry beside its key; everything else that a library or the environment adds is taken away.
_SENT = ("Host", "Content-Length", "Content-Type", "Accept", "Connection")
# Of a reply's headers; others speak of how it was sent, and it is read when it gets here.
_KEPT = ("content-type", "retry-after")


class ReplyTooLongError(Exception):
    """A reply is larger than agreed, or packed so that its size is not known."""


class _Bounded(httpx.BaseTransport):
    """Sends the headers that are needed, and reads whole replies up to a number of bytes and seconds."""

    def __init__(self, proxy: str | None, key: Callable[[], str | None], timeout: float, most_bytes: int) -> None:
        self._inner = httpx.HTTPTransport(proxy=proxy)
        self._key, self._timeout, self._most_bytes = key, timeout, most_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        until = time.monotonic() + self._timeout
        response = self._inner.handle_request(self._bare(request))
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ReplyTooLongError("the reply is packed, which was not asked for")
            parts, size = [], 0
            for part in response.iter_raw():
                parts.append(part)
                size += len(part)
                if size > self._most_bytes:
                    raise ReplyTooLongError(f"the reply is larger than {self._most_bytes // 1024**2} MB")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("timed out", request=request)
        finally:
            response.close()
        return httpx.Response(
            response.status_code,
            headers={name: response.headers[name] for name in _KEPT if name in response.headers},
            content=b"".join(parts),
            request=request,
            extensions={"reason_phrase": response.reason_phrase.encode("ascii", "ignore")},
        )

    def _bare(self, request: httpx.Request) -> httpx.Request:
        headers = {name: request.headers[name] for name in _SENT if name in request.headers}
        headers |= {"User-Agent": "gi-bench", "Accept-Encoding": "identity"}
        found = self._key()
        if found:
            headers["Authorization"] = f"Bearer {found}"
        return httpx.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def close(self) -> None:
        """Give connections back."""
        self._inner.close()


def make_client(url: str, key: Callable[[], str | None], *, timeout: float, most_bytes: int) -> httpx.Client:
    """A client that sends a key to the address it is given, and nothing anywhere else.

    Args:
        url: of the server; the environment says whether it is behind a proxy.
        key: asked before each request; sent as a bearer token, None for no key.
        timeout: seconds to connect, to wait for each piece of a reply, and to read a whole reply.
        most_bytes: the largest reply.
    """
    transport = _Bounded(_proxy(url), key, timeout, most_bytes)
    return httpx.Client(transport=transport, timeout=timeout, follow_redirects=False)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
