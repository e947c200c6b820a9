"""``transformers``' Trainer over batches grouped by image: one encoding serves all rows of an image.

The Trainer brings mixed precision, accumulation, several processes (``accelerate launch``) and logging. What is ours:
the batches are fixed beforehand (:mod:`gi_bench.baselines.training.mixture`), the loss is the mean over all target
tokens of an optimiser step wherever its rows are computed, losses are logged by task, and states are sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback
from transformers.modeling_outputs import BaseModelOutput

from gi_bench.baselines.training.features import Feed
from gi_bench.baselines.training.gradients import GradientProbe
from gi_bench.baselines.training.mixture import Batch
from gi_bench.baselines.training.states import read_weights, seal, write_threads, write_weights
from gi_bench.harness.errors import GiBenchError, RunError

IGNORED = -100
# Groups of rows with targets of about the same length that are decoded together.
_LENGTH_GROUPS = 4


class GroupedNetwork(nn.Module):
    """A Florence-2 whose images are encoded once and whose rows say which image they ask."""

    # Tells the Trainer to hand over the number of target tokens of the whole optimiser step.
    accepts_loss_kwargs = True

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> GroupedNetwork:
        """Training mode, except for a frozen vision tower: what cannot learn shall not drop paths either."""
        super().train(mode)
        tower = self.network.model.vision_tower
        if not any(p.requires_grad for p in tower.parameters()):
            tower.eval()
        return self

    def forward(
        self,
        at: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        pixels: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        row_weights: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy of the targets.

        Args:
            at: (rows,) position of each row's image.
            input_ids, attention_mask: (rows, tokens) prompts.
            labels: (rows, tokens) targets, -100 where there is none.
            pixels: (images, 3, height, width), or
            features: (images, image tokens, width).
            num_items_in_batch: target tokens of the optimiser step; None for those of this call.
            row_weights: (rows,) what each row's loss is multiplied by; None for 1.

        Returns:
            ``loss``, and, without gradient, ``row_losses``: (rows,) the mean over each row's tokens, not weighted.
        """
        network = self.network
        if features is None:
            features = network.get_image_features(pixels).pooler_output
        embedded = network.get_input_embeddings()(input_ids)
        # Unlike indexing, its gradient adds up in a fixed order on several threads.
        images = features.to(embedded.dtype).index_select(0, at)
        ones = torch.ones(images.shape[:2], dtype=attention_mask.dtype, device=attention_mask.device)
        seen = torch.cat([ones, attention_mask], dim=1)
        encoder = network.model.language_model.get_encoder()
        states = encoder(inputs_embeds=torch.cat([images, embedded], dim=1), attention_mask=seen).last_hidden_state
        counts = (labels != IGNORED).sum(dim=1)
        sums = self._decoded(states, seen, labels, counts)
        count = counts.sum() if num_items_in_batch is None else num_items_in_batch
        weighted = sums if row_weights is None else sums * row_weights
        return {"loss": weighted.sum() / count, "row_losses": sums.detach() / counts}

    def _decoded(
        self, states: torch.Tensor, seen: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """(rows,) summed cross-entropy of each row's target.

        Rows with targets of about the same length are decoded together: a polygon is several times as long as an
        answer, and padding every row to the longest would triple the decoder's work.
        """
        network = self.network
        found = states.new_zeros(len(labels), dtype=torch.float32)
        for rows in torch.tensor_split(torch.argsort(counts, stable=True), min(_LENGTH_GROUPS, len(labels))):
            wanted = labels[rows, : int(counts[rows].max())]
            output = network(
                encoder_outputs=BaseModelOutput(last_hidden_state=states.index_select(0, rows)),
                attention_mask=seen[rows],
                decoder_input_ids=self._shifted(wanted),
                use_cache=False,
            )
            logits = output.logits.float().transpose(1, 2)
            tokens = nn.functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="none")
            found = found.index_add(0, rows, tokens.sum(dim=1))
        return found

    def _shifted(self, labels: torch.Tensor) -> torch.Tensor:
        """What the decoder reads: the targets one place to the right, behind its start token."""
        config = self.network.config.text_config
        start = labels.new_full((len(labels), 1), config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == IGNORED, config.pad_token_id)


def recompute_activations(network: Any) -> None:
    """Gradient checkpointing: activations of every layer are computed anew in the backward pass, in place.

    ``transformers`` offers it for the language model; the vision tower's blocks are wrapped here.
    """
    from torch.utils.checkpoint import checkpoint

    language = network.model.language_model
    # The name changes within version 5 of transformers.
    enable = getattr(language, "activation_checkpointing_enable", None) or language.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for stage in network.model.vision_tower.blocks:
        for block in stage:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


class BatchSet(Dataset[dict[str, torch.Tensor]]):
    """Parts of batches as tensors: item ``step * parts + part`` is one part of one optimiser step."""

    def __init__(
        self,
        batches: Sequence[Sequence[Batch]],
        tokenizer: Any,
        feed: Feed,
        tasks: Sequence[str],
        loss_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.parts = [part for batch in batches for part in batch]
        self._weights = loss_weights or {}
        self._tokenizer, self._feed = tokenizer, feed
        self._codes = {task: code for code, task in enumerate(tasks)}

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """The part as the arguments of :meth:`GroupedNetwork.forward`, its number and its rows' tasks."""
        rows = self.parts[number]
        img_ids = list(dict.fromkeys(row.img_id for row in rows))
        bos, eos = self._tokenizer.bos_token, self._tokenizer.eos_token
        asked = self._tokens([bos + row.prompt + eos for row in rows])
        wanted = self._tokens([row.target + eos for row in rows])
        weights = {"row_weights": torch.tensor([self._weights.get(row.task, 1.0) for row in rows])}
        return {
            **(weights if self._weights else {}),
            self._feed.name: self._feed.read(img_ids),
            "at": torch.tensor([img_ids.index(row.img_id) for row in rows]),
            "input_ids": asked["input_ids"],
            "attention_mask": asked["attention_mask"],
            "labels": wanted["input_ids"].masked_fill(wanted["attention_mask"] == 0, IGNORED),
            "number": torch.tensor(number),
            "tasks": torch.tensor([self._codes[row.task] for row in rows]),
        }

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._tokenizer(list(texts), add_special_tokens=False, padding=True, return_tensors="pt")


def only(items: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The collator: an item is a whole batch already."""
    (item,) = items
    return item


class GroupedTrainer(Trainer):  # type: ignore[misc]
    """The Trainer for :class:`GroupedNetwork` and :class:`BatchSet`."""

    optimizer: Any
    lr_scheduler: Any

    def __init__(
        self,
        *,
        optimiser: Callable[[Mapping[str, nn.Parameter]], torch.optim.Optimizer],
        factor: Callable[[int], float],
        training: str,
        tasks: Sequence[str],
        gradients: GradientProbe | None = None,
        **arguments: Any,
    ) -> None:
        """Make a trainer.

        Args:
            optimiser: from the trainable parameters by name.
            factor: what the learning rate is multiplied by, from the number of steps done.
            training: digest that states are bound to.
            tasks: names behind the codes of the batches.
            gradients: measured wherever losses are logged, and before the first step.
            arguments: those of ``Trainer``.
        """
        super().__init__(data_collator=only, **arguments)
        self._optimiser, self._factor, self._training, self._tasks = optimiser, factor, training, tasks
        self._by_task = torch.zeros(len(tasks), 2, dtype=torch.float64)
        self._probe = gradients
        if gradients is not None:
            self.add_callback(_FirstGradients(self))

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    def create_optimizer(self, model: Any = None) -> Any:
        """The optimiser over all trainable parameters."""
        if self.optimizer is None:
            self.optimizer = self._optimiser({name: p for name, p in self.model.named_parameters() if p.requires_grad})
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule that was given."""
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, self._factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss, with every row's kept by task.

        Raises:
            GiBenchError: it is not a number.
        """
        number, tasks = inputs.pop("number"), inputs.pop("tasks")
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        rows = outputs["row_losses"]
        if not torch.isfinite(loss):
            raise self._not_a_number(int(number), tasks[~torch.isfinite(rows)].tolist())
        kept = torch.stack([rows.double(), torch.ones_like(rows, dtype=torch.float64)], dim=1).cpu()
        self._by_task.index_add_(0, tasks.cpu(), kept)
        return (loss, outputs) if return_outputs else loss

    def _not_a_number(self, number: int, codes: Sequence[int]) -> GiBenchError:
        part = self.train_dataset.parts[number]
        bad = sorted({self._tasks[code] for code in codes})
        every = self.args.save_steps
        step = self.state.global_step
        kept = f"; the state of step {step // every * every} is kept" if step >= every else ""
        images = list(dict.fromkeys(row.img_id for row in part))
        return GiBenchError(
            f"the loss is not a number at step {step + 1}, task {', '.join(bad) or 'unknown'}{kept}",
            where=f"images {', '.join(images[:8])}",
            do="look at these rows, or lower the learning rate",
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the mean loss of each task's rows since the last time, and how their gradients agree now."""
        if "loss" in logs:
            sums = self.accelerator.reduce(self._by_task.to(self.args.device), reduction="sum").cpu()
            for task, (total, count) in zip(self._tasks, sums.tolist(), strict=True):
                if count:
                    logs[f"loss/{task}"] = total / count
            self._by_task.zero_()
            logs |= self.gradients()
        super().log(logs, start_time)

    def gradients(self) -> dict[str, float]:
        """Norms and cosines of the tasks' gradients; measured by the process that logs alone, the others wait."""
        if self._probe is None or not self.is_world_process_zero():
            return {}
        return self._probe.measure(self.model)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Trainable weights only; the backbone does not change."""
        if self.args.should_save:
            write_weights(self.model, Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_weights(self.model, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Keep the state; what is not sealed does not count.

        Raises:
            RunError: the disk is full or the folder cannot be written; the state before is still there.
        """
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                state = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
                write_threads(state)
                seal(state, self._training)
        except (OSError, RuntimeError, SafetensorError) as error:
            if not is_write_failure(error):
                raise
            raise RunError(
                f"cannot keep the state of the training: {str(error)[:120]}",
                where=self.args.output_dir,
                do="make room, then give the same command again: it goes on from the last state",
            ) from error


class _FirstGradients(TrainerCallback):  # type: ignore[misc]
    """Logs the gradients before the first step; a resumed training has them in its log."""

    def __init__(self, trainer: GroupedTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0 and (found := self._trainer.gradients()):
            self._trainer.log(found)


def is_write_failure(error: BaseException) -> bool:
    """Whether a file could not be written.

    torch.save has no type for it: its C++ writer raises a bare RuntimeError whose text alone tells a full disk from a
    defect ("PyTorchStreamWriter failed writing file ...", or "unexpected pos ..." where closing it fails after that).
    """
    if isinstance(error, (OSError, SafetensorError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in ("StreamWriter", "unexpected pos"))
