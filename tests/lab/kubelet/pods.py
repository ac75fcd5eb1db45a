"""What the stand-in kubelet is told to run, and the kubelet's own rules about it: names, policies, credentials, back-off."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
_DOMAIN = re.compile(rf"^(?:{_HOST}|\[[0-9a-fA-F:]{{2,39}}\])(?::[0-9]{{1,5}})?$")
_PATH_PART = re.compile(r"^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$")
_TAG = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
_DIGEST = re.compile(r"^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}$")
MAX_REFERENCE = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """A user and password for a registry key ("reg.example:5000/team"), as a pull secret holds them."""

    registry: str
    username: str
    password: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod."""

    name: str
    image: str
    policy: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    init: bool = False

    @property
    def effective_policy(self) -> str:
        """The policy as the API server defaults it when the pod is created (apis/core/v1: defaults.go)."""
        if self.policy:
            return self.policy
        name, _, digest = self.image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """A pod that is bound to this node."""

    namespace: str
    name: str
    uid: str
    containers: Sequence[Container]
    credentials: Sequence[Credential] = ()
    missing_secrets: Sequence[str] = ()
    """Pull secrets that the pod names and that do not exist."""

    @property
    def long_name(self) -> str:
        """The pod as the kubelet's format.Pod prints it."""
        return f"{self.name}_{self.namespace}({self.uid})"


def encode(pod: Pod) -> str:
    """Return the pod as JSON."""
    return json.dumps(dataclasses.asdict(pod))


def decode(text: str) -> Pod:
    """Return the pod that *text* holds as encode makes it."""
    value: dict[str, Any] = json.loads(text)
    containers = tuple(Container(**item) for item in value.pop("containers"))
    credentials = tuple(Credential(**item) for item in value.pop("credentials"))
    missing = tuple(value.pop("missing_secrets"))
    return Pod(**value, containers=containers, credentials=credentials, missing_secrets=missing)


def with_default_tag(image: str, *, old_words: bool = False) -> str:
    """Return *image* with ":latest" where it has neither tag nor digest (pkg/kubelet/images: applyDefaultImageTag).

    Raises ValueError with the kubelet's own words for a name that it cannot parse; *old_words* are those of 1.27.
    """
    problem = _problem(image, old_words)
    if problem:
        subject = "reference" if old_words else "name"
        parsing = f"couldn't parse image {subject} {_quoted(image)}: {problem}"
        raise ValueError(f"Failed to apply default image tag {_quoted(image)}: {parsing}")
    name, _, digest = image.partition("@")
    return image if digest or ":" in name.rpartition("/")[2] else f"{image}:latest"


def _problem(image: str, old_words: bool) -> str:
    """Return what distribution/reference says about a name, "" for a sound one."""
    rest, at, digest = image.partition("@")
    head, _, last = rest.rpartition("/")
    last_name, colon, tag = last.partition(":")
    path = f"{head}/{last_name}" if head else last_name
    first, slash, remainder = path.partition("/")
    is_domain = bool(slash) and (any(mark in first for mark in ".:") or first == "localhost" or first != first.lower())
    domain, parts = (first, remainder.split("/")) if is_domain else ("", path.split("/"))
    if re.fullmatch(r"[0-9a-f]{64}", image):
        return f"invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"
    if any(part != part.lower() for part in parts):
        shown = "" if old_words else f"({'/'.join(parts)}) "
        return f"invalid reference format: repository name {shown}must be lowercase"
    sound = (
        len(image) <= MAX_REFERENCE
        and (not domain or _DOMAIN.fullmatch(domain))
        and all(_PATH_PART.fullmatch(part) for part in parts)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    return "" if sound else "invalid reference format"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def covers(glob: str, name: str) -> bool:
    """Say whether a key or a provider's matchImages entry fits an image's name (pkg/credentialprovider: keyring.go)."""
    host, _, path = glob.partition("/")
    wanted, _, rest = name.partition("/")
    return _host_fits(host, wanted) and rest.startswith(path)


def matching(image: str, credentials: Sequence[Credential]) -> list[Credential]:
    """Return the credentials whose key fits *image*, the most specific first (pkg/credentialprovider: keyring.go)."""
    host, _, path = location(image).partition("/")
    fitting = []
    for credential in sorted(credentials, key=lambda one: one.registry, reverse=True):
        key = re.sub(r"^https?://", "", credential.registry)
        key_host, _, key_path = re.sub(r"/v[12]/", "/", key, count=1).strip("/").partition("/")
        if key_host == "index.docker.io" and key_path in {"", "v1"}:
            key_host, key_path = "docker.io", ""
        if _host_fits(key_host, host) and path.startswith(key_path):
            fitting.append(credential)
    return fitting


def location(image: str) -> str:
    """Return an image's name with its registry, without tag and digest."""
    name = image.partition("@")[0]
    head, _, last = name.rpartition("/")
    name = f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]
    first, slash, _ = name.partition("/")
    if not slash or not (any(mark in first for mark in ".:") or first == "localhost"):
        return f"docker.io/{name if slash else f'library/{name}'}"
    return name


def _host_fits(pattern: str, host: str) -> bool:
    (wanted, _, wanted_port), (given, _, port) = pattern.partition(":"), host.partition(":")
    labels = list(zip(wanted.split("."), given.split("."), strict=False))
    same_length = wanted.count(".") == given.count(".")
    return wanted_port == port and same_length and all(one in {two, "*"} for one, two in labels)


class Backoff:
    """The kubelet's image back-off (client-go: util/flowcontrol/backoff.go): 10 s doubling to 300 s, no jitter.

    A key that was not updated for twice the maximum begins anew; a success changes nothing.
    """

    def __init__(self, initial: float = 10, maximum: float = 300) -> None:
        self._initial, self._maximum = initial, maximum
        self._entries: dict[str, tuple[float, float]] = {}

    def active(self, key: str, now: float) -> bool:
        """Say whether *key* must still wait at the time *now*, in seconds."""
        seconds, updated = self._entries.get(key, (0.0, 0.0))
        return key in self._entries and now - updated <= 2 * self._maximum and now - updated < seconds

    def failed(self, key: str, now: float) -> None:
        """Note that the pull of *key* failed at the time *now*, in seconds."""
        seconds, updated = self._entries.get(key, (0.0, now))
        fresh = key not in self._entries or now - updated > 2 * self._maximum
        self._entries[key] = (self._initial if fresh else min(2 * seconds, self._maximum), now)
