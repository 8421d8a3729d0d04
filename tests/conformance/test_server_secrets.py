"""Keys and passwords show nowhere; servers and proxies that are wrong at load are refused in a
sentence.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import threading
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

import s1lab as lab
from s1lab.cli import app
from s1lab.engine import Request
from s1lab.engines.address import holds_user, masker, proxy_to, shown, split_address
from tests.conformance.bad_server import KEY
from tests.conformance.serving import free_port

PASSWORD = "s3/cr#et?w@rd+%"
ENCODED = quote(PASSWORD, safe="")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (*PROXIES, *(name.upper() for name in PROXIES), "S1LAB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bad(bad_server):
    bad_server.behave()
    bad_server.get = bad_server.models
    yield bad_server
    bad_server.behave()
    bad_server.get = bad_server.models


def pieces_of(secret: str) -> list[str]:
    """The parts of a password that a parser may take it apart into, long enough to tell."""
    return [part for part in re.split(r"[/#?@+%]", secret) if len(part) > 1] + [secret]


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "plain", "user"),
    [
        ("http://host:8000/v1", "http://host:8000/v1", None),
        ("http://host:8000/v1/", "http://host:8000/v1", None),
        (" HTTP://host/v1\n", "http://host/v1", None),
        ("https://[::1]:8000/v1", "https://[::1]:8000/v1", None),
        ("http://me:word@host/v1", "http://host/v1", ("me", "word")),
        (f"http://me:{ENCODED}@host/v1", "http://host/v1", ("me", PASSWORD)),
        ("http://me:a@b@host/v1", "http://host/v1", ("me", "a@b")),
        ("http://token@host/v1", "http://host/v1", ("token", "")),
        ("http://me:a:b@host/v1", "http://host/v1", ("me", "a:b")),
    ],
)
def test_an_address_is_taken_apart(address, plain, user):
    assert split_address(address) == (plain, user)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"http://me:{PASSWORD}@host:8000/v1", "percent-encode"),
        ("http://me:s3/cr@host:8000/v1", "percent-encode"),
        ("http://me:s3?cr@host:8000/v1", "percent-encode"),
        ("http://me:s3#cr@host:8000/v1", "percent-encode"),
        ("http://me:s3\\cr@host:8000/v1", "percent-encode"),
        ("http://me:s3@cr/w@host:8000/v1", "percent-encode"),
        (
            "http://me:s3cr",
            "port",
        ),  # its host was left out: a parser takes the password for the port
        ("http://host:port/v1", "port"),
        ("http://host:99999/v1", "port"),
        ("http://host:0/v1", "port"),
        ("http:///v1", "no host"),
        ("http://me:s3cr@", "no host"),
        ("http://[s3cr/v1", "no host"),
        ("http://host/v1?key=s3cr", "goes on behind its path"),
        ("http://host/v1#s3cr", "goes on behind its path"),
        ("http://ho\x00st/v1", "letter"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_a_password(address, words):
    with pytest.raises(ValueError, match=words) as refused:
        lab.load(address)
    assert not re.search("s3|cr|w@rd", str(refused.value))
    assert str(refused.value).isprintable()


def test_other_refusals_show_no_password_either(tmp_path):
    for model in (
        f"http://me:{PASSWORD}@host/v1",
        f"me:{PASSWORD}@host/v1",
        f"HTTP://me:{ENCODED}@host",
    ):
        for options in ({"engine": "vllm"}, {"engine": "transformers"}, {}):
            if model.lower().startswith("http") and not options:
                continue
            with pytest.raises(ValueError, match="host") as refused:
                lab.load(model, **options)
            assert not any(piece in str(refused.value) for piece in pieces_of(PASSWORD))
    token = "s3cr" * 1000  # longer than a file's name can be
    with pytest.raises(ValueError, match="host") as refused:
        lab.load(f"me:{token}@host/v1")
    assert "s3cr" not in str(refused.value)
    assert shown(f"http://me:{PASSWORD}@host/v1") == "http://host/v1"
    for plain in ("Qwen/Qwen3-8B", "./folder@2", "org/name@main", "C:/models/a"):
        assert not holds_user(plain), plain


# Words of a server --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", [KEY, PASSWORD, "pässwörd-of-some-length", 'with "quotes" & <tags>']
)
def test_a_secret_is_masked_in_every_form_that_a_server_may_repeat_it_in(secret):
    mask = masker([secret], [("user", secret)])
    forms = {
        "plain": secret,
        "upper case": secret.upper(),
        "percent": quote(secret, safe=""),
        "percent, slashes kept": quote(secret),
        "percent, lower case": re.sub("%..", lambda m: m[0].lower(), quote(secret, safe="")),
        "percent, every letter": "".join(f"%{byte:02X}" for byte in secret.encode()),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, slashes too": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "JSON, every letter": "".join(f"\\u{ord(c):04x}" for c in secret),
        "HTML, every letter": "".join(f"&#{ord(c)};" for c in secret),
        "repr": repr(secret)[1:-1],
        "hex": secret.encode().hex(),
    }
    for before in ("", "user:", ":", "Bearer ", "x", "xy"):
        forms[f"base64 behind {before!r}"] = base64.b64encode(f"{before}{secret}".encode()).decode()
        forms[f"base64 within {before!r}"] = base64.b64encode(
            f"{before}{secret}!!".encode()
        ).decode()
        forms[f"urlsafe {before!r}"] = base64.urlsafe_b64encode(
            f"{before}{secret}".encode()
        ).decode()
    for kind, form in forms.items():
        said = mask(f"your key {form} is wrong")
        assert "[key]" in said or "hold the key" in said, kind
        # What is left of a base64 form is what was before and behind it, and a few bits of the key.
        left = re.sub(r"\[key\]|\[words that hold the key\]", "", said)
        assert not any(form[i : i + 7] in left for i in range(8, len(form) - 14)), (kind, said)
    assert mask("nothing of it") == "nothing of it"


def test_a_short_password_is_masked_in_base64_with_its_user():
    mask = masker(["abc"], [("me", "abc")])
    assert "bWU6YWJj" not in mask(f"Basic {base64.b64encode(b'me:abc').decode()}")


ECHOES = {
    "the key": KEY,
    "a header": f"Authorization: Bearer {KEY}",
    "base64": base64.b64encode(KEY.encode()).decode(),
    "percent": quote(KEY, safe=""),
    "at the end of what is shown": "x" * 495 + KEY,
    "many times": f"{KEY} " * 2000,
}


@pytest.mark.parametrize("echo", ECHOES)
def test_a_key_that_a_server_echoes_is_masked_wherever_its_words_are_shown(bad, echo, caplog):
    caplog.set_level(logging.INFO)
    said = ECHOES[echo]
    with lab.load(bad.address, api_key=KEY) as engine:
        for status in ("400 Bad", "401 No", "302 Found"):

            async def refuse(ask, status=status):
                await ask.send(
                    {"error": {"message": said}}, status, location=f"http://h/{said[:900]}"
                )

            bad.behave(refuse)
            error = lab.force(engine, "Is it shown?", lab.Budget(max_tokens=5)).error
            assert KEY[:9] not in error
            assert "[key]" in error or echo == "at the end of what is shown"
    bad.get = lambda path: ("401 No", {"error": said})
    with pytest.raises(PermissionError, match=r"api_key=") as refused:
        lab.load(bad.address, api_key=KEY)
    assert KEY[:9] not in str(refused.value)
    bad.get = lambda path: ("500 No", {"error": said})
    with pytest.raises(ValueError, match="no list of models") as refused:
        lab.load(bad.address, api_key=KEY)
    assert KEY[:9] not in str(refused.value) and KEY not in caplog.text


def test_a_key_in_the_names_that_a_server_gives_is_not_in_what_a_run_records(bad, tmp_path):
    card = {"id": f"model-{KEY}", "root": "s1-tiny", "max_model_len": 4096}
    version = {"version": f"1 for {KEY}"}
    bad.get = lambda path: ("200 OK", version if path.endswith("version") else {"data": [card]})
    store = tmp_path / "x.db"
    with lab.load(bad.address, api_key=KEY) as engine:
        assert (
            lab.force(engine, "Is it shown?", lab.Budget(max_tokens=5), store=store).error is None
        )
        told = repr(engine) + json.dumps(lab.describe(engine)) + engine.fingerprint
    assert KEY not in told and "[key]" in told
    assert bad.bodies[0]["model"] == card["id"]  # the server hears the name that it gave
    assert KEY.encode() not in store.read_bytes()


def test_a_password_that_is_a_part_of_the_models_name_leaves_the_name_alone(bad):
    with lab.load(bad.address.replace("//", "//me:tiny@")) as engine:
        assert (engine.model, engine.tokenizer) == ("toy", "s1-tiny")
        assert engine.fingerprint == "served toy s1-tiny"


@pytest.mark.parametrize("user", [f"me:{ENCODED}", "me:a@b@c", f"{ENCODED}"])
def test_a_password_in_an_address_is_sent_and_shown_nowhere(bad, user, caplog, capfd, tmp_path):
    caplog.set_level(logging.DEBUG)
    bad.heads.clear()
    address = bad.address.replace("//", f"//{user}@")
    with lab.load(address) as engine:
        trace = lab.force(engine, "Is it shown?", lab.Budget(max_tokens=5), store=tmp_path / "x.db")
        told = repr(engine) + json.dumps(lab.describe(engine)) + repr(trace) + str(trace)
        told += str(lab.runs(tmp_path / "x.db").to_dict())
    name, password = split_address(address)[1]
    sent = base64.b64encode(f"{name}:{password}".encode())
    assert all(b"Basic " + sent in head for head in bad.heads)
    told += caplog.text + "".join(capfd.readouterr())
    told = told.replace(bad.address, "")
    for secret in (password or name, user, sent.decode()):
        assert secret not in told
    bad.get = lambda path: ("403 No", {"error": f"not {password or name}, {sent.decode()}"})
    with pytest.raises(PermissionError) as refused:
        lab.load(address)
    assert (password or name) not in str(refused.value) and sent.decode() not in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        ["run", "What?", "--model"],
        ["ladder", "What?", "--model"],
        ["evaluate", "--benchmark", "aime24", "--model"],
        ["curate", "--out", "never.jsonl", "--difficulty"],
        ["sft", "--recipe", "tiny", "--data", "never.jsonl", "--model"],
    ],
)
@pytest.mark.parametrize(
    "user", [f"me:{KEY}", f"{KEY}", f"me:{quote(KEY, safe='')}", f"me:{KEY * 200}"]
)
def test_a_key_typed_into_an_address_is_refused_with_the_variable_to_use(
    command, user, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, [*command, f"http://{user}@127.0.0.1:9/v1"])
    assert said.exit_code == 2
    words = said.stdout + said.stderr
    assert "S1LAB_API_KEY" in words and "127.0.0.1:9" in words
    assert KEY not in words and quote(KEY, safe="") not in words and not list(tmp_path.iterdir())


# At load ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "no list of models"),
        (None, "no list of models"),
        ("ok", "no list of models"),
        ({"data": None}, "no list of models"),
        ({"data": ["toy"]}, "no list of models"),
        ({"data": [{"id": None}]}, "no list of models"),
        ({"data": [{"id": ["toy"]}]}, "no list of models"),
        (b"[" * 100_000, "no list of models"),
        (b"\xff\xfe\xfd", "no list of models"),
        (b"<html>Log in first</html>", "Log in first"),
        ({"data": [{"id": f"model{i}"} for i in range(5000)]}, "and 4980 others"),
        ({"data": [{"id": "toy", "root": ["a"]}]}, "tokenizer="),
        ({"data": [{"id": "toy", "root": "/nowhere"}]}, "tokenizer="),
        ({"data": [{"id": "toy", "root": "s1-tiny"}]}, "max_model_len="),
        ({"data": [{"id": "toy", "root": "s1-tiny", "max_model_len": "long"}]}, "'long'"),
        ({"data": [{"id": "toy", "root": "s1-tiny", "max_model_len": float("nan")}]}, "'nan'"),
        ({"data": [{"id": "toy", "root": "s1-tiny", "max_model_len": -5}]}, "max_model_len="),
        ({"data": [{"id": "toy", "root": "s1-tiny", "max_model_len": True}]}, "max_model_len="),
    ],
)
def test_a_list_of_models_that_is_none_is_refused_in_a_sentence(bad, said, words):
    bad.get = lambda path: ("200 OK", said)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as refused:
        lab.load(bad.address)
    assert len(str(refused.value)) < 1500 and str(refused.value).isprintable()


def test_a_list_of_models_without_end_or_in_drips_takes_bounded_time(bad):
    bad.get = lambda path: ("200 OK", b" " * 2**23)
    with pytest.raises(ValueError, match="more than"):
        lab.load(bad.address)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConnectionError, match=r"no whole answer within 0\.5 seconds"):
            lab.load(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", timeout=0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": float("nan")}, {"timeout": 0}, {"timeout": "soon"}, {"timeout": True},
        {"patience": -1}, {"patience": float("inf")}, {"retries": 1.5}, {"retries": -1},
        {"concurrency": 0}, {"concurrency": True}, {"max_model_len": 1}, {"max_model_len": "4096"},
    ],
)  # fmt: skip
def test_options_that_are_none_are_refused_by_name(bad, options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        lab.load(bad.address, **options)


# Proxies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_named_where_the_connection_fails(variable, monkeypatch):
    port = free_port()
    monkeypatch.setenv(variable, f"http://me:{PASSWORD[:2]}cret@127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match="no server answers") as refused:
        lab.load("http://gpu-box.invalid:8000/v1")
    said = str(refused.value)
    assert f"127.0.0.1:{port} of {variable}" in said and "NO_PROXY=gpu-box.invalid" in said
    assert "s3cret" not in said


def test_a_proxy_that_refuses_is_named_and_its_password_is_masked(bad, monkeypatch):
    monkeypatch.setenv(
        "HTTP_PROXY", bad.address.removesuffix("/v1").replace("//", f"//me:{ENCODED}@")
    )
    for status, kind in (("403 Forbidden", PermissionError), ("502 Bad Gateway", ValueError)):
        bad.get = lambda path, status=status: (status, f"no way for {PASSWORD}".encode())
        with pytest.raises(kind, match="of HTTP_PROXY") as refused:
            lab.load("http://gpu-box.invalid:8000/v1")
        assert "NO_PROXY=gpu-box.invalid" in str(refused.value) and PASSWORD not in str(
            refused.value
        )
    bad.get = bad.models  # a proxy that works is used
    with lab.load("http://gpu-box.invalid:8000/v1") as engine:
        assert lab.force(engine, "Does it work?", lab.Budget(max_tokens=5)).error is None

        async def away(ask):
            await ask.send(b"", "407 Proxy Authentication Required")

        bad.behave(away)
        error = lab.force(engine, "Does it work?", lab.Budget(max_tokens=5)).error
        assert "of HTTP_PROXY" in error and "NO_PROXY=gpu-box.invalid" in error


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1", "http://a b", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_refused_with_the_variable_and_left_out_by_no_proxy(
    bad, proxy, monkeypatch
):
    monkeypatch.setenv("ALL_PROXY", proxy)
    clients = sum(thread.name == "s1lab server engine" for thread in threading.enumerate())
    with pytest.raises((ValueError, ConnectionError), match=r"of ALL_PROXY.*NO_PROXY=127\.0\.0\.1"):
        lab.load(bad.address)
    assert clients == sum(thread.name == "s1lab server engine" for thread in threading.enumerate())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert proxy_to(bad.address) is None
    with lab.load(bad.address) as engine:
        assert engine.model == "toy"


# Sampling -----------------------------------------------------------------------------------------


def test_pieces_of_a_sampled_request_have_seeds_of_their_own(bad):
    """The request's plus the number of the piece: documented at the engine, and kept."""

    async def five(ask):
        ids, stopped = ask.ids[:5], ask.stop is not None and len(ask.ids) <= 5
        await ask.send(ask.right(token_ids=ids, finish_reason="stop" if stopped else "length"))

    def program(request):
        return (yield request)

    with lab.load(bad.address) as engine, pytest.warns(UserWarning, match="by itself after 5 ids"):
        bad.behave(five)
        request = Request(
            tuple(engine.template.prompt("Why?")), 12, frozenset({1}), 0, 0.7, 1.0, 2**63 - 2
        )
        (done,) = lab.run(engine, [program(request)])
    assert len(done.ids) == 12 and done.finish == "length"
    assert [body["seed"] for body in bad.bodies] == [2**63 - 2, 2**63 - 1, 0]
    assert [body["max_tokens"] for body in bad.bodies] == [12, 7, 2]
    assert bad.bodies[1]["prompt"] == [*request.ids, *done.ids[:5]]
    assert all(body["top_p"] == 1.0 and body["temperature"] == 0.7 for body in bad.bodies)


def test_which_stop_it_was_is_drawn_from_the_stops_alone_when_sampled(bad):
    async def silent(ask):
        ids = ask.ids[:-1] if ask.stop is not None else ask.ids
        await ask.send(ask.right(token_ids=ids, stop_reason=None))

    def program(request):
        return (yield request)

    with lab.load(bad.address) as engine:
        bad.behave(silent)
        stop = engine.template.think_stop
        prompts = [tuple(engine.template.prompt(f"{i} why?")) for i in range(20)]
        found = lab.run(engine, [program(Request(p, 200, stop, 0, 0.7, 1.0, 3)) for p in prompts])
        asked = [body for body in bad.bodies if not body["stop_token_ids"]]
    assert [done.error for done in found] == [None] * 20 and all(
        done.stop_id in stop for done in found
    )
    assert len(asked) == 20 and all(body["allowed_token_ids"] == sorted(stop) for body in asked)
    assert all(body["max_tokens"] == 1 and body["min_tokens"] == 0 for body in asked)
