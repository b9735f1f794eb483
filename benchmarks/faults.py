"""What faults cost: simulated workers that die, a driver that is killed, and the study that comes out.

    python -m benchmarks.faults                     # both, results in benchmarks/results/faults.json
    python -m benchmarks.faults --only workers
    python -m benchmarks.faults --only driver --kills 50

workers   the real queue of units and the real store, and workers that sleep in place of computing. Time runs
          20 times faster than it says: a unit is 4 s of work, a worker is killed every 30 s, and 10 s go by
          until its successor is up. Efficiency is the work done over workers x time; the end of a run, when
          fewer units than workers remain, counts against it.
driver    the lab's two-cells study in a process that is killed (SIGKILL) at random moments and started again,
          so many times; then once undisturbed. Compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from puretune.store import Store, json_text, key_of, write_text
from puretune.study.run.unit_queue import UnitQueue

_SPEED = 20.0
_WORK, _RESTART, _KILL_EVERY = 4.0, 10.0, 30.0
_RESULTS = Path(__file__).parent / "results" / "faults.json"


class SleepingUnit:
    """A unit that needs nothing and makes one object."""

    def __init__(self, number: int) -> None:
        self.key = key_of({"simulated unit": number})
        self.makes = frozenset({("answers", self.key)})
        self.needs: frozenset[tuple[str, str]] = frozenset()


class Simulation:
    """Workers (threads) that take units from one queue and publish to one store."""

    def __init__(self, workers: int, units: int, store: Store, dies: bool, seed: int = 0) -> None:
        made: list[Any] = [SleepingUnit(number) for number in range(units)]
        self.units, self.store, self.workers = made, store, workers
        self.queue = UnitQueue(made, [True] * units)
        self.published: Counter[int] = Counter()
        self.kills = 0
        self._dies, self._rng, self._over = dies, random.Random(seed), threading.Event()
        self._killed = [threading.Event() for _ in range(workers)]
        self._lock = threading.Lock()

    def run(self) -> float:
        """Seconds of simulated time until all is done."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.workers)]
        killer = threading.Thread(target=self._kill)
        for thread in [*threads, killer]:
            thread.start()
        self.queue.take(lambda: 60.0, lambda: None, lambda number: False)
        seconds = (time.monotonic() - began) * _SPEED
        self._over.set()
        for thread in [*threads, killer]:
            thread.join()
        return seconds

    def _work(self, worker: int) -> None:
        while (number := self.queue.take_elsewhere()) is not None:
            if self._killed[worker].wait(_WORK / _SPEED):
                self.queue.give_back(number, elsewhere=True)
                time.sleep(_RESTART / _SPEED)
                self._killed[worker].clear()
                continue
            self.store.put_json("answers", self.units[number].key, {"unit": number})
            with self._lock:
                self.published[number] += 1
            self.queue.done(number)

    def _kill(self) -> None:
        while self._dies and not self._over.wait(_KILL_EVERY / _SPEED):
            self._killed[self._rng.randrange(self.workers)].set()
            self.kills += 1


def simulate(workers: int, units: int, dies: bool) -> dict[str, Any]:
    """One simulated run, and what came out of it."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        simulation = Simulation(workers, units, store, dies)
        seconds = simulation.run()
        whole = all(store.get("answers", unit.key) is not None for unit in simulation.units)
    return {
        "workers": workers,
        "units": units,
        "kills": simulation.kills,
        "seconds": round(seconds, 1),
        "efficiency": round(units * _WORK / (workers * seconds), 4),
        "all_published": whole,
        "published_twice": sum(times > 1 for times in simulation.published.values()),
    }


def workers_part(units_each: int) -> dict[str, Any]:
    """Scaling from 1 to 64 workers without faults, and 64 workers with deaths."""
    scaling = [simulate(workers, workers * units_each, dies=False) for workers in (1, 8, 64)]
    faulty = simulate(64, 64 * units_each, dies=True)
    return {
        "scaling": scaling,
        "with_deaths": faulty,
        "throughput_with_deaths": round(faulty["efficiency"] / scaling[-1]["efficiency"], 4),
        "scaling_to_64": round(scaling[-1]["efficiency"] / scaling[0]["efficiency"], 4),
    }


def driver_part(kills: int, seed: int) -> dict[str, Any]:
    """A study whose driver is killed again and again, against one that is left alone."""
    study = Path(__file__).parents[1] / "configs" / "two-cells.yaml"
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        killed, alone = Path(directory) / "killed", Path(directory) / "alone"
        began = time.monotonic()
        _run(study, alone)
        whole = time.monotonic() - began
        ended = Counter[str]()
        for _ in range(kills):
            process = _start(study, killed)
            try:
                process.wait(rng.uniform(0.1, 1.1) * whole)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
            ended["killed" if process.wait() == -signal.SIGKILL else "finished before its kill"] += 1
        _run(study, killed)
        return {
            "kills": dict(ended),
            "seconds_undisturbed": round(whole, 1),
            "same_objects": _objects(killed) == _objects(alone),
            "leftovers": [path.name for path in killed.rglob("*.tmp")],
        }


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "puretune", "run", str(study), "--out", str(out), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run(study: Path, out: Path) -> None:
    if code := _start(study, out).wait():
        raise SystemExit(f"the study ended with exit code {code}")


def _objects(out: Path) -> dict[str, bytes]:
    """Everything in the store but manifests, which say how long things took."""
    store = out / "store"
    files = (path for path in store.rglob("*") if path.is_file() and not path.name.endswith("manifest.json"))
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def main() -> None:
    """Runs the parts and writes the results after each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["workers", "driver"])
    parser.add_argument("--units", type=int, default=60, help="Units for each worker.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_RESULTS)
    given = parser.parse_args()
    results = json.loads(given.out.read_text()) if given.out.exists() else {}
    if given.only != "driver":
        results["workers"] = workers_part(given.units)
        write_text(given.out, json_text(results, indent=1) + "\n")
    if given.only != "workers":
        results["driver"] = driver_part(given.kills, given.seed)
        write_text(given.out, json_text(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
