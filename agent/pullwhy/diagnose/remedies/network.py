"""Remedies between the node and the registry: names, routes, proxies, mirrors, and the registry's own service."""

from __future__ import annotations

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
    quote,
    registries_yaml,
    reload,
    restart,
    restart_note,
    route,
    runtime_log,
    runtime_unit,
)


def _host(values: Values) -> str:
    """Return the failing host's name without a port, not quoted."""
    host = values.raw("host", "host", "HOST")
    return host if host.startswith("[") else host.partition(":")[0]


def _port(values: Values) -> str:
    return values.raw("port", "name", "443")


def _dig(values: Values) -> Command:
    server = values.raw("nameserver", "address", "NAMESERVER")
    return Command(
        f"dig {quote('@' + server)} {quote(_host(values))} A", "node", ("dig (package dnsutils or bind-utils)",)
    )


_NONE_LISTED = "127.0.0.1"
"""What is asked where resolv.conf lists nobody (Go 1.27: net/dnsconfig.go)."""

_RESOLVER = "The runtime resolves names with the node's own resolver, not with the cluster's DNS, unless the node's resolv.conf lists that."


def _mend_name(values: Values) -> Remedy:
    disagree = values.factor("NameserversDisagree")
    searched = values.factor("SearchDomainAnswered")
    server = values.text("nameserver")
    text = joined(
        "Correct the host's name, or create it where this node's resolver looks (private zone, split-horizon view, hosts file):",
        f"{server} denies that it exists." if server else "its nameservers deny that it exists.",
        "Nameservers disagree: the resolver stops at the first that denies the name, so mend or remove the one that does."
        if disagree
        else "",
        "A search domain answers for the name: check the search list in resolv.conf." if searched else "",
        _RESOLVER,
        "No restart is needed.",
    )
    hosts = Command(f"getent ahosts {quote(_host(values))}", "node")
    return Remedy("mend-name", joined(text, check(values)), (_dig(values), hosts))


def _mend_resolved(values: Values) -> Remedy:
    text = joined(
        "Mend systemd-resolved on this node: the nameservers that it asks answer for this name, and it does not. See which servers, domains",
        "and DNSSEC setting it uses for each link; a name that is signed wrongly, or a server that breaks DNSSEC, fails there only.",
        "It may be restarted without harm to running containers. The runtime needs no restart.",
        SOURCE_FIRST,
        check(values),
    )
    ask = Command(f"resolvectl query {quote(_host(values))}", "node")
    again = Command("systemctl restart systemd-resolved.service", "node", ("root",))
    return Remedy("mend-nameserver", text, (Command("resolvectl status", "node"), ask, again))


def _mend_nameserver(values: Values) -> Remedy:
    if values.is_one("resolved", "broken"):
        return _mend_resolved(values)
    server, answer = values.text("nameserver"), values.text("answer", "nothing usable")
    faulty, way = (f"{server}, which answers", "it") if server else ("the node's nameservers, which answer", "them")
    text = joined(
        f"Mend {faulty} {answer}, or the way to {way} (UDP and TCP port 53); or list one that",
        "works in the node's resolv.conf, where the network's configuration comes from (DHCP, netplan, systemd-resolved).",
        _RESOLVER,
        "SERVFAIL is the server's own trouble, REFUSED its policy, silence a firewall or a server that is down. No restart is needed.",
        SOURCE_FIRST,
    )
    show = Command("cat /etc/resolv.conf", "node")
    return Remedy("mend-nameserver", joined(text, check(values)), (_dig(values), show, *_other_nameserver(values)))


def _other_nameserver(values: Values) -> tuple[Command, ...]:
    """Return the change of resolv.conf to another nameserver; a resolver on the node itself has its own configuration."""
    server = values.raw("nameserver", "address", "NAMESERVER")
    if server.startswith("127.") and server != _NONE_LISTED:
        return ()
    file = "/etc/resolv.conf"
    change = f"s/^nameserver {server.replace('.', '[.]')}$/nameserver WORKING_NAMESERVER/"
    run = f"sed --in-place --follow-symlinks {quote(change)} {file}"
    if server in {_NONE_LISTED, "::1"}:
        run = f"grep --quiet ^nameserver {file} || echo nameserver WORKING_NAMESERVER >> {file}"
    return (Command(run, "node", ("root", "no other program writes this file")),)


def _connect_command(values: Values) -> Command:
    target = values.raw("address", "host", _host(values))
    run = f"timeout 5 bash -c 'exec 3<>/dev/tcp/$0/$1 && echo connected' {quote(target)} {quote(_port(values))}"
    return Command(run, "node", ("bash",))


def _restore_service(values: Values) -> Remedy:
    text = joined(
        f"Nothing listens at {values.text('host', 'that address')}, or a firewall rejects: check that the service runs there, that the port in",
        "the reference or in the runtime's configuration is right, and whether a firewall on the way answers with a reset.",
        _HOSTS_FILE if _by_hosts_file(values) else "",
        check(values),
    )
    return Remedy("restore-service", text, (_connect_command(values), *_hosts_entry(values)))


_HOSTS_FILE = (
    "The address comes from this node's hosts file, and from no nameserver: an entry that is out of date must go."
)


def _by_hosts_file(values: Values) -> bool:
    """Whether the address comes from an entry that may go; what names the node itself, others on it live by."""
    return values.is_one("resolved_by", "hosts") and not _is_loopback(values)


def _is_loopback(values: Values) -> bool:
    """Whether the host is this node to itself, by its name (RFC 6761 section 6.3; Debian's hosts file) or by its address."""
    name = _host(values).lower().rstrip(".")
    if name.partition(".")[0] in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    address = values.raw("address", "address", name.lstrip("[").partition("]")[0]).lower().removeprefix("::ffff:")
    return address.startswith("127.") or address == "::1"


_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})


def _hosts_entry(values: Values) -> tuple[Command, ...]:
    """Return the change that takes the host's entry out of the hosts file, kept as a comment."""
    if not _by_hosts_file(values):
        return ()
    name = _host(values).replace(".", "[.]")
    change = quote(rf"s/^[^#]*[[:space:]]{name}\([[:space:]].*\)\?$/# &/")
    needs = ("root", "the entry is out of date")
    return (Command(f"sed --in-place --follow-symlinks {change} /etc/hosts", "node", needs),)


def _allow_egress(values: Values) -> Remedy:
    text = joined(
        f"Allow this node's egress to {values.text('host', 'the host')}, TCP port {values.text('port', '443')}, in the firewall, security group or",
        "network policy on the way, in both directions; or, where the nodes reach the world through a proxy, give the runtime that proxy.",
        "The registry's token service and blob hosts need the same. An answer to ICMP says nothing about this port.",
        _HOSTS_FILE if _by_hosts_file(values) else "",
        check(values),
    )
    return Remedy("allow-egress", text, (_connect_command(values), *_hosts_entry(values)))


def _restore_route(values: Values) -> Remedy:
    v6 = values.is_one("family", "6")
    text = joined(
        "Restore the route to the address, or remove the reject rule.",
        "Only IPv6 addresses were tried: give the node an IPv6 route, or the name an IPv4 address." if v6 else "",
        "IPv6 addresses have no route here; the name offers them as well: remove them or route them."
        if values.factor("IPv6NoRoute") and not v6
        else "",
        SOURCE_FIRST,
        check(values),
    )
    family = "-6 " if v6 else ""
    target = values.raw("address", "host", "ADDRESS")
    show = Command(f"ip {family}route get {quote(target)}", "node")
    return Remedy("restore-route", text, (show, Command("nft list ruleset", "node", ("root", "nftables"))))


def _find_the_resetter(values: Values) -> Remedy:
    text = joined(
        f"Something accepts the connection to {values.text('host', 'the host')} and cuts it: the server itself, a load balancer without a backend,",
        "or a middlebox that filters by name or size. See at which byte it is cut (evidence), and compare with a node on another network path.",
        check(values),
    )
    return Remedy("find-the-resetter", text, (_connect_command(values),))


def _find_the_stall(values: Values) -> Remedy:
    text = joined(
        f"{values.text('host', 'The host')} takes the request and data stops. If small answers pass and large ones do not, it is the path MTU",
        "(a tunnel, or a firewall that drops ICMP fragmentation-needed); if all stop, the server or a proxy on the way.",
        "The runtime gives up after its progress timeout (containerd: image_pull_progress_timeout); with serial pulls all other pulls",
        "of the node wait behind this one until then.",
        check(values),
    )
    sought = "image pull progress|Trying to access" if is_crio(values) else "no progress|trying next host"
    return Remedy("find-the-stall", text, (route(values), runtime_log(values, sought)))


def _past_the_proxy(values: Values) -> str:
    if values.is_one("direct", "yes"):
        return f"Without the proxy this node reaches {values.text('registry', 'the registry')}: if it is not meant to go through it, NO_PROXY lacks it."
    return (
        "Without the proxy this node does not reach it either: NO_PROXY is no way out."
        if values.is_one("direct", "no")
        else ""
    )


def _mend_proxy(values: Values) -> Remedy:
    unit = runtime_unit(values)
    directory = f"/etc/systemd/system/{unit}.d"
    text = joined(
        "The runtime takes its proxy from its own environment, once, when it starts; what a shell or a pod has does not matter.",
        "Mend the proxy, or correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the runtime's unit where the nodes' configuration comes from,",
        "else in a drop-in on the node; then restart the runtime. NO_PROXY matches a host, a .suffix, an address or host:port; a network",
        "matches only registries that are named by address. A 407 means that the proxy wants credentials.",
        _past_the_proxy(values),
        restart_note(values),
        check(values),
    )
    lines = f"""'[Service]' {quote('Environment="HTTPS_PROXY=PROXY_URL" "HTTP_PROXY=PROXY_URL" "NO_PROXY=NO_PROXY_LIST"')}"""
    write = f"install -d -m 0755 {quote(directory)} && printf '%s\\n' {lines} > {quote(directory + '/http-proxy.conf')}"
    commands = (
        Command(f"systemctl show {quote(unit)} --property=Environment,EnvironmentFiles", "node", ("root",)),
        Command(write, "node", ("root", "PROXY_URL", "NO_PROXY_LIST: also the cluster's own networks and names")),
        Command("systemctl daemon-reload", "node", ("root",)),
        *restart(values, unit),
    )
    return Remedy("mend-proxy", text, commands, restart_required=True, durable=False)


def _mend_mirror(values: Values) -> Remedy:
    rancher = is_rancher(values)
    text = joined(
        f"Mend the mirror {values.text('host')}: {values.text('mirror_fault', 'it fails')}. The runtime asks it before the registry, and its answer hides",
        "or decides what the registry would say. If it is meant no longer, take it out of the runtime's configuration for this registry.",
        f"That is generated from {registries_yaml(values)} at service start: change it there."
        if rancher
        else RELOAD
        if is_crio(values)
        else NO_RESTART,
        SOURCE_FIRST,
        restart_note(values) if rancher else "",
        check(values),
    )
    if rancher:
        show = Command(f"cat {quote(registries_yaml(values))}", "node", ("root",))
        return Remedy("mend-mirror", text, (show, *restart(values)), restart_required=True)
    if is_crio(values):
        shown = f"cat {REGISTRIES_CONF} {REGISTRIES_CONF}.d/*.conf"
        return Remedy("mend-mirror", text, (Command(shown, "node"), reload(values)))
    file = values.raw("hosts_toml", "path", "HOSTS_TOML")
    return Remedy(
        "mend-mirror", text, (Command(f"cat {quote(file)}", "node", ("HOSTS_TOML: the registry's hosts.toml",)),)
    )


def _reach_the_registry(values: Values) -> Remedy:
    text = joined(
        f"What answers at {values.text('host', 'this name')} is no registry ({values.text('nature', 'see the evidence')}): a captive portal, a",
        "login page of a proxy, or a web front end. Use the registry's own host and port in the reference, or let registry traffic pass the",
        "portal or proxy (NO_PROXY of the runtime, an exception for this node).",
        check(values),
    )
    host = values.raw("host", "host", values.raw("registry", "host", "REGISTRY"))
    url = f"{'http' if values.is_one('scheme', 'http') else 'https'}://{host}/v2/"
    look = Command(f"curl --silent --show-error --head {quote(url)}", "node", ("the runtime's proxy settings",))
    return Remedy("reach-the-registry", text, (look,))


def _ask_registry_operator(values: Values) -> Remedy:
    text = joined(
        f"{values.text('host', 'The registry')} answers {values.text('status_text', 'with an error')}: that is its operator's to mend. Look at its",
        "status page and its own log; nothing on the node needs a change, and the kubelet tries again by itself.",
        "If only some nodes see it, compare the address that they reach (load balancer, cache, proxy).",
    )
    return Remedy("ask-registry-operator", text)


def _watch_pattern(values: Values) -> Remedy:
    text = joined(
        "Nothing to do now: the runtime has pulled the image since. If it comes again, look at when and on which nodes",
        "(`pullwhy findings --image IMAGE --state Recovered`).",
    )
    show = Command(
        f"pullwhy findings --image {values.shell('image', 'image', 'IMAGE')} --state Recovered", "workstation"
    )
    return Remedy("watch-pattern", text, (show,))


_DIFFERS = (
    "The walk passes where the runtime fails: look for what the runtime has and the walk has not, such as the pod's credentials, an "
    "environment from before a change, or trust that it loaded when it started."
)


def _look_further(values: Values) -> Remedy:
    image = values.shell("image", "image", "IMAGE")
    text = joined(
        f"No cause is named: {values.text('missing', 'nothing observed tells one')}.",
        _DIFFERS if values.factor("RuntimeDiffers") else "",
        "Run the walk on the node with all details, see what pullwhy can and cannot see there, and read the runtime's own log, which",
        "names each host that it tried.",
    )
    return Remedy(
        "look-further",
        text,
        (
            Command(f"pullwhy diagnose {image} --output wide", "node", ("root",)),
            Command("pullwhy doctor", "node", ("root",)),
            runtime_log(values, "PullImage|trying next host|fetch failed"),
        ),
    )


BUILDERS: dict[str, Builder] = {
    "mend-name": _mend_name,
    "mend-nameserver": _mend_nameserver,
    "restore-service": _restore_service,
    "allow-egress": _allow_egress,
    "restore-route": _restore_route,
    "find-the-resetter": _find_the_resetter,
    "find-the-stall": _find_the_stall,
    "mend-proxy": _mend_proxy,
    "mend-mirror": _mend_mirror,
    "reach-the-registry": _reach_the_registry,
    "ask-registry-operator": _ask_registry_operator,
    "watch-pattern": _watch_pattern,
    "look-further": _look_further,
}
