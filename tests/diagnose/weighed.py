"""Observations from which tests of the weighing start."""

from diagnose.builders import (
    UNTIL_TLS,
    auth,
    connect,
    passing,
    trace,
)

from pullwhy.trace import AuthResult, ConnectResult

REFUSED_TWICE = connect(("10.0.0.9", ConnectResult.REFUSED))
ANONYMOUS_401 = trace(passing(*UNTIL_TLS), auth(AuthResult.NO_CREDENTIALS))
