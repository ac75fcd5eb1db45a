"""Random certs.d trees: what administrators write, rightly and wrongly, and how the hosts that they name behave."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from differential.names import PLACES, REGISTRY, Manner, Place

TREES = int(os.environ.get("PULLWHY_DIFFERENTIAL_TREES", "0"))
"""How many fresh random trees, whose seed `--hypothesis-seed` sets; 0 for the same 200 every time."""


def sampled(trees: int) -> settings:
    """Return hypothesis' settings for a test of so many trees, the same ones each time."""
    return settings(
        max_examples=TREES or trees,
        derandomize=not TREES,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


REGISTRIES = (
    *(REGISTRY, f"{REGISTRY}:5000", f"{REGISTRY}:443", f"{REGISTRY}:80", "docker.io"),
    *("localhost", "localhost:5000", "localhost:443", "localhost:80", "127.0.0.1", "127.0.0.1:5000"),
)
TOKENS = ("@ca", "@other-ca", "@cert-1", "@key-1", "@cert-2", "@key-2", "@both-2")

Files = Mapping[str, str | None]


def shown(*head: str, files: Files, manners: Mapping[Place, Manner]) -> str:
    """Return a tree as people read it, with how each place behaves."""
    lines = list(head)
    for path, text in files.items():
        lines.append(f"--- {path}" + ("" if text is not None else " (a directory)"))
        lines += [f"    {line}" for line in (text or "").splitlines()]
    kinds: dict[str, list[str]] = {}
    for place, manner in manners.items():
        kinds.setdefault(f"{manner.transport}, has {manner.answer}", []).append(str(place))
    return "\n".join([*lines, *(f"{kind}: {' '.join(places)}" for kind, places in kinds.items())])


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """The files below the roots, by path, the image's registry, and how each place behaves."""

    registry: str
    files: Files
    manners: Mapping[Place, Manner]

    def __repr__(self) -> str:
        return shown(f"registry {self.registry}", files=self.files, manners=self.manners)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text("(as above)")


def quoted(text: str) -> str:
    return json.dumps(text)


hosts = st.sampled_from(
    [
        *("m1.lab.test", "m2.lab.test", "m3.lab.test", REGISTRY, "registry-1.docker.io", "localhost", "127.0.0.1"),
        *("u:p@m1.lab.test", "[::1]", "M2.lab.test"),
    ]
)
usual_urls = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "https://", ""]),
        hosts,
        st.sampled_from([":5000", "", ":443", ":80"]),
        st.sampled_from(["", "", "", "/", "/v2", "/v2/", "/proxy", "/proxy/v2", "/a//b/../c/.", "/a%20b", "/%61/v2"]),
    ),
)
odd_urls = st.sampled_from(
    [
        *(
            "",
            "https://",
            "http:m1.lab.test",
            "httpm1.lab.test",
            "httpx://m1.lab.test",
            "ftp://m1.lab.test",
            "HTTP://m1.lab.test",
        ),
        *(
            "https://m1.lab.test:99999",
            "https://m1.lab.test:5o",
            "https://m1 .lab.test",
            "http://m1.lab.test:5000?x=1#f",
        ),
        *(
            "m1.lab.test:5000/proxy",
            "://m1.lab.test",
            "https://m1.lab.test/%zz",
            "https://m1.lab.test:",
            "https://[::1",
            "http",
        ),
    ]
)

capabilities = st.lists(st.sampled_from(["pull", "resolve", "push", "PULL", "Resolve"]), max_size=3).map(json.dumps)
files_named = st.sampled_from(["ca.crt", "other.crt", "/etc/docker/certs.d/shared.crt", "sub/../ca.crt"])
headers = st.sampled_from(
    ['{X-Lab-A = "1"}', '{X-Lab-A = ["1", "2"]}', '{x-lab-b = "3", X-Lab-A = "1"}', "{}", "{X-Lab-A = []}"]
)
right_keys: dict[str, st.SearchStrategy[str]] = {
    "capabilities": capabilities,
    "override_path": st.sampled_from(["true", "false"]),
    "skip_verify": st.sampled_from(["true", "false"]),
    "ca": st.one_of(st.just('"ca.crt"'), files_named.map(quoted), st.lists(files_named, max_size=2).map(json.dumps)),
    "client": st.sampled_from(
        [
            '"both.pem"',
            '["both.pem"]',
            '[["c.cert", "c.key"]]',
            '[["c.cert", "c.key"], "both.pem"]',
            '[["both.pem", ""]]',
            "[]",
        ]
    ),
    "header": headers,
    "dial_timeout": st.sampled_from(['"10s"', '"1m30s"', '"0s"', '""', '"1h"']),
}
wrong_keys: dict[str, st.SearchStrategy[str]] = {
    "capabilities": st.sampled_from(['["pull", "unknown"]', '["referrers"]', '[""]', '"pull"']),
    "ca": st.sampled_from(['"missing.crt"', '["ca.crt", "text.crt"]', '""', '"sub"', '"c.key"']),
    "client": st.sampled_from(
        [
            *(
                '[["c.cert", "wrong.key"]]',
                '[["c.cert", "missing"]]',
                '"c.cert"',
                '[["c.cert"]]',
                '[["a", "b", "c"]]',
                '[["", ""]]',
            ),
            *('[["ca.crt", "c.key"]]', '[["c.key", "c.cert"]]', '[["both.pem", "c.key"]]', '""'),
        ]
    ),
    "header": st.sampled_from(["{X-Lab-A = 1}", '"X-Lab-A: 1"', "{X-Lab-A = [1]}"]),
    "dial_timeout": st.sampled_from(['"x"', '"-1s"', "10"]),
    **{
        key: st.sampled_from(["3", '"x"', "[]", "{}", "true", '["x", 1]', "1979-05-27", "1.5", "[[]]"])
        for key in ("override_path", "skip_verify", "Capabilities", "SKIP_VERIFY", "server", "unknown", "ca ", "host")
    },
}


def keys(*, right: bool) -> st.SearchStrategy[dict[str, str]]:
    """Return the keys of one host with their values as TOML, at most one of them wrong."""
    chosen = st.fixed_dictionaries({}, optional=right_keys)
    few = st.lists(st.sampled_from(sorted(right_keys)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: right_keys[name] for name in names})
    )
    usual = st.one_of(few, few, few, chosen)
    if right:
        return usual
    one = st.sampled_from(sorted(wrong_keys)).flatmap(lambda name: st.fixed_dictionaries({name: wrong_keys[name]}))
    return st.one_of(usual, st.builds(lambda most, wrong: most | wrong, usual, one))


@st.composite
def hosts_toml(draw: st.DrawFn) -> str:
    """Return the text of one hosts.toml."""
    right = draw(st.sampled_from([True, True, False]))
    urls = usual_urls if right else st.one_of(usual_urls, usual_urls, odd_urls)
    lines: list[str] = []
    server = draw(st.one_of(st.none(), urls.map(quoted), *([] if right else [st.sampled_from(['""', "3"])])))
    if server is not None:
        lines.append(f"{draw(st.sampled_from(['server', 'server', 'server', 'Server']))} = {server}")
    if draw(st.integers(0, 4)) == 0:
        lines += [f"{key} = {value}" for key, value in draw(keys(right=right)).items()]
    later: list[str] = []
    names = draw(st.lists(urls, min_size=draw(st.sampled_from([1, 1, 1, 0])), max_size=3))
    form = draw(st.sampled_from(["tables"] * 4 + ["dotted", "inline"] + ([] if right else ["array", "upper"])))
    if form == "inline" and names:
        # One name only: go-toml 1 overlooks that one stands there twice, and containerd 1.x tries those of one line in any order.
        inside = ", ".join(
            f"{quoted(name)} = {{{', '.join(f'{k} = {v}' for k, v in draw(keys(right=right)).items())}}}"
            for name in names[:1]
        )
        lines.append(f"host = {{{inside}}}")
    for name in names if form != "inline" else ():
        chosen = draw(keys(right=right))
        if form == "dotted":
            lines += [
                f"host.{quoted(name)}.{key} = {value}" for key, value in (chosen or {"skip_verify": "false"}).items()
            ]
            continue
        header = chosen.pop("header", None)
        mark = {"array": "[[host.{}]]", "upper": "[Host.{}]"}.get(form, "[host.{}]")
        lines.append(mark.format(quoted(name)))
        lines += [f"  {key} = {value}" for key, value in chosen.items()]
        if header is not None and header.startswith("{") and form == "tables":
            table = [
                f"[host.{quoted(name)}.header]",
                *(header.strip("{}").replace(", x", "\nx").replace(", X", "\nX").splitlines()),
            ]
            where = lines if draw(st.booleans()) else later
            where += table
        elif header is not None:
            lines.append(f"  header = {header}")
    text = "\n".join([*lines, *later, ""])
    return text if right else draw(spoiled(text))


def spoiled(text: str) -> st.SearchStrategy[str]:
    """Return a text as it is, most often, or as accidents leave it."""
    accidents = [
        *(text.replace("\n", "\r\n"), "\ufeff" + text, "", "# nothing\n", text + "[host\n", text + "x\n", text.upper()),
        *(text + text, text[: len(text) // 2], "\n\n" + text, text.replace("=", " = "), text + "[other]\nkey = 1\n"),
    ]
    return st.one_of(*[st.just(text)] * 2, st.sampled_from(accidents))


beside = st.fixed_dictionaries(
    {},
    optional={
        "ca.crt": st.sampled_from(["@ca", "@ca", "@ca", "@other-ca", "text", None, "-> other.crt"]),
        "other.crt": st.sampled_from(["@other-ca", "@ca"]),
        "text.crt": st.just("no certificate"),
        "c.cert": st.sampled_from(["@cert-1", "@cert-1", "@cert-1", "@both-2", "text", "@key-1"]),
        "c.key": st.sampled_from(["@key-1", "@key-1", "@key-1", "@key-2", "text", "@cert-1"]),
        "both.pem": st.just("@both-2"),
        "wrong.key": st.just("@key-2"),
        "sub/ca.crt": st.just("@ca"),
    },
)
"""Files beside hosts.toml. Those that a hosts.toml names and that are not drawn are missing, which fails the pull."""
complete: dict[str, str | None] = {
    "ca.crt": "@ca",
    "other.crt": "@other-ca",
    "both.pem": "@both-2",
    "wrong.key": "@key-2",
    "sub/x": "",
    "c.cert": "@cert-1",
    "c.key": "@key-1",
}


@st.composite
def directories(draw: st.DrawFn) -> dict[str, str | None]:
    """Return what lies in one directory of certs.d, by name; the empty name says that it is something else."""
    kind = draw(st.sampled_from(["hosts"] * 10 + ["certificates"] * 3 + ["empty", "file", "dangling", "folder"]))
    if kind == "file":
        return {"": "a file"}
    if kind == "dangling":
        return {"": "-> nowhere"}
    drawn = kind == "certificates" or draw(st.integers(0, 3)) == 3
    files: dict[str, str | None] = dict(draw(beside) if drawn else complete)
    if kind == "hosts":
        files["hosts.toml"] = draw(hosts_toml())
    if kind == "folder":
        files["hosts.toml"] = None
    return {} if kind == "empty" else files


def names_for(registry: str) -> st.SearchStrategy[str]:
    """Return directory names that an administrator might give a registry, right and wrong."""
    host, _, port = registry.rpartition(":") if ":" in registry else (registry, "", "")
    right = [registry, registry, f"{host}_{port}_"] if port else [registry, registry, registry]
    wrong_names = [
        host,
        f"{host}:443",
        f"{host}:5000",
        f"{host}_443_",
        registry.upper(),
        "registry-1.docker.io",
        f"{registry}.",
    ]
    return st.sampled_from([*right, *right, *right, *right, "_default", "_default", *wrong_names])


manners = st.builds(
    Manner,
    st.sampled_from(["tls", "plain", "tls", "plain", "tls-untrusted", "refused", "reset"]),
    st.sampled_from(["absent", "absent", "tag", "manifest", "all", "denied", "broken"]),
)


@st.composite
def trees(draw: st.DrawFn, roots: tuple[str, ...]) -> Tree:
    """Return a tree below *roots*."""
    registry = draw(st.sampled_from(REGISTRIES))
    files: dict[str, str | None] = {}
    for root in roots if draw(st.booleans()) else roots[:1]:
        for name in draw(st.lists(names_for(registry), min_size=1, max_size=2, unique=True)):
            for inner, text in (draw(directories()) or {"": None}).items():
                files[f"{root}/{name}/{inner}" if inner else f"{root}/{name}"] = text
    if any("shared.crt" in (text or "") for text in files.values()):
        files["/etc/docker/certs.d/shared.crt"] = "@ca"
    behaving = {place: draw(manners) for place in PLACES}
    return Tree(registry, files, behaving)
