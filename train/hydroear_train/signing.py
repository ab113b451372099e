"""Keys, and the signing of bundles with them."""

from __future__ import annotations

import os
from pathlib import Path

from hydroear.errors import UsageError
from hydroear.model import Bundle, parse_bundle
from hydroear.model.bundle import read_content, with_signature, write_content
from hydroear.model.signature import MAX_RELEASE, PublicKey, Signature, ed25519, key_id, load_private_key, statement


def public_path(path: Path) -> Path:
    """Where the public key of a private one is."""
    return path.with_name(path.name + ".pub")


def make_key(path: Path) -> PublicKey:
    """Make a pair of keys: the private one at a path (PKCS 8, for its owner alone), the public one beside it.

    Raises
    ------
    UsageError
        If one of the files is there already or cannot be written, or the package cryptography is missing.
    """
    key = ed25519().Ed25519PrivateKey.generate()
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, private, mode=0o600)
    try:
        _write_new(public_path(path), public, mode=0o644)
    except UsageError:
        path.unlink()
        raise
    return PublicKey(key.public_key().public_bytes_raw())


def sign_bundle(path: Path, key_path: Path, release: int, out: Path) -> tuple[Bundle, Signature]:
    """Sign a bundle; what was signed before is signed anew.

    Parameters
    ----------
    path
        The bundle.
    key_path
        The private key.
    release
        Number of the release, 1 to 2147483647; a unit installs none that is not higher than what it has run.
    out
        Where to write the signed bundle; may be the same file.

    Returns
    -------
    Bundle, Signature
        What was signed, and how.

    Raises
    ------
    UsageError
        If the key or the number cannot be used.
    BundleError
        If the bundle cannot be read or written.
    """
    if not 1 <= release <= MAX_RELEASE:
        raise UsageError(f"release {release}", where="--release", expected=f"1 to {MAX_RELEASE}")
    key = load_private_key(key_path)
    content = read_content(path)
    bundle = parse_bundle(content, path)
    signature = Signature(
        key_id(key.public_key().public_bytes_raw()), release, key.sign(statement(bundle.sha256, release))
    )
    write_content(out, with_signature(content, signature, path))
    return bundle, signature


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that is not there yet."""
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError as error:
        raise UsageError(
            "is there already", where=path, fix="choose another name; a key that is lost cannot be made again"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=path, fix="choose another folder") from error
