"""Addresses of servers, and their secrets: user and password, keys, a proxy's password."""

from __future__ import annotations

import base64
import html
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from s1lab.engines.model_names import check_reachable

CORE = 8  # characters of base64 that are enough to recognise a secret by


def is_address(model: str) -> bool:
    """Whether a model's name is an address. The scheme may be in upper or lower case."""
    return model.strip().lower().startswith(("http://", "https://"))


def holds_user(model: str) -> bool:
    """Whether a model's name may contain a user, a password or a key.

    Any name with an "@" counts, wherever the "@" is, because a password may contain "/", "?" or "#"
    unencoded. A hub id or a folder has no "@".
    """
    return "@" in model and (is_address(model) or ":" in model.partition("@")[0])


def shown(model: str) -> str:
    """The printable form of an address: without anything before its last "@"."""
    scheme, mark, rest = model.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else model.rpartition("@")[2]


def engine_for(model: str | None, engine: str, engines: Sequence[str]) -> str:
    """Choose the engine of a model. No message shows a password that the model's name may hold.

    Args:
        model: A model's name, a folder, or an address.
        engine: The engine that the caller names; "auto" for none.
        engines: All engines.

    Returns:
        "server" for an address, else the named engine, or "transformers".

    Raises:
        ValueError: The engine is unknown, can't load the model, or the name is no model.
        FileNotFoundError: No model is at the name.
        ConnectionError: It must be fetched, and the hub can't be reached.
    """
    if not isinstance(model, str) or not model:
        raise ValueError(
            'no model is named: give "s1-tiny", a folder, a hub id or the address of a server'
        )
    address = is_address(model)
    if not address and holds_user(model) and not os.path.exists(model):
        raise ValueError(
            f"{shown(model)!r} with a user before it is no model: "
            "an address begins with http:// or https://"
        )
    if engine not in ("auto", *engines):
        raise ValueError(
            f"no engine is called {engine!r}: choose from {list(engines)}, or leave it out"
        )
    if engine == "auto":
        engine = "server" if address else "transformers"
    if address != (engine == "server"):
        fix = (
            "an address is for the server engine"
            if address
            else "the server engine takes an address that begins with http"
        )
        raise ValueError(f"engine={engine!r} can't load {shown(model)!r}: {fix}")
    if not address:
        check_reachable(model)  # a name that is no model is refused before torch is imported
    return engine


def known_options(options: Mapping[str, Any], engine: type[Any]) -> None:
    """Refuse options that an engine does not have. ValueError, which names those that it has."""
    _, *has = inspect.signature(engine).parameters  # the first is the model or the address
    for name in options:
        if name not in has:
            near = get_close_matches(name, has, 1)
            hint = f"did you mean {near[0]}? It" if near else "it"
            raise ValueError(
                f"the {engine.name} engine has no option {name!r}: {hint} has {', '.join(has)}"
            )


def split_address(address: str) -> tuple[str, tuple[str, str] | None]:
    """Split user and password from an address.

    Args:
        address: Such as "http://user:password@host:8000/v1".

    Returns:
        The address without user and password, which would otherwise show in logs; and the two,
        decoded, or None if there are none.

    Raises:
        ValueError: It is not an address. The message shows nothing that may belong to a password:
            in "http://user:a/b@host" a standard parser takes "user" for the host and "a" for the
            port.
    """
    scheme, _, rest = address.strip().partition("://")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:
        raise ValueError(
            "the address has an '@' behind a '/', '?', '#' or '\\': percent-encode these letters "
            "(%2F, %3F, %23, %5C, %40), as in http://user:a%2Fb@host:8000/v1"
        )
    # Imported here: httpx imports rich, whose import draws from the global random numbers. The
    # check of a model's name must not change those.
    import httpx

    userinfo, _, host = authority.rpartition("@")
    fault = ""
    try:
        parts = urlsplit(f"{scheme.lower()}://{host}")
        named = parts.hostname or ""
        fault = "" if named else "it has no host"
    except ValueError:  # such as half an IPv6 address
        named, fault = "", "it has no host that can be read"
    try:
        if not fault and parts.port == 0:
            raise ValueError
    except ValueError:  # the "port" may be a password, so it is not shown
        fault = "its port is no number from 1 to 65535"
    if not fault and re.search(r"[?#]", behind):
        fault = "it goes on behind its path, with a '?' or '#'"
    plain = f"{scheme.lower()}://{host}{behind}".rstrip("/")
    try:
        httpx.URL(plain)
    except (httpx.InvalidURL, ValueError):
        fault = fault or "it holds a letter that no address has"
    if fault:
        told = "".join(c if c.isprintable() else "?" for c in named)[:100]
        raise ValueError(
            f"{scheme.lower()}://{told} is no address ({fault}): give one such as "
            "http://host:8000/v1"
        )
    user, _, password = userinfo.partition(":")
    return plain, (unquote(user), unquote(password)) if userinfo else None


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment sets between this machine and an address.

    Attributes:
        variable: The name of the variable that sets it.
        host: Its host and port only.
        url: Its whole address.
        secret: The password in its address.
    """

    variable: str
    host: str
    url: str = field(repr=False)
    secret: str | None = field(repr=False)

    def sentence(self, address: str) -> str:
        """The proxy's part of a message about a failing connection."""
        return (
            f"; the way there leads through the proxy {self.host} of {self.variable}, which is "
            f"left out if NO_PROXY={urlsplit(address).hostname} is set"
        )


def proxy_to(address: str) -> Proxy | None:
    """The proxy that the environment or the system sets for an address; None if there is none."""
    parts = urlsplit(address)
    proxies = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), None)
    if kind is None or proxy_bypass(parts.netloc):
        return None
    url = proxies[kind] if "://" in proxies[kind] else f"http://{proxies[kind]}"
    userinfo, _, host = url.partition("://")[2].rpartition("@")
    named = [name for name in os.environ if name.lower() == f"{kind}_proxy"]
    return Proxy(
        variable=named[0] if named else "the system's settings",
        host="".join(c for c in re.split(r"[/?#]", host)[0] if c.isprintable())[:100],
        url=url,
        secret=unquote(userinfo.partition(":")[2]) or None,
    )


def masker(secrets: Iterable[str], pairs: Iterable[tuple[str, str]] = ()) -> Callable[[str], str]:
    """A function that masks secrets in text that someone else wrote.

    Args:
        secrets: Keys and passwords.
        pairs: Users and passwords, which are sent together as base64.

    Returns:
        A function from text to text. It masks each secret in its plain form, percent-encoded,
        escaped as in JSON, HTML and Python, in hexadecimal, and within any base64. A word that
        contains a secret in another form (for example with every letter percent-encoded) is left
        out as a whole.
    """
    secrets = [secret for secret in secrets if secret]
    forms: set[str] = set()
    for secret in secrets:
        forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
        forms |= {html.escape(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
        forms |= {json.dumps(secret)[1:-1].replace("/", "\\/"), secret.encode().hex()}
        forms |= _base64(secret.encode())
    for user, password in pairs:
        forms |= _base64(f"{user}:{password}".encode())
    found = sorted(filter(None, forms), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, found)), re.IGNORECASE) if found else None

    def mask(text: str) -> str:
        if pattern is None:
            return text
        text = pattern.sub("[key]", text)
        decoded = {unquote(text), html.unescape(text), _unescaped(text)}
        if any(secret.lower() in way.lower() for way in decoded for secret in secrets):
            return "[words that hold the key]"
        return text

    return mask


def _base64(secret: bytes) -> set[str]:
    """A secret in base64, alone and inside a longer text.

    The encoding depends on where the secret begins within a group of three bytes. So there are
    three cores, of the characters that depend on the secret only.
    """
    whole = base64.b64encode(secret).decode()
    forms = {whole, whole.rstrip("=")}
    for before in range(3):
        written = base64.b64encode(b"\0" * before + secret).decode()
        core = written[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        if len(core) >= CORE:
            forms.add(core)
    return forms | {form.translate(str.maketrans("+/", "-_")) for form in forms}


def _unescaped(text: str) -> str:
    r"""Text with the escapes of JSON and Python (\u0041, \x41) decoded."""
    return re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", lambda m: chr(int(m[1] or m[2], 16)), text
    )
