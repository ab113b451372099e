"""Who answers for a bundle: an Ed25519 signature (RFC 8032) of its manifest and of its release number.

The manifest holds the hash of every other part, so that its own hash covers all of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hydroear.errors import BundleError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_RELEASE = 2**31 - 1
_SCHEMA = "hydroear/signature/1"
_SIGNATURE_BYTES = 64


@dataclass(frozen=True)
class Signature:
    """A signature as it travels in a bundle; whether it is right, a :class:`PublicKey` tells.

    Attributes
    ----------
    key_id
        Which key made it: 16 hexadecimal digits.
    release
        Number of the release, 1 to :data:`MAX_RELEASE`; the higher one is the newer.
    value
        The signature of :func:`statement`, 64 bytes.
    """

    key_id: str
    release: int
    value: bytes

    def to_json(self) -> bytes:
        """The member of the bundle; there is only one way to write it."""
        document = {
            "schema": _SCHEMA,
            "key": self.key_id,
            "release": self.release,
            "signature": base64.b64encode(self.value).decode("ascii"),
        }
        return json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def from_json(cls, content: bytes, where: object) -> Signature:
        """Read :meth:`to_json`'s bytes.

        Raises
        ------
        BundleError
            If they are anything else.
        """
        try:
            fields = json.loads(content)
            signature = cls(fields["key"], fields["release"], base64.b64decode(fields["signature"], validate=True))
            well_formed = (
                type(signature.release) is int
                and 1 <= signature.release <= MAX_RELEASE
                and re.fullmatch(r"[0-9a-f]{16}", signature.key_id) is not None
                and len(signature.value) == _SIGNATURE_BYTES
            )
            if not well_formed or signature.to_json() != content:
                raise ValueError("not in the form that hydroear-train sign gives it")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(
                f"the signature is malformed ({error})", where=where, fix="sign the bundle again"
            ) from error
        return signature


@dataclass(frozen=True)
class PublicKey:
    """A key that is trusted.

    Attributes
    ----------
    raw
        The key, 32 bytes.
    """

    raw: bytes

    @property
    def key_id(self) -> str:
        """What people and signatures call it."""
        return key_id(self.raw)

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a PEM file (SubjectPublicKeyInfo), as ``hydroear-train keygen`` writes it.

        Raises
        ------
        UsageError
            If the file is missing or holds no public key of Ed25519, or the package cryptography is missing.
        """
        module = ed25519()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        expected, fix = "a public key of Ed25519 (PEM)", "give the .pub file that hydroear-train keygen wrote"
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise UsageError(
                f"cannot be read ({error.strerror})", where=path, expected=expected, fix="check the path"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UsageError("no public key", where=path, expected=expected, fix=fix) from error
        if not isinstance(key, module.Ed25519PublicKey):
            raise UsageError("a public key of another kind", where=path, expected=expected, fix=fix)
        return cls(key.public_bytes_raw())

    def made(self, signature: Signature, manifest_sha256: str) -> bool:
        """Whether the signature is this key's, of this manifest and its own release number."""
        return self.verifies(signature.value, statement(manifest_sha256, signature.release))

    def verifies(self, value: bytes, content: bytes) -> bool:
        """Whether a signature is this key's, of this content."""
        from cryptography.exceptions import InvalidSignature

        key = ed25519().Ed25519PublicKey.from_public_bytes(self.raw)
        try:
            key.verify(value, content)
        except InvalidSignature:
            return False
        return True


def statement(manifest_sha256: str, release: int) -> bytes:
    """What is signed. It begins with what it is for, so that a signature of it is of no use anywhere else.

    Parameters
    ----------
    manifest_sha256
        SHA-256 of the bytes of manifest.json, in hex.
    release
        Number of the release.
    """
    return f"hydroear bundle signature 1\nmanifest sha256 {manifest_sha256}\nrelease {release}\n".encode("ascii")


def key_id(raw: bytes) -> str:
    """The name of a public key of 32 bytes: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def check_signature(
    content: bytes | None, manifest_sha256: str, trusted: Sequence[PublicKey], where: object
) -> Signature:
    """The signature of a bundle, if one of the trusted keys made it.

    Parameters
    ----------
    content
        The bundle's member that holds it; None where there is none.
    manifest_sha256
        SHA-256 of the manifest, in hex.
    trusted
        The keys.
    where
        What errors call the bundle.

    Raises
    ------
    BundleError
        If there is none, or it is malformed, of an unknown key, or not of this manifest and release.
    """
    expected = f"a signature of key {' or '.join(key.key_id for key in trusted)}"
    if content is None:
        raise BundleError("not signed", where=where, expected=expected, fix="sign it with hydroear-train sign")
    signature = Signature.from_json(content, where)
    known = [key for key in trusted if key.key_id == signature.key_id]
    if not known:
        raise BundleError(
            f"signed with key {signature.key_id}, which is not trusted",
            where=where,
            expected=expected,
            fix="sign it with a trusted key, or trust this one in models.trusted_keys",
        )
    if not known[0].made(signature, manifest_sha256):
        raise BundleError(
            "altered: the signature is not that of this manifest and release number",
            where=where,
            expected="the bundle as it was signed",
            fix="copy it again, and do not run it if that does not help",
        )
    return signature


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key, as ``hydroear-train keygen`` writes it.

    Raises
    ------
    UsageError
        If the file is missing or holds no private key of Ed25519, or the package cryptography is missing.
    """
    module = ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    expected = "a private key of Ed25519 (PEM, without a password)"
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(
            f"cannot be read ({error.strerror})", where=path, expected=expected, fix="check the path"
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        fix = "hydroear-train keygen makes one"
        raise UsageError("no private key", where=path, expected=expected, fix=fix) from error
    if not isinstance(found, module.Ed25519PrivateKey):
        raise UsageError("a private key of another kind", where=path, expected=expected)
    key: Ed25519PrivateKey = found
    return key


def ed25519() -> ModuleType:
    """The module that signs and verifies.

    Raises
    ------
    UsageError
        If the package cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UsageError(
            "the package cryptography is not installed",
            where="signatures of bundles",
            fix='pip install "hydroear[ota]"',
        ) from error
    return ed25519
