"""kubectl's own options, which may stand before a command and after it, and how they are handed on."""

from __future__ import annotations

import argparse
import os
import re
from typing import Final

from pullwhy.cli.client import TIMEOUT_SECONDS

NAMESPACE: Final = "pullwhy"
"""Where the manifests put pullwhy."""

_VALUES: Final = {
    "--kubeconfig": ("FILE", "the kubeconfig"),
    "--context": ("NAME", "the context of the kubeconfig"),
    "--cluster": ("NAME", "the cluster of the kubeconfig"),
    "--user": ("NAME", "the user of the kubeconfig"),
    "--as": ("USER", "ask kubectl as somebody else; your token is not shown to the collector then"),
    "--as-uid": ("UID", "with --as"),
    "--certificate-authority": ("FILE", "the API server's CA"),
    "--client-certificate": ("FILE", "your certificate for the API server"),
    "--client-key": ("FILE", "its key"),
    "--tls-server-name": ("NAME", "the name that the API server's certificate must have"),
    "--cache-dir": ("DIR", "kubectl's cache"),
}
_FLAGS: Final = {
    "--insecure-skip-tls-verify": "do not check the API server's certificate",
    "--disable-compression": "ask the API server for uncompressed answers",
}
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d{1,6})(ms|s|m|h|)\Z", re.ASCII)
"""What kubectl takes, of Go's durations the usual ones."""

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")
"""RFC 1123 subdomain."""


def add_options(parser: argparse.ArgumentParser, *, default: str | None = argparse.SUPPRESS) -> None:
    """Add kubectl's options and ours; those of a command (no default) leave what stood before it as it is."""
    group = parser.add_argument_group("options of kubectl")
    for option, (metavar, told) in _VALUES.items():
        group.add_argument(option, dest=_name(option), metavar=metavar, default=default, help=told)
    group.add_argument(
        "--namespace",
        "-n",
        dest="kube_namespace",
        metavar="NAMESPACE",
        default=default,
        help="of the pods that are meant (default: the context's)",
    )
    group.add_argument("--server", "-s", dest="kube_server", metavar="URL", default=default, help="the API server")
    group.add_argument(
        "--as-group",
        dest="kube_as_group",
        metavar="GROUP",
        action="append",
        default=default,
        help="with --as; may be repeated",
    )
    group.add_argument(
        "--request-timeout",
        type=_duration,
        metavar="TIME",
        dest="kube_request_timeout",
        default=default,
        help="how long one answer may take, such as 5s (0: as long as is usual)",
    )
    for option, told in _FLAGS.items():
        group.add_argument(option, dest=_name(option), action="store_const", const="true", default=default, help=told)
    for option in ("--token", "--password"):
        parser.add_argument(
            option, type=_secret, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    group = parser.add_argument_group("options of kubectl pullwhy")
    group.add_argument(
        "--pullwhy-namespace",
        metavar="NAMESPACE",
        default=default or os.environ.get("PULLWHY_NAMESPACE") or NAMESPACE,
        help=f"where pullwhy is installed (default: PULLWHY_NAMESPACE or {NAMESPACE})",
    )
    group.add_argument(
        "--token-from",
        metavar="serviceaccount/NAME",
        type=_account,
        default=default,
        help="show the collector a token that `kubectl create token` makes, of a service account of the current namespace "
        "or of serviceaccount/NAMESPACE/NAME",
    )
    group.add_argument(
        "--token-audience",
        metavar="AUDIENCE",
        default=default,
        help="with --token-from: whom the token is for, where the collector demands another than the API server",
    )


def handed_on(options: argparse.Namespace) -> list[str]:
    """Return kubectl's options for a child of ours."""
    found = [f"{option}={value}" for option in (*_VALUES, *_FLAGS) if (value := getattr(options, _name(option)))]
    found += [f"--as-group={group}" for group in options.kube_as_group or ()]
    found += [f"--server={options.kube_server}"] if options.kube_server else []
    return found + ([f"--request-timeout={options.kube_request_timeout}"] if options.kube_request_timeout else [])


def seconds(duration: str | None) -> float:
    """Return how long one answer of the collector may take."""
    match = _DURATION.match(duration or "")
    return (int(match[1]) * _UNITS[match[2] or "s"] if match else 0.0) or TIMEOUT_SECONDS


def _name(option: str) -> str:
    return f"kube_{option.removeprefix('--').replace('-', '_')}"


def _duration(text: str) -> str:
    if not _DURATION.match(text):
        raise argparse.ArgumentTypeError("write a number with its unit: 500ms, 5s, 2m, 1h")
    return text


def _secret(text: str) -> str:
    del text
    raise argparse.ArgumentTypeError("arguments are seen by everybody on a machine: use --token-file or PULLWHY_TOKEN")


def _account(text: str) -> tuple[str, str]:
    """Return namespace (empty: the current one) and name."""
    kind, *parts = text.split("/")
    # A name that begins with a dash would be an option of kubectl's.
    good = len(parts) in (1, 2) and all(_NAME.match(part) for part in parts)
    if kind not in ("serviceaccount", "serviceaccounts", "sa") or not good:
        raise argparse.ArgumentTypeError("write serviceaccount/NAME or serviceaccount/NAMESPACE/NAME")
    return (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
