"""Remedies where one side speaks HTTP and the other HTTPS, for the configuration of this node's own runtime."""

from __future__ import annotations

from urllib.parse import urlsplit

from pullwhy.diagnose.remedies.prescription import (
    NO_RESTART,
    SOURCE_FIRST,
    Builder,
    Command,
    Remedy,
    Values,
    check,
    config_path_snippet,
    host_directory,
    is_rancher,
    joined,
    own_hosts_toml,
    quote,
    registries_yaml,
    restart,
    restart_note,
    runtime_unit,
    set_root,
)


def _declare_scheme(values: Values) -> Remedy:
    host = values.raw("host", "host", values.raw("registry", "host", "REGISTRY"))
    if values.is_one("scheme", "https") and values.is_one("runtime", "cri-o", "docker"):
        text = joined(
            f"{values.text('host', 'The host')} speaks HTTPS, which the runtime tries first of all.", check(values)
        )
        return Remedy("declare-scheme", text)
    if values.is_one("scheme", "https"):
        file = own_hosts_toml(values) or "HOSTS_TOML"
        text = joined(
            f"{values.text('host', 'The host')} speaks HTTPS: write https:// for it in the runtime's configuration.",
            NO_RESTART if not is_rancher(values) else restart_note(values),
            SOURCE_FIRST,
        )
        if is_rancher(values):
            change = f"sed --in-place {quote(_to_https(host))} {quote(registries_yaml(values))}"
            commands: tuple[Command, ...] = (Command(change, "node", ("root",)), *restart(values))
            return Remedy("declare-scheme", text, commands, restart_required=True, durable=False)
        change = f"sed --in-place {quote(_to_https(host))} {quote(file)}"
        needs = ("root", "HOSTS_TOML: the registry's hosts.toml") if file == "HOSTS_TOML" else ("root",)
        return Remedy("declare-scheme", joined(text, check(values)), (Command(change, "node", needs),), durable=False)
    return _declare_http(values)


def _to_https(host: str) -> str:
    """Return the sed script that changes this host's scheme and no other's that begins like it."""
    pattern = host.replace(".", r"\.")
    return rf"s#http://{pattern}\([^A-Za-z0-9.:-]\|$\)#https://{host}\1#g"


def _declare_http(values: Values) -> Remedy:
    host = values.raw("registry", "host", "REGISTRY")
    lead = (
        "Best, give the registry TLS: what is pulled over plain HTTP, and the credentials for it, can be read and changed on the way. "
        "Where that is accepted, tell the runtime that this host speaks HTTP."
    )
    if is_rancher(values):
        file = registries_yaml(values)
        snippet = f'mirrors:\n  "{host}":\n    endpoint:\n      - "http://{host}"'
        text = joined(
            lead, f"For this node, in {file}:\n{snippet}\n", SOURCE_FIRST, restart_note(values), check(values)
        )
        edit = Command(f"${{EDITOR:-vi}} {quote(file)}", "node", ("root", "the lines above, merged with what is there"))
        return Remedy("declare-scheme", text, (edit, *restart(values)), restart_required=True, durable=False)
    if values.is_one("runtime", "cri-o", "docker"):
        text = joined(
            lead,
            f"That is a setting of {runtime_unit(values)} for all its users, and with it no certificate of this host is checked either; this",
            "registry is better given TLS.",
            check(values),
        )
        return Remedy("declare-scheme", text)
    directory = host_directory(values)
    if not directory:
        text = joined(
            lead,
            f"This node's runtime reads no certs.d directory, as far as is known; have it read one:\n{config_path_snippet(values)}\n",
            SOURCE_FIRST,
            restart_note(values),
            check(values),
        )
        return Remedy(
            "declare-scheme",
            text,
            (
                _write_http(f"/etc/containerd/certs.d/{host}", host),
                set_root(values),
                *restart(values),
            ),
            restart_required=True,
            durable=False,
        )
    hosts_toml = own_hosts_toml(values)
    if hosts_toml and not hosts_toml.rpartition("/")[0].endswith("/_default"):
        text = joined(
            lead, f"For this node: write http:// for {host} in {hosts_toml}.", NO_RESTART, SOURCE_FIRST, check(values)
        )
        return Remedy("declare-scheme", text, (_change_to_http(hosts_toml, host),), durable=False)
    text = joined(lead, f"For this node: {directory}/hosts.toml.", NO_RESTART, SOURCE_FIRST, check(values))
    return Remedy("declare-scheme", text, (_write_http(directory, host),), durable=False)


def _http(host: str) -> str:
    """Return the URL that speaks HTTP where the runtime asked so far: a host without a port was asked at that of HTTPS."""
    return f"http://{host}" if urlsplit(f"//{host}").port else f"http://{host}:443"


def _table(host: str) -> str:
    """Return the host's own table of a hosts.toml, quoted: containerd 1.6 goes on without a file that has no table of a host."""
    return quote(f'[host."{_http(host)}"]')


def _change_to_http(hosts_toml: str, host: str) -> Command:
    """Return the change of a hosts.toml that is there: the scheme where it names the host, else a server of its own."""
    file = quote(hosts_toml)
    by_hand = quote(f"name {_http(host)} in {hosts_toml} by hand")
    first = f'1i server = "{_http(host)}"'
    named = rf"s#https://{host.replace('.', '[.]')}\([^A-Za-z0-9.:-]\|$\)#{_http(host)}\1#g"
    run = (
        f"if grep --quiet {quote(f'https://{host}')} {file}; then "
        f"sed --in-place {quote(named)} {file}; "
        f"elif grep --quiet '^ *server *=' {file}; then echo {by_hand}; "
        f"else sed --in-place {quote(first)} {file}; grep --quiet '^ *.host[.]' {file} || printf '%s\\n' {_table(host)} >> {file}; fi"
    )
    return Command(run, "node", ("root",))


def _write_http(directory: str, host: str) -> Command:
    lines = f"""{quote(f'server = "{_http(host)}"')} '' {_table(host)}"""
    file = quote(f"{directory}/hosts.toml")
    return Command(
        f"install -d -m 0755 {quote(directory)} && {{ test -s {file} || printf '%s\\n' {lines} > {file}; }}",
        "node",
        ("root",),
    )


BUILDERS: dict[str, Builder] = {"declare-scheme": _declare_scheme}
