"""Layouts: what the path of a recording says of it.

Labels are translated to the three that training knows: ``normal``, ``leak`` (also for what other corpora call abnormal
or an anomaly: it is what a detector is to find) and ``suspected``, which training leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from hydroear_train.corpus import LEAK, NORMAL

SUSPECTED = "suspected"
LABELS = (NORMAL, LEAK, SUSPECTED)

_FOLDER_LABELS = {"normal": NORMAL, "leak": LEAK, "abnormal": LEAK, "anomaly": LEAK}
_LOGGER_LABELS = {"1": NORMAL, "2": SUSPECTED, "3": LEAK}
_LOGGER_MATERIALS = {
    "01": "ductile-iron",
    "02": "steel",
    "03": "steel-plastic",
    "04": "pe",
    "05": "ppr",
    "06": "galvanised",
    "07": "cast-iron",
    "08": "prestressed-concrete",
}
_MIMII_SNR = re.compile(r"(?P<sign>-|min)?(?P<snr_db>\d+)_?db(_(?P<machine>\w+))?", re.IGNORECASE)
_DCASE = re.compile(
    r"section_(?P<section>\d{2})_(?P<domain>source|target)_(?P<split>train|test)_(?P<label>normal|anomaly)_"
    r"(?P<number>\d{4})(_(?P<attributes>.*))?"
)
_DCASE_SPLITS = {"train", "test", "source_test", "target_test"}


class MisnamedError(ValueError):
    """A path that does not follow the layout, and why."""


@dataclass(frozen=True)
class Layout:
    """A convention of naming.

    Attributes
    ----------
    name
        As ``--layout`` takes it.
    example
        Path of a recording that follows it.
    read
        Columns of the manifest, ``label`` among them, from a path relative to the corpus; raises
        :class:`MisnamedError` for a path that does not follow it.
    """

    name: str
    example: str
    read: Callable[[PurePath], dict[str, str]]

    def reads(self, path: PurePath) -> bool:
        """Whether a path follows it."""
        try:
            self.read(path)
        except MisnamedError:
            return False
        return True


def _read_leak_logger(path: PurePath) -> dict[str, str]:
    parts = path.stem.rsplit("-", 3)
    if len(parts) < 4 or not parts[0]:
        raise MisnamedError("not POINT-IMEI-TIME-LNMMDDDD")
    point, imei, time, code = parts
    # 15 digits, 14 without the check digit, 16 with the software version: 3GPP TS 23.003, section 6.2.
    if not _digits(imei, 14, 15, 16):
        raise MisnamedError(f"IMEI {imei!r} is not 14 to 16 digits")
    if not _digits(time, 14):
        raise MisnamedError(f"time {time!r} is not 14 digits, YYYYMMDDHHMMSS")
    try:
        moment = datetime.strptime(time, "%Y%m%d%H%M%S")  # the logger's clock, whose time zone the name does not tell
    except ValueError:
        raise MisnamedError(f"time {time!r} is no date and time") from None
    if not _digits(code, 8):
        raise MisnamedError(f"code {code!r} is not 8 digits, LNMMDDDD")
    label, noise_level, material, diameter = code[0], code[1], code[2:4], code[4:]
    if label not in _LOGGER_LABELS:
        raise MisnamedError(f"leak code {label} is not 1 (none), 2 (suspected) or 3 (leak)")
    if noise_level not in "12345":
        raise MisnamedError(f"noise level {noise_level} is not 1 to 5")
    if material not in _LOGGER_MATERIALS:
        raise MisnamedError(f"pipe material {material} is not 01 to 08")
    if int(diameter) == 0:
        raise MisnamedError("diameter 0000 mm")
    return {
        "label": _LOGGER_LABELS[label],
        "site": point,
        "sensor": imei,
        "date": f"{moment:%Y-%m-%d}",
        "time": f"{moment:%H:%M:%S}",
        "noise_level": noise_level,
        "material": _LOGGER_MATERIALS[material],
        "diameter_mm": str(int(diameter)),
    }


def _read_dcase(path: PurePath) -> dict[str, str]:
    match = _DCASE.fullmatch(path.stem)
    if match is None:
        raise MisnamedError("not section_NN_DOMAIN_SPLIT_LABEL_NNNN, as in the DCASE sets with labels")
    machine = next((folder for folder in reversed(path.parts[:-1]) if folder not in _DCASE_SPLITS), "")
    return {
        "label": _FOLDER_LABELS[match["label"]],
        "site": f"{machine}_section_{match['section']}".lstrip("_"),
        "machine": machine,
        "section": match["section"],
        "domain": match["domain"],
        "split": match["split"],
        "attributes": match["attributes"] or "",
    }


def _read_mimii(path: PurePath) -> dict[str, str]:
    *above, identity, label = ("", *path.parts[:-1]) if len(path.parts) > 2 else ("", "", "")
    if not re.fullmatch(r"id_\d{2}", identity) or label not in ("normal", "abnormal"):
        raise MisnamedError("not MACHINE/id_NN/normal/ or MACHINE/id_NN/abnormal/")
    snr = next((match for folder in reversed(above) if (match := _MIMII_SNR.fullmatch(folder))), None)
    machine = above[-1] if snr is None or snr.string != above[-1] else snr["machine"] or ""
    return {
        "label": _FOLDER_LABELS[label],
        "site": f"{machine}_{identity}".lstrip("_"),
        "machine": machine,
        "snr_db": "" if snr is None else ("-" if snr["sign"] else "") + snr["snr_db"],
    }


def _read_class_folders(path: PurePath) -> dict[str, str]:
    folders = path.parts[:-1]
    classes = [folder for folder in folders if folder.lower() in _FOLDER_LABELS]
    labels = {_FOLDER_LABELS[folder.lower()] for folder in classes}
    if not labels:
        raise MisnamedError(f"in no folder named {', '.join(_FOLDER_LABELS)}")
    if len(labels) > 1:
        raise MisnamedError(f"in {' and '.join(classes)} at once")
    site = next((folder for folder in folders if folder not in classes), "")
    return {"label": labels.pop(), "site": site}


def _digits(text: str, *lengths: int) -> bool:
    return len(text) in lengths and text.isascii() and text.isdigit()


LAYOUTS = (
    Layout("leak-logger", "HYDRANT7-861234567890123-20230115023000-13070150.wav", _read_leak_logger),
    Layout("dcase", "fan/train/section_00_source_train_normal_0000_strength_1_ambient.wav", _read_dcase),
    Layout("mimii", "6_dB_pump/pump/id_00/normal/00000000.wav", _read_mimii),
    Layout("class-folders", "SITE/normal/NAME.wav", _read_class_folders),
)
"""What can be recognised by names. MIMII is a kind of class folders, and stands before them."""
