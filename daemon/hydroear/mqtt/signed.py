"""Requests that are signed: whoever has the broker does not have the units."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hydroear.errors import CommandError
from hydroear.model.signature import PublicKey
from hydroear.mqtt.commands import MAX_BYTES, request_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_SIGNED_BYTES = 2 * MAX_BYTES
"""A request and its signature: within quotes some characters take two."""


class SignedCommand(BaseModel):
    """A request as text, and the Ed25519 signature (RFC 8032) of what :func:`statement` makes of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    form: Annotated[Literal["hydroear/signed-command/1"], Field(alias="schema")] = "hydroear/signed-command/1"
    request: str
    signature: str


def statement(unit: str, verb: str, request: str) -> bytes:
    """What is signed: of no use for another unit, another command, or anything but a command."""
    return f"hydroear command signature 1\nunit {unit}\nverb {verb}\n{request}".encode()


def sign_request(request: str, *, unit: str, verb: str, key: Ed25519PrivateKey) -> bytes:
    """A signed request, as it is published."""
    signature = base64.b64encode(key.sign(statement(unit, verb, request))).decode()
    return SignedCommand(request=request, signature=signature).model_dump_json(by_alias=True).encode()


def open_request(payload: bytes, *, unit: str, verb: str, trusted: Sequence[PublicKey]) -> bytes:
    """The request in a signed one, if a trusted key signed it for this unit and command.

    Raises
    ------
    CommandError
        If not; with its `request_id` where it has one.
    """
    if len(payload) > MAX_SIGNED_BYTES:
        raise CommandError(f"a request of {len(payload)} bytes", expected=f"{MAX_SIGNED_BYTES} at most")
    try:
        envelope = SignedCommand.model_validate_json(payload)
    except ValidationError as error:
        raise CommandError(
            "not signed", expected="a signed request", fix="see mqtt.command_keys", request_id=request_id(payload)
        ) from error
    request = envelope.request.encode()
    try:
        value = base64.b64decode(envelope.signature, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not any(key.verifies(value, statement(unit, verb, envelope.request)) for key in trusted):
        raise CommandError(
            f"the signature is not that of a trusted key for {verb} of {unit}", request_id=request_id(request)
        )
    return request
