"""Load on the HTTP API: many clients for a minute, a person at the browser meanwhile, on the bundled model.

    python -m benchmarks.api_load --clients 50 --seconds 60

A server of its own, in a folder of its own, draws what threads of this process ask for: most wait for their picture
(/v1/images/generations), the others ask for jobs and look after them (/v1/jobs). Five tokens share the clients; who is
told 429 waits as long as it is told. In the server's process one user of the page asks for a picture every few seconds,
as the page does. Printed: answers by status, whether every accepted job ended with its picture, the person's wait
against that of a picture alone, and the slope of the server's memory over pictures once it is warm: after a third of
the time, and when enough pictures were drawn to fill what the server remembers of the latest ones.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests

_TOKENS = 5
_EVERY = 2.0  # seconds between the person's pictures
_ALONE = 5  # pictures that are timed before the load begins
_JOBS = 5  # every so many-th client asks for jobs
_WARM = 1 / 3  # of the time
_FILLED = 80  # pictures; of 64 the prefix latents are remembered, see `generation.handoff`


@dataclass
class Seen:
    """What happened so far; touched under its lock."""

    statuses: Counter[int] = field(default_factory=Counter)
    jobs: dict[str, str] = field(default_factory=dict)  # path -> token
    pictures: int = 0
    surprises: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Runs one load and prints one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)  # this process is the server
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(arguments.serve, arguments.steps)
    else:
        with tempfile.TemporaryDirectory(prefix="api-load-") as folder:
            print(json.dumps(_load(arguments, Path(folder)), indent=1))


# ------------------------------------------------------------------ the server and the person at the browser


def _serve(folder: Path, steps: int) -> None:
    import uvicorn

    from sdxl_lora.api.app import alone

    app = alone(folder / "home")
    config = uvicorn.Config(app, port=0, log_level="error", access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    threading.Thread(target=_person, args=(server, app, folder, steps), daemon=True).start()
    server.run()


def _person(server: Any, app: Any, folder: Path, steps: int) -> None:
    """Asks for pictures as the page does, and notes how long each took."""
    from sdxl_lora.jobs.spec import JobSpec
    from sdxl_lora.models import conversions
    from sdxl_lora.request import GenerationRequest

    while not server.started:
        time.sleep(0.05)
    queue = app.state.service.queue

    def wait(number: int) -> float:
        request = GenerationRequest(prompt="a navy windbreaker jacket", steps=steps, seed=number)
        started = time.perf_counter()
        done = queue.wait(queue.submit(JobSpec(request=request, user="a browser")).id)
        assert done is not None
        assert done.state == "done"
        return time.perf_counter() - started

    wait(0)  # loads the model
    conversions.wait()  # it would share the processors with the load, and bring its network into memory in the middle
    wait(0)
    alone = [wait(number) for number in range(1, _ALONE + 1)]
    port = server.servers[0].sockets[0].getsockname()[1]
    (folder / "ready.json").write_text(json.dumps({"port": port, "alone": alone}))
    with (folder / "waits.jsonl").open("a") as file:
        for number in range(100, 10_000):
            time.sleep(_EVERY)
            print(wait(number), file=file, flush=True)


# ------------------------------------------------------------------ the clients


def _load(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from sdxl_lora.api.tokens import Tokens

    tokens = [Tokens(folder / "home").make(f"client-{number}") for number in range(_TOKENS)]
    command = [sys.executable, "-m", "benchmarks.api_load", "--serve", str(folder)]
    environment = {**os.environ, "SDXL_LORA_HOME": str(folder / "home")}
    with subprocess.Popen([*command, "--steps", str(arguments.steps)], env=environment) as server:
        try:
            ready = _ready(folder, server)
            return _measured(arguments, folder, server.pid, ready, tokens)
        finally:
            server.terminate()


def _ready(folder: Path, server: "subprocess.Popen[bytes]") -> dict[str, Any]:
    while not (folder / "ready.json").is_file() or not (text := (folder / "ready.json").read_text()):
        if server.poll() is not None:
            raise SystemExit("the server did not start")
        time.sleep(0.1)
    found: dict[str, Any] = json.loads(text)
    return found


def _measured(
    arguments: argparse.Namespace, folder: Path, pid: int, ready: dict[str, Any], tokens: list[str]
) -> dict[str, Any]:
    address, seen, ends = f"http://127.0.0.1:{ready['port']}", Seen(), time.monotonic() + arguments.seconds
    clients = [
        threading.Thread(target=_client, args=(address, tokens[n % _TOKENS], n, arguments.steps, seen, ends))
        for n in range(arguments.clients)
    ]
    started, memory = time.monotonic(), []
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        memory.append((time.monotonic() - started, seen.pictures, _resident(pid)))
        time.sleep(0.5)
    waits = [float(line) for line in (folder / "waits.jsonl").read_text().split()]
    lost = _lost(address, seen)
    warm = [(n, mib) for second, n, mib in memory if second > arguments.seconds * _WARM and n >= _FILLED]
    pictures, mib = np.array(warm or [(0, float("nan"))]).T
    slope = np.polyfit(pictures, mib, 1)[0] * 100 if len(set(pictures)) > 1 else float("nan")
    return {
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "steps": arguments.steps,
        "answers": {str(status): number for status, number in sorted(seen.statuses.items())},
        "errors_other_than_429": sum(
            n for status, n in seen.statuses.items() if status >= 400 and status != 429
        ),
        "surprises": seen.surprises[:5],
        "pictures": seen.pictures,
        "jobs_accepted": len(seen.jobs),
        "jobs_lost": lost,
        "memory_mib": {
            "first": round(mib[0], 1),
            "last": round(mib[-1], 1),
            "pictures": int(np.ptp(pictures)),
        },
        "memory_mib_per_100_pictures": round(float(slope), 3),
        "picture_alone_s": round(statistics.median(ready["alone"]), 3),
        "person_waits_s": {
            "n": len(waits),
            "median": round(statistics.median(waits), 3),
            "longest": round(max(waits), 3),
        },
        "person_waits_times_alone": round(statistics.median(waits) / statistics.median(ready["alone"]), 2),
    }


def _client(address: str, token: str, number: int, steps: int, seen: Seen, ends: float) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        count = 0
        while time.monotonic() < ends:
            count += 1
            body = {"prompt": "a red hoodie", "steps": steps, "seed": number * 10_000 + count}
            jobs = number % _JOBS == 0
            try:
                path = "/v1/jobs" if jobs else "/v1/images/generations"
                answer = session.post(address + path, json=body, timeout=300)
            except requests.RequestException as error:
                with seen.lock:
                    seen.surprises.append(f"{type(error).__name__}: {error}"[:200])
                continue
            with seen.lock:
                seen.statuses[answer.status_code] += 1
                seen.pictures += answer.status_code == 200
                if answer.status_code == 202:
                    seen.jobs[answer.headers["Location"]] = token
            if answer.status_code == 429:
                time.sleep(min(float(answer.headers["Retry-After"]), max(0.0, ends - time.monotonic())))
            elif answer.status_code == 202:
                _look_after(session, address + answer.headers["Location"], seen, ends)


def _look_after(session: requests.Session, job: str, seen: Seen, ends: float) -> None:
    while time.monotonic() < ends:
        state = session.get(job, timeout=60)
        with seen.lock:
            seen.statuses[state.status_code] += state.status_code != 200
            if state.status_code == 200 and state.json()["status"] == "done":
                seen.pictures += 1
                return
        time.sleep(0.5)


def _lost(address: str, seen: Seen) -> int:
    """Accepted jobs that did not end with their picture."""
    lost, ends = 0, time.monotonic() + 300
    for path, token in seen.jobs.items():
        while True:
            answer = requests.get(address + path, headers={"Authorization": f"Bearer {token}"}, timeout=60)
            job = answer.json()
            if job.get("status") not in ("queued", "running") or time.monotonic() > ends:
                break
            time.sleep(0.2)
        picture = (job.get("pictures") or [{}])[0].get("url")
        file = requests.get(f"{address}{picture}", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        lost += not (job.get("status") == "done" and file.content.startswith(b"\x89PNG"))
    return lost


def _resident(pid: int) -> float:
    """Main memory of a process, MiB."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
