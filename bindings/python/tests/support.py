"""What the tests share: a real server, and clients of it in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, TypeVar

import unisono

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
PROGRAM = os.environ.get("UNISONO_SERVER", str(TARGET / "debug" / "unisono-server"))


T = TypeVar("T")


def present(value: Optional[T]) -> T:
    """What must be there."""
    assert value is not None
    return value


def library() -> Iterator[Dict[str, Any]]:
    """Real samples: the example library, each under the name of its file."""
    text = (ROOT / "examples" / "data" / "sample-library.ndjson").read_text("utf-8")
    return (json.loads(line) for line in text.splitlines())


class Server:
    """``unisono-server`` on a free port of this machine."""

    def __init__(self, data: str) -> None:
        self.data = data
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("UNISONO_")}
        self._process = self._start("127.0.0.1:0")
        self.url = self._announced()

    def _start(self, listen: str) -> "subprocess.Popen[str]":
        command = [PROGRAM, "serve", "--dev", "--listen", listen, "--data", self.data]
        pipes: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, env=self._environment, **pipes)

    def _announced(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), f"the server says {line!r}"
        return line.split()[-1]

    def token(self, user: str = "anna", *options: str) -> str:
        command = [PROGRAM, "token", "--dev", "--data", self.data, "--user", user, *options]
        done = subprocess.run(command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start_again(self) -> None:
        self._process = self._start(self.url.split("//")[1])
        self._announced()


class ClientCase(unittest.IsolatedAsyncioTestCase):
    """A test with a folder, and a server if it asks for one."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self._server: List[Server] = []

    @property
    def server(self) -> Server:
        if not self._server:
            self._server.append(Server(self.path("server")))
            self.addCleanup(self._server[0].stop)
        return self._server[0]

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    async def open(self, name: str = "a", **options: Any) -> unisono.Client:
        """A client of the server, closed at the test's end."""
        options.setdefault("url", self.server.url)
        options.setdefault("token", self.server.token())
        return await self.local(name, **options)

    async def local(self, name: str = "a", **options: Any) -> unisono.Client:
        """A client on its replica alone."""
        client = await unisono.Client.open(self.path(f"{name}.db"), **options)
        self.addAsyncCleanup(client.close)
        return client

    async def fails(self, code: str, kind: unisono.ErrorKind, call: Any, retryable: bool = False) -> str:
        """Awaits ``call``, which must fail so; its words."""
        with self.assertRaises(unisono.Error) as caught:
            await call
        error = caught.exception
        self.assertEqual((error.code, error.kind, error.retryable), (code, kind, retryable), str(error))
        return str(error)
