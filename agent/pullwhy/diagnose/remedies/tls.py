"""Remedies for certificates, trust and schemes, for the configuration of this node's own runtime."""

from __future__ import annotations

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
    name_authority,
    own_hosts_toml,
    quote,
    registries_yaml,
    restart,
    restart_note,
    route,
    runtime_unit,
)

_CA_NEEDS = ("root", "CA.pem: the authority's certificate, from its owner, not from the connection itself")


def _registry(values: Values) -> str:
    return values.raw("registry", "host", "REGISTRY")


def _load_trust_anew(values: Values) -> Remedy:
    directory = host_directory(values)
    other = (
        f"To spare the restart, put the authority into {directory}/ca.crt as well: certs.d is read at every pull."
        if directory
        else ""
    )
    text = joined(
        f"Restart the runtime: the system's trust store ({values.text('stale_trust', 'its bundle')}) was changed after it started, and it loads",
        "that store once, at its first handshake. The certificate is trusted already by what is started now.",
        other,
        restart_note(values),
        check(values),
    )
    return Remedy("trust-authority", text, restart(values), restart_required=True)


def _trust_authority(values: Values) -> Remedy:
    if values.text("stale_trust"):
        return _load_trust_anew(values)
    issuer = values.text("issuer", "the authority")
    lead = joined(
        f"Make the runtime trust {issuer}, or give the server a certificate of an authority that it trusts already.",
        "Take the authority's certificate from its owner: accepting whatever a connection shows would trust an interceptor as well.",
    )
    if is_rancher(values):
        return _trust_by_registries_yaml(values, lead)
    directory = host_directory(values)
    if not directory:
        return _trust_by_system(values, lead)
    hosts_toml = own_hosts_toml(values)
    file = f"{hosts_toml.rpartition('/')[0] if hosts_toml else directory}/ca.crt"
    install = Command(f"install -D -m 0644 CA.pem {quote(file)}", "node", _CA_NEEDS)
    if hosts_toml:
        text = joined(
            lead,
            f'For this node: put it at {file} and name it in {hosts_toml}, as `ca = "{file}"` in the table of the host that fails, or above',
            "all tables for the registry itself; a hosts.toml hides the *.crt files beside it.",
        )
        edit = name_authority(values, hosts_toml, file)
        commands: tuple[Command, ...] = (install, edit)
    else:
        text = joined(lead, f"For this node: put it at {file}.")
        commands = (install,)
    return Remedy("trust-authority", joined(text, NO_RESTART, SOURCE_FIRST, check(values)), commands, durable=False)


def _trust_by_registries_yaml(values: Values, lead: str) -> Remedy:
    file, host = registries_yaml(values), _registry(values)
    target = f"{file.rpartition('/')[0]}/certs/{host.replace(':', '_')}.crt"
    snippet = f'configs:\n  "{host}":\n    tls:\n      ca_file: {target}'
    text = joined(
        lead,
        f"For this node: put it at {target} and name it in {file}, from which the runtime's configuration is generated at service start",
        f"(edits of the generated files are lost):\n{snippet}\n",
        SOURCE_FIRST,
        restart_note(values),
        check(values),
    )
    install = Command(f"install -D -m 0644 CA.pem {quote(target)}", "node", _CA_NEEDS)
    edit = Command(f"${{EDITOR:-vi}} {quote(file)}", "node", ("root", "the lines above, merged with what is there"))
    return Remedy("trust-authority", text, (install, edit, *restart(values)), restart_required=True, durable=False)


def _trust_by_system(values: Values, lead: str) -> Remedy:
    name = _registry(values).replace(":", "_")
    text = joined(
        lead,
        "This node's runtime reads no certs.d directory, as far as is known: add it to the system's trust store, which the runtime loads",
        "once, when it starts; or have containerd read a certs.d root, after which certificates there need no restart:",
        f"\n{config_path_snippet(values)}\n",
        SOURCE_FIRST,
        restart_note(values),
        check(values),
    )
    debian = (
        f"install -D -m 0644 CA.pem {quote(f'/usr/local/share/ca-certificates/{name}.crt')} && update-ca-certificates"
    )
    redhat = f"install -D -m 0644 CA.pem {quote(f'/etc/pki/ca-trust/source/anchors/{name}.crt')} && update-ca-trust"
    commands = (
        Command(debian, "node", (*_CA_NEEDS, "Debian or Ubuntu")),
        Command(redhat, "node", (*_CA_NEEDS, "Fedora, RHEL or their kin, instead")),
        *restart(values),
    )
    return Remedy("trust-authority", text, commands, restart_required=True, durable=False)


def _show_chain(values: Values) -> Command:
    host = values.raw("host", "host", _registry(values))
    name = host.partition(":")[0]
    target = host if ":" in host else f"{host}:443"
    run = f"openssl s_client -connect {quote(target)} -servername {quote(name)} -showcerts </dev/null"
    return Command(run, "node", ("openssl",))


def _complete_chain(values: Values) -> Remedy:
    text = joined(
        f"Mend the server, not the trust of every node: {values.text('host', 'it')} must send the intermediate certificate",
        f"{values.text('issuer', 'that issued its own')} after its own (one file with both, the server's own first). Runtimes do not fetch it.",
        check(values),
    )
    join = Command(
        "cat SERVER.pem INTERMEDIATE.pem > CHAIN.pem",
        "registry",
        ("the intermediate's certificate", "a reload of the server"),
    )
    return Remedy("complete-chain", text, (join, _show_chain(values)))


def _skewed(values: Values) -> str:
    skewed = values.factor("ClockSkew")
    return "This node's clock is off: set it right first, which may be all that is needed." if skewed else ""


def _renew_certificate(values: Values) -> Remedy:
    text = joined(
        _skewed(values),
        f"Renew {values.text('subject', 'the certificate')} at {values.text('host', 'the server')} (expired {values.text('not_after', 'already')}) and reload the",
        "server. If it is an authority's certificate, the whole chain below it must be issued anew. More trust on the nodes is no cure.",
        check(values),
    )
    return Remedy("renew-certificate", text, (_show_chain(values),))


def _check_clock(values: Values) -> Remedy:
    text = joined(
        _skewed(values),
        "Compare this node's clock with the certificate's begin: if the clock is behind, mend its time service; if the certificate was issued",
        f"for later ({values.text('not_before', 'see the evidence')}), use one that is valid now.",
        SOURCE_FIRST,
    )
    commands = (
        Command("timedatectl status", "node"),
        Command("chronyc tracking", "node", ("chrony",)),
        _show_chain(values),
    )
    return Remedy("check-clock", text, commands)


def _match_certificate_name(values: Values) -> Remedy:
    searched = values.factor("SearchDomainAnswered")
    text = joined(
        f"The certificate is for {values.text('names', 'other names')}: use one of these names in the reference or in the runtime's configuration,",
        "or give the server a certificate with the name that is asked for, among its subject alternative names.",
        "A search domain answered for the name, so that another host may be answering." if searched else "",
        "If the name resolves to an unexpected address, mend that instead.",
        check(values),
    )
    return Remedy("match-certificate-name", text, (_show_chain(values),))


def _give_client_certificate(values: Values) -> Remedy:
    directory = host_directory(values)
    needs = ("root", "CLIENT.pem and CLIENT-KEY.pem: a pair that the server accepts")
    if is_rancher(values):
        file = registries_yaml(values)
        how = f"For this node: name it in {file}, under configs, this registry, tls: cert_file and key_file. {restart_note(values)}"
        commands: tuple[Command, ...] = (Command(f"${{EDITOR:-vi}} {quote(file)}", "node", needs), *restart(values))
    elif not directory:
        how = f"This node's runtime reads no certs.d directory, as far as is known; have it read one:\n{config_path_snippet(values)}\n{restart_note(values)}"
        commands = restart(values)
    else:
        hosts_toml = own_hosts_toml(values)
        directory = hosts_toml.rpartition("/")[0] if hosts_toml else directory
        how = f"For this node: put the pair at {directory}/client.cert and client.key. {NO_RESTART}"
        if hosts_toml:
            how = f'{how} Name it in {hosts_toml}: client = [["{directory}/client.cert", "{directory}/client.key"]].'
        install = (
            f"install -D -m 0644 CLIENT.pem {quote(directory + '/client.cert')} && "
            f"install -m 0600 CLIENT-KEY.pem {quote(directory + '/client.key')}"
        )
        edit = (
            (Command(f"${{EDITOR:-vi}} {quote(hosts_toml)}", "node", ("root", "the client line above")),)
            if hosts_toml
            else ()
        )
        commands = (Command(install, "node", needs), *edit)
    text = joined("Give the runtime a client certificate that the server accepts.", how, SOURCE_FIRST, check(values))
    restarts = any("systemctl restart" in command.run for command in commands)
    return Remedy("give-client-certificate", text, commands, restart_required=restarts, durable=False)


def _reissue(values: Values) -> Remedy:
    text = joined(
        f"Issue {values.text('subject', 'the certificate')} anew: {values.text('detail', 'Go does not take it')}. It is the certificate itself",
        "that is not right, so that no trust on a node cures it; and OpenSSL, curl or a browser may take it, so that they prove nothing.",
        "Go wants subject alternative names, signatures with SHA-256 or better, a positive serial number, RSA keys of 1024 bits or more,",
        "serverAuth among the extended usages where there are any, and of each authority basicConstraints CA:TRUE and, where it has key usages,",
        "keyCertSign.",
        check(values),
    )
    return Remedy("mend-tls", text, (_show_chain(values),))


def _mend_tls(values: Values) -> Remedy:
    if values.is_one("certificate_fault", "yes"):
        return _reissue(values)
    text = joined(
        f"Both sides cannot agree on TLS ({values.text('detail', 'see the evidence')}): runtimes speak TLS 1.2 and later. Bring the server or the",
        "load balancer before it up to date; where a middlebox rewrites or blocks the handshake, exempt this host from it.",
        check(values),
    )
    return Remedy("mend-tls", text, (_show_chain(values),))


def _let_large_hellos_pass(values: Values) -> Remedy:
    unit = runtime_unit(values)
    text = joined(
        f"Let hellos of two segments pass on the way to {values.text('host', 'the host')}: a smaller one is answered, and one as large as the",
        "runtime's is not. That is a firewall or load balancer that reads the server's name in the first segment only, or a path MTU that loses",
        "full segments; bring it up to date, or exempt this host from it. curl and openssl send small hellos and prove nothing here.",
        f'As a stopgap the runtime can be told to send the smaller one (GODEBUG "tlsmlkem=0" in {unit}, then a restart), which gives up the',
        "key exchange that quantum computers do not break.",
        restart_note(values),
        check(values),
    )
    return Remedy("find-the-silent-middlebox", text, (_show_chain(values), route(values)))


def _find_the_silent_middlebox(values: Values) -> Remedy:
    if values.is_one("hello", "large"):
        return _let_large_hellos_pass(values)
    text = joined(
        f"{values.text('host', 'The host')} takes the connection and the hello gets no answer: a middlebox that filters by name, a server",
        "that is overloaded, or a path MTU that loses large packets. The egress rule itself is right: the connection is accepted.",
        check(values),
    )
    return Remedy("find-the-silent-middlebox", text, (_show_chain(values), route(values)))


BUILDERS: dict[str, Builder] = {
    "trust-authority": _trust_authority,
    "complete-chain": _complete_chain,
    "renew-certificate": _renew_certificate,
    "check-clock": _check_clock,
    "match-certificate-name": _match_certificate_name,
    "give-client-certificate": _give_client_certificate,
    "mend-tls": _mend_tls,
    "find-the-silent-middlebox": _find_the_silent_middlebox,
}
