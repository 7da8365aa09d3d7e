"""Keys are read at start, and one that can't be used stops it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.flask_simulcast import SettingError
from app.identity.keys import read_keys
from tests.unit.service.identity.signing import SECRET, ec_key, key_set, pem, row, rsa_key


def missing(_: Path) -> tuple[str, str]:
    return "", "/nowhere/key.pem"


def not_pem(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text("hello")
    return "", str(folder / "key")


def weak(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text(pem(rsa.generate_private_key(65537, 1024)))
    return "", str(folder / "key")


def other_curve(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text(pem(ec.generate_private_key(ec.SECP384R1())))
    return "", str(folder / "key")


def pem_as_secret(_: Path) -> tuple[str, str]:
    return pem(rsa_key()), ""


def of_rows(*rows: Any) -> Callable[[Path], tuple[str, str]]:
    def write(folder: Path) -> tuple[str, str]:
        (folder / "jwks").write_text(json.dumps({"keys": rows}))
        return "", str(folder / "jwks")

    return write


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (missing, "No such file"),
        (not_pem, "no public key"),
        (weak, "2048"),
        (other_curve, "P-256"),
        (pem_as_secret, "(not shown)"),
        (of_rows(), "has no key"),
        (of_rows({"kty": "oct", "k": "c2VjcmV0", "kid": "1"}), "is secret"),
        (of_rows({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB", "kid": "1"}), "is secret"),
        (of_rows({"kty": "RSA", "kid": "1"}), "can't be read"),
        (of_rows({"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "kid": "1"}), "can't be read"),
        (of_rows({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "1"}), "has no key"),
        (of_rows("text"), "is no key set"),
        (of_rows(7), "is no key set"),
    ],
)  # fmt: skip
def test_a_key_that_can_not_be_used_stops_the_start(tmp_path: Path, make: Any, part: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_keys(*make(tmp_path))
    assert part in str(refused.value)
    assert "SIMULCAST_JWT_" in str(refused.value)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("rows", [[("", "RS256")], [(7, "RS256")], [("a", "RS256"), ("a", "RS256")]])
def test_each_key_of_a_set_has_a_name_of_its_own(tmp_path: Path, rows: list[tuple[Any, str]]) -> None:
    with pytest.raises(SettingError, match="kid"):
        key_set(tmp_path, *(row(rsa_key(), kid) for kid, _ in rows))


def test_keys_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    keys = key_set(tmp_path, row(rsa_key(), "1", use="enc"), row(rsa_key(), "2", alg="PS256"), row(ec_key(), "3"))
    assert list(keys.named) == [("ES256", "3")]


def test_without_cryptography_the_start_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(pem(rsa_key()))
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(SettingError, match=r"pip install 'pyjwt\[crypto\]'"):
        read_keys("", str(tmp_path / "key"))
    assert read_keys(SECRET, "").algorithms == ["HS256"], "a secret needs it not"
