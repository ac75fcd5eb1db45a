"""What CRI-O contacts for one image, and what is wrong on the way there: ties its files together.

Source: go.podman.io/image 5.39, docker/docker_image_src.go (newImageSource) and docker_client.go; CRI-O 1.24 to 1.36,
server/image_pull.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Endpoint
from pullwhy.runtime import urls
from pullwhy.runtime.containerd.hosts import DOCKER_HUB, DOCKER_HUB_HOST, PullBlocked, faulty, unseen
from pullwhy.runtime.crio import policyjson
from pullwhy.runtime.crio.auth import AuthFiles, read_auth_files
from pullwhy.runtime.crio.certificates import read_certificates
from pullwhy.runtime.crio.policyjson import InvalidPolicy
from pullwhy.runtime.crio.registries import Registries, Source, UnusableRegistries, read_registries
from pullwhy.runtime.crio.settings import CrioSettings, read_settings
from pullwhy.runtime.crio.shortnames import is_short, resolve
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import Version
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

START_PRECISION: Final = 1.0
"""Seconds by which a process' start may be told too early: /proc/stat gives the boot time in whole ones (proc(5))."""
ASSUMED: Final = Version((1, 36, 0))
"""Where CRI-O does not tell its version."""
LOOPBACK: Final = "127.0.0.0/8"


@frozen
class CrioHosts:
    """What CRI-O does with one image."""

    image: ImageReference
    """What the name stands for: of several candidates the last, whose error is the one that CRI-O reports."""
    endpoints: tuple[Endpoint, ...] = ()
    results: tuple[StageResult, ...] = ()
    directory: str = ""
    """The directory with the certificates of the image's own registry, empty where there is none."""
    held: tuple[str, ...] = ()
    """Endpoints for which CRI-O has, or may have, credentials of its own."""


def crio_hosts(image: ImageReference, version: Version, process: RuntimeProcess | None, fs: HostFS) -> CrioHosts:
    """Return what CRI-O contacts for `image`; nothing is raised, what is wrong or cannot be seen is in the results."""
    version = version if version.known else ASSUMED
    if image.digest:
        image = replace(image, tag="")  # a digest beside a tag wins, and the tag is dropped
    node = _Node(version, process, fs)
    try:
        return node.hosts(image)
    except UnusableRegistries as error:
        facts = error.facts if node.in_effect(error.facts.file) else _later(error.facts)
        results = (*node.notes, faulty(facts))
        return CrioHosts(image, () if facts.decides else (_plain(image),), results, held=node.held(image))
    except UnreadableFile as error:
        result = unseen(error, "what CRI-O makes of this image")
        return CrioHosts(image, (_plain(image),), (*node.notes, result), held=node.held(image))


class _Node:
    """One reading of the node's files."""

    def __init__(self, version: Version, process: RuntimeProcess | None, fs: HostFS) -> None:
        self._version = version
        self._process = process
        self._fs = fs
        self._auth = AuthFiles(unknown=True)
        self.notes: list[StageResult] = []

    def held(self, image: ImageReference) -> tuple[str, ...]:
        """Return the image's own registry where CRI-O has, or may have, credentials for it."""
        return (_plain(image).authority,) if self._auth.may_hold(image) else ()

    def hosts(self, image: ImageReference) -> CrioHosts:
        """Read all files; raises UnusableRegistries and UnreadableFile."""
        process = self._process
        settings = read_settings(
            self._fs, process.config_file if process else "", process.config_directory if process else ""
        )
        self.notes += map(faulty, (*settings.problems, *settings.ignored(self._version, image.registry)))
        # Seen in the library of CRI-O 1.26 and 1.32 and gone in that of 1.36; taken for gone with insecure_registries.
        registries = read_registries(self._fs, keeps_slash=not self._version.at_least(1, 35))
        self._note_changed(registries, settings)
        auth = read_auth_files(self._fs, settings.global_auth_file, registries.helpers)
        self._auth = auth = replace(auth, unknown=auth.unknown or bool(settings.problems))
        self.notes += map(faulty, auth.problems)
        candidates = self._candidates(image, registries, settings)
        image = candidates[-1]
        policy = self._policy(image, settings)
        found = _Attempts(self._fs, registries, auth)
        for candidate in candidates:
            sources = registries.sources(candidate)
            insecure = _insecure_by_settings(candidate.registry, settings, self._version)
            for source in sources:
                last = candidate is image and source is sources[-1]
                found.attempt(replace(source, is_mirror=not last), insecure=insecure)
        if policy is not None and policy.config is not None and policy.config.decides:  # it is read first of all
            return CrioHosts(image, (), (*self.notes, policy), found.directory, tuple(found.held))
        results = (*self.notes, *found.results(), *([policy] if policy is not None else []))
        return CrioHosts(image, tuple(found.endpoints), results, found.directory, tuple(found.held))

    def _candidates(
        self, image: ImageReference, registries: Registries, settings: CrioSettings
    ) -> tuple[ImageReference, ...]:
        if not is_short(image):
            return (image,)
        enforcing = self._version.at_least(1, 34) and settings.short_name_mode != "disabled"
        found = resolve(image, registries, self._fs, enforcing=enforcing)
        self.notes.append(StageResult(Stage.CONFIG, "short name", Outcome.PASSED, detail=found.why))
        return found.candidates

    def _policy(self, image: ImageReference, settings: CrioSettings) -> StageResult | None:
        """Return what the policy says against an image, None for nothing."""
        path = settings.signature_policy or (policyjson.USER if self._fs.kind(policyjson.USER) else policyjson.SYSTEM)
        try:
            asked = policyjson.parse_policy(self._fs.read(path)).requirement(image)
        except InvalidPolicy as error:
            why = f"CRI-O refuses this policy, and with it every pull: {error.why}"
            return faulty(ConfigFacts(ConfigFault.INVALID, path, why, error.mend, error.line))
        except UnreadableFile as error:
            if error.denied:
                return unseen(error, "the policy for images")
            why = f"CRI-O pulls nothing without a policy, and cannot read this one: {error.why}"
            mend = "restore the policy.json that the distribution's containers-common package brings"
            return faulty(ConfigFacts(ConfigFault.INVALID, path, why, mend))
        if asked.rejects:
            why = f"the policy rejects {image} ({asked.scope})"
            mend = "ask whoever keeps the policy, or use an image that it allows"
            return faulty(ConfigFacts(ConfigFault.REJECTED, path, why, mend, decides=False))
        if asked.signature:
            detail = f"the policy asks for a signature ({asked.scope}), and whether there is a good one is not checked"
            return StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail)
        return None

    def in_effect(self, path: str) -> bool:
        """Whether the running CRI-O must have read a file as it is: it keeps what it read at its start or last reload."""
        return self._changed(path) <= 0

    def _changed(self, path: str) -> float:
        """Return how many seconds after CRI-O's start a file was changed, 0 where not or where it is not known."""
        started = self._process.started if self._process is not None else None
        if started is None:
            return 0
        try:
            return max(0.0, self._fs.mtime(path) - started.timestamp() - START_PRECISION)
        except UnreadableFile:
            return 0

    def _note_changed(self, registries: Registries, settings: CrioSettings) -> None:
        for path in registries.files:
            reloads = settings.auto_reload_registries and "registries.conf.d/" in path
            if self._changed(path) and not reloads:
                detail = "it was changed after CRI-O started, and counts only once CRI-O was reloaded (systemctl reload crio)"
                self.notes.append(StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail))


class _Attempts:
    """The places of one image in CRI-O's order; one that cannot be asked is passed over, as the library passes over it."""

    def __init__(self, fs: HostFS, registries: Registries, auth: AuthFiles) -> None:
        self._fs = fs
        self._registries = registries
        self._auth = auth
        self.endpoints: list[Endpoint] = []
        self.held: list[str] = []
        self.directory = ""
        self._faults: list[ConfigFacts] = []
        self._seen: list[StageResult] = []

    def attempt(self, source: Source, *, insecure: bool) -> None:
        """Add one place."""
        image = source.image
        found = _endpoint(image, source)
        if self._auth.may_hold(image):
            self.held.append(found.authority)
        try:
            certificates = read_certificates(image.registry, self._fs)
        except PullBlocked as blocked:
            self._faults.append(blocked.facts)
            return
        except UnreadableFile as error:
            self._seen.append(unseen(error, f"the certificates of {image.registry}"))
        else:
            found = replace(found, ca=certificates.ca, client=certificates.client)
            self._faults += certificates.useless
            if not source.is_mirror:
                self.directory = certificates.directory
        registry = self._registries.find(image.name)
        if registry is not None and registry.blocked:
            why = f"the registry {registry.prefix} is blocked for this node"
            mend = "use a registry that is allowed, or ask whoever keeps this file"
            self._faults.append(ConfigFacts(ConfigFault.BLOCKED, registry.file, why, mend, registry.line))
            return
        if source.location.insecure or insecure:
            port = urls.split_port(image.registry)[1]
            found = replace(found, skip_verify=True, http_fallback=True, http_port=urls.port_number(port, "http"))
        self.endpoints.append(found)

    def results(self) -> list[StageResult]:
        """Return the faults: where no place is left to ask, the last one decides, as the library reports the last."""
        faults = [replace(facts, decides=False) for facts in dict.fromkeys(self._faults)]
        if faults and not self.endpoints:
            faults[-1] = replace(faults[-1], decides=True)
        return [*map(faulty, faults), *self._seen]


def _endpoint(image: ImageReference, source: Source) -> Endpoint:
    authority = DOCKER_HUB_HOST if image.registry == DOCKER_HUB else image.registry
    host, port = urls.split_port(authority)
    return Endpoint(
        scheme="https",
        host=host,
        port=urls.port_number(port, "https"),
        names_port=bool(port),
        repository=image.repository,
        is_mirror=source.is_mirror,
        source=source.registry.source if source.registry is not None else "default",
    )


def _plain(image: ImageReference) -> Endpoint:
    return _endpoint(image, Registries().sources(image)[0])


def _insecure_by_settings(registry: str, settings: CrioSettings, version: Version) -> bool:
    """Whether CRI-O before 1.35 takes a registry for insecure: by name, or by address, where the name is one.

    CRI-O looks names up too; what they resolve to is not known here.
    """
    if version.at_least(1, 35):
        return False
    named = settings.insecure_registries
    return registry in named or urls.within(registry, (*named, LOOPBACK))


def _later(facts: ConfigFacts) -> ConfigFacts:
    """Return a fault of a file that is younger than CRI-O, which goes on with what it read before."""
    why = f"{facts.why}; CRI-O was started before this change: it goes on with what it read then, and would not start again"
    return replace(facts, why=why, decides=False)
