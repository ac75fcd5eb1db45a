"""The parts of a remedy: its values, checked and quoted in one place, its commands, and phrases that several share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from pullwhy.frozen import frozen
from pullwhy.text import printable

Where = Literal["node", "workstation", "registry"]

MAX_TEXT_VALUE = 300
"""Characters of one value in a remedy's text."""

_KINDS: dict[str, re.Pattern[str]] = {
    "image": re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._/:@\[\]-]{0,511}"),
    "host": re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]{0,260}"),
    "address": re.compile(r"[0-9A-Fa-f:][0-9A-Fa-f:.]{1,45}(?:%[A-Za-z0-9._-]{1,15})?"),
    "name": re.compile(r"[A-Za-z0-9][A-Za-z0-9.@_-]{0,252}"),
    "path": re.compile(r"/[A-Za-z0-9._/:@+,=-]{0,1023}"),
}
"""What a value must look like to stand in a command; what does not is shown as a placeholder instead."""


_PLACEHOLDERS: dict[str, str] = {
    "ADDRESS": "an address of the host",
    "ARCHITECTURE": "the image's, such as amd64",
    "CHAIN.pem": "the file to make",
    "CONTAINER": "the container's name in the pod",
    "FILE": "the runtime's configuration file that is at fault",
    "GOOD_FILE": "the certificate or key that belongs there, from its owner",
    "HOST": "the host that fails",
    "IMAGE": "the image as the pod names it",
    "IMAGE_BY_DIGEST": "the image with its digest instead of a tag",
    "INTERMEDIATE.pem": "the certificates of the authorities between",
    "NAMESERVER": "one of this node's nameservers, see /etc/resolv.conf",
    "NAMESPACE": "the pod's namespace",
    "POD": "the pod's name",
    "REGISTRY": "the registry's host, with its port if it has one",
    "REPOSITORY": "the image's name without registry and tag",
    "RUNTIME_UNIT": "the systemd unit of the container runtime, such as containerd.service",
    "SERVER.pem": "the server's own certificate",
    "WORKING_NAMESERVER": "a nameserver that answers for this name",
}
_PLACEHOLDER = re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in _PLACEHOLDERS)})(?![\w.])")


@frozen
class Command:
    """One thing to type, already quoted."""

    run: str
    where: Where
    needs: tuple[str, ...] = ()
    """What must be there, or filled in, first."""


@frozen
class Remedy:
    """What to do, for people."""

    id: str
    text: str
    commands: tuple[Command, ...] = ()
    restart_required: bool = False
    """Whether a part of the node must be restarted for it to take effect."""
    durable: bool = True
    """Whether it lasts; False where it is a stopgap until the durable source is changed too."""


class Values:
    """The arguments of a remedy: data of strangers, until they are checked and quoted here."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        self._arguments = arguments

    def text(self, name: str, default: str = "") -> str:
        """Return the value for people, every invisible character escaped."""
        return printable(self._arguments.get(name, ""), MAX_TEXT_VALUE) or default

    def is_one(self, name: str, *choices: str) -> bool:
        """Whether the value is one of `choices`."""
        return self._arguments.get(name, "") in choices

    def holds(self, name: str, kind: str) -> bool:
        """Whether the value may stand in a command as that kind."""
        value = self._arguments.get(name, "")
        return bool(_KINDS[kind].fullmatch(value)) and ".." not in value.split("/")

    def raw(self, name: str, kind: str, placeholder: str) -> str:
        """Return the value where it is of its kind, else `placeholder`; not yet quoted, for use inside `quote`."""
        return self._arguments[name] if self.holds(name, kind) else placeholder

    def shell(self, name: str, kind: str, placeholder: str) -> str:
        """Return the value as one shell word, or `placeholder`, which is a word to fill in."""
        return quote(self.raw(name, kind, placeholder))

    def factor(self, name: str) -> bool:
        """Whether the finding carries that factor."""
        return name in self._arguments.get("factors", "").split(",")


Builder = Callable[[Values], Remedy]


def explained(command: Command) -> Command:
    """Return `command` with a need for each placeholder in it that its own needs do not explain."""
    told = " ".join(command.needs)
    left = [word for word in dict.fromkeys(_PLACEHOLDER.findall(command.run)) if not _names(word, told)]
    return replace(command, needs=(*command.needs, *(f"{word}: {_PLACEHOLDERS[word]}" for word in left)))


def _names(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}(?![\w.])", text) is not None


def quote(text: str) -> str:
    """Return `text` as one word of a POSIX shell."""
    return shlex.quote(text)


def joined(*sentences: str) -> str:
    """Return the non-empty sentences as one paragraph."""
    return " ".join(sentence for sentence in sentences if sentence)


def route(values: Values) -> Command:
    """Return what shows which way packets to the host go, and with which MTU."""
    return Command(f"ip route get {values.shell('address', 'host', 'ADDRESS')}", "node")


SOURCE_FIRST = (
    "Change it where the node's configuration comes from (bootstrap configuration, machine configuration, image builder): "
    "on managed and immutable nodes edits by hand vanish. On the node itself it is a stopgap."
)
NO_RESTART = "The runtime reads this at every pull: nothing needs a restart."
RELOAD = "CRI-O keeps what it read of registries.conf until it is reloaded, which ends no pull and no container."
REGISTRIES_CONF = "/etc/containers/registries.conf"


def image(values: Values, placeholder: str = "IMAGE") -> str:
    """Return the image as a shell word."""
    return values.shell("image", "image", placeholder)


def similar_names(values: Values) -> str:
    """Return the repositories that the node has images of and that are spelled alike, as a sentence; empty where there are none."""
    similar = values.text("similar_repositories")
    return f"This node has images of names spelled like it, the likest first: {similar}." if similar else ""


def check(values: Values) -> str:
    """Return how to see that it works."""
    return f"Afterwards `pullwhy diagnose {image(values)}` on the node shows whether it works."


def runtime_unit(values: Values) -> str:
    """Return the unit that runs the runtime, as far as the node's kind tells."""
    if values.holds("runtime_unit", "name"):
        return values.raw("runtime_unit", "name", "")
    by_manager = {"k3s": "k3s-agent.service", "rke2": "rke2-agent.service"}
    for manager, unit in by_manager.items():
        if values.is_one("manager", manager):
            return unit
    by_runtime = {"containerd": "containerd.service", "cri-o": "crio.service", "docker": "docker.service"}
    return next((unit for runtime, unit in by_runtime.items() if values.is_one("runtime", runtime)), "RUNTIME_UNIT")


def restart(values: Values, unit: str = "") -> tuple[Command, ...]:
    """Return a restart of the runtime with the node drained around it."""
    unit = unit or runtime_unit(values)
    return (
        Command(
            "kubectl drain NODE --ignore-daemonsets", "workstation", ("NODE: this node's name", "the right to drain")
        ),
        Command(f"systemctl restart {quote(unit)}", "node", ("root",)),
        Command("kubectl uncordon NODE", "workstation", ("NODE: this node's name",)),
    )


def restart_note(values: Values) -> str:
    """Return what a restart of the runtime does to the node."""
    if values.is_one("manager", "k3s", "rke2"):
        return "Drain the node first: the restart takes down the kubelet and the runtime together, and pulls in flight fail."
    if values.is_one("runtime", "docker"):
        return "Drain the node first: without live-restore the restart ends its containers."
    return "Drain the node first: containers keep running over the restart, but pulls in flight fail."


def runtime_log(values: Values, pattern: str) -> Command:
    """Return how to read the runtime's own log; k3s and rke2 write their containerd's to a file (docs.rke2.io: reference/logging)."""
    if is_rancher(values):
        manager = "rke2" if values.is_one("manager", "rke2") else "k3s"
        file = f"/var/lib/rancher/{manager}/agent/containerd/containerd.log"
        return Command(f"grep --extended-regexp {quote(pattern)} {file} | tail --lines=50", "node", ("root",))
    return Command(f"journalctl --unit {quote(runtime_unit(values))} --since=-1h --grep={quote(pattern)}", "node")


def is_crio(values: Values) -> bool:
    """Whether the runtime is CRI-O, whose registries are in registries.conf."""
    return values.is_one("runtime", "cri-o")


def reload(values: Values) -> Command:
    """Return the reload after which CRI-O goes by its changed registries.conf."""
    return Command(f"systemctl reload {quote(runtime_unit(values))}", "node", ("root",))


def load_archive(values: Values, what: str) -> Command:
    """Return how `ARCHIVE.tar`, told to be `what`, gets into the runtime's own store."""
    if is_crio(values):
        target = "containers-storage:" + values.raw("image", "image", "IMAGE")
        run = f"skopeo copy docker-archive:ARCHIVE.tar {quote(target)}"
    elif values.is_one("runtime", "docker"):
        run = "docker load --input ARCHIVE.tar"
    else:
        run = "ctr --namespace k8s.io images import ARCHIVE.tar"
    return Command(run, "node", ("root", f"ARCHIVE.tar: {what}"))


def registries_yaml(values: Values) -> str:
    """Return the file from which k3s and rke2 generate the runtime's configuration at service start."""
    return f"/etc/rancher/{'rke2' if values.is_one('manager', 'rke2') else 'k3s'}/registries.yaml"


def is_rancher(values: Values) -> bool:
    """Whether k3s or rke2 generates the runtime's configuration (edits below /var/lib/rancher are lost)."""
    return values.is_one("manager", "k3s", "rke2")


def host_directory(values: Values) -> str:
    """Return the failing host's directory below the certs.d root that the runtime reads, not quoted; empty where none is known.

    containerd goes by the image's registry, its mirrors included; CRI-O and dockerd by the host that is asked.
    """
    by_host = values.is_one("runtime", "cri-o", "docker")
    if values.holds("certs_d", "path"):
        root = values.raw("certs_d", "path", "")
    elif by_host:
        root = "/etc/docker/certs.d" if values.is_one("runtime", "docker") else "/etc/containers/certs.d"
    else:
        return ""
    registry = values.raw("registry", "host", "REGISTRY")
    name = values.raw("host", "host", "HOST") if by_host and values.is_one("via", "Mirror") else registry
    return f"{root.rstrip('/')}/{name}"


def own_hosts_toml(values: Values) -> str:
    """Return the hosts.toml in effect, not quoted; it hides the certificate files beside it."""
    return values.raw("hosts_toml", "path", "") if values.is_one("runtime", "containerd", "") else ""


def _registry_table(values: Values) -> str:
    """Return the table of config.toml that holds config_path (containerd 1.x: version 2 of the file, 2.x: version 3)."""
    plugin = "io.containerd.cri.v1.images" if _is_new(values) else "io.containerd.grpc.v1.cri"
    return f"[plugins.'{plugin}'.registry]"


def _is_new(values: Values) -> bool:
    return values.text("version").removeprefix("v").startswith("2")


def config_path_snippet(values: Values) -> str:
    """Return the lines of config.toml that make containerd read one certs.d root (a list of roots is not split by 2.1 and later)."""
    return f"{_registry_table(values)}\n  config_path = '/etc/containerd/certs.d'"


def set_root(values: Values, root: str = "") -> Command:
    """Return the change of config.toml after which containerd reads one certs.d root: made in a copy that containerd itself checks."""
    file = values.raw("config_file", "path", "/etc/containerd/config.toml")
    new, line = quote(f"{file}.new"), f"config_path = '{root or '/etc/containerd/certs.d'}'"
    table = _registry_table(values)
    header = re.escape(table).replace("'", "[\"']")
    known = f"grep --quiet '^ *config_path *=' {new}"
    steps = (
        f"{{ test -s {quote(file)} && cp {quote(file)} {new} || echo 'version = {3 if _is_new(values) else 2}' > {new}; }}",
        f"sed --in-place {quote(f's#^ *config_path *=.*#  {line}#')} {new}",
        f"{{ {known} || sed --in-place {quote(f'/^ *{header} *$/a {line}')} {new}; }}",
        f"{{ {known} || printf '\\n%s\\n' {quote(table)} {quote(line)} >> {new}; }}",
        f"containerd --config {new} config dump > /dev/null",
        f"mv {new} {quote(file)}",
    )
    return Command(" && ".join(steps), "node", ("root",))


def name_authority(values: Values, hosts_toml: str, file: str) -> Command:
    """Return a `ca` line for the host that fails; a file that has such a line already is left to a person."""
    line = f'ca = "{file}"'
    if values.is_one("via", "Mirror"):
        host = values.raw("host", "host", "HOST").replace(".", "[.]")
        change = f"\\|^\\[host[.][\"']https://{host}|a {line}"
    else:
        change = f"1i {line}"
    by_hand = quote(f"add {file} to the ca setting of {hosts_toml} by hand")
    edit = f"sed --in-place {quote(change)} {quote(hosts_toml)}"
    run = f"if grep --quiet '^ *ca *=' {quote(hosts_toml)}; then echo {by_hand}; else {edit}; fi"
    return Command(run, "node", ("root",))
