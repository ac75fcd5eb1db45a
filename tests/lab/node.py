"""One node of the lab: namespaces, wire, journal, containerd and kubelet, everything at the paths that pullwhy expects."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import containerd, network
from lab.containerd import Containerd
from lab.crictl import install_crictl
from lab.errors import wait_for
from lab.journald import Journal
from lab.kubelet.control import Kubelet
from lab.kubelet.cri import compile_proto
from lab.kubelet.pods import Pod
from lab.kubelet.sync import Settings as KubeletSettings
from lab.namespace import Namespace, Process
from lab.packages import Components
from lab.registry import Place
from lab.services import install_systemctl

HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"


class Node:
    """A running node. It ends with the lab, or with close."""

    def __init__(
        self,
        name: str,
        components: Components,
        servers: Namespace,
        number: int,
        *,
        generation: str,
        resolv_conf: str,
        containerd_settings: containerd.Settings,
        kubelet_settings: KubeletSettings,
        preload_sandbox: bool = True,
    ) -> None:
        machine = hashlib.sha256(name.encode()).hexdigest()[:32]
        files = {
            "/etc/machine-id": f"{machine}\n",
            "/etc/hostname": f"{name}\n",
            "/etc/hosts": HOSTS,
            "/etc/nsswitch.conf": NSSWITCH,
            "/etc/resolv.conf": resolv_conf,
        }
        self.name = name
        self.namespace = Namespace.start(name, shared=[components.cache], files=files)
        try:
            self.addresses = network.connect(servers, self.namespace, number)
            install_systemctl(self.namespace)
            self.faults = network.Faults(self.namespace)
            self.journal = Journal.start(self.namespace)
            self.containerd = Containerd(self.namespace, components, generation, containerd_settings)
            self.containerd.start()
            if preload_sandbox:
                self.containerd.load_pause()
            descriptors = compile_proto(components.cache)
            install_crictl(self.namespace, descriptors)
            self.kubelet = Kubelet(self.namespace, descriptors, kubelet_settings, components.kubelet)
            self.kubelet.start()
        except BaseException:
            self.namespace.close()
            raise

    def run(self, argv: Sequence[str | Path], **options: Any) -> Any:
        """Run a program on the node to its end (Namespace.run): check, env, stdin, seconds."""
        return self.namespace.run(argv, **options)

    def popen(self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, **options: Any) -> Process:
        """Start a program on the node (Namespace.popen)."""
        return self.namespace.popen(argv, env=env, **options)

    def path(self, inside: str) -> Path:
        """Return where the host sees a file of the node."""
        return self.namespace.path(inside)

    def write(self, inside: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the node, with its folders."""
        return self.namespace.write(inside, text, mode)

    @property
    def certs_d(self) -> Path:
        """The node's /etc/containerd/certs.d as the host sees it."""
        path = self.path(containerd.CERTS)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def hosts_toml(self, place: Place | str, text: str) -> None:
        """Write a hosts.toml for a server, or for an authority ("reg.lab.test:5000")."""
        authority = place if isinstance(place, str) else place.authority
        self.write(f"{containerd.CERTS}/{authority}/hosts.toml", text)

    def allow_http(self, place: Place) -> None:
        """Let containerd speak HTTP to a server, as an administrator does: a hosts.toml with its http:// address."""
        url = f"http://{place.authority}"
        self.hosts_toml(place, f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')

    def trust(self, place: Place, pem: bytes) -> None:
        """Let containerd trust a certificate authority for one server: ca.crt in its folder of certs.d."""
        self.write(f"{containerd.CERTS}/{place.authority}/ca.crt", pem)

    def set_name_servers(self, *servers: str, options: str = "timeout:1 attempts:2") -> None:
        """Write the node's resolv.conf; no server at all makes it an empty one."""
        lines = [*(f"nameserver {address}" for address in servers), f"options {options}"]
        self.write("/etc/resolv.conf", "\n".join(lines) + "\n")

    def block(self, address: str, port: int | None = None) -> None:
        """Let the node hear nothing from an address any more: connections to it time out."""
        self.faults.drop(address, port=port)

    def wait_failure(self, pod: Pod, reason: str = "ErrImagePull", seconds: float = 30) -> str:
        """Wait for the kubelet's line that names *pod* and *reason*, and return it; raises LabError."""
        return wait_for(
            f"{reason} of {pod.namespace}/{pod.name} on {self.name}",
            lambda: next((line for line in self.journal.lines() if _tells(line, pod, reason)), None),
            seconds=seconds,
            every=0.1,
            log=self.kubelet.service.log,
        )

    def close(self) -> None:
        """End the node and everything on it."""
        self.namespace.close()


def _tells(line: str, pod: Pod, reason: str) -> bool:
    return "Error syncing pod" in line and pod.uid in line and f"with {reason}: " in line
