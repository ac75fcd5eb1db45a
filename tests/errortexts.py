"""Error texts as their writers build them, around a tail that tells what went wrong."""

from pullwhy.gotext import quote

D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
IMAGE = "r.example:5000/shop/web:1"
MANIFEST_URL = "https://r.example:5000/v2/shop/web/manifests/1"
BLOB_URL = f"https://r.example:5000/v2/shop/web/blobs/{D1}"
TOKEN_URL = "https://auth.example/token?scope=repository%3Ashop%2Fweb%3Apull&service=r.example"


def containerd(tail: str, image: str = IMAGE) -> str:
    return f'failed to pull and unpack image "{image}": {tail}'


def resolve(tail: str, image: str = IMAGE) -> str:
    return containerd(f'failed to resolve reference "{image}": {tail}', image)


def head(tail: str, url: str = MANIFEST_URL, image: str = IMAGE) -> str:
    return resolve(f'failed to do request: Head "{url}": {tail}', image)


def copy(tail: str) -> str:
    return containerd(f"failed to copy: httpReadSeeker: failed open: {tail}")


def crio(tail: str) -> str:
    return f"unable to pull image or OCI artifact: pull image err: initializing source docker://{IMAGE}: {tail}; artifact err: x"


def daemon(tail: str) -> str:
    return f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = Error response from daemon: {tail}'


REFUSED = head("dial tcp 192.0.2.1:5000: connect: connection refused")
HEADER = "E1122 08:10:35.850846   20212 "


def sync(reason: str, message: str) -> str:
    error = f'failed to "StartContainer" for "app" with {reason}: {quote(message)}'
    return f'{HEADER}pod_workers.go:1324] "Error syncing pod, skipping" err={quote(error)} pod="n/p" podUID="u"'
