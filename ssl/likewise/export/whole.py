"""A model as one program, from pixels to unit vectors, for torch without Likewise and for ONNX."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.models.backbones import Backbone

OPSET = 18
"""Of ONNX; what TensorRT, OpenVINO and onnxruntime have read for years."""
INPUT, OUTPUT, BATCH = "images", "embeddings", "batch"


class Whole(nn.Module):
    """Net and head between pixels and unit vectors.

    With ``baked`` the input is RGB bytes (B, S, S, 3), else normalised float32 (B, 3, S, S).
    """

    def __init__(self, backbone: Backbone, *, baked: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.baked = baked

    def forward(self, images: Tensor) -> Tensor:
        """The unit vectors (B, D)."""
        ready = self.backbone.normalise(images) if self.baked else images
        return functional.normalize(self.backbone(ready).float(), dim=1)

    def example(self, count: int) -> Tensor:
        """A black input of so many images."""
        side = self.backbone.architecture.image_size
        if self.baked:
            return torch.zeros(count, side, side, 3, dtype=torch.uint8)
        return torch.zeros(count, 3, side, side)


def program_of(whole: Whole) -> ExportedProgram:
    """The model as a graph that takes any number of images.

    Raises:
        LikewiseError: the net does something that cannot be put into a graph.
    """
    sizes = ({0: Dim(BATCH, min=1)},)
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(whole.eval(), (whole.example(2),), dynamic_shapes=sizes)
    except Exception as error:  # whatever an unusual net may raise
        name = whole.backbone.architecture.name
        raise LikewiseError(f"{name} cannot be exported: {reason_of(error)}") from error
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # the paths of this machine's files
    return program


def write_onnx(program: ExportedProgram, file: Path, metadata: Mapping[str, str]) -> None:
    """Write a program as ONNX. The batch is the dimension "batch"; nothing else is dynamic.

    Raises:
        LikewiseError: an operation has no counterpart in ONNX.
    """
    import onnx_ir

    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:
        raise LikewiseError(f"cannot be written as ONNX: {reason_of(error)}") from error
    assert made is not None
    model: onnx_ir.Model = made.model
    model.doc_string = None
    model.metadata_props.update(metadata)
    for node in model.graph.all_nodes():
        node.metadata_props.clear()  # where in this machine's files it came from
    _name_batch(model)
    made.save(file)


def _name_batch(model: object) -> None:
    """Call the only free dimension "batch"."""
    import onnx_ir

    assert isinstance(model, onnx_ir.Model)
    graph = model.graph
    values = [*graph.inputs, *graph.outputs]
    values += [value for node in graph.all_nodes() for value in node.outputs]
    free = graph.inputs[0].shape
    assert free is not None
    called = str(free[0])
    for value in values:
        if value.shape is None or value.shape.frozen:
            continue
        for place, size in enumerate(value.shape):
            if isinstance(size, onnx_ir.SymbolicDim) and size.value == called:
                value.shape[place] = BATCH


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what torch and onnxscript say to their own developers."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch")]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)
