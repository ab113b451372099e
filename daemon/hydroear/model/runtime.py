"""TFLite models on whichever interpreter is installed: tflite-runtime or LiteRT. Both speak the same API."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import BundleError, UsageError


class Kernels(StrEnum):
    """Which of an interpreter's built-in kernels run a model.

    int8 results are rounded differently by the fast kernels of each kind of processor: tflite-runtime and LiteRT agree
    with each other on x86-64, and neither with that nor with each other on aarch64. The reference kernels round alike
    everywhere, and take longer.
    """

    FAST = "fast"
    REFERENCE = "reference"


def kernels_here() -> Kernels:
    """The kernels that models are run with on this machine: those whose rounding a bundle's golden scores tell."""
    return Kernels.FAST if platform.machine() in ("x86_64", "AMD64") else Kernels.REFERENCE


class Runtime(StrEnum):
    """An interpreter, in order of preference: LiteRT's int8 kernels are the faster ones."""

    LITERT = "litert"
    TFLITE_RUNTIME = "tflite-runtime"

    @property
    def _module(self) -> str:
        return {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}[self.value]

    @property
    def _distribution(self) -> str:
        return {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}[self.value]

    @property
    def installed(self) -> bool:
        """Whether the interpreter can be imported."""
        return importlib.util.find_spec(self._module) is not None

    @property
    def version(self) -> str:
        """Version of the installed interpreter."""
        return importlib.metadata.version(self._distribution)

    def interpreter(self, content: bytes, kernels: Kernels) -> Any:
        """A single-threaded interpreter of a model, ready to run.

        It runs built-in kernels, never XNNPACK, to which LiteRT would by default hand the model: that is faster, but
        rounds differently again, and scores would depend on what is installed.
        """
        module = importlib.import_module(f"{self._module}.interpreter")
        name = "BUILTIN_REF" if kernels is Kernels.REFERENCE else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        resolver = module.OpResolverType[name]
        interpreter = module.Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        return interpreter


def available_runtimes() -> list[Runtime]:
    """The installed interpreters, preferred first."""
    return [runtime for runtime in Runtime if runtime.installed]


def choose_runtime(wish: str = "auto") -> Runtime:
    """The interpreter to use.

    Parameters
    ----------
    wish
        ``auto`` for the preferred one of those installed, or the name of one.

    Raises
    ------
    UsageError
        If the wished one, or none at all, is installed.
    """
    found = available_runtimes()
    if wish == "auto":
        if not found:
            raise UsageError(
                "no interpreter for the models is installed",
                where="runtime",
                expected="tflite-runtime or ai-edge-litert",
                fix="pip install 'hydroear[litert]'",
            )
        return found[0]
    if Runtime(wish) not in found:
        raise UsageError(
            f"{wish} is not installed",
            where="runtime",
            expected=f"one of: auto, {', '.join(found)}",
            fix="install it or choose another",
        )
    return Runtime(wish)


class Model:
    """One TFLite model, float32 in and out, a batch of one.

    Parameters
    ----------
    content
        The .tflite file.
    runtime
        The interpreter to run it on.
    name
        What to call it in errors.
    kernels
        Which of its kernels; those of this machine where left out.

    Raises
    ------
    BundleError
        If the interpreter refuses the model, or it does not take and give one float32 tensor.
    """

    def __init__(self, content: bytes, runtime: Runtime, *, name: str, kernels: Kernels | None = None) -> None:
        try:
            self._interpreter = runtime.interpreter(content, kernels or kernels_here())
        except (ValueError, RuntimeError, SystemError) as error:
            raise BundleError(
                f"{runtime} {runtime.version} refuses the model ({str(error).splitlines()[0]})",
                where=name,
                expected="a model that this interpreter runs",
                fix="export the bundle again, or install another runtime",
            ) from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or {inputs[0]["dtype"], outputs[0]["dtype"]} != {np.float32}:
            raise BundleError("not one float32 tensor in and out", where=name, fix="export the bundle again")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in inputs[0]["shape"])
        self.output_shape: tuple[int, ...] = tuple(int(n) for n in outputs[0]["shape"])

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the model on one example.

        Parameters
        ----------
        values
            float32, as many as the input shape holds.

        Returns
        -------
        ndarray
            float32, the output without its batch axis.
        """
        self._interpreter.set_tensor(self._input, values.reshape(self.input_shape))
        self._interpreter.invoke()
        output: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        return output


def load_model(content: bytes, runtime: Runtime, *, name: str, kernels: Kernels | None = None) -> Model:
    """Load a .tflite file; see :class:`Model`."""
    return Model(content, runtime, name=name, kernels=kernels)
