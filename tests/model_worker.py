"""A process that installs, tries out, confirms and rolls back bundles, to be killed while it does.

``python model_worker.py CONFIG FOLDER loop`` does so until it is killed, and says ``ready`` before it begins.
``python model_worker.py CONFIG FOLDER sweep`` kills a child of its own at each access to the folder of the slots,
one after the other, starts a unit after each, and prints a JSON line about each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

from hydroear.app.models import install
from hydroear.app.probation import ModelAtWork, start_model
from hydroear.config.loader import load_config
from hydroear.config.schema import Config
from hydroear.errors import BundleError
from hydroear.model import choose_runtime
from hydroear.model.slots import Slots, SlotStore
from hydroear.score import Scorer
from signed import signed

RUNTIME = choose_runtime()


def confirm(model: ModelAtWork, config: Config) -> None:
    for _ in range(config.models.probation_windows):
        model.scored(1.0)


def shadow(config: Config) -> None:
    """What a unit writes while it hears the candidate beside what runs, and when that has stood it."""
    store = SlotStore(config.models_dir)
    store.change(Slots.shadowing)
    store.change(lambda slots: slots.compared({"pipe": {"windows": 2}}).shadowed())


def loop(config: Config, folder: Path) -> None:
    """Every other release is confirmed, the others fail."""
    print("ready", flush=True)
    while True:
        slots = SlotStore(config.models_dir).load()
        model = start_model(config, RUNTIME)
        if model.model and slots.highest_confirmed % 2:
            model.blame(BundleError("fails at work"))
        confirm(model, config)
        install(config, signed(folder, slots.highest_confirmed + 2), without_calibration=True)
        shadow(config)


def life(config: Config, folder: Path) -> None:
    """A release is heard beside the one before, started, confirmed; the next one fails, and a third is not heard."""
    install(config, folder / "release-3.hydroear", without_calibration=True)
    shadow(config)
    confirm(start_model(config, RUNTIME), config)
    install(config, folder / "release-4.hydroear", without_calibration=True)
    SlotStore(config.models_dir).change(Slots.shadowed)
    start_model(config, RUNTIME).blame(BundleError("fails at work"))
    install(config, folder / "release-5.hydroear", without_calibration=True)


def kill_at(access: int, folder: Path) -> None:
    """Kill this process at its access of that number to a folder: before it opens, renames or removes a file."""
    seen = count(1)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        ours = event in {"open", "os.rename", "os.remove"} and str(arguments[0]).startswith(str(folder))
        if ours and next(seen) == access:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_child(work: object, *arguments: object) -> int:
    """Do the work in a child; its exit status as waitpid tells it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        work(*arguments)  # type: ignore[operator]
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def killed(access: int, config: Config, folder: Path) -> None:
    kill_at(access, config.models_dir)
    life(config, folder)


def boot(access: int, config: Config, folder: Path) -> None:
    """Start the unit as after a power cut, score with what it runs, and install a newer bundle."""
    slots = SlotStore(config.models_dir).load()
    model = start_model(config, RUNTIME)
    difference = Scorer(model.bundle, RUNTIME).check_golden()
    told = {"access": access, "runs": model.bundle.name, "confirmed": slots.highest_confirmed, "differs": difference}
    confirm(model, config)
    install(config, folder / "release-9.hydroear", without_calibration=True)
    shadow(config)
    newest = start_model(config, RUNTIME)
    confirm(newest, config)
    again = start_model(config, RUNTIME)
    print(json.dumps({**told, "then": again.bundle.name}), flush=True)


def sweep(config: Config, folder: Path) -> None:
    for release in (2, 3, 4, 5, 9):
        signed(folder, release)
    install(config, folder / "release-2.hydroear", without_calibration=True)
    shadow(config)
    confirm(start_model(config, RUNTIME), config)
    shutil.copytree(config.models_dir, folder / "begin")
    for access in count(1):
        shutil.rmtree(config.models_dir)
        shutil.copytree(folder / "begin", config.models_dir)
        status = in_child(killed, access, config, folder)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return
        assert in_child(boot, access, config, folder) == 0


if __name__ == "__main__":
    {"loop": loop, "sweep": sweep}[sys.argv[3]](load_config(Path(sys.argv[1])), Path(sys.argv[2]))
