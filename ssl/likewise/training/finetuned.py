"""What fine-tuning came to, for people and for JSON."""

from dataclasses import dataclass
from typing import Any

from likewise.models.runs import Run
from likewise.notebook import Displayed
from likewise.training.held_out import Measures
from likewise.wording import percent

FEW_PAIRS = 20
"""Below so many pairs of a kind the figures are called rough."""


@dataclass(frozen=True)
class Finetuned(Displayed):
    """What `finetune` did."""

    run: Run
    """The run whose model is to be used now: the parent where nothing better was found."""
    fingerprint: str
    parent: Run
    depth: str
    """head, adapters or backbone."""
    blend: float
    """The part of the head in the new vectors, 0 to 1; 0 where there is none."""
    loss: str
    answers: int
    before: Measures
    after: Measures
    why_kept: str = ""
    """Why there is no new model; empty where there is one."""

    @property
    def kept(self) -> bool:
        """Whether the parent stays in use, as nothing surely better was found."""
        return bool(self.why_kept)

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "run": self.run.name,
            "fingerprint": self.fingerprint,
            "parent": self.parent.name,
            "kept": self.kept,
            "depth": self.depth,
            "blend": self.blend,
            "loss": self.loss,
            "answers": self.answers,
            "before": self.before,
            "after": self.after,
        }

    def as_text(self) -> str:
        """What a person reads."""
        if self.kept:
            return "\n".join(
                (
                    f"{self.parent.name} stays in use, no new model: {self.why_kept}",
                    *self._figures(),
                    "next: `likewise label`; more answers may change that",
                )
            )
        lines = [f"{self.run.name}: {self.parent.name} tuned on {self.answers:,} answers"]
        if self.depth == "head":
            lines.append(f"a head counts for {percent(self.blend)} of the new embedding")
        return "\n".join((*lines, *self._figures(), "next: `likewise embed`"))

    def _figures(self) -> list[str]:
        before, after = self.before["auc"], self.after["auc"]
        similar, dissimilar = (self.after[kind] or 0 for kind in ("similar", "dissimilar"))
        if before is None or after is None:
            return [
                "not measured: the answers held out hold too few pairs of both kinds; with more "
                "answers there will be figures"
            ]
        rough = "; so few pairs say little" if min(similar, dissimilar) < FEW_PAIRS else ""
        return [
            f"pair AUC on held-out answers ({similar} similar, {dissimilar} dissimilar): "
            f"{before:.3f} before, {after:.3f} after, measured on a copy that was trained without "
            f"them; pairs worth a question are harder than most, so `evaluate` tells more{rough}"
        ]
