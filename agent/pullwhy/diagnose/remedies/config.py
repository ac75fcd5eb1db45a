"""Remedies for the runtime's registry configuration on the node: files that are wrong, and files that are not read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pullwhy.diagnose.remedies.prescription import (
    NO_RESTART,
    REGISTRIES_CONF,
    RELOAD,
    SOURCE_FIRST,
    Builder,
    Command,
    Remedy,
    Values,
    check,
    is_crio,
    is_rancher,
    joined,
    name_authority,
    own_hosts_toml,
    quote,
    registries_yaml,
    reload,
    restart,
    restart_note,
    set_root,
)

_CERTIFICATES: Final = (".crt", ".pem", ".cert", ".key")


def _takes_effect_at_once(values: Values) -> bool:
    """Whether the file is read at every pull (containerd: docs/hosts.md) and not generated at service start."""
    file = values.raw("file", "path", "")
    at_each_pull = ("/certs.d/" in file, file.endswith(("hosts.toml", "policy.json", "auth.json")))
    return any(at_each_pull) and "restart" not in values.text("mend")


def _is_of_registries_conf(values: Values) -> bool:
    return is_crio(values) and REGISTRIES_CONF.rpartition("/")[2] in values.raw("file", "path", "")


def _qualify_image(values: Values) -> Remedy:
    """Return what helps a short name: the workload names the registry, and the node's files stay as strict as they are."""
    text = joined(
        f"{values.text('where')}: {values.text('config_why')}. {values.text('mend')}.",
        "Name the registry in every image of the workload, init containers too, where the workload is defined.",
        check(values),
    )
    pod, namespace = values.shell("pod", "name", "POD"), values.shell("namespace", "name", "NAMESPACE")
    owner = f"kubectl --namespace {namespace} get pod {pod} --output jsonpath='{{.metadata.ownerReferences}}'"
    return Remedy("mend-config", text, (Command(owner, "workstation"),))


def _mend_config(values: Values) -> Remedy:
    file = values.raw("file", "path", "FILE")
    where, mend = values.text("where", file), values.text("mend")
    if _is_of_registries_conf(values) and "workload" in mend:
        return _qualify_image(values)
    if is_rancher(values):
        text = joined(
            f"{where}: {values.text('config_why')}. {mend}.",
            f"The file is generated from {registries_yaml(values)} at service start: change it there.",
            SOURCE_FIRST,
            restart_note(values),
            check(values),
        )
        source = Command(f"${{EDITOR:-vi}} {quote(registries_yaml(values))}", "node", ("root",))
        return Remedy("mend-config", text, (source, *restart(values)), restart_required=True, durable=False)
    reloads = _is_of_registries_conf(values)
    at_once = _takes_effect_at_once(values) or reloads
    effect = RELOAD if reloads else NO_RESTART if at_once else restart_note(values)
    told = f"{where}: {values.text('config_why', 'it is not valid')}."
    text = joined(told, f"{mend}." if mend else "", SOURCE_FIRST, effect, check(values))
    after = (reload(values),) if reloads else () if at_once else restart(values)
    return Remedy("mend-config", text, (_change(file), *after), restart_required=not at_once, durable=False)


def _change(file: str) -> Command:
    """Return how a file is mended: what is no text of its own is put there anew, the others are edited as the text says."""
    if not file.endswith(_CERTIFICATES):
        return Command(f"${{EDITOR:-vi}} {quote(file)}", "node", ("root", "the change told above"))
    mode = "0600" if file.endswith(".key") else "0644"
    return Command(f"install -D -m {mode} GOOD_FILE {quote(file)}", "node", ("root",))


def _make_config_effective(values: Values) -> Remedy:
    remedy = replace(_mend_config(values), id="make-config-effective")
    file, hosts_toml = values.raw("file", "path", ""), own_hosts_toml(values)
    if is_rancher(values) or not values.is_one("runtime", "containerd", ""):
        return remedy
    if hosts_toml and file.endswith(".crt") and file.rpartition("/")[0] == hosts_toml.rpartition("/")[0]:
        return replace(remedy, commands=(name_authority(values, hosts_toml, file),))
    directory = file.rpartition("/")[0]
    if remedy.restart_required:
        root = directory.rpartition("/")[0] if directory.endswith(values.raw("registry", "host", "REGISTRY")) else ""
        return replace(remedy, commands=(set_root(values, root), *restart(values)))
    if "/certs.d/" in file and values.holds("certs_d", "path"):
        return replace(remedy, commands=(_copy(directory, _right_directory(values)),))
    return remedy


def _copy(directory: str, right: str) -> Command:
    """Return a copy of a directory's settings to where they are read; it may serve others where it is, and stays."""
    run = f"install -d -m 0755 {quote(right)} && cp --recursive --no-clobber {quote(f'{directory}/.')} {quote(right)}"
    return Command(run, "node", ("root", "it is meant for this registry"))


def _right_directory(values: Values) -> str:
    """Return the first name under which containerd looks for this registry (1.6 to 2.3: core/remotes/docker/config/hosts.go)."""
    host, colon, port = values.raw("registry", "host", "REGISTRY").rpartition(":")
    name = f"{host}_{port}_" if colon and port.isdigit() else f"{host}{colon}{port}"
    return f"{values.raw('certs_d', 'path', '').rstrip('/')}/{name}"


BUILDERS: dict[str, Builder] = {
    "mend-config": _mend_config,
    "make-config-effective": _make_config_effective,
}
