"""The kubelet's exact lines about failed pulls, for tests."""

from datetime import UTC, datetime, timedelta

from pullwhy.gotext import quote
from pullwhy.model import PodRef
from pullwhy.watch.lines import LogLine

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
POD = PodRef("shop", "web-0", "0b5e")
HEADER = "E1122 08:10:35.850846   20212 "
REFUSED = (
    'failed to pull and unpack image "docker.io/library/web:1": failed to resolve image: failed to do request: '
    'Head "https://r.example/v2/web/manifests/1": dial tcp 192.0.2.1:443: connect: connection refused'
)


def line(text: str, after: float = 0.0) -> LogLine:
    return LogLine(NOW + timedelta(seconds=after), "kubelet.service", text, "s", 20212)


def one(reason: str, message: str, container: str = "app", operation: str = "StartContainer") -> str:
    return f"failed to {quote(operation)} for {quote(container)} with {reason}: {quote(message)}"


def sync(error: str) -> str:
    return (
        f'{HEADER}pod_workers.go:1324] "Error syncing pod, skipping" err={quote(error)} pod="shop/web-0" podUID="0b5e"'
    )


def pull(error: str, image: str) -> str:
    return f'{HEADER}remote_image.go:250] "PullImage from image service failed" err={quote(error)} image={quote(image)}'


def without_credentials(error: str, image: str) -> str:
    return f'{HEADER}kuberuntime_image.go:43] "Failed to pull image" err={quote(error)} image={quote(image)}'
