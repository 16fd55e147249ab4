"""A cluster of two workers on this machine: where sums join, workers that are killed, a scheduler that is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import make_problem

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
from sgdlinreg.dask import DaskMiniBatchSGDRegressor  # noqa: E402
from sgdlinreg.dask.scheduler import client_in_use, places_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of clusters that end while they are at work
TIMEOUT = 60
X, Y, WEIGHT = make_problem(0, n_rows=4000, n_features=12)


@pytest.fixture(scope="module")
def client():
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def persisted(client):
    data = [da.from_array(values, chunks=(250, *values.shape[1:])).persist() for values in (X, Y, WEIGHT)]
    distributed.wait(data)
    return data


def _beside(client, number, place):
    """Return y and the weights of a partition on a worker."""
    rows = slice(250 * number, 250 * number + 250)
    return [client.scatter(values[rows], workers=[place]) for values in (Y, WEIGHT)]


def test_places_are_those_of_the_workers(client):
    assert client_in_use() is client
    collection = persisted(client)[0]
    places = places_of(collection, 16)
    for key, workers in client.who_has(client.futures_of(collection)).items():
        assert (places[key[1]],) == workers
    assert places_of(da.from_array(X, chunks=(1000, 12)), 4) == [""] * 4  # not on a worker yet
    with dask.config.set(scheduler="synchronous"):
        assert client_in_use() is None
        assert places_of(collection, 16) == [""] * 16


def test_rows_stay_where_they_are_and_sums_join_there(client):
    def received(dask_worker):
        return [str(key) for one in dask_worker.transfer_incoming_log for key in one["keys"]]

    data = persisted(client)
    places = places_of(data[0], 16)
    assert len(set(places)) == 2
    y, weight = (  # as X is
        da.concatenate([da.from_delayed(values, (250,), float) for values in parts])
        for parts in zip(*(_beside(client, number, place) for number, place in enumerate(places)), strict=True)
    )
    before = {worker: len(names) for worker, names in client.run(received).items()}
    DaskMiniBatchSGDRegressor().fit(data[0], y, weight)
    names = [name for worker, one in client.run(received).items() for name in one[before[worker] :]]
    assert names
    assert not [name for name in names if data[0].name in name], "rows were sent"
    # one sum has to be sent; Dask may give another join to a worker that is idle
    assert 1 <= len([name for name in names if name.startswith(("_sums_of", "_join"))]) <= 3


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_a_fit_on_two_workers_is_that_in_memory(client, loss, capsys):
    data = persisted(client)
    model = DaskMiniBatchSGDRegressor(loss, random_state=0, verbose=2).fit(*data)
    assert "100% Completed" in capsys.readouterr().out
    expected = MiniBatchSGDRegressor(loss, random_state=0).fit(X, Y, WEIGHT)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12 if loss == "squared_error" else 1e-4)
    assert float(model.score(*data)) == pytest.approx(expected.score(X, Y, WEIGHT), rel=1e-8)


def test_missing_values_are_named_from_a_worker(client):
    holes = X.copy()
    holes[3001] = np.nan
    with pytest.raises(ValueError, match="partition 12: Input X contains NaN"):
        DaskMiniBatchSGDRegressor().fit(da.from_array(holes, chunks=(250, 12)), da.from_array(Y))


def start(module, *options):
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *options], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_a_killed_worker_loses_nothing(loss, tmp_path):
    killed = tmp_path / "killed"

    def kill(block):
        """End the worker that has this partition, once."""
        if not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        given = (cluster.scheduler_address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        workers = [start("dask_worker", *given, "--local-directory", str(tmp_path)) for _ in range(2)]
        try:
            client.wait_for_workers(2, timeout=TIMEOUT)
            data = persisted(client)
            expected = DaskMiniBatchSGDRegressor(loss, random_state=0).fit(*data)
            mortal = data[0].map_blocks(kill, dtype=float, meta=np.empty((0, 0)))
            model = DaskMiniBatchSGDRegressor(loss, random_state=0).fit(mortal, *data[1:])
        finally:
            for worker in workers:
                worker.kill()
    assert killed.exists()
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    assert model.n_samples_seen_ == len(X)


def test_searches_of_rows_in_memory_run_on_the_workers(client):
    search = GridSearchCV(MiniBatchSGDRegressor(), {"alpha": [1e-3, 1e-1, 10.0]}, cv=3)
    with joblib.parallel_config(backend="dask"):
        found = search.fit(X, Y).best_params_
    assert found == search.fit(X, Y).best_params_ == {"alpha": 1e-3}


def wait_for(path):
    deadline = time.monotonic() + TIMEOUT
    while not os.path.exists(path):
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


def test_a_lost_scheduler_is_an_error(tmp_path):
    address_file = str(tmp_path / "scheduler.json")
    given = ("--scheduler-file", address_file, "--no-dashboard")
    scheduler = start("dask_scheduler", *given, "--port", "0")
    worker = start("dask_worker", *given, "--nthreads", "1", "--local-directory", str(tmp_path))
    try:
        wait_for(address_file)
        with distributed.Client(scheduler_file=address_file, timeout=5) as client:
            client.wait_for_workers(1, timeout=TIMEOUT)
            model, errors = DaskMiniBatchSGDRegressor().fit(da.from_array(X), da.from_array(Y)), []
            rows, coef, begun = da.from_array(X, chunks=(100, 12)).persist(), model.coef_, tmp_path / "begun"

            def slow(block):
                begun.touch()
                time.sleep(1.0)
                return block

            def fit():
                try:
                    model.fit(rows.map_blocks(slow, meta=np.empty((0, 0))), da.from_array(Y))
                except ConnectionError as error:
                    errors.append(str(error))

            thread = threading.Thread(target=fit, daemon=True)
            thread.start()
            wait_for(begun)
            scheduler.kill()
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "the fit hangs"
            assert "The scheduler of Dask is lost" in errors[0]
            assert model.coef_ is coef
    finally:
        scheduler.kill()
        worker.kill()
