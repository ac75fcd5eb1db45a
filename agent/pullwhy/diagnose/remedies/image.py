"""Remedies where the reference, the image or the pull policy must change."""

from __future__ import annotations

from pullwhy.diagnose.remedies.prescription import (
    Builder,
    Command,
    Remedy,
    Values,
    check,
    image,
    joined,
    load_archive,
    quote,
    runtime_log,
    similar_names,
)

_OWNER = (
    "KIND/NAME: the workload that owns the pod",
    "IMAGE: the corrected reference",
    "a change in the chart or manifest too",
)


def _correct(values: Values) -> tuple[Command, ...]:
    namespace = values.shell("namespace", "name", "NAMESPACE")
    container = values.raw("container", "name", "CONTAINER")
    run = f"kubectl --namespace={namespace} set image KIND/NAME {quote(container)}=IMAGE"
    return (Command(run, "workstation", _OWNER),)


def _list_tags(values: Values) -> Command:
    registry = values.raw("registry", "host", "REGISTRY")
    repository = values.raw("repository", "image", "REPOSITORY")
    run = f"skopeo list-tags {quote(f'docker://{registry}/{repository}')}"
    return Command(run, "workstation", ("skopeo", "the right to read the repository"))


def _correct_reference(values: Values) -> Remedy:
    suggestion = values.text("suggestion")
    text = joined(
        f"Correct `image:` where the workload is defined (chart, manifest, pipeline): {values.text('fault', 'it is not valid')}.",
        f"Probably {suggestion} was meant." if suggestion else "",
    )
    return Remedy("correct-reference", text, _correct(values), durable=False)


def _correct_tag(values: Values) -> Remedy:
    tag, similar = values.text("tag", "the tag"), values.text("similar")
    assumed = values.factor("DefaultedLatestTag")
    text = joined(
        "The reference names no tag, so that `latest` was assumed, and there is none: name a tag." if assumed else "",
        "A reference without a tag means `latest`." if values.is_one("tag", "latest") and not assumed else "",
        f"Correct the tag where the workload is defined, or push {tag}.",
        f"Tags that are spelled like it and exist, the likest first: {similar}." if similar else "",
        "If it did exist, look at the registry's retention rules.",
        "If the registry hides what it forbids behind 404, check the right to pull as well.",
    )
    return Remedy("correct-tag", text, (_list_tags(values), *_correct(values)), durable=False)


def _correct_digest(values: Values) -> Remedy:
    registry = values.raw("registry", "host", "REGISTRY")
    repository = values.raw("repository", "image", "REPOSITORY")
    inspect = f"skopeo inspect --format '{{{{.Digest}}}}' {quote(f'docker://{registry}/{repository}')}:TAG"
    text = (
        "Name a digest that exists, for instance the one that the tag has today; or push the missing content again. A digest "
        "disappears when retention rules delete untagged manifests, and differs when an image was copied with another compression."
    )
    commands = (Command(inspect, "workstation", ("skopeo", "TAG: the tag that was meant")), *_correct(values))
    return Remedy("correct-digest", text, commands, durable=False)


def _correct_repository(values: Values) -> Remedy:
    text = joined(
        f"Correct the name {values.text('repository')} where the workload is defined, or create and push it.",
        similar_names(values),
        "A project may have moved to another registry. Where a mirror answers for the registry, the mirror may lack it.",
        "A 404 shows absence only for whoever asked: check the right to pull if the repository is known to exist.",
    )
    return Remedy("correct-repository", text, (_list_tags(values), *_correct(values)), durable=False)


def _provide_platform(values: Values) -> Remedy:
    wanted = values.raw("wanted", "image", "OS/ARCHITECTURE")
    architecture = wanted.split("/")[1] if wanted.count("/") else "ARCHITECTURE"
    text = joined(
        f"Build and push the image for {values.text('wanted', 'this platform')} too, as one index for all platforms;",
        f"or place the pod on a node of a platform that the image has ({values.text('available', 'see the evidence')})",
        "with a nodeSelector or affinity on kubernetes.io/arch.",
    )
    build = f"docker buildx build --platform={quote(wanted)},OTHER_PLATFORMS --tag {image(values)} --push ."
    nodes = f"kubectl get nodes --label-columns=kubernetes.io/arch --selector {quote(f'kubernetes.io/arch!={architecture}')}"
    return Remedy(
        "provide-platform",
        text,
        (
            Command(build, "workstation", ("the image's source", "OTHER_PLATFORMS: those that it has today")),
            Command(nodes, "workstation"),
        ),
    )


def _convert_image(values: Values) -> Remedy:
    text = (
        "Rebuild the image with a current tool, or convert it. Schema 1 manifests, artifacts that are no images (charts, "
        "signatures) and encrypted or unknown layer types cannot be run as they are."
    )
    copy = f"skopeo copy --format=oci docker://SOURCE {quote('docker://' + values.raw('image', 'image', 'IMAGE'))}"
    needs = ("skopeo", "SOURCE: the image as it was built", "the right to push")
    return Remedy("convert-image", text, (Command(copy, "workstation", needs),))


def _preload_image(values: Values) -> Remedy:
    text = joined(
        "The pod's policy is Never: put the image on the node on purpose (node image, preload step), or let the workload pull it by",
        "changing imagePullPolicy where it is defined. The archive must hold the image under exactly this name.",
        "Images that nothing uses are candidates of the kubelet's image garbage collection.",
    )
    load = load_archive(values, "the image, saved under this name")
    return Remedy("preload-image", text, (load,), durable=False)


def _push_again(values: Values) -> Remedy:
    text = joined(
        "The manifest is there and content that it names is not: push the image again from where it was built, and ask the registry's",
        "operator whether garbage collection, replication or a lost volume took the content.",
        "Where the content is refused rather than absent, it is the right to read it that is missing at the registry.",
    )
    push = f"skopeo copy --all docker://SOURCE {quote('docker://' + values.raw('image', 'image', 'IMAGE'))}"
    needs = ("skopeo", "SOURCE: a complete copy of the image", "the right to push")
    return Remedy("push-again", text, (Command(push, "workstation", needs),))


def _find_the_altering_cache(values: Values) -> Remedy:
    text = joined(
        f"Something on the way alters or truncates what {values.text('host', 'the registry')} serves: a pull-through cache, a proxy, a",
        "scanner, or the registry's own storage. Compare the digests that the registry and each mirror serve; purge that one item there.",
        "If the registry itself serves it wrong, push the image again. The runtime rejects such content and keeps none of it.",
    )
    blob = values.raw("blob", "image", "DIGEST")
    registry, repository = values.raw("registry", "host", "REGISTRY"), values.raw("repository", "image", "REPOSITORY")
    fetch = (
        f"curl --silent --show-error --location {quote(f'https://{registry}/v2/{repository}/blobs/{blob}')} | sha256sum"
    )
    needs = ("the right to read without credentials, or a token",)
    return Remedy("find-the-altering-cache", text, (Command(fetch, "node", needs),))


def _rebuild_layer(values: Values) -> Remedy:
    text = joined(
        "The layer arrives whole and cannot be unpacked. If it fails on every node, the archive is at fault: rebuild and push the image.",
        "If it fails on nodes of one kind only, look at the snapshotter and its filesystem there (extended attributes, user id maps,",
        "overlay support), and at the runtime's own log for the file that it stopped at.",
    )
    return Remedy("rebuild-layer", text, (runtime_log(values, "extract"),))


def _sign_image(values: Values) -> Remedy:
    text = joined(
        "Sign the image with a key that this node's policy accepts and push the signature; or, if the policy is wrong, correct it where",
        "the nodes' configuration comes from (policy.json of CRI-O, the image verifier of containerd, an admission policy).",
    )
    sign = f"cosign sign --key KEY {image(values, 'IMAGE_BY_DIGEST')}"
    needs = ("cosign, or the signing tool that the policy expects", "KEY: a key that the policy accepts")
    return Remedy("sign-image", joined(text, check(values)), (Command(sign, "workstation", needs),))


BUILDERS: dict[str, Builder] = {
    "correct-reference": _correct_reference,
    "correct-tag": _correct_tag,
    "correct-digest": _correct_digest,
    "correct-repository": _correct_repository,
    "provide-platform": _provide_platform,
    "convert-image": _convert_image,
    "preload-image": _preload_image,
    "push-again": _push_again,
    "find-the-altering-cache": _find_the_altering_cache,
    "rebuild-layer": _rebuild_layer,
    "sign-image": _sign_image,
}
