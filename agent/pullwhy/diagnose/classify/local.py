"""Classification rules for what happens on the node: kubelet, runtime configuration, storage, unpacking, signatures."""

from __future__ import annotations

from typing import Final

from pullwhy.diagnose.classify.rule import Rule, rule
from pullwhy.model import CauseId as C
from pullwhy.model import Stage

# kubelet 1.24 to 1.36: pkg/kubelet/images/{image_manager,puller,types}.go, pkg/credentialprovider/plugin
KUBELET: Final[tuple[Rule, ...]] = (
    rule("kubelet's own limiter", C.KUBELET_PULL_RATE_LIMITED, sure=r"pull QPS exceeded", stage=Stage.KUBELET),
    rule(
        "policy Never",
        C.IMAGE_NEVER_PULL,
        C.CREDENTIAL_VERIFICATION_DENIED,
        sure=r"is not present with pull policy of Never|ErrImageNeverPull",
        stage=Stage.KUBELET,
    ),
    rule(
        "exec credential provider",
        C.CREDENTIAL_PROVIDER_FAILED,
        sure=r"external registry credential provider|CredentialProviderRe(?:quest|sponse)|credential provider plugin"
        r"|Failed to provide credentials for image",
        likely=r"(?i)credential provider[^\n]{0,200}(?:fail|error|did not|not found|no such file|timed? ?out)"
        r"|(?:fail|error)[^\n]{0,120}credential provider",
        stage=Stage.AUTH,
    ),
    rule(
        "docker credential helper",
        C.CREDENTIAL_PROVIDER_FAILED,
        sure=r"error getting credentials - err|docker-credential-[\w-]{1,40}[^\n]{0,80}(?:not found|no such file|exec format|exit status)",
        likely=r"error getting credentials|credentials? helper[^\n]{0,80}(?:fail|error|not found)",
        stage=Stage.AUTH,
    ),
    rule(
        "pull secret missing",
        C.CREDENTIALS_MISSING,
        C.CREDENTIAL_PROVIDER_FAILED,
        sure=r"Unable to retrieve (?:some )?(?:image )?pull secrets?",
        stage=Stage.AUTH,
    ),
    rule(
        "no registry for a short name",
        C.RUNTIME_CONFIG_INVALID,
        C.INVALID_IMAGE_REFERENCE,
        sure=r"short-name [^\n]{0,300}(?:did not resolve|resolution enforced|cannot)|no unqualified-search registries"
        r"|short name mode is enforcing, but"  # CRI-O from 1.34 on
        r"|no registries configured while trying to pull",
        stage=Stage.CONFIG,
    ),
    # distribution/reference: every runtime and the kubelet use its words
    rule(
        "reference grammar",
        C.INVALID_IMAGE_REFERENCE,
        sure=r"invalid reference format|[Ff]ailed to apply default image tag|[Cc]ouldn't parse image (?:name|reference)"
        r"|InvalidImageName|repository name (?:\([^)]{0,300}\) )?must (?:be lowercase|be canonical|have at least one component|not be longer)"
        r"|error parsing image name|[Ff]ailed to parse image|cannot specify 64-byte hexadecimal strings",
        likely=r"cannot parse input:|invalid (?:tag|image name)|invalid (?:checksum )?digest (?:length|format)"
        r"|could not parse reference|: object required",
        stage=Stage.REFERENCE,
    ),
)

# CRI-O (containers/image policy), containerd 2.x bindir verifier, cosign and notation behind them, Talos
SIGNATURE: Final[tuple[Rule, ...]] = (
    rule(
        "signature or policy",
        C.SIGNATURE_REJECTED,
        sure=r"Source image rejected|A signature was required|SignatureValidationFailed|image verification failed"
        r"|image verifier \S{1,200} blocked pull|cryptographic signature verification failed|Running image \S{1,4096} is rejected by policy",
        likely=r"rejected by policy|signature (?:validation|verification)[^\n]{0,40}(?:fail|error)|no (?:valid|matching) signatures?"
        r"|(?<!x509: )invalid signature|[Ss]ignature for identity",
        stage=Stage.RUNTIME,
    ),
)

# containerd 1.6 to 2.3: core/remotes/docker/config, internal/cri/config; containers/image: sysregistriesv2
CONFIG: Final[tuple[Rule, ...]] = (
    rule(
        "blocked in registries.conf", C.BLOCKED_BY_POLICY, sure=r"registry \S{1,300} is blocked in", stage=Stage.CONFIG
    ),
    rule(
        "hosts.toml or its files",
        C.RUNTIME_CONFIG_INVALID,
        sure=r"failed to (?:decode|parse|load) \S{0,4096}hosts\.toml|invalid `host` tree|unable to (?:read|load) (?:CA|X509|client) (?:cert|key)",
        likely=r"unknown capability|failed to load X509 key pair|open \S{0,1000}(?:certs\.d|hosts\.toml)\S{0,1000}: ",
        stage=Stage.CONFIG,
    ),
    rule(
        "registry tables of config.toml",
        C.RUNTIME_CONFIG_INVALID,
        sure=r"`?(?:mirrors|configs(?:\.tls)?|auths)`? cannot be set when `?config_path`? is provided|invalid cri image config"
        r"|TLS config specified for non-HTTPS registry",
        stage=Stage.CONFIG,
    ),
    rule(
        "registries.conf or policy.json",
        C.RUNTIME_CONFIG_INVALID,
        sure=r"(?:loading|parsing) registr(?:y|ies) configuration|registries\.conf[^\n]{0,60}(?:invalid|error|fail|pars)",
        likely=r"policy\.json[^\n]{0,80}(?:no such file|invalid|pars)",
        stage=Stage.CONFIG,
    ),
    rule(
        "endpoint that is no URL",
        C.RUNTIME_CONFIG_INVALID,
        C.PROXY_FAILED,
        likely=r"(?:missing|unsupported) protocol scheme|no Host in request URL|first path segment in URL cannot contain colon"
        r"|invalid (?:registry )?(?:mirror|endpoint) (?:URL|address)",
        stage=Stage.CONFIG,
    ),
    rule("no endpoint left", C.RUNTIME_CONFIG_INVALID, likely=r"no (?:resolve|pull) hosts", stage=Stage.CONFIG),
)

STORAGE: Final[tuple[Rule, ...]] = (
    rule(
        "no space",
        C.DISK_FULL,
        likely=r"no space left on device|disk quota exceeded|not enough (?:disk )?space|There is not enough space on the disk",
        stage=Stage.STORAGE,
    ),
    rule("read-only file system", C.READ_ONLY_FILESYSTEM, likely=r"read-only file ?system", stage=Stage.STORAGE),
)

CONTENT: Final[tuple[Rule, ...]] = (
    rule(
        "local content missing",
        C.LOCAL_STORE_CORRUPT,
        C.BLOB_UNAVAILABLE,
        sure=r"blob sha256:\w{1,64} expected at /",
        likely=r"blob not found|content digest sha256:\w{64}: not found|failed to get reader from content store|layer (?:not known|does not exist)",
        stage=Stage.UNPACK,
    ),
    rule(
        # The kubelet asks whether the image is there before it pulls; what fails then is the socket, not the store.
        "image inspection without a runtime",
        C.RUNTIME_UNAVAILABLE,
        sure=r"Failed to inspect image \"[^\n]{0,600}(?:code = Unavailable|[Dd]ial(?:ing)? unix)",
        stage=Stage.RUNTIME,
    ),
    rule(
        "image inspection",
        C.LOCAL_STORE_CORRUPT,
        C.RUNTIME_UNAVAILABLE,
        sure=r"ImageInspectError|Failed to inspect image \"",
        stage=Stage.RUNTIME,
    ),
    rule(
        "layer differs from its diff id",
        C.CONTENT_CORRUPT,
        C.UNPACK_FAILED,
        sure=r"wrong diff id|does not match config's DiffID",
        stage=Stage.UNPACK,
    ),
    rule(
        "digest or size differs",
        C.CONTENT_CORRUPT,
        sure=r"unexpected commit (?:digest|size)|filesystem layer verification failed|(?:manifest|image) verification failed for digest"
        r"|failed size validation",
        likely=r"[Dd]igest did not match|does not match expected|unexpected (?:content )?digest|(?:digest|checksum|hash) (?:mismatch|does not match|verification failed)"
        r"|error verifying sha256",
    ),
    rule(
        "fewer bytes than promised",
        C.CONTENT_CORRUPT,
        C.CONNECTION_RESET,
        C.BLOB_UNAVAILABLE,
        likely=r"short read: expected|failed to read expected number of bytes|unexpected size",
        stage=Stage.BLOB,
    ),
)

PLATFORM: Final[tuple[Rule, ...]] = (
    rule(
        "platform",
        C.PLATFORM_NOT_AVAILABLE,
        sure=r"no match for platform|no image found in (?:image index|manifest list)|no supported platform found|no matching manifest for"
        r"|choosing an image from manifest list|image (?:operating system|OS|os) \S{1,40} cannot be used",
        likely=r"(?:does not match|not found for) the (?:specified|requested) platform|no child with platform"
        r"|platform \S{1,40} (?:is )?not (?:supported|available|found)|no (?:suitable|manifest found for) [^\n]{0,40}(?:platform|architecture)",
        stage=Stage.PLATFORM,
    ),
)

# containerd: core/images, core/remotes/docker/schema1; distribution: manifest; containers/image: manifest, image
MANIFEST: Final[tuple[Rule, ...]] = (
    rule(
        "a page in place of a manifest",
        C.NOT_A_REGISTRY,
        C.MANIFEST_UNSUPPORTED,
        C.BLOB_UNAVAILABLE,
        sure=r"\(text/html[^)]{0,60}\) from remote",
        likely=r"unexpected media type text/html",
        stage=Stage.MANIFEST,
    ),
    rule(
        # containerd 1.x reads a manifest by digest without "failed to copy" only to convert schema 1 (schema1/converter.go)
        "schema 1 that cannot be converted",
        C.MANIFEST_UNSUPPORTED,
        C.BLOB_UNAVAILABLE,
        sure=r"unpack image \"@ref\": httpReadSeeker: failed open: content at @url not found",
        stage=Stage.MANIFEST,
    ),
    rule(
        "manifest or media type",
        C.MANIFEST_UNSUPPORTED,
        C.CONTENT_CORRUPT,
        sure=r"could not fetch content descriptor \S{1,200} \((?!application/vnd\.(?:oci|docker)\.|text/html)[^)\n]{1,200}\) from remote"
        r"|schema 1 image manifests|manifest\.v1\+(?:prettyjws|json)[^\n]{0,60}(?:not supported|no longer|from remote)"
        r"|unsupported media ?type:? application/vnd\.|reference for unknown type: |invalid rootfs in image config|mismatched image rootfs"
        r"|initializing image from source docker://",
        likely=r"unsupported (?:media ?type|manifest|schema)|(?:unknown|unrecognized) (?:manifest|media ?type)|media type \S{1,200} is no longer"
        r"|schema (?:version )?1\b|image ID \"[^\"]{0,100}\" is invalid|parse manifest|unexpected media ?type|[Ee]ncountered remote \""
        r"|not a (?:container|runnable) image|missing signature key",
        stage=Stage.MANIFEST,
    ),
)

UNPACK: Final[tuple[Rule, ...]] = (
    rule(
        "encrypted or unknown layer type",
        C.MANIFEST_UNSUPPORTED,
        C.UNPACK_FAILED,
        sure=r"no processor for media-type|stream processor for \S{0,200}\+encrypted|ctd-decoder",
        likely=r"decrypting layer|needed for decryption",
        stage=Stage.UNPACK,
    ),
    rule(
        "containerd's unpacker",
        C.UNPACK_FAILED,
        C.CONTENT_CORRUPT,
        sure=r"failed to extract layer|failed to unpack image|extraction snapshot|failed to get stream processor",
        likely=r"mount callback failed|apply layer|failed to (?:stat|prepare|commit) snapshot",
        stage=Stage.UNPACK,
    ),
    rule(
        "docker's and containers/storage's layer store",
        C.UNPACK_FAILED,
        C.CONTENT_CORRUPT,
        sure=r"failed to register layer|ApplyLayer |Untar re-exec error|hcsshim::(?:Import|ProcessBase)\w{0,20}Layer|adding layer with blob"
        r"|[Cc]ommitting the finished image",
        likely=r"[Pp]rocessing tar file|re-exec error|layerdb/|potentially insufficient UIDs or GIDs",
        stage=Stage.UNPACK,
    ),
    rule(
        "layer is no archive",
        C.UNPACK_FAILED,
        C.CONTENT_CORRUPT,
        likely=r"archive/tar:|invalid tar header|gzip: invalid|zstd: |magic number mismatch|flate: corrupt input",
        stage=Stage.UNPACK,
    ),
    rule(
        "a file operation",
        C.UNPACK_FAILED,
        C.READ_ONLY_FILESYSTEM,
        likely=r"input/output error|structure needs cleaning|\b(?:mkdir|rename|symlink|link|mknod|l?chown|chmod|unlinkat|l?setxattr|fsync|write|open) /[^\s:]{1,4096}(?: /[^\s:]{1,4096})?: ",
        stage=Stage.UNPACK,
    ),
)
