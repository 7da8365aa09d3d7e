"""deploy/compose.yaml, as far as can be told without starting it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import config
from app.flask_simulcast import SettingError
from tests.tools.redis_server import serve_redis
from tests.tools.serving import KEY, ROOT

FILE = ROOT / "deploy" / "compose.yaml"
HOSTS = ("one", "two")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return text


def environment(compose: dict[str, Any], host: str, **given: str) -> dict[str, str]:
    """What a host finds, with these variables given to docker compose."""

    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if name not in given and how == ":?":
            raise KeyError(f"{name}: {rest}")
        return given.get(name, rest)

    variables = compose["services"][host]["environment"]
    return {name: re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, text) for name, text in variables.items()}


def test_it_is_two_hosts_a_redis_and_an_nginx(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*HOSTS, "redis", "nginx"}
    volumes = [volume for service in services.values() for volume in service["volumes"]]
    assert {volume.split(":")[0] for volume in volumes if not volume.startswith("./")} == set(compose["volumes"])
    assert {name for service in services.values() for name in service["networks"]} == set(compose["networks"])
    images = [service["image"] for service in services.values()]
    assert all(re.fullmatch(r"simulcast|\w+:\d+\.\d+\.\d+-bookworm", image) for image in images)
    assert "VOLUME /app/instance" in (ROOT / "Dockerfile").read_text()
    assert all((FILE.parent / services[host]["build"] / "Dockerfile").exists() for host in HOSTS)


def test_there_is_no_secret_in_it_and_no_start_without_one(compose: dict[str, Any]) -> None:
    for host in HOSTS:
        with pytest.raises(KeyError, match="SIMULCAST_PUBLISH_KEY: a secret of at least 32 bytes"):
            environment(compose, host)
        with pytest.raises(SettingError, match="SIMULCAST_PUBLISH_KEY"):
            config.read(environment(compose, host, SIMULCAST_PUBLISH_KEY="short"))


def test_both_hosts_have_the_same_settings_and_they_exist(compose: dict[str, Any]) -> None:
    one, two = (environment(compose, host, SIMULCAST_PUBLISH_KEY=KEY) for host in HOSTS)
    assert one == two
    settings = config.read(one)
    assert settings["SIMULCAST_PUBLISH_KEY"] == KEY
    assert settings["SIMULCAST_PROXY_HOPS"] == 1
    assert not settings["SIMULCAST_JWT_KEY"]
    assert re.fullmatch(r"redis://redis:6379/\d", one["SIMULCAST_BROKER_URL"])
    config.read(environment(compose, "one", SIMULCAST_PUBLISH_KEY=KEY, SIMULCAST_JWT_KEY=KEY))


def test_only_nginx_is_reached_from_outside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["nginx"]
    assert compose["networks"]["back"] == {"internal": True}
    assert compose["services"]["redis"]["networks"] == ["back"]
    assert compose["services"]["nginx"]["networks"] == ["front"]


def test_redis_takes_these_options_and_keeps_what_it_is_given(compose: dict[str, Any], tmp_path: Path) -> None:
    name, *words = shlex.split(compose["services"]["redis"]["command"])
    assert name == "redis-server"
    options = {option.removeprefix("--"): value for option, value in zip(words[::2], words[1::2], strict=True)}
    with serve_redis(tmp_path, keeps=False, options=options) as redis:
        for option, value in {"appendonly": b"yes", "maxmemory-policy": b"noeviction"}.items():
            assert value in redis.command("CONFIG", "GET", option)


def test_nginx_finds_both_hosts_where_they_are(compose: dict[str, Any], tmp_path: Path) -> None:
    """The command makes the file of a fleet from deploy/nginx.conf."""
    shell, option, command = compose["services"]["nginx"]["command"]
    made = tmp_path / "nginx.conf"
    places = {
        "$$": "$",
        "/etc/simulcast/nginx.conf": str(ROOT / "deploy" / "nginx.conf"),
        "/etc/nginx/nginx.conf": str(made),
        "exec nginx -g 'daemon off;'": "true",
    }
    for there, here in places.items():
        assert there in command
        command = command.replace(there, here)
    subprocess.run([shell, option, command], check=True)
    text = made.read_text().partition("http {")[2]
    servers = re.findall(r"^ +server (\S+):8000 ", text, re.MULTILINE)
    assert servers == [compose["services"][host]["networks"]["front"]["ipv4_address"] for host in HOSTS] * 3
    assert "unix:" not in text
    assert "#fleet" not in text
