"""Who may ask at all: programs and this server's own pages, under this server's own name, logged in where one must."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from lib.request_rules import Refused, short

__all__ = ["Visitors"]

BEFORE_LOGIN = ("/auth", "/auth/", "/auth/token")


class Visitors:
    """Refuses what other sites' pages ask through the browser of somebody here, and what nobody logged in for.

    MONAI Label by itself answers the pages of all sites. A browser says in ``Origin`` whose page asks. ``Host`` shows a
    site that gives its own name the address of this machine.

    Args:
        hosts: this server's names; empty: any, where it listens on other interfaces too.
        origins: other pages that may ask, as ``https://viewer.example``.
        login: raises :class:`Refused` unless the token that it gets is valid; ``None``: nobody has to log in.
    """

    def __init__(
        self, hosts: Collection[str] = (), origins: Collection[str] = (), login: Callable[[str], object] | None = None
    ) -> None:
        self.origins = {urlsplit(origin).netloc for origin in origins}
        self.hosts = {*hosts, *map(name_of, self.origins)} if hosts else set()
        self.login = login

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Passes, or raises :class:`Refused`.

        Args:
            method: of HTTP.
            path: of the address.
            headers: of the request, in lower case.
        """
        host = headers.get("host", "")
        if self.hosts and name_of(host) not in self.hosts:
            raise Refused(403, f"this server has not the name {short(host)}: {', '.join(sorted(self.hosts))}")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] not in {host, *self.origins}:
            raise Refused(403, f"pages of {short(origin)} may not ask here: see MONAI_LABEL_CORS_ORIGINS")
        if self.login is None or method == "OPTIONS" or path in BEFORE_LOGIN:
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refused(401, "log in first: POST /auth/token gives a token, which each request must carry")
        self.login(token.strip())


def name_of(place: str) -> str | None:
    """The name in ``name:port``, in lower case.

    Example:
        >>> [name_of(place) for place in ("localhost:8000", "[::1]:8000", "[", "")]
        ['localhost', '::1', None, None]
    """
    try:
        return urlsplit(f"//{place}").hostname
    except ValueError:
        return None
