"""How Go prints: quoted strings, aggregated errors, and the struct dump that old kubelets put into their log."""

from collections.abc import Mapping, Sequence

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
_FIRST_ESCAPED_BYTE, _LAST_ESCAPED_BYTE = 0xDC80, 0xDCFF


def quote(text: str) -> str:
    r"""Return *text* as strconv.Quote does (Go 1.22: strconv/quote.go).

    A byte that is no UTF-8 is expected as Python's surrogateescape keeps it and comes out as \xNN.
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _FIRST_ESCAPED_BYTE <= code <= _LAST_ESCAPED_BYTE:
        return f"\\x{code & 0xFF:02x}"
    if character.isprintable():
        return character
    if code < ord(" ") or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def aggregate(messages: Sequence[str]) -> str:
    """Return the text of several errors as one (apimachinery: util/errors/errors.go): one of each, in brackets if several."""
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


def container_dump(name: str, image: str, policy: str, environment: Mapping[str, str], *, restart_policy: bool) -> str:
    """Return a Container as %+v of its pointer prints it (api/core/v1 generated String; RestartPolicy from 1.28 on)."""
    variables = "".join(f"EnvVar{{Name:{key},Value:{value},ValueFrom:nil,}}," for key, value in environment.items())
    return (
        f"&Container{{Name:{name},Image:{image},Command:[],Args:[],WorkingDir:,Ports:[]ContainerPort{{}},"
        f"Env:[]EnvVar{{{variables}}},"
        "Resources:ResourceRequirements{Limits:ResourceList{},Requests:ResourceList{},Claims:[]ResourceClaim{},},"
        "VolumeMounts:[]VolumeMount{},LivenessProbe:nil,ReadinessProbe:nil,Lifecycle:nil,"
        f"TerminationMessagePath:/dev/termination-log,ImagePullPolicy:{policy},SecurityContext:nil,"
        "Stdin:false,StdinOnce:false,TTY:false,EnvFrom:[]EnvFromSource{},TerminationMessagePolicy:File,"
        "VolumeDevices:[]VolumeDevice{},StartupProbe:nil,ResizePolicy:[]ContainerResizePolicy{},"
        f"{'RestartPolicy:nil,' if restart_policy else ''}}}"
    )
