"""The ZIP archive of a bundle: members with known names, each within its limit; nothing is ever unpacked to a disk."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

from hydroear.errors import BundleError

MAX_BYTES = 64 * 2**20
"""Of the file, and of all its members together."""

_MAX_DIRECTORY_BYTES = 2**14
_END = struct.Struct("<4s4H2LH")
_ZIP64_LOCATOR = struct.Struct("<4sLQL")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class Archive:
    """An archive whose directory was checked; members are read one by one.

    Parameters
    ----------
    content
        The file.
    where
        What errors call it.
    limits
        The members that there may be, and how many bytes each may have.

    Raises
    ------
    BundleError
        If it is no archive, or its directory names anything but those members, each once, as plain files within their
        limits and :data:`MAX_BYTES` together.
    """

    def __init__(self, content: bytes, where: object, limits: Mapping[str, int]) -> None:
        self._where = where
        _check_end(content, where)
        try:
            self._file = zipfile.ZipFile(io.BytesIO(content))
        except _DAMAGE as error:
            raise damaged(where, error) from error
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._file.infolist():
            name = info.filename
            if name in self._infos:
                raise self._foreign(f"{name!r} is in it twice")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise self._foreign(f"{name!r} is no plain file")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._foreign(f"{name!r} is packed in a way that bundles are not")
            if info.file_size > limits.get(name, MAX_BYTES):
                raise self._foreign(f"{name!r} unpacks to {info.file_size} bytes, more than {limits[name]}")
            self._infos[name] = info
        if sum(info.file_size for info in self._infos.values()) > MAX_BYTES:
            raise self._foreign(f"unpacks to more than {MAX_BYTES} bytes")
        self._unknown = sorted(set(self._infos) - set(limits))

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def refuse_unknown(self) -> None:
        """Raise BundleError where there is a member that no bundle has."""
        if self._unknown:
            raise self._foreign(f"{self._unknown[0]!r} is in it, which no bundle has")

    def read(self, name: str) -> bytes:
        """A member.

        Raises
        ------
        BundleError
            If it is damaged.
        """
        info = self._infos[name]
        try:
            # A length is given because without one everything is unpacked that there is, whatever the directory says.
            with self._file.open(info) as member:
                content = member.read(info.file_size)
        except _DAMAGE as error:
            raise damaged(self._where, error) from error
        if len(content) != info.file_size:
            raise damaged(self._where, f"{name} is too short")
        return content

    def _foreign(self, what: str) -> BundleError:
        return BundleError(what, where=self._where, expected="a bundle as it was exported", fix="copy the file again")


def pack(members: Mapping[str, bytes]) -> bytes:
    """An archive of members, in their order and without time stamps: the same members give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, content)
    return archive.getvalue()


def damaged(where: object, why: object) -> BundleError:
    """The error of a file that cannot be unpacked."""
    return BundleError(
        f"truncated, damaged or no bundle ({why})", where=where, expected="a bundle", fix="copy the file again"
    )


def _check_end(content: bytes, where: object) -> None:
    """Refuse a directory that would take much memory to read: zipfile reads all of it before it can be asked.

    A bundle ends with the end record, without a comment after it and without the 64-bit records before it, which would
    overrule it.
    """
    if len(content) < _END.size:
        raise damaged(where, "too short")
    mark, _, _, _, _, directory_bytes, _, comment_bytes = _END.unpack(content[-_END.size :])
    if mark != b"PK\x05\x06" or comment_bytes:
        raise damaged(where, "it does not end as one")
    locator = content[-_END.size - _ZIP64_LOCATOR.size :]
    if locator.startswith(b"PK\x06\x07") or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise damaged(where, "its directory is too large")
