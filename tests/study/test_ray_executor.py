"""A real Ray cluster on this machine, a head and two nodes: what a lost node costs is time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.study import executor_with, run_status, run_study
from tests.study.test_executors import objects, study_at

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'puretune[ray]')")
from ray.cluster_utils import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that works at nothing, and two nodes with a CPU each; as separate processes on loopback."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def wait_for(log: Path, workers: int) -> None:
    """Until so many workers have finished a unit."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if (
            log.is_file()
            and sum(bool(one.done) for one in run_status(log.parent).workers.values()) >= workers
        ):
            return
        time.sleep(0.05)


def test_a_run_loses_a_node_and_makes_the_bytes_of_one_process(
    tmp_path: Path, model: Path, cluster: Any
) -> None:
    study = study_at(tmp_path, model, train=["untuned", "CV", "CL", "CA"], test=["CV", "CL", "CA", "TV"])
    victim = cluster.list_all_nodes()[-1]

    def kill() -> None:
        wait_for(tmp_path / "run" / "log.jsonl", 2)
        cluster.remove_node(victim, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    spec = executor_with("ray", {"address": cluster.address})
    matrix = run_study(study, tmp_path / "run", executor=spec)
    killer.join()
    assert victim not in cluster.list_all_nodes()
    assert len(run_status(tmp_path / "run").workers) >= 2
    alone = run_study(study, tmp_path / "alone", executor="local")
    assert matrix.cells == alone.cells
    assert objects(tmp_path / "run") == objects(tmp_path / "alone")
    assert not (tmp_path / "run" / "scratch").exists()


def test_a_worker_that_does_not_fit_is_refused(tmp_path: Path, model: Path, cluster: Any) -> None:
    spec = executor_with("ray", {"address": cluster.address, "cpus": 64})
    with pytest.raises(EnvironmentFault, match="no machine of the Ray cluster has 64 CPUs"):
        run_study(study_at(tmp_path, model), tmp_path / "run", executor=spec)


def test_an_error_of_a_worker_is_raised_as_it_is(tmp_path: Path, model: Path, cluster: Any) -> None:
    study = study_at(tmp_path, model)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scratch").write_text("a file where resume points go")
    with pytest.raises(EnvironmentFault, match="scratch"):
        run_study(study, tmp_path / "run", executor=executor_with("ray", {"address": cluster.address}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"adress": "auto"}, "address"),
        ({"workers": -1}, "workers"),
        ({"tries": 0}, "tries"),
        ({"cpus": "many"}, "cpus"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        executor_with("ray", options)
