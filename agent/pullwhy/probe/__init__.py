"""The probes of a walk: they observe one stage each and judge nothing.

What a reader of the trace may rely on:

- Per endpoint the order is Proxy, DNS, Connect, TLS, Auth, Manifest, Platform, Blob; stages not reached are Skipped. The next endpoint
  follows only where the runtime would try it. A stage may occur more than once: for each identity, and for each host on the way.
- 401 and 403 on a manifest are Stage.AUTH with `auth` (REFUSED) and `http`; every other refusal of the manifest is Stage.MANIFEST.
- A token request that cannot be made fails at its own stage (DNS, Connect, TLS...) with Via.TOKEN_HOST; one that is answered badly (5xx,
  HTML, no token) is Stage.AUTH, UNUSABLE_CHALLENGE, with `http` and Via.TOKEN_HOST. A realm that refuses (401, 403) is Stage.AUTH, REFUSED, without a Via: that is the registry's own answer.
- Content below the reference's own manifest (child manifest, config, layer) is Stage.BLOB with `blob`; `http` tells the status. The
  host that a registry redirects to is Via.BLOB_HOST.
- The address that a destination rule forbids is a ConnectAttempt NOT_ALLOWED in a Skipped Connect: pullwhy did not look, the path may be fine.
- A single manifest (no index) for another platform is Stage.PLATFORM Passed with `platform` and a detail: runtimes pull it.
"""
