"""Answers of Florence-2 with a LoRA adapter, in one file without gi-bench.

Scripts of submissions hold the code below the line of dashes, with the settings of the run that is submitted. It uses
``transformers`` and ``peft`` alone: features of a picture are made once, replies come from ``generate``.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch

# Settings of the run; a script of a submission has its own here.
REPOSITORY = ""
REVISION = "main"
BACKBONE = ""
BACKBONE_REVISION = "main"
FILES: dict[str, str] = {}
HAS_ADAPTER = False
ADDED_TOKENS: list[str] = []
PROMPT = ""
GENERATION: dict[str, Any] = {}
DTYPE = "float32"
BATCH_SIZE = 1
# ----------------------------------------------------------------------------------------------------------------------


def fetch(repository: str, revision: str, folder: str, files: dict[str, str]) -> Path:
    """The folder of a repository's files; each of them has to have its SHA-256."""
    from huggingface_hub import snapshot_download

    names = [f"{folder}{name}" for name in files]
    place = Path(snapshot_download(repository, revision=revision, allow_patterns=names)) / folder
    for name, wanted in files.items():
        digest = hashlib.sha256()
        with (place / name).open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != wanted:
            raise SystemExit(f"{repository} {revision}: {folder}{name} is not the file that the answers were made with")
    return place


class Florence2:
    """The network with the adapter merged into it, its tokenizer, and how it prepares pictures."""

    def __init__(self, backbone: Path, adapter: Path | None, device: str, dtype: str) -> None:
        import json

        from tokenizers import AddedToken
        from transformers import AutoTokenizer, Florence2ForConditionalGeneration, GenerationConfig

        wanted = getattr(torch, dtype)
        self.device = device
        self.network = Florence2ForConditionalGeneration.from_pretrained(backbone, dtype=wanted, use_safetensors=True)
        self.tokenizer = AutoTokenizer.from_pretrained(backbone)
        self.pictures = json.loads((backbone / "preprocessor_config.json").read_text(encoding="utf-8"))
        new = [token for token in ADDED_TOKENS if token not in self.tokenizer.get_vocab()]
        if new:
            self.tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in new])
            if len(self.tokenizer) > len(self.network.get_input_embeddings().weight):
                self.network.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        if adapter is not None:
            from peft import PeftModel

            self.network = PeftModel.from_pretrained(self.network, str(adapter)).merge_and_unload()
        self.network = self.network.to(device, dtype=wanted).eval()
        tokens = self.network.generation_config
        # All rules of the search stand in GENERATION; of the checkpoint's file only the tokens are taken.
        self.network.generation_config = GenerationConfig(
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
            decoder_start_token_id=tokens.decoder_start_token_id,
        )

    def features(self, image: Any) -> torch.Tensor:
        """Features (image tokens, width) of one picture."""
        import numpy as np
        from PIL.Image import Resampling

        size = (int(self.pictures["size"]["width"]), int(self.pictures["size"]["height"]))
        small = image.convert("RGB").resize(size, Resampling(int(self.pictures.get("resample", 3))))
        pixels = np.asarray(small).astype(np.float32) / np.float32(255)
        mean, std = (np.array(self.pictures[name], np.float32) for name in ("image_mean", "image_std"))
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis((pixels - mean) / std, -1, 0)))[None]
        tensor = tensor.to(self.device, dtype=self.network.dtype)
        found: torch.Tensor = self.network.get_image_features(tensor).pooler_output[0]
        return found

    def answer(self, questions: list[str], images: list[Any], keys: list[str]) -> list[str]:
        """One answer a question.

        Args:
            keys: image ids; the features of an image are made once for all questions about it.
        """
        from transformers.modeling_outputs import BaseModelOutput

        with torch.inference_mode():
            made: dict[str, torch.Tensor] = {}
            for key, image in zip(keys, images, strict=True):
                if key not in made:
                    made[key] = self.features(image)
            text = self.tokenizer(
                [
                    f"{self.tokenizer.bos_token}{PROMPT.replace('{question}', question)}{self.tokenizer.eos_token}"
                    for question in questions
                ],
                add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt",
            ).to(self.device)  # fmt: skip
            features = torch.stack([made[key] for key in keys])
            embedded = self.network.get_input_embeddings()(text.input_ids)
            seen = torch.ones(features.shape[:2], dtype=text.attention_mask.dtype, device=self.device)
            mask = torch.cat([seen, text.attention_mask], dim=1)
            hidden = self.network.get_encoder()(
                inputs_embeds=torch.cat([features.to(embedded.dtype), embedded], dim=1), attention_mask=mask
            ).last_hidden_state
            found = self.network.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden), attention_mask=mask, **GENERATION
            )
        dropped = {self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
        kept = [[token for token in row if token not in dropped] for row in found[:, 1:].tolist()]
        return [
            self.tokenizer.decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False).strip()
            for row in kept
        ]


def load_model(device: str) -> Florence2:
    """Fetch what the answers were made with, and load it."""
    own = {name: digest for name, digest in FILES.items() if not name.startswith("backbone/")}
    other = {name.removeprefix("backbone/"): digest for name, digest in FILES.items() if name.startswith("backbone/")}
    folder = "backbone/" if BACKBONE == REPOSITORY else ""
    backbone = fetch(BACKBONE, BACKBONE_REVISION, folder, other)
    adapter = fetch(REPOSITORY, REVISION, "", own) if HAS_ADAPTER else None
    # Half precision is a GPU's; a processor computes in float32 what was made in float16.
    return Florence2(backbone, adapter, device, "float32" if device == "cpu" and DTYPE == "float16" else DTYPE)
