"""What a rendering is beyond its fields: whether an API server would take its pods, and whether it believes just anybody."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from image.deployed import Right, granted, settings_of
from image.manifests import find, pod_of
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings

WORKLOADS = (("DaemonSet", "pullwhy-agent"), ("Deployment", "pullwhy-collector"))
Documents = list[dict[str, Any]]


def refused(documents: Documents) -> Iterator[str]:
    """Yield what an API server would refuse although every field is there (kubernetes 1.34: pkg/apis/core/validation)."""
    names = Counter((each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in documents)
    yield from (f"{name} is there {count} times" for name, count in names.items() if count > 1)
    for kind, workload in WORKLOADS:
        spec = pod_of(documents, kind, workload)
        (container,) = spec["containers"]
        mounts, volumes = container.get("volumeMounts", []), spec.get("volumes", [])
        for what, found in (
            ("variable", [each["name"] for each in container["env"]]),
            ("mount", [each["mountPath"] for each in mounts]),
            ("volume", [each["name"] for each in volumes]),
        ):
            yield from (f"{workload}: {what} {name} twice" for name, count in Counter(found).items() if count > 1)
        unlike = {each["name"] for each in mounts} ^ {each["name"] for each in volumes}
        yield from (f"{workload}: {name} is a mount without a volume, or the reverse" for name in sorted(unlike))


def open_to_anybody(documents: Documents) -> Iterator[str]:
    """Yield in what a rendering believes whoever comes, or sends in the clear; nothing where it is one for production."""
    agent, collector = settings_of(documents)
    report = agent.report
    for fits, told in (
        (report.tls and report.ca and report.server_name, "agents do not check the collector"),
        (report.certificate and report.key and collector.tls_client_ca, "agents show no certificate"),
        (collector.tls_certificate and collector.tls_key, "reports are taken in the clear"),
        (_node_is_shown(documents, agent, collector), "an agent may report for any node"),
        (collector.reader_auth == "kubernetes", "questions are answered to everybody"),
        (collector.http_tls, "readers' tokens go in the clear"),
        (collector.kubernetes.pods, "a finding may name any pod"),
    ):
        if not fits:
            yield told
    yield from _out_of_reach(documents, agent, collector)


def _node_is_shown(documents: Documents, agent: AgentSettings, collector: CollectorSettings) -> bool:
    """Return whether agents show which node they are on: by a token, or by a certificate that lies on the node itself."""
    if collector.agent_auth == "kubernetes":
        return bool(agent.report.token_file)
    spec = pod_of(documents, "DaemonSet", "pullwhy-agent")
    of_host = {volume["name"] for volume in spec["volumes"] if "hostPath" in volume}
    places = tuple(f"{each['mountPath']}/" for each in spec["containers"][0]["volumeMounts"] if each["name"] in of_host)
    return collector.agent_auth == "certificate" and agent.report.certificate.startswith(places)


def _out_of_reach(documents: Documents, agent: AgentSettings, collector: CollectorSettings) -> Iterator[str]:
    """Yield what these settings need and the rendering does not give."""
    report = agent.report
    files = {
        "pullwhy-agent": (report.ca, report.certificate, report.key, report.token_file),
        "pullwhy-collector": (collector.tls_certificate, collector.tls_key, collector.tls_client_ca),
    }
    for kind, workload in WORKLOADS:
        (container,) = pod_of(documents, kind, workload)["containers"]
        places = tuple(f"{mount['mountPath']}/" for mount in container["volumeMounts"])
        yield from (f"{file} is below no mount" for file in files[workload] if file and not file.startswith(places))
    rights = granted(documents)
    for group, resource in (
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ):
        if Right(group, resource, "create") not in rights:
            yield f"the collector may not create {resource}"
    if not pod_of(documents, "Deployment", "pullwhy-collector")["automountServiceAccountToken"]:
        yield "the collector has no token of the API server"
    egress = find(documents, "NetworkPolicy", "pullwhy-collector")["spec"]["egress"]
    if not {443, 6443} <= {port["port"] for rule in egress for port in rule["ports"]}:
        yield "the collector's way to the API server is shut"
