"""What a trusted key has signed is taken; whatever else comes is refused in one line, before anything of it is run."""

from __future__ import annotations

import base64
import bz2
import hashlib
import io
import json
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.errors import BundleError, UsageError
from hydroear.model import SHIPPED_BUNDLE, parse_bundle, read_bundle
from hydroear.model.bundle import with_signature
from hydroear.model.signature import MAX_RELEASE, PublicKey, Signature, statement
from hydroear_train.cli import main
from hydroear_train.signing import make_key, public_path, sign_bundle

PRIVATE = Ed25519PrivateKey.generate()
KEY = PublicKey(PRIVATE.public_key().public_bytes_raw())
SHIPPED = SHIPPED_BUNDLE.read_bytes()
RELEASE = 7


def signature(manifest_sha256: str, release: int = RELEASE, private: Ed25519PrivateKey = PRIVATE) -> Signature:
    key = PublicKey(private.public_key().public_bytes_raw())
    return Signature(key.key_id, release, private.sign(statement(manifest_sha256, release)))


ORIGINAL = parse_bundle(SHIPPED, "shipped")
SIGNED = with_signature(SHIPPED, signature(ORIGINAL.sha256), "shipped")


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes] | list[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            archive.writestr(name, content)
    return out.getvalue()


def refusal(content: bytes, *trusted: PublicKey) -> str:
    with pytest.raises(BundleError) as caught:
        parse_bundle(content, "b.hydroear", trusted)
    return str(caught.value)


# Keys


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "models.key"
    key = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    private = load_pem_private_key(path.read_bytes(), password=None)
    public = load_pem_public_key(public_path(path).read_bytes())
    assert isinstance(private, Ed25519PrivateKey)
    assert isinstance(public, Ed25519PublicKey)
    raw = public.public_bytes_raw()
    assert private.public_key().public_bytes_raw() == raw
    assert key.key_id == PublicKey.load(public_path(path)).key_id == hashlib.sha256(raw).hexdigest()[:16]
    before = path.read_bytes(), public_path(path).read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        make_key(path)
    assert (path.read_bytes(), public_path(path).read_bytes()) == before


def test_no_private_key_stays_where_the_public_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "models.key"
    public_path(path).write_text("somebody else's")
    with pytest.raises(UsageError, match=r"models\.key\.pub: is there already"):
        make_key(path)
    assert not path.exists()
    assert public_path(path).read_text() == "somebody else's"


def other_kind() -> bytes:
    return X25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem() -> bytes:
    return PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no key", "no public key"), (other_kind(), "of another kind"), (private_pem(), "no public key")],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        PublicKey.load(tmp_path / "k")


def test_a_key_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        PublicKey.load(tmp_path / "gone")


# Signing


def test_a_signature_changes_nothing_of_what_a_bundle_is(tmp_path: Path) -> None:
    key, out = tmp_path / "models.key", tmp_path / "signed.hydroear"
    make_key(key)
    sign_bundle(SHIPPED_BUNDLE, key, 3, out)
    read = read_bundle(out, (PublicKey.load(public_path(key)),))
    assert (read.sha256, read.release) == (ORIGINAL.sha256, 3)
    assert (read.extractor, read.autoencoder) == (ORIGINAL.extractor, ORIGINAL.autoencoder)
    sign_bundle(out, key, 4, out)
    assert read_bundle(out, (PublicKey.load(public_path(key)),)).release == 4
    assert {name: part for name, part in members(out.read_bytes()).items() if name != "signature.json"} == members(
        SHIPPED
    )
    assert read_bundle(out).signature is None


def test_the_statement_names_what_it_is_for_the_manifest_and_the_release() -> None:
    assert statement("ab" * 32, 7) == b"hydroear bundle signature 1\nmanifest sha256 " + b"ab" * 32 + b"\nrelease 7\n"


@pytest.mark.parametrize("release", [0, -1, MAX_RELEASE + 1])
def test_a_release_that_is_none_is_refused(tmp_path: Path, release: int) -> None:
    make_key(tmp_path / "k")
    with pytest.raises(UsageError, match="--release"):
        sign_bundle(SHIPPED_BUNDLE, tmp_path / "k", release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_commands_make_sign_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, out = str(tmp_path / "k"), str(tmp_path / "b.hydroear")
    assert main(["keygen", "--out", key]) == 0
    assert main(["sign", str(SHIPPED_BUNDLE), "--key", key, "--release", "5", "--out", out]) == 0
    capsys.readouterr()
    assert main(["verify", out, "--key", f"{key}.pub", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["release"], told["sha256"]) == (5, ORIGINAL.sha256)
    assert told["key"] == PublicKey.load(Path(f"{key}.pub")).key_id
    assert main(["verify", out, "--key", f"{key}.pub"]) == 0
    assert f"release 5  key {told['key']}" in capsys.readouterr().out
    assert main(["verify", str(SHIPPED_BUNDLE), "--key", f"{key}.pub"]) == 1
    assert "not signed; expected a signature of key" in capsys.readouterr().err
    assert main(["sign", str(SHIPPED_BUNDLE), "--key", f"{key}.pub", "--release", "5", "--out", out]) == 2
    assert "no private key" in capsys.readouterr().err


# What is refused


def test_what_was_signed_is_taken_by_whichever_key_is_trusted() -> None:
    other = PublicKey(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert parse_bundle(SIGNED, "b", (other, KEY)).signature == signature(ORIGINAL.sha256)
    assert refusal(SIGNED, other) == (
        f"b.hydroear: signed with key {KEY.key_id}, which is not trusted; expected a signature of key {other.key_id}; "
        "sign it with a trusted key, or trust this one in models.trusted_keys"
    )
    assert "not signed" in refusal(SHIPPED, KEY)


def test_a_signature_of_another_manifest_release_or_key_is_refused() -> None:
    for wrong in (
        signature("0" * 64),
        Signature(KEY.key_id, RELEASE + 1, signature(ORIGINAL.sha256).value),
        Signature(KEY.key_id, RELEASE, signature(ORIGINAL.sha256, private=Ed25519PrivateKey.generate()).value),
    ):
        assert "the signature is not that of this manifest" in refusal(with_signature(SHIPPED, wrong, "b"), KEY)


@pytest.mark.parametrize("name", sorted(set(members(SHIPPED)) - {"manifest.json"}))
def test_another_part_under_a_right_signature_is_refused(name: str) -> None:
    parts = members(SIGNED)
    other = parts[name][:-1] + bytes([parts[name][-1] ^ 1])
    assert f"altered: {name}" in refusal(packed(parts | {name: other}), KEY)


def test_nothing_of_an_unsigned_bundle_is_interpreted() -> None:
    """Its manifest is no JSON, so that it would be told if it were read."""
    parts = {"manifest.json": b"no JSON", "signature.json": signature("0" * 64).to_json()}
    assert "the signature is not that" in refusal(packed(parts), KEY)
    assert "but no bundle" in refusal(packed(parts))


UNDERSTOOD = ("but no bundle", "'run.sh' is in it, which no bundle has", "'../../etc/cron.d/x' is in it")
"""What only shows once a manifest was read, which that of an unsigned bundle is not where keys are pinned."""


def zip_with_mode(mode: int) -> bytes:
    info = zipfile.ZipInfo("extractor.tflite")
    info.external_attr = mode << 16
    return packed([(info, b"/etc/passwd"), ("manifest.json", b"{}")])


def zip_with_many_members() -> bytes:
    return packed({f"{number}": b"" for number in range(2_000)})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (packed({"manifest.json": b" " * 10_000_000}), "'manifest.json' unpacks to 10000000 bytes, more than 1048576"),
        (packed({"manifest.json": b"{}", "signature.json": bytes(2000)}), "'signature.json' unpacks to 2000 bytes"),
        (packed({"manifest.json": b"{}", "extractor.tflite": bytes(70_000_000)}), "more than 67108864"),
        (packed(dict.fromkeys(["extractor.tflite", "projection.npy"], bytes(40_000_000))), "more than 67108864"),
        (packed({"manifest.json": b"[" * 1_000_000}), "but no bundle"),
        (packed({"manifest.json": b'{"a":' * 100_000}), "but no bundle"),
        (packed({"manifest.json": b"9" * 1_000_000}), "but no bundle"),
        (packed({**members(SHIPPED), "run.sh": b"rm"}), "'run.sh' is in it, which no bundle has"),
        (packed({**members(SHIPPED), "../../etc/cron.d/x": b"rm"}), "'../../etc/cron.d/x' is in it"),
        (zip_with_mode(stat.S_IFLNK | 0o777), "'extractor.tflite' is no plain file"),
        (zip_with_mode(stat.S_IFDIR | 0o777), "'extractor.tflite' is no plain file"),
        (packed({"manifest.json": b"{}"}, zipfile.ZIP_BZIP2), "packed in a way that bundles are not"),
        (packed({"manifest.json": b"{}"}, zipfile.ZIP_LZMA), "packed in a way that bundles are not"),
        (zip_with_many_members(), "its directory is too large"),
        (SHIPPED + b"more", "it does not end as one"),
        (bz2.compress(SHIPPED), "no bundle"),
    ],
    ids=[
        "large manifest", "large signature", "large member", "large sum", "deep list", "deep object", "long number",
        "unknown", "path", "symlink", "folder", "bzip2", "lzma", "many", "appended", "no zip",
    ],
)  # fmt: skip
@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["any", "pinned"])
def test_an_archive_that_is_no_bundle_is_refused(content: bytes, told: str, keys: tuple[PublicKey, ...]) -> None:
    told_by_key = "not signed" if keys and told in UNDERSTOOD else told
    assert told_by_key in refusal(content, *keys)


def test_a_member_that_is_larger_than_it_says_is_not_unpacked() -> None:
    content = bytearray(packed({"manifest.json": bytes(50_000_000)}))
    for at in (content.rindex(b"PK\x01\x02") + 24, 22):
        content[at : at + 4] = struct.pack("<L", 4)
    tracemalloc.start()
    try:
        assert "truncated, damaged" in refusal(bytes(content))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_member_that_is_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = packed([*members(SIGNED).items(), ("manifest.json", b"{}")])
    assert "'manifest.json' is in it twice" in refusal(content, KEY)


def test_a_directory_of_64_bits_is_refused() -> None:
    """It would overrule the small one that was looked at."""
    end = SHIPPED[-22:]
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    assert "its directory is too large" in refusal(SHIPPED[:-22] + locator + end)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 10**12)
    with pytest.raises(BundleError, match="more than 67108864 bytes"):
        read_bundle(path)


# Fuzzing


@fuzz(300)
@given(data=st.data())
def test_an_altered_byte_of_a_signed_bundle_is_noticed_or_changes_nothing(data: st.DataObject) -> None:
    content = bytearray(SIGNED)
    # Half of them in the headers, the manifest and the directory: the rest is mostly weights.
    at = data.draw(st.one_of(st.integers(0, len(content) - 1), st.integers(0, 3000), st.integers(-1200, -1)))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        read = parse_bundle(bytes(content), "b", (KEY,))
    except BundleError:
        return
    assert (read.sha256, read.signature) == (ORIGINAL.sha256, signature(ORIGINAL.sha256))
    assert (read.extractor, read.autoencoder) == (ORIGINAL.extractor, ORIGINAL.autoencoder)
    np.testing.assert_array_equal(read.projection, ORIGINAL.projection)


@fuzz(300)
@given(data=st.data(), name=st.sampled_from(["signature.json", "manifest.json"]))
def test_an_altered_signature_or_manifest_is_never_accepted(data: st.DataObject, name: str) -> None:
    parts = members(SIGNED)
    part = parts[name]
    begin = data.draw(st.integers(0, len(part)))
    end = data.draw(st.integers(begin, min(len(part), begin + 8)))
    altered = part[:begin] + data.draw(st.binary(max_size=8)) + part[end:]
    if altered != part:
        refusal(packed(parts | {name: altered}), KEY)


def fields() -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=6,
    )


@fuzz(200)
@given(
    schema=st.just("hydroear/signature/1") | fields(),
    key=st.just(KEY.key_id) | fields(),
    release=st.integers() | fields(),
    value=st.binary(max_size=70).map(lambda value: base64.b64encode(value).decode()) | fields(),
)
def test_a_signature_that_anybody_can_write_is_never_accepted(schema: Any, key: Any, release: Any, value: Any) -> None:
    document = {"schema": schema, "key": key, "release": release, "signature": value}
    content = json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
    refusal(packed(members(SHIPPED) | {"signature.json": content[:1024]}), KEY)


def test_a_signature_has_one_way_to_be_written() -> None:
    right = signature(ORIGINAL.sha256)
    assert Signature.from_json(right.to_json(), "b") == right
    compact = json.dumps(json.loads(right.to_json())).encode()
    for other in (compact, right.to_json() + b" ", right.to_json().replace(b'"key"', b'"key": "x", "key"')):
        with pytest.raises(BundleError, match="the signature is malformed"):
            Signature.from_json(other, "b")


@fuzz(200)
@given(changes=st.dictionaries(st.sampled_from(sorted(json.loads(members(SHIPPED)["manifest.json"]))), fields()))
def test_a_forged_manifest_is_a_bundle_or_an_error_in_one_line(changes: dict[str, Any]) -> None:
    parts = members(SHIPPED)
    manifest = json.loads(parts["manifest.json"]) | changes
    content = packed(parts | {"manifest.json": json.dumps(manifest).encode()})
    try:
        parse_bundle(content, "b")
    except BundleError:
        return


@fuzz(300)
@given(data=st.data(), name=st.sampled_from([name for name in members(SHIPPED) if name.endswith(".npy")]))
def test_a_forged_array_is_a_bundle_or_an_error_in_one_line(data: st.DataObject, name: str) -> None:
    """As one who changes the hashes too."""
    parts = members(SHIPPED)
    array = bytearray(parts[name])
    for _ in range(data.draw(st.integers(1, 3))):
        array[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    forged = bytes(array)
    shape = data.draw(st.sampled_from(["", "(99999999999,)", "(9999999999, 9999999999)", "(-1,)", "()"]))
    if shape:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        forged = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    manifest = json.loads(parts["manifest.json"])
    manifest["files"][name] = hashlib.sha256(forged).hexdigest()
    content = packed(parts | {name: forged, "manifest.json": json.dumps(manifest).encode()}, zipfile.ZIP_STORED)
    try:
        parse_bundle(content, "b")
    except BundleError:
        return


# Without the package


def test_without_cryptography_unsigned_bundles_run_and_keys_ask_for_it(tmp_path: Path) -> None:
    make_key(tmp_path / "k")
    script = f"""
import sys
sys.modules["cryptography"] = None
from pathlib import Path
from hydroear.errors import UsageError
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from hydroear.model.signature import PublicKey
read_bundle(SHIPPED_BUNDLE)
try:
    PublicKey.load(Path({str(tmp_path / "k.pub")!r}))
except UsageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert 'pip install "hydroear[ota]"' in done.stdout, done.stderr
