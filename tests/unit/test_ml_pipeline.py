"""The learning itself, without processes: model, batches, sums, updates, and a whole sync job on the digits in threads."""

from __future__ import annotations

import hashlib
import itertools
import random
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.datasets import load_digits

from synapsenet.clock import SystemClock
from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.training.aggregation import Gradient, finite, mean_gradient
from synapsenet.training.batching import batches, share
from synapsenet.training.models.mlp import build
from synapsenet.training.optimizer import Sgd
from synapsenet.training.parameter_server import ParameterServer, Plan, Snapshot
from synapsenet.training.schema import FLOAT32, Vector
from synapsenet.training.trainable import AllowList, Trainable
from synapsenet.training.worker import Examples, measure, train

DIGITS = {"inputs": 64, "hidden": [32], "classes": 10}

# Whoever changes these changes every recorded training.
INITIAL_PARAMETERS_OF_SEED_7 = "d082f23ef7417323d23259bad2013fca06a32ca8029309807121849f0d816672"
ORDER_OF_SEED_3 = [0, 4, 7, 1, 5, 6, 3, 2, 7, 3, 5, 1, 2, 4, 6, 0]


def noise(count: int, seed: int) -> Vector:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(count).astype(FLOAT32)


def gradients(workers: int, count: int = 1000) -> dict[int, Gradient]:
    """Gradients of unequal batches, so that weights are not exact."""
    return {
        index: Gradient(values=noise(count, index), examples=7 * index + 3, loss=0.1 * index + 0.7) for index in range(workers)
    }


class TestModel:
    @pytest.mark.parametrize("hidden", [[], [5], [6, 4]])
    def test_the_gradient_is_the_slope_of_the_loss(self, hidden: list[int]) -> None:
        model = build({"inputs": 3, "hidden": hidden, "classes": 4})
        parameters = model.initial_parameters(1) + noise(model.schema.count, 2) * np.float32(0.1)
        inputs, targets = noise(24, 3).reshape(8, 3), np.arange(8) % 4
        _, gradient = model.loss_and_gradient(parameters, inputs, targets)
        steepness = np.linalg.norm(gradient)
        direction = gradient / steepness
        step = np.float32(2e-3)
        above, _ = model.loss_and_gradient(parameters + step * direction, inputs, targets)
        below, _ = model.loss_and_gradient(parameters - step * direction, inputs, targets)
        assert (above - below) / (2 * float(step)) == pytest.approx(float(steepness), rel=0.01)

    def test_the_same_seed_gives_the_same_bits_for_ever(self) -> None:
        flat = build(DIGITS).initial_parameters(7)
        assert hashlib.sha256(flat.tobytes()).hexdigest() == INITIAL_PARAMETERS_OF_SEED_7
        assert not np.array_equal(flat, build(DIGITS).initial_parameters(8))

    def test_predictions_are_logarithms_of_probabilities(self) -> None:
        model = build(DIGITS)
        log_probabilities = model.predict(model.initial_parameters(0), noise(640, 5).reshape(10, 64))
        assert log_probabilities.shape == (10, 10)
        np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ({"inputs": 64}, "classes"),
            ({"inputs": 0, "classes": 10}, "inputs"),
            ({"inputs": 64.5, "classes": 10}, "inputs"),
            ({"inputs": 64, "classes": 10, "hidden": 32}, "hidden"),
            ({"inputs": 64, "classes": 10, "depth": 3}, "depth"),
        ],
    )
    def test_a_wrong_argument_is_named(self, arguments: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidArgument) as raised:
            build(arguments)
        assert raised.value.reason == "MODEL_ARGUMENTS_INVALID"
        assert raised.value.field == f"spec.model.arguments.{field}"

    def test_only_the_allow_list_leads_to_code(self) -> None:
        models = AllowList({"mlp": "synapsenet.training.models.mlp:build", "lost": "synapsenet.training.models.absent:build"})
        assert models.make("mlp", DIGITS).classes == 10
        with pytest.raises(InvalidArgument, match="not on the allow-list: take one of lost, mlp"):
            models.make("os:system", {})
        with pytest.raises(FailedPrecondition, match="cannot be imported"):
            models.make("lost", {})


class TestBatching:
    @pytest.mark.parametrize(("rows", "workers"), [(10, 1), (10, 3), (1347, 4)])
    def test_the_shares_are_a_partition(self, rows: int, workers: int) -> None:
        shares = [share(rows, worker=index, workers=workers) for index in range(workers)]
        assert sorted(np.concatenate(shares)) == list(range(rows))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1

    def test_a_worker_without_examples_is_refused(self) -> None:
        with pytest.raises(FailedPrecondition, match="3 examples are too few for 4 workers"):
            share(3, worker=3, workers=4)

    @pytest.mark.parametrize("size", [1, 3, 10, 25])
    def test_each_epoch_has_every_example_once_and_all_batches_have_one_size(self, size: int) -> None:
        drawn = list(itertools.islice(batches(10, size=size, seed=1, worker=0), 20))
        assert {len(batch) for batch in drawn} == {size}
        flat = np.concatenate(drawn)
        for epoch in range(len(flat) // 10):
            assert sorted(flat[10 * epoch : 10 * epoch + 10]) == list(range(10))

    def test_the_order_depends_on_seed_worker_and_epoch_alone(self) -> None:
        def first(seed: int, worker: int) -> list[int]:
            return [int(row) for row in next(batches(8, size=16, seed=seed, worker=worker))]

        assert first(3, 0) == ORDER_OF_SEED_3
        assert first(3, 0)[:8] != first(3, 0)[8:]
        assert len({tuple(first(seed, worker)) for seed in (3, 4) for worker in (0, 1)}) == 4


class TestArithmetic:
    def test_the_mean_is_the_documented_sum_to_the_bit(self) -> None:
        given = gradients(3)
        total = sum(gradient.examples for gradient in given.values())
        expected = np.float32(given[0].examples / total) * given[0].values
        for index in (1, 2):
            expected = expected + np.float32(given[index].examples / total) * given[index].values
        assert mean_gradient(given).values.tobytes() == expected.tobytes()

    def test_the_order_of_arrival_changes_no_bit(self) -> None:
        given = gradients(8)
        expected = mean_gradient(given)
        for order in itertools.islice(itertools.permutations(given), 0, 40320, 997):
            shuffled = mean_gradient({index: given[index] for index in order})
            assert shuffled.values.tobytes() == expected.values.tobytes()
            assert shuffled.loss == expected.loss

    def test_the_order_of_the_sum_does_matter_in_float32(self) -> None:
        given = gradients(8)
        renamed = {7 - index: gradient for index, gradient in given.items()}
        assert mean_gradient(renamed).values.tobytes() != mean_gradient(given).values.tobytes()

    def test_a_single_gradient_passes_unchanged(self) -> None:
        (alone,) = gradients(1).values()
        assert mean_gradient({0: alone}).values.tobytes() == alone.values.tobytes()

    def test_the_gradients_themselves_are_left_alone(self) -> None:
        given = gradients(3)
        before = [gradient.values.copy() for gradient in given.values()]
        mean_gradient(given)
        assert all(np.array_equal(one, gradient.values) for one, gradient in zip(before, given.values(), strict=True))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
    def test_what_is_no_number_or_overflows_is_noticed(self, bad: float) -> None:
        values = noise(100, 1)
        assert finite(values)
        values[17] = bad
        assert not finite(values)

    def test_sgd_is_the_documented_rule_to_the_bit(self) -> None:
        parameters, gradient, rate = noise(100, 1), noise(100, 2), np.float32(0.1)
        updated = Sgd(momentum=0, count=100).updated(parameters, gradient, 0.1)
        assert updated.tobytes() == (parameters - rate * gradient).tobytes()

    def test_momentum_is_the_documented_rule_to_the_bit(self) -> None:
        parameters, rate, momentum = noise(100, 1), np.float32(0.1), np.float32(0.9)
        rule, expected, velocity = Sgd(momentum=0.9, count=100), parameters.copy(), np.zeros(100, FLOAT32)
        for step in range(5):
            gradient = noise(100, step + 2)
            parameters = rule.updated(parameters, gradient, 0.1)
            velocity = momentum * velocity + gradient
            expected = expected - rate * velocity
        assert parameters.tobytes() == expected.tobytes()

    def test_old_parameters_stay_as_they_were(self) -> None:
        parameters = noise(100, 1)
        before = parameters.tobytes()
        Sgd(momentum=0.9, count=100).updated(parameters, noise(100, 2), 0.1)
        assert parameters.tobytes() == before


class InProcess:
    """A worker's stream without a wire."""

    def __init__(self, server: ParameterServer, worker: int) -> None:
        self._server = server
        self._worker = worker

    def pull(self) -> Snapshot:
        return self._server.pull()

    def push(self, gradient: Gradient, *, base_version: int) -> Snapshot:
        return self._server.push(self._worker, gradient, base_version=base_version)


def learn(model: Trainable, data: Examples, *, workers: int, steps: int, starting: Sequence[int]) -> Snapshot:
    """A sync job in threads, which start in the order `starting`."""
    plan = Plan(workers=workers, steps=steps, learning_rate=0.5, step_timeout=20, lease_ttl=20)
    rule = Sgd(momentum=0, count=model.schema.count)
    server = ParameterServer(
        plan=plan, schema=model.schema, parameters=model.initial_parameters(0), updater=rule, clock=SystemClock()
    )

    def work(index: int) -> None:
        server.join(index)
        own = data.take(share(len(data), worker=index, workers=workers))
        order = batches(len(own), size=32, seed=0, worker=index)
        train(model, own, order, InProcess(server, index), last_version=steps, each=lambda _: None)
        server.finish(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in starting]
    for thread in threads:
        thread.start()
    assert server.attend() is None
    for thread in threads:
        thread.join()
    return server.pull()


class TestDigits:
    def test_four_workers_learn_the_digits_to_the_same_bits_in_any_order(self) -> None:
        model = build(DIGITS)
        pixels, labels = load_digits(return_X_y=True)
        everything = Examples(inputs=(pixels / 16).astype(FLOAT32), targets=labels.astype(np.int64))
        held_out = np.arange(len(labels)) % 4 == 0
        data, unseen = everything.take(np.flatnonzero(~held_out)), everything.take(np.flatnonzero(held_out))
        ends = []
        for seed in range(3):
            starting = [0, 1, 2, 3]
            random.Random(seed).shuffle(starting)
            ends.append(learn(model, data, workers=4, steps=300, starting=starting))
        assert {end.parameters.tobytes() for end in ends} == {ends[0].parameters.tobytes()}
        measured = measure(model, ends[0].parameters, unseen)
        assert measured.accuracy >= 0.95
        assert measured.examples == held_out.sum()

    def test_the_measure_does_not_depend_on_how_it_is_cut(self) -> None:
        model = build(DIGITS)
        data = Examples(inputs=noise(64 * 50, 1).reshape(50, 64), targets=np.arange(50) % 10)
        whole = measure(model, model.initial_parameters(0), data)
        parts = measure(model, model.initial_parameters(0), data, at_once=7)
        assert parts.accuracy == whole.accuracy
        assert parts.loss == pytest.approx(whole.loss, rel=1e-6)

    @pytest.mark.parametrize(
        ("inputs", "target", "complaint"),
        [
            (np.zeros((2, 63), FLOAT32), 0, "inputs have length 63, the model takes 64"),
            (np.full((2, 64), np.nan, FLOAT32), 0, "an input is missing or not finite"),
            (np.zeros((2, 64), FLOAT32), 10, "targets reach from 10 to 10, the model has classes 0 to 9"),
            (np.zeros((2, 64), FLOAT32), -1, "targets reach from -1 to -1"),
        ],
    )
    def test_data_that_the_model_cannot_take_is_refused(self, inputs: Vector, target: int, complaint: str) -> None:
        data = Examples(inputs=inputs, targets=np.full(2, target))
        with pytest.raises(FailedPrecondition, match=complaint):
            data.check(build(DIGITS))
