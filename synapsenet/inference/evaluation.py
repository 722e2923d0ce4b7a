"""Evaluation: a model's predictions of a training set held against the truth in one of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import FailedPrecondition
from synapsenet.inference.model import ElementType, Signature, TensorSpec
from synapsenet.inference.tensors import Array, numpy_type

Columns = Mapping[str, Array]
"""A training set: arrays with one row an example, by column name; features are called `group:feature`."""

_ROWS_AT_ONCE = 1_024
_SUM_TOLERANCE = 1e-3
_SMALLEST = 1e-12
_FLOATS = frozenset({ElementType.FLOAT16, ElementType.FLOAT32, ElementType.FLOAT64})


def inputs_of(signature: Signature, columns: Columns, *, label: str) -> list[Array]:
    """What the model takes for all examples, in its order.

    A column that is called as the input, or `group:INPUT`, feeds it; a single input without such a column is fed with all
    features but the label, side by side in the set's order.

    Raises:
        FailedPrecondition: EVALUATION_SET_UNFIT.
    """
    return [_fed(spec, _columns_for(spec, signature, columns, label)) for spec in signature.inputs]


def batches(signature: Signature, inputs: Sequence[Array]) -> Iterator[list[Array]]:
    """`inputs` in parts that the model takes at once: up to 1,024 rows, or one if its rows are fixed."""
    rows = len(inputs[0]) if inputs else 0
    size = _ROWS_AT_ONCE if signature.batches else 1
    for start in range(0, rows, size):
        yield [array[start : start + size] for array in inputs]


def measured(signature: Signature, outputs: Sequence[Array], truth: Array) -> dict[str, float]:
    """The metrics that these outputs allow, each output with one row an example.

    `accuracy` by the output that names a class, or the greatest score; `loss`, the mean cross entropy in nats, where scores are
    probabilities; `rmse` and `mae` where both outputs and truth are numbers.

    Raises:
        FailedPrecondition: EVALUATION_SET_UNFIT.
    """
    arrays = zip(signature.outputs, map(np.asarray, outputs), strict=True)
    named = {spec: array for spec, array in arrays if array.ndim and len(array) == len(truth)}
    classes = next((array for spec, array in named.items() if spec.element_type not in _FLOATS and _is_single(array)), None)
    scores = next((array for spec, array in named.items() if spec.element_type in _FLOATS and _width(array) > 1), None)
    numbers = next((array for spec, array in named.items() if spec.element_type in _FLOATS and _is_single(array)), None)
    if classes is not None or scores is not None:
        return _classified(classes, scores, truth)
    if numbers is None:
        raise _unfit("the model gives neither a class nor scores nor a number for an example")
    return _estimated(numbers.reshape(-1).astype(np.float64), truth)


def truth_of(columns: Columns, label: str) -> Array:
    """The column that holds the truth, one value an example.

    Raises:
        FailedPrecondition: EVALUATION_SET_UNFIT.
    """
    if label not in columns:
        raise _unfit(f"it has no column {label!r} that could hold the truth; it has {', '.join(columns)}")
    truth = np.asarray(columns[label])
    if not len(truth):
        raise _unfit("it has no examples")
    if not _is_single(truth):
        raise _unfit(f"the column {label!r} holds vectors, not one value an example")
    if truth.dtype.kind == "f" and not np.isfinite(truth).all():
        raise _unfit(f"the column {label!r} has missing values")
    return truth.reshape(-1)


def _classified(classes: Array | None, scores: Array | None, truth: Array) -> dict[str, float]:
    predicted = classes.reshape(-1) if classes is not None else np.asarray(scores).argmax(axis=1)
    metrics = {"accuracy": float(np.mean(_comparable(predicted) == _comparable(truth)))}
    if scores is not None and truth.dtype.kind in "iuf" and _are_probabilities(scores):
        places = truth.astype(np.int64)
        if places.min() < 0 or places.max() >= scores.shape[1]:
            raise _unfit(f"the label has classes outside the model's {scores.shape[1]}")
        chosen = scores.astype(np.float64)[np.arange(len(places)), places]
        metrics["loss"] = float(np.mean(-np.log(np.maximum(chosen, _SMALLEST))))
    return metrics


def _estimated(numbers: NDArray[np.float64], truth: Array) -> dict[str, float]:
    if truth.dtype.kind not in "iufb":
        raise _unfit("the model gives numbers, and the label holds none")
    known = truth.astype(np.float64)
    if np.isin(known, (0.0, 1.0)).all() and truth.dtype.kind in "iub" and ((numbers >= 0) & (numbers <= 1)).all():
        of_truth = np.where(known == 1.0, numbers, 1.0 - numbers)
        return {
            "accuracy": float(np.mean((numbers >= 0.5) == (known == 1.0))),
            "loss": float(np.mean(-np.log(np.maximum(of_truth, _SMALLEST)))),
        }
    errors = numbers - known
    return {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}


def _columns_for(spec: TensorSpec, signature: Signature, columns: Columns, label: str) -> list[Array]:
    named = [array for name, array in columns.items() if name == spec.name or name.endswith(f":{spec.name}")]
    if len(named) == 1:
        return named
    features = [array for name, array in columns.items() if ":" in name and name != label]
    if len(signature.inputs) == 1 and features:
        return features
    raise _unfit(f"no one column is called {spec.name!r}, as the model's input")


def _fed(spec: TensorSpec, arrays: Sequence[Array]) -> Array:
    kind = numpy_type(spec.element_type)
    if spec.element_type is not ElementType.STRING and any(array.dtype.kind not in "iufb" for array in arrays):
        raise _unfit(f"the model's input {spec.name!r} takes numbers, and a column for it holds none")
    rows = len(arrays[0])
    joined = np.concatenate([array.reshape(rows, -1).astype(kind) for array in arrays], axis=1) if rows else arrays[0]
    shape = (rows, *(extent for extent in spec.shape[1:]))
    try:
        return np.ascontiguousarray(joined.reshape(shape))
    except ValueError as error:
        raise _unfit(
            f"its columns have {joined.shape[1]} numbers an example, and {spec.name!r} takes {spec.shape[1:]}"
        ) from error


def _comparable(values: Array) -> Array:
    return values.astype(str) if values.dtype.kind in "OUS" else values.astype(np.float64)


def _are_probabilities(scores: Array) -> bool:
    return bool((scores >= 0).all() and (np.abs(scores.sum(axis=1, dtype=np.float64) - 1.0) < _SUM_TOLERANCE).all())


def _is_single(array: Array) -> bool:
    return array.ndim >= 1 and array.size == len(array)


def _width(array: Array) -> int:
    return int(array.shape[1]) if array.ndim == 2 else 0


def _unfit(why: str) -> FailedPrecondition:
    return FailedPrecondition(
        "EVALUATION_SET_UNFIT",
        f"the evaluation set does not fit the model: {why}",
        field="evaluation_set_id",
        remedy="build one with the model's inputs and the label",
    )
