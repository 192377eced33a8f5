"""A time stamp authority (RFC 3161) of the tests' own: openssl behind HTTP on this machine's loopback."""

import contextlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_SETTINGS = """
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
certs = root.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""
_EXTENSIONS = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """Stamps what it is asked for, or not, as the test says."""

    def __init__(self, folder: Path) -> None:
        self.answers = True
        self.asked: list[bytes] = []  # requests, in DER
        self.address = ""
        self._folder = folder
        (folder / "settings").write_text(_SETTINGS)
        (folder / "extensions").write_text(_EXTENSIONS)
        (folder / "serial").write_text("01")
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        root = ("-x509", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")
        self._openssl(*new, *root, "-keyout", "root.key", "-out", "root.pem", "-subj", "/O=Tests/CN=Root")
        self._openssl(*new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/O=Tests/CN=Time")
        signs = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "extensions")
        self._openssl("x509", "-req", "-in", "tsa.csr", *signs, "-out", "tsa.pem", "-days", "1")

    def reply(self, question: bytes) -> bytes:
        """A time stamp of now."""
        self.asked.append(question)
        (self._folder / "question").write_bytes(question)
        made = ("-config", "settings", "-queryfile", "question", "-out", "answer")
        self._openssl("ts", "-reply", *made)
        return (self._folder / "answer").read_bytes()

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Authority]:
    """One that answers at its `address`. Skips the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    authority = Authority(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            if not authority.answers or self.headers["Content-Type"] != "application/timestamp-query":
                self.send_error(503)
                return
            answer = authority.reply(question)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        authority.address = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield authority
        finally:
            server.shutdown()
            thread.join()
