"""MONAI Label's login, made to work with PyJWT 2: it names no signature algorithm, and every token is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import jwt
import requests
from monailabel.config import settings
from monailabel.endpoints.user import auth

from lib.request_rules import Refused

__all__ = ["login_check"]

ALGORITHMS = ["RS256", "PS256", "ES256"]  # with a public key: who can check a token cannot make one


def login_check() -> Callable[[str], object] | None:
    """What checks a token, or ``None`` without ``MONAI_LABEL_AUTH_ENABLE``."""
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        return None
    auth.jwt = SimpleNamespace(decode=partial(jwt.decode, algorithms=ALGORITHMS))
    return check_token


def check_token(token: str) -> None:
    """Raises :class:`Refused` unless the login server signed the token and it is still valid."""
    try:
        auth.from_token(token)
    except jwt.InvalidTokenError as error:
        raise Refused(401, f"the token is not valid: {error}") from None
    except (requests.RequestException, KeyError, ValueError) as error:
        realm = settings.MONAI_LABEL_AUTH_REALM_URI
        raise Refused(503, f"the login server {realm} gives no key: {type(error).__name__}") from None
