"""The formats of artifacts that the registry can check."""

from __future__ import annotations

from synapsenet.adapters.onnx_format import OnnxInspection
from synapsenet.adapters.safetensors_format import SafetensorsInspection
from synapsenet.registry.model import Format
from synapsenet.registry.ports import Inspection, Inspector


class FormatInspector(Inspector):
    """ONNX by the onnx package, safetensors by its header."""

    def begin(self, form: Format, *, size: int) -> Inspection:
        match form:
            case Format.ONNX:
                return OnnxInspection()
            case Format.SAFETENSORS:
                return SafetensorsInspection(size=size)
