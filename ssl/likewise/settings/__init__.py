"""One frozen dataclass per command: its flags, its help, and the config saved with its run.

A field's docstring is its help text. Nothing heavy is imported here.
"""

from likewise.settings.common import (
    Common,
    Compile,
    MemoryFormat,
    Precision,
    Preset,
    ViewsOn,
    config_of,
)
from likewise.settings.exporting import EmbeddingsExport, Export
from likewise.settings.gallery import (
    GalleryAdd,
    GalleryClassify,
    GalleryEvaluate,
    GalleryList,
    GalleryRemove,
)
from likewise.settings.images import Ingest, Sample, Views
from likewise.settings.labelling import (
    AnswersBackup,
    AnswersExport,
    AnswersImport,
    AnswersRestore,
    AnswersVerify,
    Label,
    PeopleAdd,
    PeopleList,
    PeopleRemove,
    Simulate,
    Strategy,
)
from likewise.settings.learning import (
    Adopt,
    Demo,
    Depth,
    Embed,
    Evaluate,
    Finetune,
    Loss,
    Pretrain,
    Report,
    Rerun,
    Status,
)
from likewise.settings.retrieval import Search, Verify
from likewise.settings.sorting import Duplicates, Groups

__all__ = [
    "Adopt",
    "AnswersBackup",
    "AnswersExport",
    "AnswersImport",
    "AnswersRestore",
    "AnswersVerify",
    "Common",
    "Compile",
    "Demo",
    "Depth",
    "Duplicates",
    "Embed",
    "EmbeddingsExport",
    "Evaluate",
    "Export",
    "Finetune",
    "GalleryAdd",
    "GalleryClassify",
    "GalleryEvaluate",
    "GalleryList",
    "GalleryRemove",
    "Groups",
    "Ingest",
    "Label",
    "Loss",
    "MemoryFormat",
    "PeopleAdd",
    "PeopleList",
    "PeopleRemove",
    "Precision",
    "Preset",
    "Pretrain",
    "Report",
    "Rerun",
    "Sample",
    "Search",
    "Simulate",
    "Status",
    "Strategy",
    "Verify",
    "Views",
    "ViewsOn",
    "config_of",
]
