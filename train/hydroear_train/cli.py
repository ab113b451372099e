"""``hydroear-train``: the trainer's verbs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hydroear import __version__
from hydroear.command import run_command


def main(argv: list[str] | None = None) -> int:
    """Run one verb; failures the user can mend become one line on stderr and an exit code."""
    return run_command("hydroear-train", lambda: _work(argv))


def _work(argv: list[str] | None) -> int:
    args = _parser().parse_args(argv)
    code: int = args.func(args)
    return code


def _parser() -> argparse.ArgumentParser:
    from hydroear_train.compare import cli as compare
    from hydroear_train.crossval import cli as crossval
    from hydroear_train.fleet import cli as fleet
    from hydroear_train.scan import cli as scan
    from hydroear_train.simulate import cli as simulate
    from hydroear_train.soak import cli as soak

    parser = argparse.ArgumentParser(
        prog="hydroear-train", description="Train, compare and pack leak detectors for hydroear units."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    simulate.add_parser(verbs)
    compare.add_parser(verbs)
    crossval.add_parser(verbs)
    scan.add_parser(verbs)
    soak.add_parser(verbs)
    fleet.add_parser(verbs)
    _add_fit(verbs)
    _add_demo(verbs)
    _add_demo_bundle(verbs)
    _add_keygen(verbs)
    _add_sign(verbs)
    _add_verify(verbs)
    return parser


def _add_fit(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fit = verbs.add_parser(
        "fit",
        help="train a bundle on recordings of normal pipes",
        description="Train a bundle on the normal recordings of a manifest: extractor, autoencoder, int8 models. "
        "With --strategy multiworker, several processes that run this command with a TF_CONFIG each train one "
        "extractor together; the first of them writes the run.",
    )
    fit.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="columns file and label at least")
    fit.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="use only rows that meet it (or COLUMN!=VALUE); may be repeated",
    )
    fit.add_argument("--group-column", default="site", metavar="COLUMN", help="names the site of a row (default site)")
    fit.add_argument("--recipe", type=Path, metavar="YAML", help="what differs from the default recipe")
    fit.add_argument("--seed", type=int, metavar="N", help="instead of the recipe's seed")
    fit.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run, made if missing")
    fit.add_argument("--name", metavar="NAME", help="name of the bundle (default: the folder's name)")
    fit.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="stream audio from shards in this folder, made if missing, instead of holding it in memory",
    )
    fit.add_argument(
        "--strategy",
        choices=("multiworker",),
        help="train with the other workers named in TF_CONFIG; --cache is then OUT/cache if not given",
    )
    fit.add_argument("--quiet", action="store_true", help="no progress bars")
    fit.add_argument("--json", action="store_true", help="print the outcome as JSON")
    fit.set_defaults(func=_fit)


def _fit(args: argparse.Namespace) -> int:
    from hydroear_train.corpus import Condition, read_manifest
    from hydroear_train.recipe import load_recipe

    recipe = load_recipe(args.recipe, seed=args.seed)
    entries = read_manifest(args.manifest, [Condition.parse(text) for text in args.where])

    from hydroear_train.fit import train_bundle, write_run
    from hydroear_train.strategy import join_workers, single_worker

    together = args.strategy == "multiworker"
    workers = join_workers() if together else single_worker()
    name = args.name or args.out.resolve().name
    trained = train_bundle(
        entries,
        recipe,
        name=name,
        group_column=args.group_column,
        quiet=args.quiet,
        cache=args.cache or (args.out / "cache" if together else None),
        workers=workers,
    )
    if not workers.is_chief:
        workers.meet()
        return 0
    outcome = write_run(trained, recipe, args.out, name=name)
    workers.meet()
    if args.json:
        print(json.dumps({"bundle": str(outcome.bundle_path), "sha256": outcome.sha256, "metrics": outcome.metrics}))
    else:
        print(f"{outcome.bundle_path}  manifest sha256 {outcome.sha256}")
        for name, value in sorted(outcome.metrics.items()):
            print(f"  {name:<24} {value:.3f}")
    return 0


def _add_demo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = verbs.add_parser(
        "demo",
        help="watch a unit hear a simulated leak and raise one alarm over MQTT",
        description="Watch a unit hear a simulated leak among a tap and a lorry, and raise one alarm over MQTT.",
    )
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="for the picture (demo-out)")
    demo.add_argument("--speed", type=float, default=16.0, metavar="N", help="times real time (default 16)")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated sound (default 0)")
    demo.set_defaults(func=_demo)


def _demo(args: argparse.Namespace) -> int:
    from hydroear_train.demo import run_demo

    verdict = run_demo(args.out, speed=args.speed, seed=args.seed)
    print(verdict)
    return 0 if verdict.ok else 1


def _add_demo_bundle(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bundle = verbs.add_parser(
        "demo-bundle",
        help="train the bundle that ships with the package, on simulated pipes",
        description="Train the bundle that ships with the package, on simulated pipes. The same machine and versions "
        "give the same bytes.",
    )
    bundle.add_argument("--out", type=Path, metavar="FILE", help="where to put it (default: in the package)")
    bundle.add_argument("--quiet", action="store_true", help="no progress bars")
    bundle.set_defaults(func=_demo_bundle)


def _demo_bundle(args: argparse.Namespace) -> int:
    from hydroear.model import SHIPPED_BUNDLE
    from hydroear_train.demo_bundle import make_demo_bundle

    out = args.out or SHIPPED_BUNDLE
    outcome = make_demo_bundle(out, quiet=args.quiet)
    print(f"{out}  {out.stat().st_size} bytes  manifest sha256 {outcome.sha256}")
    for name, value in sorted(outcome.metrics.items()):
        print(f"  {name:<24} {value:.3f}")
    return 0


def _add_keygen(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keygen = verbs.add_parser(
        "keygen",
        help="make the keys that bundles are signed with",
        description="Make the keys that bundles are signed with: the private one, KEY, which stays here, and the "
        "public one, KEY.pub, which units get.",
    )
    keygen.add_argument("--out", type=Path, required=True, metavar="KEY", help="where to write the private key")
    keygen.set_defaults(func=_keygen)


def _keygen(args: argparse.Namespace) -> int:
    from hydroear_train.signing import make_key, public_path

    key = make_key(args.out)
    print(f"{args.out} and {public_path(args.out)}  key {key.key_id}")
    return 0


def _add_sign(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sign = verbs.add_parser(
        "sign",
        help="sign a bundle and number its release",
        description="Sign a bundle and number its release. What the bundle is does not change by that: calibrations "
        "that were made with it stay valid.",
    )
    sign.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle")
    sign.add_argument("--key", type=Path, required=True, metavar="KEY", help="private key, as keygen wrote it")
    sign.add_argument(
        "--release", type=int, required=True, metavar="N", help="number of the release, higher than those before"
    )
    sign.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: over BUNDLE)")
    sign.set_defaults(func=_sign)


def _sign(args: argparse.Namespace) -> int:
    from hydroear_train.signing import sign_bundle

    out = args.out or args.bundle
    bundle, signature = sign_bundle(args.bundle, args.key, args.release, out)
    print(f"{out}  {bundle.name}  release {signature.release}, key {signature.key_id}  manifest sha256 {bundle.sha256}")
    return 0


def _add_verify(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = verbs.add_parser("verify", help="check a bundle and its signature, as a unit does")
    verify.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle")
    verify.add_argument("--key", type=Path, required=True, metavar="KEY.pub", help="public key, as keygen wrote it")
    verify.add_argument("--json", action="store_true", help="print what it is as JSON")
    verify.set_defaults(func=_verify)


def _verify(args: argparse.Namespace) -> int:
    from hydroear.model import read_bundle
    from hydroear.model.signature import PublicKey

    bundle = read_bundle(args.bundle, (PublicKey.load(args.key),))
    assert bundle.signature is not None
    told = {"name": bundle.name, "release": bundle.signature.release, "key": bundle.signature.key_id}
    if args.json:
        print(json.dumps({"bundle": str(args.bundle), **told, "sha256": bundle.sha256}))
    else:
        in_words = "  ".join(f"{what} {value}" for what, value in told.items())
        print(f"{args.bundle}  {in_words}  manifest sha256 {bundle.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
