"""SkyPilot as it is installed, without network and account: a home of its own with the embedded catalog in it, and a server on loopback.

The server is no broker of machines. It takes what the library sends, reads it with the library's own classes as the real server does, writes it down
and answers with them.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

# SkyPilot looks at its home and for its server as it is imported.
_HOME = tempfile.TemporaryDirectory()
_LISTENING = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
os.environ.update(
    HOME=_HOME.name,
    SKY_RUNTIME_DIR=_HOME.name,
    SKYPILOT_API_SERVER_ENDPOINT=f"http://127.0.0.1:{_LISTENING.server_port}",
    SKYPILOT_DISABLE_USAGE_COLLECTION="1",
    NO_PROXY="127.0.0.1",
)


def _write_catalogs(root: Path) -> None:
    """The embedded offers where SkyPilot looks for its catalogs."""
    clouds: dict[str, list[str]] = {}
    for source in (resources.files("sky_broker") / "embedded" / "catalog").iterdir():
        cloud = source.name.removesuffix(".csv")
        lines = [line for line in source.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        (root / cloud).mkdir(parents=True)
        (root / cloud / "vms.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        place = lines[0].split(",").index("AcceleratorName")
        for name in {line.split(",")[place] for line in lines[1:]} - {""}:
            clouds.setdefault(name, []).append(cloud)
    (root / "common").mkdir()
    rows = [f'{name},"{listed}"' for name, listed in sorted(clouds.items())]
    text = "\n".join(["AcceleratorName,Clouds", *rows]) + "\n"
    (root / "common" / "accelerators.csv").write_text(text, encoding="utf-8")


_write_catalogs(Path(_HOME.name, ".sky", "catalogs", "v8"))

from sky import JobStatus, exceptions  # noqa: E402
from sky.server import constants, versions  # noqa: E402
from sky.server.requests import payloads  # noqa: E402
from sky.server.requests.requests import Request, RequestStatus  # noqa: E402
from sky.utils import dag_utils  # noqa: E402


class RecordingServer:
    """What was asked for, and what is answered.

    Attributes:
        asked: kind of request and the cluster, in order; a launch is "dry run" or "launch".
        launched: cluster -> the body of its launch, and the sky.Task that was read from it.
        statuses: task -> how its job goes, look after look; the last one stays. Without any it succeeds at the second look.
        errors: kind and task -> errors that are answered first, one for each request.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.launched: dict[str, tuple[payloads.LaunchBody, Any]] = {}
        self.statuses: dict[str, list[JobStatus]] = {}
        self.errors: dict[tuple[str, str], list[Exception]] = {}
        self._answers: dict[str, Request] = {}

    def clear(self) -> None:
        """As if it had just begun."""
        for kept in (self.asked, self.launched, self.statuses, self.errors, self._answers):
            kept.clear()

    def tasks(self, kind: str) -> list[str]:
        """The tasks for which there was such a request, in order."""
        return [self.launched[cluster][1].name for asked, cluster in self.asked if asked == kind]

    def post(self, path: str, content: dict[str, Any]) -> str:
        """Take a request; returns its number."""
        kind = path.strip("/")
        if kind == "launch":
            body: Any = payloads.LaunchBody(**content)
            task = dag_utils.load_chain_dag_from_yaml_str(body.task).tasks[0]
            task.validate()
            self.launched[body.cluster_name] = (body, task)
            said = "dry run" if body.dryrun else "launch"
            value: Any = (None if body.dryrun else len(self.launched), None)
        elif kind == "job_status":
            body, said = payloads.JobStatusBody(**content), kind
            task = self.launched[body.cluster_name][1]
            left = self.statuses.setdefault(task.name, [JobStatus.RUNNING, JobStatus.SUCCEEDED])
            value = {body.job_ids[0]: left.pop(0) if len(left) > 1 else left[0]}
        else:
            body, said, value = payloads.StopOrDownBody(**content), kind, None
            task = self.launched[body.cluster_name][1]
        self.asked.append((said, body.cluster_name))
        number = f"request-{len(self._answers)}"
        name = constants.REQUEST_NAME_PREFIX + kind
        answer = Request(number, name, _nothing, body, RequestStatus.SUCCEEDED, time.time(), "nobody")
        if errors := self.errors.get((kind, task.name)):
            answer.set_error(errors.pop(0))
            answer.status = RequestStatus.FAILED
        else:
            answer.set_return_value(value)
        self._answers[number] = answer
        return number

    def answer(self, number: str) -> Request:
        """The answer to a request."""
        return self._answers[number]


def _nothing() -> None:
    """What a request of the real server would call."""


def _handler(server: RecordingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.urlparse(self.path)
            if path.path == "/api/health":
                version = versions.get_local_readable_version()
                about = {
                    "status": "healthy",
                    "api_version": str(constants.API_VERSION),
                    "version": version,
                    "commit": "-",
                }
                self._say(200, about)
                return
            answer = server.answer(urllib.parse.parse_qs(path.query)["request_id"][0])
            content = answer.encode().model_dump()
            self._say(*((500, {"detail": content}) if answer.error else (200, content)))

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/validate":
                dag_utils.load_chain_dag_from_yaml_str(payloads.ValidateBody(**content).dag)
                self._say(200, {})
                return
            self._say(200, {}, {"X-Skypilot-Request-ID": server.post(self.path, content)})

        def log_message(self, *parts: object) -> None:
            """What is asked is kept by the server, and not printed."""

        def _say(self, code: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            ours = {
                constants.API_VERSION_HEADER: str(constants.API_VERSION),
                constants.VERSION_HEADER: versions.get_local_readable_version(),
            }
            for name, value in {**ours, **(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture(scope="session")
def _running() -> Iterator[RecordingServer]:
    server = RecordingServer()
    _LISTENING.RequestHandlerClass = _handler(server)
    threading.Thread(target=_LISTENING.serve_forever, daemon=True).start()
    yield server
    _LISTENING.shutdown()
    _LISTENING.server_close()


@pytest.fixture
def server(_running: RecordingServer) -> RecordingServer:
    """The server, with nothing asked of it yet."""
    _running.clear()
    return _running


@pytest.fixture
def gone() -> Exception:
    """What SkyPilot's server says of a cluster that is not there."""
    return exceptions.ClusterDoesNotExist("no such cluster")
