"""ONNX models in memory, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnxruntime

from synapsenet.adapters.onnx_format import read_signature
from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.inference.model import ElementType, Signature, TensorSpec
from synapsenet.inference.ports import Executable, Runtime
from synapsenet.inference.tensors import Array

_TYPES = {
    "tensor(bool)": ElementType.BOOL,
    "tensor(int8)": ElementType.INT8,
    "tensor(int16)": ElementType.INT16,
    "tensor(int32)": ElementType.INT32,
    "tensor(int64)": ElementType.INT64,
    "tensor(uint8)": ElementType.UINT8,
    "tensor(uint16)": ElementType.UINT16,
    "tensor(uint32)": ElementType.UINT32,
    "tensor(uint64)": ElementType.UINT64,
    "tensor(float16)": ElementType.FLOAT16,
    "tensor(float)": ElementType.FLOAT32,
    "tensor(double)": ElementType.FLOAT64,
    "tensor(string)": ElementType.STRING,
}
_ERRORS_ONLY = 3


class OnnxRuntime(Runtime):
    """Loads ONNX artifacts.

    Args:
        intra_op_threads: threads inside one run; the batches that run at once are bounded elsewhere.
    """

    def __init__(self, *, intra_op_threads: int) -> None:
        self._intra_op_threads = intra_op_threads

    def load(self, artifact: bytes, *, artifact_format: str) -> Executable:
        if artifact_format != "onnx":
            raise FailedPrecondition(
                "FORMAT_UNSUPPORTED",
                f"an artifact of format {artifact_format!r} cannot be deployed",
                remedy="export the model to ONNX and upload it as a new version",
            )
        read_signature(artifact)  # refuses references to other files, which the runtime would follow
        try:
            session = onnxruntime.InferenceSession(artifact, self._options(), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InvalidArgument(
                "MODEL_UNREADABLE",
                "ONNX Runtime cannot load the artifact",
                remedy="export it for an operator set that this release runs",
                secret=str(error),
            ) from error
        return _OnnxModel(session)

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._intra_op_threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _ERRORS_ONLY
        # Waiting threads would burn the cores that other models and the event loop need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


class _OnnxModel(Executable):
    runtime = "onnxruntime"

    def __init__(self, session: Any) -> None:
        self._session = session
        self.signature = _signature(session)
        self._inputs = [spec.name for spec in self.signature.inputs]
        self._outputs = [spec.name for spec in self.signature.outputs]

    def compute(self, inputs: Sequence[Array]) -> Sequence[Array]:
        try:
            outputs: Sequence[Array] = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        except Exception as error:
            raise InvalidArgument(
                "MODEL_FAILED",
                "the model cannot be computed for these inputs",
                field="inputs",
                remedy="check that their extents and values fit each other",
                secret=str(error),
            ) from error
        return outputs


def _signature(session: Any) -> Signature:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return Signature(
        inputs=tuple(_spec(node) for node in inputs),
        outputs=tuple(_spec(node) for node in outputs),
        batches=_batches([node.shape for node in (*inputs, *outputs)], bool(inputs)),
    )


def _spec(node: Any) -> TensorSpec:
    if node.type not in _TYPES:
        raise InvalidArgument(
            "MODEL_TYPE_UNSUPPORTED",
            f"{node.name!r} of the model is a {node.type}",
            remedy="export the model with plain tensors of a type that numpy knows (for scikit-learn: zipmap=False)",
        )
    return TensorSpec(node.name, _TYPES[node.type], tuple(size if isinstance(size, int) else -1 for size in node.shape))


def _batches(shapes: Sequence[Sequence[int | str | None]], has_inputs: bool) -> bool:
    """Whether the first extents vary and, as far as they have names, have the same one."""
    firsts = [shape[0] if shape else 0 for shape in shapes]
    names = {first for first in firsts if isinstance(first, str)}
    return has_inputs and not any(isinstance(first, int) for first in firsts) and len(names) <= 1
