"""Bundles, and the interpreters that run what is in them."""

from hydroear.model.bundle import SHIPPED_BUNDLE, Bundle, Golden, pack_bundle, parse_bundle, read_bundle, write_bundle
from hydroear.model.runtime import Kernels, Model, Runtime, available_runtimes, choose_runtime, kernels_here, load_model

__all__ = [
    "SHIPPED_BUNDLE",
    "Bundle",
    "Golden",
    "Kernels",
    "Model",
    "Runtime",
    "available_runtimes",
    "choose_runtime",
    "kernels_here",
    "load_model",
    "pack_bundle",
    "parse_bundle",
    "read_bundle",
    "write_bundle",
]
