"""Pages, part one: causes that lie in the reference, the image, the right to it, or a limit on asking for it."""

from __future__ import annotations

from pullwhy.diagnose.catalogue.page import BLOB, DIGEST, IMAGE, MANIFEST, REGISTRY, Page, copied, pulled, resolved
from pullwhy.model import CauseId

_BY_DIGEST = f"{REGISTRY}/shop/web@{DIGEST}"
_DENIED = "pull access denied, repository does not exist or may require authorization"

PAGES: dict[CauseId, Page] = {
    CauseId.INVALID_IMAGE_REFERENCE: Page(
        about="The text after `image:` is no image reference: a capital letter in the repository, a space, a scheme such as `https://`, "
        "an empty tag, a placeholder that a template left behind. The kubelet refuses it before it asks the runtime.",
        texts=(
            (
                f'Failed to apply default image tag "{REGISTRY}/Shop/web:1.4": couldn\'t parse image name "{REGISTRY}/Shop/web:1.4": '
                "invalid reference format: repository name must be lowercase"
            ),
        ),
        proof="The reference grammar, read as the kubelet reads it. Nothing is asked of anybody.",
        avoid="Do not look at the network or the registry: no request was made.",
    ),
    CauseId.TAG_NOT_FOUND: Page(
        about="The repository is there, the tag is not: a typing error, an image that was never pushed, a retention rule that deleted it, or "
        "no tag at all, which means `latest`.",
        texts=(
            resolved(f"{REGISTRY}/shop/web:lattest: not found", "NotFound", f"{REGISTRY}/shop/web:lattest"),
            f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = reading manifest 1.4 in {REGISTRY}/shop/web: manifest unknown',
        ),
        proof="404 for the manifest from the host that the runtime would ask, while the repository answers and its list of tags lacks the tag. "
        "Tags that are spelled like it are shown where everybody may list them. Where a registry answers 404 for what it forbids, it is Likely.",
        avoid="Do not look for a network fault: the registry answered. A 404 shows absence only for whoever asked.",
    ),
    CauseId.DIGEST_NOT_FOUND: Page(
        about="The reference names content by its digest, and the registry has none of that digest: it was deleted as untagged, or the image was "
        "copied with another compression, which changes digests.",
        texts=(resolved(f"{_BY_DIGEST}: not found", "NotFound", _BY_DIGEST),),
        proof="404 for the manifest of that digest from the host that the runtime would ask.",
        avoid="Do not drop the digest from the reference only to get past it: then whatever the tag has today would run.",
    ),
    CauseId.REPOSITORY_NOT_FOUND: Page(
        about="The registry does not know the repository: the name is misspelled, the project moved, or a mirror answers that lacks it.",
        texts=(
            resolved(
                f"unexpected status from HEAD request to {MANIFEST}: 404 Not Found\nname unknown: repository name not known to registry"
            ),
        ),
        proof="NAME_UNKNOWN, or 404 for manifest and list of tags, for an identity that may read the project. Names that are spelled like it are "
        "suggested from the images that the node has; a registry's catalogue is not asked for.",
        avoid="Do not conclude that the image does not exist: a registry may hide what the asker may not see.",
    ),
    CauseId.PLATFORM_NOT_AVAILABLE: Page(
        about="The image exists, but not for the node's operating system, architecture or variant. Typical for images built on a laptop of "
        "another architecture, and for new node pools.",
        texts=(pulled(f"no match for platform in manifest: {DIGEST}: not found", "NotFound"),),
        proof="The index is read: it has no entry for the node's platform. What it has is listed. A single manifest tells by its config.",
        avoid="The code is NotFound, yet the tag is there: do not push it again for the same platform.",
    ),
    CauseId.MANIFEST_UNSUPPORTED: Page(
        about="What the registry serves is no image that a runtime can use: a schema 1 manifest, a chart or another artifact, an encrypted layer, "
        "a media type of another world.",
        texts=(
            pulled("schema 1 image manifests are no longer supported: invalid argument", "InvalidArgument"),
            pulled(
                f"failed to unpack image on snapshotter overlayfs: failed to extract layer {DIGEST}: failed to get stream processor for "
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted: no processor for media-type: unknown"
            ),
        ),
        proof="The manifest's own media type, or that of its config or of a layer.",
        avoid="Do not switch a deprecated format on again in the runtime: rebuild or convert the image.",
    ),
    CauseId.IMAGE_NEVER_PULL: Page(
        about="The pod's imagePullPolicy is Never and the image is not on the node. The kubelet does not pull then.",
        texts=(f'Container image "{IMAGE}" is not present with pull policy of Never',),
        proof="The kubelet's reason ErrImageNeverPull, and CRI ImageStatus, which does not show the image.",
        avoid="Do not set another policy only to make it start: Never is there for a reason, such as an image that is to come with the node.",
    ),
    CauseId.CREDENTIAL_VERIFICATION_DENIED: Page(
        about="The image is on the node, but was pulled with other credentials, and the kubelet (1.33 and later, by default 1.35) wants this pod to "
        "show a right to it: KubeletEnsureSecretPulledImages.",
        texts=(f'Container image "{IMAGE}" is not present with pull policy of Never',),
        proof="CRI ImageStatus shows the image, and the kubelet's pull record tells with whose credentials it came.",
        avoid="Do not delete the image, and do not pull it by hand: images that the kubelet did not pull are open to every pod.",
    ),
    CauseId.CREDENTIALS_MISSING: Page(
        about="The registry wants to know who asks, and nobody told it: no pull secret in the pod's namespace, one under another registry's key, "
        "or a credential provider that does not match.",
        texts=(
            resolved(
                f"failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth.{REGISTRY}/token: 401 Unauthorized"
            ),
            resolved(f"{_DENIED}: authorization failed: no basic auth credentials"),
        ),
        proof="The challenge is answered by nobody: the walk is refused with every identity that the node may use, and the kubelet sent none.",
        avoid="Do not log in with a client on the node: the kubelet does not look there. Pods get a service account's secrets when they are created.",
    ),
    CauseId.CREDENTIALS_REJECTED: Page(
        about="Credentials were sent and refused: a token that expired or was revoked, a password of yesterday, those of another registry. As the "
        "kubelet asks anonymously only where nothing matches, wrong ones also shut a public image.",
        texts=(
            resolved(
                f"failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://auth.{REGISTRY}/token: 401 Unauthorized"
            ),
            f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = unable to retrieve auth token: invalid username/password: unauthorized',
        ),
        proof="The same credentials are refused in the walk, where they are the node's; for those of a pod's secret, the runtime's own words.",
        avoid="Do not restart kubelet or runtime: nothing is kept there that would go away.",
    ),
    CauseId.CREDENTIAL_PROVIDER_FAILED: Page(
        about="The kubelet's exec credential provider failed, so the registry was asked without credentials: the binary is missing or cannot be run, "
        "its configuration is wrong, the node's cloud identity lacks a right, or the cloud's metadata service did not answer.",
        texts=(
            (
                f"Failed getting credential from external registry credential provider: error execing credential provider plugin "
                f"ecr-credential-provider for image {REGISTRY}/shop/web: exit status 1"
            ),
        ),
        proof="The kubelet's own line about the provider, at the time of the pull.",
        avoid="Do not paste a short-lived token into a pull secret: it expires within hours.",
    ),
    CauseId.ACCESS_DENIED_OR_NOT_FOUND: Page(
        about="The registry gives one answer for what does not exist and for what the asker may not see. Which of both it is, only somebody with more "
        "rights can tell.",
        texts=(
            resolved(f"{_DENIED}: server message: insufficient_scope: authorization failed"),
            resolved(f"unexpected status from HEAD request to {MANIFEST}: 403 Forbidden"),
        ),
        proof="The refusal, met in the walk by an identity that reaches as far as the kubelet's.",
        avoid="Do not read it as `the image does not exist`, nor as `the password is wrong`.",
    ),
    CauseId.SOURCE_DENIED: Page(
        about="The registry, or the object store behind it, refuses this node's address: a firewall of the registry, an endpoint policy, or a public "
        "address where a private endpoint was meant.",
        texts=(
            resolved(
                f"unexpected status from HEAD request to {MANIFEST}: 403 Forbidden\ndenied: client with IP '198.51.100.7' is not allowed access"
            ),
        ),
        proof="403 whose text names the client's address, whoever asks; of an object store's bare 403 it is Likely.",
        avoid="No secret changes it: leave the credentials alone.",
    ),
    CauseId.BLOCKED_BY_POLICY: Page(
        about="A policy forbids this image: the registry's own (vulnerabilities, a missing signature, quarantine), or `blocked` in CRI-O's "
        "registries.conf.",
        texts=(
            resolved(
                f"unexpected status from HEAD request to {MANIFEST}: 412 Precondition Failed\nPROJECTPOLICYVIOLATION: current image "
                "with 3 vulnerabilities cannot be pulled due to configured policy"
            ),
            f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = registry {REGISTRY} is blocked in /etc/containers/registries.conf',
        ),
        proof="The registry's policy code in the walk, or the line of the node's own file.",
        avoid="Do not work around it with another registry: its owner decides.",
    ),
    CauseId.NOT_A_REGISTRY: Page(
        about="Something else answers where a registry should: a captive portal, a login page of a proxy, a web front end, a page of a load balancer.",
        texts=(
            (
                f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = pinging container registry {REGISTRY}: '
                "StatusCode: 200, <!DOCTYPE html><html><head><title>Sign in</title>"
            ),
        ),
        proof="The answer is a web page, or no HTTP at all, without a registry's header or error.",
        avoid="Do not change trust or credentials: whatever answers is not the registry.",
    ),
    CauseId.RATE_LIMITED: Page(
        about="The registry counts requests and this node, all that share its address, or an account has used up what it may. Some registries count "
        "only what is downloaded, so that a first look still passes.",
        texts=(
            copied(
                f"httpReadSeeker: failed open: unexpected status code {BLOB}: 429 Too Many Requests - Server message: toomanyrequests: slow down"
            ),
            resolved(f"unexpected status from HEAD request to {MANIFEST}: 429 Too Many Requests"),
        ),
        proof="429 in the walk, or headers that leave nothing. How much, whose and until when is read from the headers, never remembered. Until the "
        "time that a registry names, pullwhy asks it nothing.",
        avoid="Do not try again by hand: each try counts. Do not go by figures from elsewhere: limits differ by registry and account, and change.",
    ),
    CauseId.KUBELET_PULL_RATE_LIMITED: Page(
        about="The kubelet's own limiter (registryPullQPS, registryBurst) held the pull back, because many pods started at once. The registry was not asked.",
        texts=("pull QPS exceeded",),
        proof="The text is the limiter's own, and no call to the runtime was made.",
        avoid="Do not look at the registry's limits: this one is the kubelet's.",
    ),
}
