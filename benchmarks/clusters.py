"""What rows on a cluster cost: ``python benchmarks/clusters.py --help``.

LocalClusters of worker processes on this machine, each with one thread. Parts, all in one CSV file:

- scaling: seconds of fits on 1 and 2 workers, in turn, of 4M x 100 float64 that they hold, the medians and the
  fastest; and by how much the CPU time of the busiest worker falls, which other processes of the machine change less.
- bytes: sums that the workers send each other and the client in the closed form, beside
  8 * workers * (columns + 1)**2; and rows that Dask moves to a worker that is idle.
- partitions: seconds of fits of small data in many partitions, which are those of Dask's scheduler, on 2 workers.
- others: dask-ml's LinearRegression on the same data: seconds, and the largest error of a coefficient, relative to the
  largest coefficient, beside normal equations of centred columns by dask.array. dask-ml may be left out.
- kills: 20 fits of each loss in a row, in each of which a worker is killed.
"""

import os
import pickle
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from statistics import median

import dask.array as da
import numpy as np
import psutil
from dask.distributed import Client, LocalCluster, wait
from measuring import fit_clock, in_turn, make_parser, run_parts

from sgdlinreg.dask import DaskMiniBatchSGDRegressor

ROWS, COLUMNS, PARTITIONS = 4_000_000, 100, 32
FITS = {
    "closed form": DaskMiniBatchSGDRegressor,
    "huber": lambda: DaskMiniBatchSGDRegressor("huber", random_state=0),
}
KILLS = 20


@contextmanager
def cluster_of(n_workers):
    """Start a cluster, and give its client."""
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": None}
    with LocalCluster(n_workers=n_workers, **options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def make_rows(client, args, n_rows=ROWS, n_partitions=PARTITIONS):
    """Draw rows on the workers of a client, which hold them."""
    n_rows = 20_000 if args.fast else n_rows
    with client.as_current():
        rng = da.random.default_rng(0)
        X = rng.standard_normal((n_rows, COLUMNS), chunks=(n_rows // n_partitions, COLUMNS)) + 1.0
        coef = np.random.default_rng(0).standard_normal(COLUMNS)
        y = X @ coef + rng.standard_normal(n_rows, chunks=X.chunks[0])
        X, y = client.persist([X, y])
        wait([X, y])
    return X, y


def on(client, clock, busiest=None):
    """Return a clock that runs on a client, and appends the CPU seconds of its busiest worker to a list."""

    def seconds_on_client():
        with client.as_current():
            before = client.run(_cpu_seconds)
            seconds, result = clock()
            after = client.run(_cpu_seconds)
        if busiest is not None:
            busiest.append(max(after[worker] - before[worker] for worker in before))
        return seconds, result

    return seconds_on_client


def _cpu_seconds():
    return sum(psutil.Process().cpu_times()[:2])


def scaling(args):
    with ExitStack() as stack:
        clients = {n: stack.enter_context(cluster_of(n)) for n in (1, 2)}
        rows = {n: make_rows(client, args) for n, client in clients.items()}
        for name, make in FITS.items():
            cpu = {n: [] for n in clients}
            clocks = {n: on(client, fit_clock(make, *rows[n]), cpu[n]) for n, client in clients.items()}
            found = in_turn(clocks, args.repeats)
            yield {
                "fit": name,
                "rows": len(rows[1][0]),
                "seconds_1": found[1].median,
                "seconds_2": found[2].median,
                "faster": found[1].over(found[2]),
                "fastest_1": min(found[1].seconds),
                "fastest_2": min(found[2].seconds),
                "cpu_1": median(cpu[1]),
                "cpu_2_busiest": median(cpu[2]),
                "cpu_faster": median(one / two for one, two in zip(cpu[1], cpu[2], strict=True)),
                "passes": found[2].result.n_iter,
                "load": os.getloadavg()[0],
            }


def _received(dask_worker):
    """Return bytes of sums and of others that a worker has received so far."""
    received = [(str(key), size) for one in dask_worker.transfer_incoming_log for key, size in one["keys"].items()]
    sums = sum(size for key, size in received if key.startswith(("_sums_of", "_join")))
    return np.array([sums, sum(size for _, size in received) - sums])


def bytes_sent(args):
    for n_workers in (2, 4):
        with cluster_of(n_workers) as client:
            X, y = make_rows(client, args, n_rows=400_000)
            with client.as_current():
                before = client.run(_received)
                model = DaskMiniBatchSGDRegressor().fit(X, y)
                after = client.run(_received)
        between, moved = sum(after[worker] - before[worker] for worker in before)
        to_client = len(pickle.dumps(model._state))
        least = 8 * n_workers * (COLUMNS + 1) ** 2
        yield {
            "workers": n_workers,
            "partitions": PARTITIONS,
            "between_workers": between,
            "to_client": to_client,
            "least": least,
            "times": (between + to_client) / least,
            "rows_moved": moved,
        }


def partitions(args):
    with cluster_of(2) as client:
        for n_partitions in (10, 100) if args.fast else (10, 100, 1000):
            rows = make_rows(client, args, n_rows=100 * n_partitions, n_partitions=n_partitions)
            clocks = {name: on(client, fit_clock(make, *rows)) for name, make in FITS.items()}
            for name, one in in_turn(clocks, args.repeats).items():
                yield {
                    "fit": name,
                    "partitions": n_partitions,
                    "seconds": one.median,
                    "passes": one.result.n_iter,
                    "load": os.getloadavg()[0],
                }


def others(args):
    with cluster_of(2) as client:
        X, y = make_rows(client, args)
        with client.as_current():
            mean, y_mean = X.mean(axis=0), y.mean()
            moments = da.compute((X - mean).T @ (X - mean), (X - mean).T @ (y - y_mean))
        exact = np.linalg.solve(*moments)
        contenders = {"sgdlinreg, closed form": DaskMiniBatchSGDRegressor} | {
            f"dask-ml, {solver}": lambda solver=solver: _of_dask_ml(solver) for solver in ("newton", "lbfgs", "admm")
        }
        for name, make in contenders.items():
            one = in_turn({name: on(client, fit_clock(make, X, y))}, repeats=1, slow=30.0)[name]
            error = None if one.error else np.abs(one.result.model.coef_ - exact).max() / np.abs(exact).max()
            yield {"name": name, "seconds": one.median, "error": error, "failed": one.error, "load": os.getloadavg()[0]}


def _of_dask_ml(solver):
    from dask_ml.linear_model import LinearRegression

    return LinearRegression(solver=solver, C=1e12)  # C is the inverse of the penalty


def kills(args):
    with cluster_of(0) as client, client.as_current(), tempfile.TemporaryDirectory() as folder:
        workers = [_start_worker(client, folder) for _ in range(2)]
        client.wait_for_workers(2, timeout=60)
        X, y = make_rows(client, args, n_rows=200_000)
        for name, make in FITS.items():
            expected = make().fit(X, y)
            start = time.perf_counter()
            make().fit(X, y)
            usual, n_killed, worst, n_rows = time.perf_counter() - start, 0, 0.0, set()
            for number in range(KILLS):
                client.wait_for_workers(2, timeout=60)
                wait([X, y])
                thread = threading.Timer(random.Random(number).uniform(0.2, 0.8) * usual, workers[number % 2].kill)
                thread.start()
                model = make().fit(X, y)
                n_killed += not thread.is_alive()
                thread.join()
                workers[number % 2].wait()
                workers[number % 2] = _start_worker(client, folder)
                worst = max(worst, np.abs(model.coef_ - expected.coef_).max() / np.abs(expected.coef_).max())
                n_rows.add(model.n_samples_seen_)
            yield {
                "fit": name,
                "fits": KILLS,
                "killed_before_the_end": n_killed,
                "worst": worst,
                "rows": sorted(n_rows),
            }
        for worker in workers:
            worker.kill()


def _start_worker(client, folder):
    """Start a worker by itself: a nanny sometimes fails to start the next one after a few kills."""
    options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", folder]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", client.cluster.scheduler_address, *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


PARTS = {"scaling": scaling, "bytes": bytes_sent, "partitions": partitions, "others": others, "kills": kills}

if __name__ == "__main__":
    parser = make_parser(__doc__, PARTS, repeats=5, threads=1)
    run_parts(parser, parser.parse_args(), PARTS, file="clusters.csv")
